"""What a structural schema forbids, field by field. CEL rules and string formats are not looked at."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from penstock.cluster.fake.answers import Blame, Cause
from penstock.cluster.fake.schema import Schema

__all__ = ["problems"]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def problems(value: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """A cause for everything that the schema forbids; within a value of the wrong type nothing more is said."""
    wrong = _type_problem(value, schema, path)
    if wrong is not None:
        yield wrong
        return
    yield from _enum_problem(value, schema, path)
    match value:
        case bool():
            return
        case int() | float():
            yield from _number_problems(value, schema, path)
        case str():
            yield from _string_problems(value, schema, path)
        case dict():
            yield from _map_problems(value, schema, path)
        case list():
            yield from _list_problems(value, schema, path)


def _type_problem(value: Any, schema: Schema, path: str) -> Cause | None:
    if value is None and schema.get("nullable"):
        return None
    if schema.get("x-kubernetes-int-or-string"):
        wanted: str | None = "integer,string"
        good = isinstance(value, int | str) and not isinstance(value, bool)
    else:
        wanted = schema.get("type")
        good = wanted is None or _is_a(value, wanted)
    if good:
        return None
    got = _JSON_NAMES.get(type(value), "null")
    return Cause(path, f'Invalid value: "{got}": {path} in body must be of type {wanted}: "{got}"', Blame.TYPE)


def _is_a(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])


def _enum_problem(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        words = ", ".join(f'"{item}"' for item in allowed)
        yield Cause(path, f'Unsupported value: "{value}": supported values: {words}', Blame.NOT_SUPPORTED)


def _number_problems(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        yield Cause(path, f"Invalid value: {value}: {path} in body should be greater than or equal to {least}")
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        yield Cause(path, f"Invalid value: {value}: {path} in body should be less than or equal to {most}")
    if step is not None and value % step:
        yield Cause(path, f"Invalid value: {value}: {path} in body should be a multiple of {step}")


def _string_problems(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxLength", len(value)):
        yield Cause(path, f"Too long: may not be more than {schema['maxLength']} bytes", Blame.TOO_LONG)
    if len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        yield Cause(path, f'Invalid value: "{value}": {path} in body should be at least {least} chars long')
    if "pattern" in schema and not _compiled(schema["pattern"]).search(value):
        yield Cause(path, f"Invalid value: \"{value}\": {path} in body should match '{schema['pattern']}'")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """As Go reads it: `$` is the very end of the text, not the place before a last new line."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern))


def _map_problems(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    for key in schema.get("required") or ():
        if key not in value:
            yield Cause(_below(path, key), "Required value", Blame.REQUIRED)
    if len(value) > schema.get("maxProperties", len(value)):
        yield _too_many(value, schema["maxProperties"], path)
    if len(value) < schema.get("minProperties", 0):
        yield Cause(path, f"Invalid value: {path} in body should have at least {schema['minProperties']} properties")
    known, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, item in value.items():
        inner = known.get(key) or (additional if isinstance(additional, dict) else None)
        if inner is not None:
            yield from problems(item, inner, _below(path, key))


def _list_problems(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxItems", len(value)):
        yield _too_many(value, schema["maxItems"], path)
    if len(value) < schema.get("minItems", 0):
        yield Cause(path, f"Invalid value: {path} in body should have at least {schema['minItems']} items")
    yield from _duplicates(value, schema, path)
    items = schema.get("items") or {}
    for index, item in enumerate(value):
        yield from problems(item, items, f"{path}[{index}]")


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys and schema.get("x-kubernetes-list-type") != "set":
        return
    seen: list[Any] = []
    for index, item in enumerate(value):
        key = {name: item.get(name) for name in keys} if keys and isinstance(item, dict) else item
        if key in seen:
            yield Cause(f"{path}[{index}]", f"Duplicate value: {key}", Blame.DUPLICATE)
        seen.append(key)


def _too_many(value: list[Any] | dict[str, Any], most: int, path: str) -> Cause:
    return Cause(path, f"Too many: {len(value)}: must have at most {most} items", Blame.TOO_MANY)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
