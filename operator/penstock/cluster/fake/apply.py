"""Server-side apply: our fields and no others, conflicts named, what is no longer asked for removed.

Also the bookkeeping of `managedFields` for ordinary updates: who changes a value owns it, and nobody else does any more.
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
    if not applying.force:
        _refuse_conflicts(live, manifest, wanted, others)
    merged: dict[str, Any] = _merge(live, manifest, shape)
    if before - wanted:  # what is removed must not be removed from the live object
        merged = deepcopy(merged)
    dropped = before - wanted - frozenset().union(*(from_v1(entry["fieldsV1"]) for entry in others))
    for path in sorted(dropped, key=len, reverse=True):
        _remove(merged, path)
    kept = [entry for entry in (_without(entry, wanted, live, merged) for entry in others) if entry]
    entry = _entry(applying, wanted, "Apply")
    if mine is not None and before == wanted and _bare(merged) == _bare(live) and len(kept) == len(others):
        return live
    merged["metadata"] = {**merged["metadata"], "managedFields": [entry, *kept]}
    return merged


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


def _refuse_conflicts(
    live: dict[str, Any], manifest: dict[str, Any], wanted: FieldSet, others: list[dict[str, Any]]
) -> None:
    causes = []
    for entry in others:
        for path in sorted(wanted & from_v1(entry["fieldsV1"])):
            if path[-1] != _ITEM and value_at(live, path) != value_at(manifest, path):
                causes.append((entry["manager"], _dotted(path)))
    if not causes:
        return
    listed = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": field}
        for manager, field in causes
    ]
    message = f"Apply failed with {len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    words = "; ".join(f'conflict with "{manager}": {field}' for manager, field in causes)
    raise Answer(409, "Conflict", f"{message}: {words}", details={"causes": listed})


def _dotted(path: tuple[str, ...]) -> str:
    return "".join(f".{part[2:]}" if part.startswith("f:") else f"[{part[2:]}]" for part in path)


def _without(
    entry: dict[str, Any], wanted: FieldSet, live: dict[str, Any], merged: dict[str, Any]
) -> dict[str, Any] | None:
    """Another's entry less the fields whose value was taken from it."""
    taken = frozenset(
        path
        for path in wanted & from_v1(entry["fieldsV1"])
        if path[-1] != _ITEM and value_at(live, path) != value_at(merged, path)
    )
    return _minus(entry, taken)


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
            merged[key] = _merge(live[key], value, shape.child(key)) if key in live else deepcopy(value)
        return merged
    if isinstance(manifest, list) and isinstance(live, list) and not shape.atomic(manifest):
        return _merge_items(live, manifest, shape)
    return deepcopy(manifest)


def _merge_items(live: list[Any], manifest: list[Any], shape: Shape) -> list[Any]:
    keys = shape.keys(manifest)
    if keys is None:
        return [*live, *(item for item in manifest if item not in live)]
    merged = list(live)
    places = {json.dumps(shape.key_of(item, keys), sort_keys=True): index for index, item in enumerate(live)}
    for item in manifest:
        key = shape.key_of(item, keys)
        index = places.get(json.dumps(key, sort_keys=True))
        if index is None:
            merged.append({**key, **deepcopy(item)})
        else:
            merged[index] = _merge(live[index], item, shape.item)
    return merged


def _remove(live: Any, path: tuple[str, ...]) -> None:
    """Take one leaf out; maps that are left empty by it stay, as the real server leaves them to their owner."""
    *way, last = path
    if last == _ITEM:
        if way:
            _remove_item(value_at(live, tuple(way[:-1])), way[-1])
        return
    parent = value_at(live, tuple(way))
    if isinstance(parent, dict) and last.startswith("f:"):
        parent.pop(last[2:], None)
    elif isinstance(parent, list):
        _remove_item(parent, last)


def _remove_item(items: Any, part: str) -> None:
    if not isinstance(items, list):
        return
    wanted = json.loads(part[2:])
    for index, item in enumerate(items):
        keyed = part.startswith("k:") and isinstance(item, dict) and all(item.get(k) == v for k, v in wanted.items())
        if keyed or (part.startswith("v:") and item == wanted):
            del items[index]
            return
