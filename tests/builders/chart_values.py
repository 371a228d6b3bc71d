"""Values that a schema allows, drawn from the schema itself: the part of JSON Schema that ours uses, and no more."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

__all__ = ["allowed", "paths", "typo"]

Schema = dict[str, Any]

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)


def allowed(schema: Schema, root: Schema, *, whole: bool = False) -> st.SearchStrategy[Any]:
    """Values that the schema allows; KeyError for words of JSON Schema that are not understood here.

    `whole`: nothing fills in what is left out. Elsewhere values.yaml does.
    """
    if "$ref" in schema:
        return allowed(root["definitions"][schema["$ref"].rpartition("/")[2]], root, whole=whole)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([allowed(each, root) for each in schema["anyOf"]])
    if schema["type"] == "object":
        return _object(schema, root, whole=whole)
    return _TYPES[schema["type"]](schema, root)


def paths(schema: Schema, root: Schema, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every object in which only known names may stand, by its path."""
    if "$ref" in schema:
        return paths(root["definitions"][schema["$ref"].rpartition("/")[2]], root, prefix)
    own = [prefix] if schema.get("additionalProperties") is False else []
    return own + [
        path for name, inner in schema.get("properties", {}).items() for path in paths(inner, root, (*prefix, name))
    ]


def typo(name: str) -> st.SearchStrategy[str]:
    """The name with one letter left out, doubled or changed."""
    place = st.integers(0, len(name) - 1)
    return place.flatmap(
        lambda at: st.sampled_from(
            [name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], name[:at] + "q" + name[at + 1 :]]
        )
    )


def _object(schema: Schema, root: Schema, *, whole: bool) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    if not properties:
        values = schema.get("additionalProperties")
        names = allowed({"type": "string", **schema.get("propertyNames", {})}, root)
        return st.dictionaries(names, allowed(values, root), max_size=3) if isinstance(values, dict) else st.just({})
    known = {name: allowed(inner, root, whole=whole) for name, inner in properties.items() if name != "global"}
    needed = {name: known.pop(name) for name in schema.get("required", ()) if whole}
    return st.fixed_dictionaries(needed, optional=known)


def _array(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    unique = schema.get("uniqueItems", False)
    return st.lists(
        allowed(schema["items"], root, whole=True),
        min_size=schema.get("minItems", 0),
        max_size=min(3, schema.get("maxItems", 3)),
        unique_by=repr if unique else None,
    )


def _string(schema: Schema, _root: Schema) -> st.SearchStrategy[Any]:
    longest = min(schema.get("maxLength", 40), 40)
    found = st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else _WORDS
    banned = schema.get("not", {}).get("const")
    return found.filter(
        lambda text: schema.get("minLength", 0) <= len(text) <= longest and text != banned and text.isascii()
    )


def _number(schema: Schema, _root: Schema) -> st.SearchStrategy[int]:
    return st.integers(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1), schema.get("maximum", 10**6))


_TYPES: dict[str, Callable[[Schema, Schema], st.SearchStrategy[Any]]] = {
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda _schema, _root: st.booleans(),
    "null": lambda _schema, _root: st.none(),
}
