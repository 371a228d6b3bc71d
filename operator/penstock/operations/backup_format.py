"""The backup file: gzip over JSON lines, portable between databases; a header, rows, and a footer with the checksum.

    {"format": "penstock-backup", "version": 1, "schema": "0001", "penstock": "0.1.0", "taken_at": "...", "tables": []}
    {"table": "gateways", "row": {"id": 1, ...}}
    {"rows": {"gateways": 1, ...}, "sha256": "<of all lines before this one>"}

Bytes are written as `{"base64": "..."}`. A file without its footer was cut off and is refused, as is a line that is
longer than the largest published table could be.
"""

import base64
import binascii
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from penstock.errors import PenstockError

__all__ = ["FORMAT_VERSION", "LONGEST_LINE", "BackupUnreadable", "Header", "Reader", "Row", "Writer"]

FORMAT_VERSION = 1
LONGEST_LINE = 64 * 2**20
"""Bytes; a table may have 16 MiB, and Base64 and JSON make more of them."""

_NAME = "penstock-backup"


class BackupUnreadable(PenstockError):
    """The file is no backup, was cut off or changed, or comes from a newer Penstock."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says; `schema` is the revision of the database's schema."""

    schema: str
    penstock: str
    taken_at: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one table."""

    table: str
    values: dict[str, Any]


@dataclass(slots=True)
class Writer:
    """Makes the lines of one file, in order: `header`, `row` for each, `footer`."""

    _digest: Any = field(default_factory=hashlib.sha256)
    _rows: Counter[str] = field(default_factory=Counter)

    def header(self, header: Header) -> bytes:
        """The first line."""
        about = {"format": _NAME, "version": FORMAT_VERSION, "schema": header.schema, "penstock": header.penstock}
        self._rows.update(dict.fromkeys(header.tables, 0))
        return self._line({**about, "taken_at": header.taken_at, "tables": list(header.tables)})

    def row(self, table: str, values: Mapping[str, Any]) -> bytes:
        """A line for a row; ValueError for a float that JSON does not have."""
        self._rows[table] += 1
        return self._line({"table": table, "row": {name: _plain(value) for name, value in values.items()}})

    def footer(self) -> bytes:
        """The last line."""
        return _encoded({"rows": dict(self._rows), "sha256": self._digest.hexdigest()})

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows were written, by table."""
        return self._rows

    def _line(self, content: Mapping[str, Any]) -> bytes:
        line = _encoded(content)
        self._digest.update(line)
        return line


@dataclass(slots=True)
class Reader:
    """Reads the lines of one file; nothing that it yields is proven before `rows` has ended without an error."""

    lines: Iterable[bytes]
    _digest: Any = field(default_factory=hashlib.sha256)
    _rows: Counter[str] = field(default_factory=Counter)
    _lines: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """One pass over the lines."""
        self._lines = iter(self.lines)

    def header(self) -> Header:
        """The first line; BackupUnreadable."""
        line = next(self._lines, b"")
        about = _decoded(line)
        if about.get("format") != _NAME:
            _refuse("its first line is not that of a Penstock backup", "Name a file that `penstock backup` made")
        if about.get("version") != FORMAT_VERSION:
            found = about.get("version")
            _refuse(f"it has format {found}, and this version reads {FORMAT_VERSION}", "Use a newer penstock")
        self._digest.update(line)
        tables = tuple(str(name) for name in about.get("tables") or ())
        self._rows.update(dict.fromkeys(tables, 0))
        return Header(
            schema=str(about.get("schema") or ""),
            penstock=str(about.get("penstock") or ""),
            taken_at=str(about.get("taken_at") or ""),
            tables=tables,
        )

    def rows(self) -> Iterator[Row]:
        """Every row; BackupUnreadable where the file was cut off, changed, or goes on after its end."""
        for line in self._lines:
            content = _decoded(line)
            if "sha256" in content:
                self._check(content)
                return
            self._digest.update(line)
            yield self._row(content)
        _refuse("it ends in the middle", "Take the backup again, or name a whole copy")

    def _row(self, content: Mapping[str, Any]) -> Row:
        table, values = str(content.get("table")), content.get("row")
        if table not in self._rows or not isinstance(values, dict):
            _refuse("a line of it is no row of a table that its header names", "Name an unchanged file")
        self._rows[table] += 1
        return Row(table, {name: _value(value) for name, value in values.items()})

    def _check(self, footer: Mapping[str, Any]) -> None:
        if footer.get("sha256") != self._digest.hexdigest() or footer.get("rows") != dict(self._rows):
            _refuse("its checksum does not match its content", "Name an unchanged file")
        if next(self._lines, None) is not None:
            _refuse("something follows its last line", "Name an unchanged file")


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _decoded(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        _refuse(f"a line of it is longer than {LONGEST_LINE // 2**20} MiB", "Name an unchanged file")
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        _refuse("a line of it is not JSON", "Name an unchanged file")
    if not isinstance(content, dict):
        _refuse("a line of it is no object", "Name an unchanged file")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        message = f"{value} is no number that a backup can hold"
        raise ValueError(message)
    return value


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    try:
        return base64.b64decode(value["base64"], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        _refuse("a value of it is not of its form", "Name an unchanged file")


def _refuse(reason: str, cure: str) -> NoReturn:
    message = f"the backup cannot be read: {reason}. {cure}"
    raise BackupUnreadable(message)
