"""A CRD's structural schema at work: prune, default, validate. CEL rules are not evaluated; `LIMITS` says so."""

import re
from copy import deepcopy
from typing import Any

__all__ = ["defaulted", "problems", "pruned", "unknown_fields"]

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_KEPT = frozenset({"apiVersion", "kind", "metadata"})


def pruned(value: Any, schema: Schema, *, top: bool = True) -> Any:
    """Without what the schema does not know."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict):
        properties, additional = schema.get("properties"), schema.get("additionalProperties")
        if additional is not None and additional is not False:
            inner = additional if isinstance(additional, dict) else {}
            return {key: pruned(item, inner, top=False) for key, item in value.items()}
        known = properties or {}
        return {
            key: item if top and key in _KEPT else pruned(item, known[key], top=False)
            for key, item in value.items()
            if key in known or (top and key in _KEPT)
        }
    if isinstance(value, list):
        return [pruned(item, schema.get("items") or {}, top=False) for item in value]
    return value


def unknown_fields(value: Any, schema: Schema, path: str = "", *, top: bool = True) -> list[str]:
    """The paths that pruning would drop."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    if isinstance(value, dict) and not schema.get("additionalProperties"):
        known = schema.get("properties") or {}
        found: list[str] = []
        for key, item in value.items():
            if top and key in _KEPT:
                continue
            place = f"{path}.{key}" if path else key
            found += unknown_fields(item, known[key], place, top=False) if key in known else [place]
        return found
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [each for i, item in enumerate(value) for each in unknown_fields(item, items, f"{path}[{i}]", top=False)]
    return []


def defaulted(value: Any, schema: Schema) -> Any:
    """With every default that applies; nulls where a default exists count as absent."""
    if isinstance(value, dict):
        result = dict(value)
        for key, inner in (schema.get("properties") or {}).items():
            if (key not in result or result[key] is None) and "default" in inner:
                result[key] = deepcopy(inner["default"])
            if key in result:
                result[key] = defaulted(result[key], inner)
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            result = {key: defaulted(item, additional) for key, item in result.items()}
        return result
    if isinstance(value, list):
        return [defaulted(item, schema.get("items") or {}) for item in value]
    return value


def problems(value: Any, schema: Schema, path: str = "") -> list[tuple[str, str]]:
    """Path and reason of everything that the schema forbids."""
    found = _type_problem(value, schema, path)
    if found:
        return found
    found = [(path, why) for why in _own_problems(value, schema)]
    if isinstance(value, dict):
        found += _object_problems(value, schema, path)
    elif isinstance(value, list):
        found += _list_problems(value, schema, path)
    return found


def _type_problem(value: Any, schema: Schema, path: str) -> list[tuple[str, str]]:
    if schema.get("x-kubernetes-int-or-string"):
        good = isinstance(value, int | str) and not isinstance(value, bool)
        return [] if good else [(path, f"Invalid value: {value!r}: must be integer or string")]
    kind = schema.get("type")
    if kind is None or (value is None and schema.get("nullable")):
        return []
    good = isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind in {"integer", "number"})
    if good:
        return []
    got = "null" if value is None else type(value).__name__
    return [(path, f'Invalid value: "{got}": {path.lstrip(".") or "body"} must be of type {kind}: "{got}"')]


def _own_problems(value: Any, schema: Schema) -> list[str]:
    found = []
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(f'"{item}"' for item in schema["enum"])
        found.append(f'Unsupported value: "{value}": supported values: {supported}')
    if isinstance(value, int | float) and not isinstance(value, bool):
        found += _number_problems(value, schema)
    if isinstance(value, str):
        found += _string_problems(value, schema)
    return found


def _number_problems(value: float, schema: Schema) -> list[str]:
    found = []
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"Invalid value: {value}: should be greater than or equal to {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"Invalid value: {value}: should be less than or equal to {schema['maximum']}")
    return found


def _string_problems(value: str, schema: Schema) -> list[str]:
    found = []
    if len(value) > schema.get("maxLength", len(value)):
        found.append(f"Too long: may not be more than {schema['maxLength']} bytes")
    if len(value) < schema.get("minLength", 0):
        found.append(f'Invalid value: "{value}": should be at least {schema["minLength"]} chars long')
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"Invalid value: \"{value}\": should match '{schema['pattern']}'")
    return found


def _object_problems(value: dict[str, Any], schema: Schema, path: str) -> list[tuple[str, str]]:
    found = [(f"{path}.{key}".lstrip("."), "Required value") for key in schema.get("required", ()) if key not in value]
    count = len(value)
    if count > schema.get("maxProperties", count):
        found.append((path, f"Too many: {count}: must have at most {schema['maxProperties']} items"))
    if count < schema.get("minProperties", 0):
        found.append((path, f"Invalid value: should have at least {schema['minProperties']} properties"))
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, item in value.items():
        inner = properties.get(key) or (additional if isinstance(additional, dict) else None)
        if inner is not None:
            found += problems(item, inner, f"{path}.{key}".lstrip("."))
    return found


def _list_problems(value: list[Any], schema: Schema, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if len(value) > schema.get("maxItems", len(value)):
        found.append((path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items"))
    if len(value) < schema.get("minItems", 0):
        found.append((path, f"Invalid value: should have at least {schema['minItems']} items"))
    seen: list[Any] = []
    keys = schema.get("x-kubernetes-list-map-keys")
    for index, item in enumerate(value):
        key = {name: item.get(name) for name in keys} if keys and isinstance(item, dict) else item
        if (keys or schema.get("x-kubernetes-list-type") == "set") and key in seen:
            found.append((f"{path}[{index}]", f"Duplicate value: {key}"))
        seen.append(key)
        found += problems(item, schema.get("items") or {}, f"{path}[{index}]")
    return found
