"""A CRD's structural schema at work: what it does not know is dropped, what it has defaults for is filled in.

What it forbids is in `validation`; CEL rules are not evaluated.
"""

from copy import deepcopy
from typing import Any

__all__ = ["Schema", "defaulted", "pruned", "unknown_fields", "without_nulls"]

Schema = dict[str, Any]

_KEPT = frozenset({"apiVersion", "kind", "metadata"})


def pruned(value: Any, schema: Schema, *, top: bool = True) -> Any:
    """Without what the schema does not know."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict):
        return _pruned_map(value, schema, top=top)
    if isinstance(value, list):
        return [pruned(item, schema.get("items") or {}, top=False) for item in value]
    return value


def _pruned_map(value: dict[str, Any], schema: Schema, *, top: bool) -> dict[str, Any]:
    additional = schema.get("additionalProperties")
    if additional:
        inner = additional if isinstance(additional, dict) else {"x-kubernetes-preserve-unknown-fields": True}
        return {key: pruned(item, inner, top=False) for key, item in value.items()}
    known = schema.get("properties") or {}
    kept = _KEPT if top else frozenset()
    return {
        key: item if key in kept else pruned(item, known[key], top=False)
        for key, item in value.items()
        if key in kept or key in known
    }


def unknown_fields(value: Any, schema: Schema, path: str = "", *, top: bool = True) -> list[str]:
    """The paths that pruning would drop."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    if isinstance(value, dict):
        return _unknown_in_map(value, schema, path, top=top)
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [each for i, item in enumerate(value) for each in unknown_fields(item, items, f"{path}[{i}]", top=False)]
    return []


def _unknown_in_map(value: dict[str, Any], schema: Schema, path: str, *, top: bool) -> list[str]:
    known, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    found: list[str] = []
    for key, item in value.items():
        place = f"{path}.{key}" if path else key
        if top and key in _KEPT:
            continue
        if key in known:
            found += unknown_fields(item, known[key], place, top=False)
        elif isinstance(additional, dict):
            found += unknown_fields(item, additional, place, top=False)
        elif not additional:
            found.append(place)
    return found


def without_nulls(value: Any, schema: Schema, *, only_defaulted: bool = False) -> Any:
    """Without nulls of fields that are declared and may not be null; what is preserved keeps its own.

    With `only_defaulted` the others stay, for validation to refuse.
    """
    if isinstance(value, dict):
        known = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        inner = {key: known.get(key, additional if isinstance(additional, dict) else {}) for key in value}
        return {
            key: without_nulls(item, inner[key], only_defaulted=only_defaulted)
            for key, item in value.items()
            if item is not None
            or key not in known
            or inner[key].get("nullable")
            or (only_defaulted and "default" not in inner[key])
        }
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [without_nulls(item, items, only_defaulted=only_defaulted) for item in value]
    return value


def defaulted(value: Any, schema: Schema) -> Any:
    """With every default that applies."""
    if isinstance(value, dict):
        return _defaulted_map(value, schema)
    if isinstance(value, list):
        return [defaulted(item, schema.get("items") or {}) for item in value]
    return value


def _defaulted_map(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    result = dict(value)
    known = schema.get("properties") or {}
    for key, inner in known.items():
        if key not in result and "default" in inner:
            result[key] = deepcopy(inner["default"])
        if key in result:
            result[key] = defaulted(result[key], inner)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        return {key: item if key in known else defaulted(item, additional) for key, item in result.items()}
    return result
