"""What we applied against what is live, as two short digests; neither object is kept.

`owned_digest` walks the `managedFields` of our apply and hashes the values that stand at those paths;
`manifest_digest` hashes the manifest. They are equal exactly where the live object holds what the manifest says,
and we own no more than that. The order of maps in a list does not count: it is not part of what is owned.
Values are compared as they stand, so manifests write quantities as the API server stores them.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

__all__ = ["DIGEST_SCHEME", "manifest_digest", "owned_digest"]

DIGEST_SCHEME = "blake2b-9/1"
"""Says how digests are made: one that was written down under another scheme cannot be compared with a new one."""

_DIGEST_SIZE = 9
_MANY = 2
_NESTED = (dict, list)
_NOBODYS = frozenset({"name", "namespace", "generateName", "uid", "resourceVersion", "managedFields"})
_NOT_APPLIED = frozenset({"apiVersion", "kind", "metadata", "status"})

Fields = dict[str, Any]


def owned_digest(live: dict[str, Any], manager: str = "penstock") -> str:
    """The digest of what we own of a live object; empty where we own nothing of it."""
    fields = _fields_of(live, manager)
    if fields is None:
        return ""
    content = {path: deeper for path, deeper in fields.items() if path[2:] not in _NOT_APPLIED}
    owned = _owned(live, content) if content else {}
    metadata = fields.get("f:metadata")
    return _digest(owned, _owned(live["metadata"], metadata) if metadata else {})


def manifest_digest(manifest: dict[str, Any]) -> str:
    """The digest of what a manifest says."""
    content = {name: value for name, value in manifest.items() if name not in _NOT_APPLIED}
    metadata = {name: value for name, value in manifest.get("metadata", {}).items() if name not in _NOBODYS}
    if "finalizers" in metadata:
        metadata["finalizers"] = sorted(metadata["finalizers"])
    return _digest(_whole(content), _whole(metadata))


def _fields_of(live: dict[str, Any], manager: str) -> Fields | None:
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return None


def _owned(value: Any, fields: Fields) -> Any:
    """The canonical form of the part of `value` that `fields` (FieldsV1) names; a leaf is taken whole."""
    if not fields:
        return _whole(value)
    if isinstance(value, dict):
        return _owned_map(value, fields)
    if isinstance(value, list):
        return _sorted([*_keyed(value, fields), *_members(value, fields)])
    return value


def _owned_map(value: dict[str, Any], fields: Fields) -> dict[str, Any]:
    found = {}
    for path, deeper in fields.items():
        name = path[2:]
        item = value.get(name)
        if isinstance(item, _NESTED):
            item = _owned(item, deeper)
        if not _is_empty(item):
            found[name] = item
    return found


def _keyed(items: list[Any], fields: Fields) -> Iterator[Any]:
    """Elements of an associative list, found by the values of their keys."""
    places: dict[tuple[str, ...], dict[Any, Any]] = {}
    for path, deeper in fields.items():
        if path.startswith("k:"):
            names, values = _parse_key(path)
            if names not in places:
                places[names] = _placed(items, names)
            found = places[names].get(values) or _defaulted(items, names, values)
            if found is not None:
                yield _owned(found, deeper)


def _placed(items: list[Any], names: tuple[str, ...]) -> dict[Any, Any]:
    maps = [item for item in items if isinstance(item, dict)]
    if len(names) == 1:
        return {item.get(names[0]): item for item in maps}
    return {tuple([item.get(name) for name in names]): item for item in maps}


def _defaulted(items: list[Any], names: tuple[str, ...], values: Any) -> Any:
    """The element that leaves a part of its key out, such as a port's protocol: the path has the default."""
    if len(names) == 1:
        return None
    key = dict(zip(names, values, strict=True))
    return next((item for item in items if all(item.get(name, value) == value for name, value in key.items())), None)


@lru_cache(maxsize=4096)
def _parse_key(path: str) -> tuple[tuple[str, ...], Any]:
    """The names of `k:{"name":"engine"}` and its value or values; the same few paths come with every object."""
    key = json.loads(path[2:])
    values = tuple(key.values())
    return tuple(key), values[0] if len(values) == 1 else values


def _members(items: list[Any], fields: Fields) -> list[Any]:
    """Elements of a set, such as finalizers, found by their value; each is its own path."""
    owned = (json.loads(path[2:]) for path in fields if path.startswith("v:"))
    return sorted(item for item in owned if item in items)


def _whole(value: Any) -> Any:
    """The canonical form of all of it."""
    if isinstance(value, dict):
        found = {}
        for name, item in value.items():
            kept = _whole(item) if isinstance(item, _NESTED) else item
            if not _is_empty(kept):
                found[name] = kept
        return found
    if isinstance(value, list):
        return _sorted([_whole(item) for item in value])
    return value


def _is_empty(value: Any) -> bool:
    """Nulls and empty maps and lists in maps do not count: the API server drops some of them, whoever owns them."""
    return value is None or (not value and isinstance(value, _NESTED))


def _sorted(items: list[Any]) -> list[Any]:
    """Maps by their names, or else their content; plain values, such as arguments, stay in order."""
    if len(items) < _MANY or not all(isinstance(item, dict) for item in items):
        return items
    named = {item.get("mountPath") or item.get("name"): item for item in items}
    if len(named) == len(items) and all(isinstance(name, str) for name in named):
        return [named[name] for name in sorted(named)]
    return sorted(items, key=_text)


def _digest(content: Any, metadata: Any) -> str:
    return hashlib.blake2b(_text([content, metadata]), digest_size=_DIGEST_SIZE).hexdigest()


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
