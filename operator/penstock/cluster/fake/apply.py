"""Server-side apply: our fields and no others, conflicts named, what is no longer asked for removed.

Also the bookkeeping of `managedFields` for ordinary updates: who changes a value owns it, and nobody else does.
"""

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from penstock.cluster.fake.answers import Answer
from penstock.cluster.fake.fieldsets import FieldSet, changed_fields, fields_of, from_v1, to_v1, value_at
from penstock.cluster.fake.lists import Shape

__all__ = ["Applying", "record_update", "server_side_apply"]

_ITEM = "."
_SHALLOWEST = 2
"""Nothing above this depth is taken away for being empty: an empty `spec` stays."""


@dataclass(frozen=True, slots=True)
class Applying:
    """One apply: whose, with force or not, of which subresource, at what time (RFC 3339)."""

    manager: str
    force: bool
    subresource: str
    api_version: str
    time: str


def server_side_apply(
    live: dict[str, Any], manifest: dict[str, Any], shape: Shape, applying: Applying
) -> dict[str, Any]:
    """The object as it is after the apply; the same object where nothing changes; 409 with the conflicts."""
    wanted = fields_of(manifest, shape)
    entries = _entries(live)
    mine = next((entry for entry in entries if _is_mine(entry, applying)), None)
    before = from_v1(mine["fieldsV1"]) if mine else frozenset()
    others = [entry for entry in entries if entry is not mine]
    merged: dict[str, Any] = _merge(live, manifest, shape)
    taken = _taken(live, merged, wanted, others)
    if taken and not applying.force:
        raise _refusal(taken)
    merged = _without(merged, before - wanted - _claimed(others))
    if mine is not None and before == wanted and not taken and _bare(merged) == _bare(live):
        return live
    lost = frozenset(path for _, path in taken)
    kept = [entry for entry in (_minus(entry, lost) for entry in others) if entry]
    metadata = {**merged["metadata"], "managedFields": [_entry(applying, wanted, "Apply"), *kept]}
    return {**merged, "metadata": metadata}


def record_update(before: dict[str, Any], after: dict[str, Any], shape: Shape, applying: Applying) -> dict[str, Any]:
    """`after` with `managedFields` that say who changed what."""
    touched, removed = changed_fields(before, after, shape)
    if not touched and not removed:
        return {**after, "metadata": {**after["metadata"], **_managed(before)}}
    entries = [entry for entry in (_minus(entry, touched | removed) for entry in _entries(before)) if entry]
    mine = next((e for e in entries if e["operation"] == "Update" and _is_of(e, applying)), None)
    fields = touched | (from_v1(mine["fieldsV1"]) if mine else frozenset())
    rest = [entry for entry in entries if entry is not mine]
    managed = [*rest, _entry(applying, fields, "Update")] if fields else rest
    return {**after, "metadata": {**after["metadata"], "managedFields": managed}}


def _entries(live: dict[str, Any]) -> list[dict[str, Any]]:
    return list(live["metadata"].get("managedFields") or ())


def _managed(live: dict[str, Any]) -> dict[str, Any]:
    entries = live["metadata"].get("managedFields")
    return {"managedFields": entries} if entries else {}


def _is_of(entry: dict[str, Any], applying: Applying) -> bool:
    return bool(entry["manager"] == applying.manager and entry.get("subresource", "") == applying.subresource)


def _is_mine(entry: dict[str, Any], applying: Applying) -> bool:
    return bool(entry["operation"] == "Apply") and _is_of(entry, applying)


def _entry(applying: Applying, fields: FieldSet, operation: str) -> dict[str, Any]:
    entry = {
        "manager": applying.manager,
        "operation": operation,
        "apiVersion": applying.api_version,
        "time": applying.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_v1(fields),
    }
    return {**entry, "subresource": applying.subresource} if applying.subresource else entry


def _taken(
    live: dict[str, Any], merged: dict[str, Any], wanted: FieldSet, others: list[dict[str, Any]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Others' fields that the merge gives another value, each with its manager."""
    return [
        (entry["manager"], path)
        for entry in others
        for path in sorted(wanted & from_v1(entry["fieldsV1"]))
        if path[-1] != _ITEM and value_at(live, path) != value_at(merged, path)
    ]


def _refusal(taken: list[tuple[str, tuple[str, ...]]]) -> Answer:
    listed = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": _dotted(path)}
        for manager, path in taken
    ]
    words = "; ".join(f"{cause['message']}: {cause['field']}" for cause in listed)
    message = f"Apply failed with {len(taken)} conflict{'s' if len(taken) > 1 else ''}: {words}"
    return Answer(409, "Conflict", message, details={"causes": listed})


def _dotted(path: tuple[str, ...]) -> str:
    return "".join(f".{part[2:]}" if part.startswith("f:") else f"[{part[2:]}]" for part in path)


def _claimed(others: list[dict[str, Any]]) -> FieldSet:
    """What others own: their fields, and the items of lists in which they own anything."""
    found: set[tuple[str, ...]] = set()
    for entry in others:
        for path in from_v1(entry["fieldsV1"]):
            found.add(path)
            found.update((*path[: at + 1], _ITEM) for at, part in enumerate(path) if part.startswith("k:"))
    return frozenset(found)


def _minus(entry: dict[str, Any], fields: FieldSet) -> dict[str, Any] | None:
    before = from_v1(entry["fieldsV1"])
    rest = before - fields
    if rest == before:
        return entry
    return {**entry, "fieldsV1": to_v1(rest)} if rest else None


def _bare(live: dict[str, Any]) -> dict[str, Any]:
    return {**live, "metadata": {key: value for key, value in live["metadata"].items() if key != "managedFields"}}


def _merge(live: Any, manifest: Any, shape: Shape) -> Any:
    """Maps merge, keyed lists merge by key, sets add, everything else is replaced."""
    if isinstance(manifest, dict) and isinstance(live, dict) and not shape.atomic(manifest):
        merged = dict(live)
        for key, value in manifest.items():
            merged[key] = _merge(live[key], value, shape.child(key)) if key in live else value
        return merged
    if isinstance(manifest, list) and isinstance(live, list) and not shape.atomic(manifest):
        return _merge_items(live, manifest, shape)
    return manifest


def _merge_items(live: list[Any], manifest: list[Any], shape: Shape) -> list[Any]:
    """Shared items stand in the order of the manifest; live ones that it does not name keep their place before them."""
    keys = shape.keys(manifest)
    old, new = _by_key(live, shape, keys), _by_key(manifest, shape, keys)
    waiting, merged, done = [key for key in new if key in old], [], set()
    left, right = list(old), list(new)
    while left or right:
        if left and left[0] not in new:
            merged.append(old[left.pop(0)])
        elif left and (left[0] in done or (right and left[0] != right[0] and left[0] != waiting[0])):
            left.pop(0)
        else:
            key = right.pop(0)
            merged.append(_merge_item(old.get(key), new[key], shape, keys))
            done.add(key)
            waiting = [each for each in waiting if each != key]
            left = left[1:] if left and left[0] == key else left
    return merged


def _by_key(items: list[Any], shape: Shape, keys: tuple[str, ...] | None) -> dict[str, Any]:
    """Items by what tells them apart."""
    return {json.dumps(shape.key_of(item, keys) if keys else item, sort_keys=True): item for item in items}


def _merge_item(live: Any, item: Any, shape: Shape, keys: tuple[str, ...] | None) -> Any:
    if not keys:
        return item
    return {**shape.key_of(item, keys), **(item if live is None else _merge(live, item, shape.item))}


def _without(merged: dict[str, Any], dropped: FieldSet) -> dict[str, Any]:
    """Less the fields that were dropped; what is left empty by it goes too."""
    if not dropped:
        return merged
    bare = deepcopy(merged)
    # Whole items first: their keys must still be there to find them by.
    for path in sorted(dropped, key=lambda path: (path[-1] != _ITEM, -len(path))):
        _remove(bare, path)
    return bare


def _remove(live: Any, path: tuple[str, ...]) -> None:
    """Take one leaf or one item out."""
    way = path[:-1] if path[-1] == _ITEM else path
    if not way:
        return
    parent = value_at(live, way[:-1])
    if isinstance(parent, dict):
        parent.pop(way[-1][2:], None)
    elif isinstance(parent, list):
        _remove_item(parent, way[-1])
    if parent in ({}, []) and len(way) > _SHALLOWEST:
        _remove(live, way[:-1])


def _remove_item(items: list[Any], part: str) -> None:
    wanted = json.loads(part[2:])
    for index, item in enumerate(items):
        keyed = part.startswith("k:") and isinstance(item, dict) and all(item.get(k) == v for k, v in wanted.items())
        if keyed or (part.startswith("v:") and item == wanted):
            del items[index]
            return
