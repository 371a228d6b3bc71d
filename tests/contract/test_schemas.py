"""A custom resource against its schema: pruned, defaulted, validated, strict where asked."""

from typing import Any

import pytest

from contract.target import WIDGETS, Space, widget

pytestmark = pytest.mark.timeout(60)


async def test_defaults_are_filled_in(space: Space) -> None:
    spec = (await space.create(widget("a", parts=[{"name": "p"}]))).expect(201)["spec"]
    assert spec == {
        "color": "Red",
        "size": 3,
        "replicas": 1,
        "nested": {"depth": 7},
        "parts": [{"name": "p", "count": 1}],
    }


async def test_unknown_fields_are_pruned(space: Space) -> None:
    manifest = widget("a", unheard=1, nested={"note": "x", "unheard": 1}, parts=[{"name": "p", "unheard": 1}])
    made = (await space.create(manifest | {"more": 1}, fieldValidation="Ignore")).expect(201)
    assert "more" not in made
    assert "unheard" not in made["spec"]
    assert made["spec"]["nested"] == {"depth": 7, "note": "x"}
    assert made["spec"]["parts"] == [{"name": "p", "count": 1}]


async def test_preserved_fields_stay(space: Space) -> None:
    free = {"any": {"depth": [1, {"x": None}]}}
    assert (await space.create(widget("a", free=free))).expect(201)["spec"]["free"] == free


async def test_null_where_there_is_a_default(space: Space) -> None:
    spec = (await space.create(widget("a", size=None, maybe=None))).expect(201)["spec"]
    assert spec["size"] == 3
    assert spec["maybe"] is None


_STRICT: dict[str, tuple[dict[str, Any], str]] = {
    "in the spec": ({"unheard": 1}, "spec.unheard"),
    "deeper": ({"nested": {"unheard": 1}}, "spec.nested.unheard"),
    "in a list": ({"parts": [{"name": "p", "unheard": 1}]}, "spec.parts[0].unheard"),
}


@pytest.mark.parametrize(("spec", "field"), _STRICT.values(), ids=_STRICT)
async def test_strict_refuses_unknown_fields(space: Space, spec: dict[str, Any], field: str) -> None:
    body = (await space.create(widget("a", **spec), fieldValidation="Strict")).refused(400, "BadRequest")
    assert f'unknown field "{field}"' in body["message"]
    (await space.create(widget("a"))).expect(201)
    patched = await space.patch(WIDGETS, "a", {"spec": spec}, fieldValidation="Strict")
    assert patched.status in {400, 422}
    assert field in patched.body["message"]


async def test_strict_refuses_unknown_metadata(space: Space) -> None:
    manifest = widget("a")
    manifest["metadata"]["lables"] = {"x": "y"}
    (await space.create(manifest, fieldValidation="Strict")).refused(400, "BadRequest")
    assert "lables" not in (await space.create(manifest, fieldValidation="Ignore")).expect(201)["metadata"]


async def test_a_validation_that_is_none(space: Space) -> None:
    reply = await space.create(widget("a"), fieldValidation="Loose")
    assert reply.status in {400, 422}


_INVALID: dict[str, tuple[dict[str, Any], set[str]]] = {
    "enum": ({"color": "Pink"}, {"spec.color"}),
    "minimum": ({"size": 0}, {"spec.size"}),
    "maximum": ({"size": 11}, {"spec.size"}),
    "integer as text": ({"size": "3"}, {"spec.size"}),
    "integer as fraction": ({"size": 3.5}, {"spec.size"}),
    "text as number": ({"word": 5}, {"spec.word"}),
    "boolean as text": ({"enabled": "yes"}, {"spec.enabled"}),
    "number as boolean": ({"ratio": True}, {"spec.ratio"}),
    "too short": ({"word": "a"}, {"spec.word"}),
    "too long": ({"word": "abcdefghi"}, {"spec.word"}),
    "pattern": ({"word": "ab1"}, {"spec.word"}),
    "too many items": ({"words": ["a", "b", "c", "d"]}, {"spec.words"}),
    "item type": ({"words": ["a", 1]}, {"spec.words[1]"}),
    "too many properties": ({"pairs": {"a": "", "b": "", "c": ""}}, {"spec.pairs"}),
    "property type": ({"pairs": {"a": 1}}, {"spec.pairs.a"}),
    "map as list": ({"nested": []}, {"spec.nested"}),
    "list as map": ({"words": {}}, {"spec.words"}),
    "int or string": ({"port": 1.5}, {"spec.port"}),
    "null": ({"word": None, "ratio": None}, set()),
    "required in a list": ({"parts": [{"count": 1}]}, {"spec.parts[0].name"}),
    "key twice": ({"parts": [{"name": "p"}, {"name": "p"}]}, {"spec.parts[1]"}),
    "set item twice": ({"tags": ["x", "x"]}, {"spec.tags[1]"}),
}


@pytest.mark.parametrize(("spec", "fields"), _INVALID.values(), ids=_INVALID)
async def test_the_schema_is_held(space: Space, spec: dict[str, Any], fields: set[str]) -> None:
    """Each with a cause that names the field; a null of what may not be null is dropped first."""
    reply = await space.create(widget("a", **spec))
    if not fields:
        reply.expect(201)
        return
    body = reply.refused(422, "Invalid")
    assert fields <= reply.blamed()
    assert body["details"]["kind"] == "Widget"
    assert body["details"]["name"] == "a"
    assert body["message"].startswith('Widget.contract.test "a" is invalid:')


_CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "enum": ({"color": "Pink"}, "FieldValueNotSupported"),
    "maximum": ({"size": 11}, "FieldValueInvalid"),
    "type": ({"size": "3"}, "FieldValueTypeInvalid"),
    "too long": ({"word": "abcdefghi"}, "FieldValueTooLong"),
    "too many": ({"words": ["a", "b", "c", "d"]}, "FieldValueTooMany"),
    "required": ({"parts": [{"count": 1}]}, "FieldValueRequired"),
    "twice": ({"tags": ["x", "x"]}, "FieldValueDuplicate"),
}


@pytest.mark.parametrize(("spec", "reason"), _CAUSES.values(), ids=_CAUSES)
async def test_causes_have_reasons(space: Space, spec: dict[str, Any], reason: str) -> None:
    body = (await space.create(widget("a", **spec))).refused(422, "Invalid")
    assert reason in {cause["reason"] for cause in body["details"]["causes"]}


async def test_a_missing_field(space: Space) -> None:
    manifest = widget("a")
    manifest["spec"].pop("color")
    reply = await space.create(manifest)
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"spec.color"}
    manifest.pop("spec")
    reply = await space.create(manifest)
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"spec"}


@pytest.mark.parametrize("port", [80, "http"])
async def test_int_or_string(space: Space, port: Any) -> None:
    assert (await space.create(widget("a", port=port))).expect(201)["spec"]["port"] == port


async def test_labels_have_a_form(space: Space) -> None:
    manifest = widget("a")
    manifest["metadata"]["labels"] = {"app": "not good!"}
    reply = await space.create(manifest)
    reply.refused(422, "Invalid")
    assert "metadata.labels" in reply.blamed()
