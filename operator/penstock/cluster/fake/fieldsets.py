"""Sets of owned fields: paths of leaves, to and from the form of `managedFields` (FieldsV1)."""

import json
from typing import Any

from penstock.cluster.fake.lists import Shape

__all__ = ["FieldSet", "changed_fields", "duplicate_in", "fields_of", "from_v1", "to_v1", "value_at"]

Path = tuple[str, ...]
FieldSet = frozenset[Path]
Leaves = dict[Path, Any]

_NOBODYS = frozenset({"apiVersion", "kind"})
_NOBODYS_METADATA = frozenset(
    {
        *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
        *("deletionGracePeriodSeconds", "managedFields", "selfLink", "generateName"),
    }
)
_ITEM = "."


def duplicate_in(value: Any, shape: Shape, path: str = "") -> str | None:
    """Where a list has an item twice, in the words of the real server; None where none has."""
    if isinstance(value, dict) and not shape.atomic(value):
        below = (duplicate_in(item, shape.child(key), f"{path}.{key}") for key, item in value.items())
    elif isinstance(value, list) and not shape.atomic(value):
        keys = shape.keys(value)
        told_apart = [_compact(shape.key_of(item, keys) if keys else item) for item in value]
        twice = next((key for key in told_apart if told_apart.count(key) > 1), None)
        if twice is not None:
            return f"{path}: duplicate entries for key {twice}"
        below = (duplicate_in(item, shape.item, f"{path}[]") for item in value)
    else:
        return None
    return next((found for found in below if found), None)


def fields_of(manifest: dict[str, Any], shape: Shape) -> FieldSet:
    """The leaves that a manifest sets."""
    return frozenset(_leaves(manifest, shape))


def _leaves(manifest: dict[str, Any], shape: Shape) -> Leaves:
    """What stands at each of them; nothing at that of an item, which has leaves of its own."""
    found: Leaves = {}
    for key, value in manifest.items():
        if key in _NOBODYS:
            continue
        if key == "metadata":
            value = {name: item for name, item in value.items() if name not in _NOBODYS_METADATA}  # noqa: PLW2901 - a view
            if not value:
                continue
        _collect((f"f:{key}",), value, shape.child(key), found)
    return found


def _collect(path: Path, value: Any, shape: Shape, found: Leaves) -> None:
    if shape.atomic(value) or not value or not isinstance(value, dict | list):
        found[path] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect((*path, f"f:{key}"), item, shape.child(key), found)
    else:
        _collect_items(path, value, shape, found)


def _collect_items(path: Path, value: list[Any], shape: Shape, found: Leaves) -> None:
    keys = shape.keys(value)
    for item in value:
        if keys is None:
            found[*path, f"v:{_compact(item)}"] = item
            continue
        place = (*path, f"k:{_compact(shape.key_of(item, keys))}")
        if shape.item.atomic(item):
            found[place] = item
            continue
        found[*place, _ITEM] = None
        for name, inner in item.items():
            _collect((*place, f"f:{name}"), inner, shape.item.child(name), found)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def to_v1(fields: FieldSet) -> dict[str, Any]:
    """As `managedFields` holds it."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for part in path:
            node = node.setdefault(part, {})
    return tree


def from_v1(tree: dict[str, Any]) -> FieldSet:
    """Back from `managedFields`."""
    found: set[Path] = set()
    _flatten((), tree, found)
    return frozenset(found)


def _flatten(path: Path, tree: dict[str, Any], found: set[Path]) -> None:
    for part, deeper in tree.items():
        if deeper:
            _flatten((*path, part), deeper, found)
        else:
            found.add((*path, part))


def value_at(live: Any, path: Path) -> Any:
    """What stands at the path, or None."""
    for part in path:
        live = _step(live, part)
        if live is None:
            return None
    return live


def _step(value: Any, part: str) -> Any:
    if part == _ITEM:
        return value
    if part.startswith("f:"):
        return value.get(part[2:]) if isinstance(value, dict) else None
    wanted = json.loads(part[2:])
    for item in value if isinstance(value, list) else ():
        if part.startswith("k:") and isinstance(item, dict) and all(item.get(k) == v for k, v in wanted.items()):
            return item
        if part.startswith("v:") and item == wanted:
            return item
    return None


def changed_fields(before: dict[str, Any], after: dict[str, Any], shape: Shape) -> tuple[FieldSet, FieldSet]:
    """Leaves that an update set or changed, and leaves that it removed."""
    other = [key for key in {*before, *after} if before.get(key) != after.get(key)]
    old, new = (_leaves({key: live[key] for key in other if key in live}, shape) for live in (before, after))
    touched = frozenset(path for path in new if path not in old or old[path] != new[path])
    return touched, frozenset(old.keys() - new.keys())
