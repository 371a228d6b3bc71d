"""What we applied against what is live, as two short digests; neither object is kept.

`owned_digest` walks the `managedFields` of our apply and hashes the values that stand at those paths;
`manifest_digest` hashes the manifest. They are equal exactly where the live object holds what the manifest says,
and we own no more than that. The order of maps in a list does not count: it is not part of what is owned.
Values are compared as they stand, so manifests write quantities as the API server stores them.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

__all__ = ["manifest_digest", "owned_digest"]

_DIGEST_SIZE = 9
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
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
        return _full(
            (path[2:], _owned(value[path[2:]], deeper))
            for path, deeper in fields.items()
            if path != "." and path[2:] in value
        )
    if isinstance(value, list):
        return _sorted([*_keyed(value, fields), *_members(value, fields)])
    return value


def _keyed(items: list[Any], fields: Fields) -> Iterator[Any]:
    """Elements of an associative list, found by the values of their keys."""
    places: dict[tuple[str, ...], dict[tuple[Any, ...], Any]] = {}
    for path, deeper in fields.items():
        if not path.startswith("k:"):
            continue
        names, values = _parse_key(path)
        if names not in places:
            places[names] = {tuple(item.get(name) for name in names): item for item in items if isinstance(item, dict)}
        found = places[names].get(values)
        if found is not None:
            yield _owned(found, deeper)


def _members(items: list[Any], fields: Fields) -> list[Any]:
    """Elements of a set, such as finalizers, found by their value; each is its own path."""
    owned = (json.loads(path[2:]) for path in fields if path.startswith("v:"))
    return sorted(item for item in owned if item in items)


@lru_cache(maxsize=4096)
def _parse_key(path: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """`k:{"name":"engine"}` as names and values; the same few paths come with every object."""
    key = json.loads(path[2:])
    return tuple(key), tuple(key.values())


def _whole(value: Any) -> Any:
    """The canonical form of all of it."""
    if isinstance(value, dict):
        return _full((name, _whole(item)) for name, item in value.items())
    if isinstance(value, list):
        return _sorted([_whole(item) for item in value])
    return value


def _full(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A map without what is empty: the API server drops some of that, whoever owns the field."""
    return {name: item for name, item in items if item is not None and item not in ({}, [])}


def _sorted(items: list[Any]) -> list[Any]:
    """Maps by their content; plain values, such as arguments, stay in order."""
    if len(items) > 1 and all(isinstance(item, dict) for item in items):
        return sorted(items, key=_text)
    return items


def _digest(content: Any, metadata: Any) -> str:
    return hashlib.blake2b(_text([content, metadata]).encode(), digest_size=_DIGEST_SIZE).hexdigest()


def _text(value: Any) -> str:
    return _encode(value)
