"""From models to structural schemas: what is translated, and what is an error at generation time."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import Model
from penstock.api.rules import Rule, rules
from penstock.api.schema import UnsupportedSchemaError, structural_schema


class _Color(StrEnum):
    RED = "Red"
    BLUE = "Blue"


class _Inner(Model):
    color: _Color = _Color.RED
    """Which colour."""
    note: Annotated[str, Field(max_length=5)] = ""
    """A note."""


class _Item(Model):
    name: Annotated[str, Field(max_length=9)]
    """Its name."""


@rules(Rule("self.count > 0", "count", "must be positive", "Raise it", lambda self: self.count > 0))
class _Outer(Model):
    inner: _Inner = _Inner()
    """The inner one."""
    maybe: _Inner | None = None
    """Perhaps another."""
    count: Annotated[int, Field(ge=0, le=9)] = 3
    """How many."""
    large: Annotated[int, Field(ge=0, le=2**40)] | None = None
    """How many more."""
    at_time: datetime | None = None
    """When."""
    items: Annotated[tuple[_Item, ...], Field(max_length=4), map_by("name")] = ()
    """By name."""
    words: Annotated[tuple[Annotated[str, Field(max_length=3)], ...], Field(min_length=1, max_length=4), as_set()]
    """Words."""
    labels: Annotated[
        dict[Annotated[str, Field(max_length=9, pattern="^a")], Annotated[str, Field(max_length=3)]],
        Field(max_length=2),
    ] = Field(default_factory=dict)
    """Labels."""


_INNER = {
    "type": "object",
    "properties": {
        "color": {"type": "string", "enum": ["Red", "Blue"], "default": "Red", "description": "Which colour."},
        "note": {"type": "string", "maxLength": 5, "description": "A note."},
    },
}


@pytest.mark.parametrize(
    ("field", "want"),
    {
        "an object's default is written out": (
            "inner",
            {**_INNER, "default": {"color": "Red"}, "description": "The inner one."},
        ),
        "optional is absent, not null": ("maybe", {**_INNER, "description": "Perhaps another."}),
        "int32": (
            "count",
            {
                "type": "integer",
                "format": "int32",
                "minimum": 0,
                "maximum": 9,
                "default": 3,
                "description": "How many.",
            },
        ),
        "int64": (
            "large",
            {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**40, "description": "How many more."},
        ),
        "time": ("atTime", {"type": "string", "format": "date-time", "maxLength": 64, "description": "When."}),
        "list map": (
            "items",
            {
                "type": "array",
                "maxItems": 4,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "description": "By name.",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string", "maxLength": 9, "description": "Its name."}},
                },
            },
        ),
        "set": (
            "words",
            {
                "type": "array",
                "minItems": 1,
                "maxItems": 4,
                "x-kubernetes-list-type": "set",
                "description": "Words.",
                "items": {"type": "string", "maxLength": 3},
            },
        ),
        "map without its keys' form": (
            "labels",
            {
                "type": "object",
                "maxProperties": 2,
                "additionalProperties": {"type": "string", "maxLength": 3},
                "description": "Labels.",
            },
        ),
    }.values(),
)
def test_fields_become_structural(field: str, want: dict[str, Any]) -> None:
    """Self-contained, bounded, described."""
    got = structural_schema(_Outer)["properties"][field]
    if field in {"inner", "maybe"}:
        got = {key: value for key, value in got.items() if key != "title"}
    assert got == want


def test_required_and_rules() -> None:
    """What has no default is required; rules stand on their object."""
    schema = structural_schema(_Outer)
    assert schema["required"] == ["words"]
    assert schema["x-kubernetes-validations"] == [
        {
            "rule": "self.count > 0",
            "message": "`count` must be positive. Raise it.",
            "reason": "FieldValueInvalid",
            "fieldPath": ".count",
        }
    ]


class _UnboundedText(Model):
    field: str


class _UnboundedNumber(Model):
    field: Annotated[int, Field(ge=0)]


class _UnboundedList(Model):
    field: Annotated[tuple[_Color, ...], atomic()]


class _UntypedList(Model):
    field: Annotated[tuple[_Color, ...], Field(max_length=3)]


class _UnboundedMap(Model):
    field: dict[str, Annotated[str, Field(max_length=3)]]


class _Pair(Model):
    field: Annotated[tuple[_Color, _Color], atomic()]


class _Const(Model):
    field: Literal["X"]


class _Either(Model):
    field: Annotated[int, Field(ge=0, le=1)] | Annotated[str, Field(max_length=3)]


class _Anything(Model):
    field: Any


class _Flag(Model):
    field: bool


class _Share(Model):
    field: Annotated[float, Field(ge=0, le=1)]


class _Open(Model):
    field: Annotated[int, Field(gt=0, le=1)]


class _OddDefault(Model):
    field: _Inner = _Inner(note="odd")


@pytest.mark.parametrize(
    "model",
    [
        _UnboundedText,
        _UnboundedNumber,
        _UnboundedList,
        _UntypedList,
        _UnboundedMap,
        _Pair,
        _Const,
        _Either,
        _Anything,
        _Flag,
        _Share,
        _Open,
        _OddDefault,
    ],
)
def test_what_the_api_server_would_refuse_or_lose_is_an_error(model: type[Model]) -> None:
    """At generation time, with the field's name."""
    with pytest.raises(UnsupportedSchemaError, match=r"field|_Inner"):
        structural_schema(model)
