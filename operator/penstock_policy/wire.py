"""A table as JSON and back: canonical bytes, so that equal tables have equal digests; a malformed one is refused whole.

Fields that hold their default are left out. Unknown fields are passed over, so that an older replica reads a newer
table; `format` grows with every field that forbids something, because passing that over would let requests through.
"""

import hashlib
import json
import types
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from penstock_policy.table import Table

__all__ = ["FORMAT", "TableError", "decode", "digest_of", "encode"]

FORMAT = 1
"""A replica refuses a table of a later format and goes on with the last one that it understood."""

_INDECISIVE = frozenset({"format", "generation", "hash"})

T = TypeVar("T")


class TableError(ValueError):
    """The table cannot be used; the message names the place."""


def encode(table: Table) -> bytes:
    """Canonical JSON with `format`, `gateway`, `generation` and `hash` beside the table's own fields."""
    content = _plain(table)
    return _canonical({"format": FORMAT, "hash": _digest(content), **content})


def digest_of(table: Table) -> str:
    """Of all that decides: the generation is left out, so that what decides alike has the same digest."""
    return _digest(_plain(table))


def decode(document: bytes) -> Table:
    """The table; TableError where it is truncated, of a later format, malformed, or not what its hash says."""
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise TableError(message) from error
    if not isinstance(content, dict):
        message = "not a JSON object"
        raise TableError(message)
    if content.get("format") != FORMAT:
        message = f"format: {content.get('format')!r} is not {FORMAT}, the one that this version reads"
        raise TableError(message)
    try:
        digest = _digest(content)
    except UnicodeEncodeError as error:
        message = f"not UTF-8: {error}"
        raise TableError(message) from error
    if digest != content.get("hash"):
        message = "hash: the content is not the one that was hashed"
        raise TableError(message)
    return _read(Table, content, "")


def _digest(content: Mapping[str, Any]) -> str:
    decisive = {name: value for name, value in content.items() if name not in _INDECISIVE}
    return hashlib.sha256(_canonical(decisive)).hexdigest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value) if _says(each, value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _says(each: "Field[Any]", owner: Any) -> bool:
    return each.default is MISSING or getattr(owner, each.name) != each.default


@cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: type[T], content: Any, place: str) -> T:
    if not isinstance(content, dict):
        message = f"{place or 'the table'}: must be an object, and is {type(content).__name__}"
        raise TableError(message)
    values = {}
    hints = _hints(kind)  # type: ignore[arg-type] # classes are hashable
    for each in fields(kind):  # type: ignore[arg-type] # only ever a dataclass
        where = f"{place}.{each.name}" if place else each.name
        if each.name in content:
            values[each.name] = _value(hints[each.name], content[each.name], where)
        elif each.default is MISSING:
            message = f"{where}: is required"
            raise TableError(message)
    return kind(**values)


def _value(hint: Any, content: Any, place: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return None if content is None else _value(inner, content, place)
    if origin is tuple:
        return _tuple(get_args(hint), content, place)
    if origin is frozenset:
        return frozenset(_items(get_args(hint)[0], content, place))
    if is_dataclass(hint):
        return _read(hint, content, place)  # type: ignore[arg-type] # a class, as hints are
    return _scalar(hint, content, place)


def _tuple(arguments: tuple[Any, ...], content: Any, place: str) -> tuple[Any, ...]:
    if arguments[-1] is Ellipsis:
        return tuple(_items(arguments[0], content, place))
    if not isinstance(content, list) or len(content) != len(arguments):
        message = f"{place}: must be a list of {len(arguments)}"
        raise TableError(message)
    return tuple(_value(hint, item, place) for hint, item in zip(arguments, content, strict=True))


def _items(hint: Any, content: Any, place: str) -> Iterable[Any]:
    if not isinstance(content, list):
        message = f"{place}: must be a list, and is {type(content).__name__}"
        raise TableError(message)
    return (_value(hint, item, f"{place}[{index}]") for index, item in enumerate(content))


def _scalar(hint: type, content: Any, place: str) -> Any:
    # JSON knows one kind of number, and true is none.
    taken = (int, float) if hint is float else (hint,)
    if not isinstance(content, taken) or isinstance(content, bool):
        message = f"{place}: must be {hint.__name__}, and is {type(content).__name__}"
        raise TableError(message)
    return content
