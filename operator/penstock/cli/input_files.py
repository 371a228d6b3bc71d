"""The one door for files that users name: found, bounded, and read as YAML or JSON, or refused with a cure.

PyYAML's fast loader recurses in C and writes aliases out without a bound, so a small file could end the process or
hold it for hours. The events of a text are walked first, which neither recurses nor expands anything.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import PenstockError

__all__ = ["Unreadable", "contents", "documents_in", "files_of", "items_of", "text_of"]

_LARGEST_FILE = 16 * 2**20
_MOST_DOCUMENTS = 10_000
_DEEPEST = 100
_RESOURCE_FILES = frozenset({".json", ".yaml", ".yml"})
_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_TOO_DEEP = f"nests deeper than {_DEEPEST} levels. Write it flatter"
_TOO_LARGE = f"larger than {_LARGEST_FILE // 2**20} MiB. Split it"
_GROWN = f"its aliases make it larger than {_LARGEST_FILE // 2**20} MiB. Write out what is meant"

_UNREADABLE_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML raises for a value that looks like a time or a number and is none."""


class Unreadable(PenstockError):
    """Why a file is not read, with a cure and without the file's name."""


def files_of(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Files, and those that folders hold, each once; and a line for each folder whose subfolders are not read."""
    files: dict[Path, None] = {}
    passed_over: list[str] = []
    for path in paths:
        inside = _inside_of(path)
        if inside is None:
            files[path] = None
            continue
        files |= dict.fromkeys(each for each in inside if each.suffix.lower() in _RESOURCE_FILES and not each.is_dir())
        folders = [each.name for each in inside if each.is_dir() and not each.name.startswith(".")]
        if folders:
            passed_over.append(f"{path}: its subfolders are not read: {', '.join(folders)}. Name them by -f as well.")
    return list(files), passed_over


def _inside_of(path: Path) -> list[Path] | None:
    """What a folder holds; None where it is none, or one that may not be read, which reading it tells."""
    try:
        return sorted(path.iterdir())
    except OSError:
        return None


def text_of(path: Path, largest: int = _LARGEST_FILE, too_large: str = _TOO_LARGE) -> str:
    """The text of a regular file, or of a pipe that is open already, as `-f <(...)` hands it over."""
    try:
        if path.is_dir():
            message = "cannot be read as a folder. Name one that you may read"
            raise Unreadable(message)
        if path.exists() and not path.is_file() and not str(path).startswith(_OPEN_ALREADY):
            message = "is no regular file. Name a file"
            raise Unreadable(message)
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise Unreadable(too_large)
        return content.decode("utf-8-sig")
    except OSError as error:
        message = f"cannot be read ({error.strerror or error}). Name a file that you may read"
        raise Unreadable(message) from error
    except UnicodeDecodeError as error:
        message = f"cannot be read as YAML: {error}. Save it as UTF-8"
        raise Unreadable(message) from error


def contents(path: Path) -> tuple[list[Any], list[str]]:
    """The documents of a YAML or JSON file, lists taken apart, and why there are none."""
    try:
        flat = [item for document in documents_in(path) for item in items_of(document)]
    except Unreadable as reason:
        return [], [f"{path}: {reason}."]
    too_many = [f"{path}: more than {_MOST_DOCUMENTS} documents. Split it."] if len(flat) > _MOST_DOCUMENTS else []
    return flat[:_MOST_DOCUMENTS], too_many


def documents_in(path: Path) -> list[Any]:
    """The documents as they stand, those that say something; Unreadable where the file cannot be read."""
    return [document for document in _parsed(text_of(path)) if document is not None]


def _parsed(text: str) -> list[Any]:
    """JSON where it is that, which is read a hundred times faster; else YAML."""
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except ValueError:
        return _yaml(text)
    except RecursionError as error:
        raise Unreadable(_TOO_DEEP) from error
    if _is_too_deep(found):
        raise Unreadable(_TOO_DEEP)
    return [found]


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise Unreadable(_said_twice(double))
    return made


def _said_twice(key: str) -> str:
    return f"`{key}` is there twice in one object. Remove one of the two"


def _is_too_deep(value: Any) -> bool:
    """Level by level, because people's nesting has no bound."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inside(each) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class _Loader(yaml.CSafeLoader):
    """The fast loader, which says where a value stands that is not what it looks like."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct it; ConstructorError with the place where Python's own error says none."""
        try:
            return super().construct_object(node, deep)
        except _UNREADABLE_VALUES as error:
            reason = f"a value that cannot be read ({error}); put text that looks like a time or a number in quotes"
            raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark) from error


def _yaml(text: str) -> list[Any]:
    try:
        _check(text)
        return list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, RecursionError) as error:
        message = f"cannot be read as YAML: {error}"
        raise Unreadable(message) from error


@dataclass(slots=True)
class _Open:
    """A list or object of which the end is not read yet."""

    is_object: bool
    anchor: str | None
    size: int = 2
    children: int = 0
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Walk:
    """How deep and how large a text is with its aliases written out, in characters."""

    open: list[_Open] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def read(self, event: yaml.Event) -> None:
        """Go one event on; Unreadable where a bound is passed."""
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self.open.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
                if len(self.open) > _DEEPEST:
                    raise Unreadable(_at(event, _TOO_DEEP))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                closed = self.open.pop()
                self._add(closed.size, closed.anchor)
            case yaml.ScalarEvent():
                self._check_key(event)
                self._add(len(event.value) + 1, event.anchor)
            case yaml.AliasEvent():
                self._follow(event)
            case yaml.DocumentStartEvent():
                self.sizes.clear()

    def _follow(self, event: yaml.AliasEvent) -> None:
        if any(each.anchor == event.anchor for each in self.open):
            raise Unreadable(_at(event, f"`*{event.anchor}` is inside `&{event.anchor}`. Write out what is meant"))
        size = self.sizes.get(event.anchor or "", 1)
        self._add(size, None)
        self.total += size
        if self.total > _LARGEST_FILE:
            raise Unreadable(_at(event, _GROWN))

    def _check_key(self, event: yaml.ScalarEvent) -> None:
        """A key that is there twice would lose what stands below one of the two; `<<` loses nothing."""
        if not self.open or not self.open[-1].is_object or self.open[-1].children % 2:
            return
        keys = self.open[-1].keys
        if event.value in keys and event.value != "<<":
            raise Unreadable(_at(event, _said_twice(event.value)))
        keys.add(event.value)

    def _add(self, size: int, anchor: str | None) -> None:
        if self.open:
            self.open[-1].size += size
            self.open[-1].children += 1
        if anchor:
            self.sizes[anchor] = size


def _at(event: yaml.Event, reason: str) -> str:
    return f"line {event.start_mark.line + 1}: {reason}" if event.start_mark else reason


def _check(text: str) -> None:
    walk = _Walk()
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        walk.read(event)


def items_of(document: Any) -> list[Any]:
    """The objects of a List, as kubectl prints them, lists in lists as well; else the document itself."""
    if not isinstance(document, dict) or not str(document.get("kind", "")).endswith("List"):
        return [document]
    items = document.get("items")
    if isinstance(items, list):
        return [inner for item in items for inner in items_of(item)]
    if document["kind"] == "List" or "items" in document:
        message = f"the items of a {document['kind']} are no list. Write `items: []` where there are none"
        raise Unreadable(message)
    return [document]
