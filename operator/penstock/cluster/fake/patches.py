"""Merge patches (RFC 7386) and JSON patches (RFC 6902); a strategic merge patch is not done."""

from copy import deepcopy
from typing import Any

from penstock.cluster.fake.answers import Answer, bad_request

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
        message = "error decoding patch: expected a list of operations"
        raise bad_request(message)
    document = deepcopy(target)
    for operation in operations:
        document = _one(document, operation)
    return document


def _one(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        message = "error decoding patch: expected operations"
        raise bad_request(message)
    keys = _keys(operation.get("path", ""))
    parent = _walk(document, keys[:-1])
    match operation.get("op"):
        case "test":
            if _value(parent, keys[-1]) != operation.get("value"):
                message = f"testing value {operation['path']} failed"
                raise _impossible(message)
        case "remove":
            _remove(parent, keys[-1])
        case "add":
            _set(parent, keys[-1], deepcopy(operation.get("value")), insert=True)
        case "replace":
            _set(parent, keys[-1], deepcopy(operation.get("value")), insert=False)
        case "move" | "copy" as kind:
            _carry(document, operation, parent, keys[-1], move=kind == "move")
        case other:
            message = f"unexpected operation {other}"
            raise _impossible(message)
    return document


def _keys(path: Any) -> list[str]:
    keys = [part.replace("~1", "/").replace("~0", "~") for part in str(path).split("/")[1:]]
    if not keys:
        message = "the whole document cannot be patched"
        raise _impossible(message)
    return keys


def _carry(document: Any, operation: dict[str, Any], parent: Any, key: str, *, move: bool) -> None:
    source = _keys(operation.get("from", ""))
    place = _walk(document, source[:-1])
    value = deepcopy(_value(place, source[-1]))
    if move:
        _remove(place, source[-1])
    _set(parent, key, value, insert=True)


def _walk(document: Any, keys: list[str]) -> Any:
    for key in keys:
        document = _value(document, key)
    return document


def _impossible(why: str) -> Answer:
    return Answer(422, "Invalid", f"the server rejected our request due to an error in our request: {why}", details={})


def _value(parent: Any, key: str) -> Any:
    try:
        return parent[int(key)] if isinstance(parent, list) else parent[key]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        message = f"missing path: {key}"
        raise _impossible(message) from error


def _remove(parent: Any, key: str) -> None:
    _value(parent, key)
    del parent[int(key) if isinstance(parent, list) else key]


def _set(parent: Any, key: str, value: Any, *, insert: bool) -> None:
    """In maps the real server lets `replace` add; in lists the place must be there."""
    if isinstance(parent, dict):
        parent[key] = value
    elif not isinstance(parent, list):
        message = f"missing path: {key}"
        raise _impossible(message)
    elif key == "-" and insert:
        parent.append(value)
    elif not key.isdigit() or int(key) > len(parent) - (not insert):
        message = f"no such place in the list: {key}"
        raise _impossible(message)
    elif insert:
        parent.insert(int(key), value)
    else:
        parent[int(key)] = value
