"""Merge patches (RFC 7386) and JSON patches (RFC 6902); a strategic merge patch is not done."""

from copy import deepcopy
from typing import Any

from penstock.cluster.fake.answers import Answer

__all__ = ["json_patch", "merge_patch"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """All operations or none; 422 where one cannot be done, 400 where it is none."""
    if not isinstance(operations, list):
        raise Answer(400, "BadRequest", "error decoding patch: expected a list of operations")
    document = deepcopy(target)
    for operation in operations:
        document = _one(document, operation)
    return document


def _one(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation.get("op"), operation.get("path", "")
    keys = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    if not keys:
        raise Answer(422, "Invalid", "the server rejected our request: the whole document cannot be patched")
    parent = _walk(document, keys[:-1])
    if kind == "test":
        if _value(parent, keys[-1]) != operation.get("value"):
            raise Answer(422, "Invalid", f"the server rejected our request: testing value {path} failed")
    elif kind == "remove":
        _remove(parent, keys[-1])
    elif kind in {"add", "replace"}:
        _set(parent, keys[-1], deepcopy(operation.get("value")), insert=kind == "add")
    else:
        raise Answer(422, "Invalid", f"the server rejected our request: unexpected operation {kind}")
    return document


def _walk(document: Any, keys: list[str]) -> Any:
    for key in keys:
        document = _value(document, key)
    return document


def _missing(key: str) -> Answer:
    return Answer(422, "Invalid", f"the server rejected our request: missing path: {key}")


def _value(parent: Any, key: str) -> Any:
    try:
        return parent[int(key)] if isinstance(parent, list) else parent[key]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _missing(key) from error


def _remove(parent: Any, key: str) -> None:
    _value(parent, key)
    del parent[int(key) if isinstance(parent, list) else key]


def _set(parent: Any, key: str, value: Any, *, insert: bool) -> None:
    if not isinstance(parent, list):
        if not insert:
            _value(parent, key)
        parent[key] = value
        return
    if key == "-":
        parent.append(value)
    elif insert:
        parent.insert(int(key), value)
    else:
        _value(parent, key)
        parent[int(key)] = value
