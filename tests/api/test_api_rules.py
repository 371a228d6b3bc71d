"""The lint of our API: Kubernetes' conventions and our own, over the CRDs as they are generated."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from penstock.api.crd import custom_resource_definition
from penstock.api.kinds import KINDS, Kind
from penstock.api.patterns import PATTERNS

_INT32 = 2**31 - 1
_INT53 = 2**53 - 1
_LOST_OR_REFUSED = {
    "$ref",
    "allOf",
    "anyOf",
    "const",
    "deprecated",
    "discriminator",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "not",
    "nullable",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "title",
    "uniqueItems",
    "x-kubernetes-preserve-unknown-fields",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One schema node and where it stands; `field` is empty for items of lists and values of maps."""

    path: str
    field: str
    schema: dict[str, Any]


def _walk(schema: dict[str, Any], path: str, field: str = "") -> Iterator[Node]:
    yield Node(path, field, schema)
    for name, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}", name)
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from _walk(schema[keyword], f"{path}{mark}")


@cache
def _version(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = custom_resource_definition(kind)["spec"]["versions"][0]
    return version


def _schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = _version(kind)["schema"]["openAPIV3Schema"]
    return schema


_NODES = [
    node
    for kind in KINDS
    for part in ("spec", "status")
    for node in _walk(_schema(kind)["properties"][part], f"{kind.name}.{part}", part)
]
_of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def test_no_keyword_is_lost_or_refused() -> None:
    """The API server drops these silently or refuses the CRD."""
    for node in _NODES:
        assert not _LOST_OR_REFUSED & set(node.schema), node.path


def test_every_type_is_one_of_ours() -> None:
    """Neither booleans, which cannot grow, nor floats, which cannot be compared, nor nulls."""
    for node in _NODES:
        assert node.schema["type"] in {"object", "array", "string", "integer"}, node.path


def test_every_value_is_bounded() -> None:
    """Strings, lists, maps and integers: else CEL has no known cost and an object no largest size."""
    for node in _NODES:
        schema = node.schema
        match schema["type"]:
            case "string":
                assert "enum" in schema or schema["maxLength"] <= 65536, node.path
            case "array":
                assert schema["maxItems"] <= 128, node.path
            case "integer":
                assert "minimum" in schema, node.path
                assert "maximum" in schema, node.path
            case "object":
                assert "properties" in schema or schema["maxProperties"] <= 16, node.path


def test_every_integer_says_its_width() -> None:
    """int32 unless larger is real; nothing that a JSON reader would round."""
    for node in _NODES:
        if node.schema["type"] == "integer":
            wide = node.schema["maximum"] > _INT32
            assert node.schema["format"] == ("int64" if wide else "int32"), node.path
            assert node.schema["maximum"] <= _INT53, node.path


def test_every_list_says_how_it_merges() -> None:
    """Map lists name required scalar keys; sets hold scalars."""
    for node in _NODES:
        if node.schema["type"] != "array":
            continue
        items = node.schema["items"]
        match node.schema["x-kubernetes-list-type"]:
            case "map":
                keys = node.schema["x-kubernetes-list-map-keys"]
                assert set(keys) <= set(items["required"]), node.path
                assert all(items["properties"][key]["type"] in {"string", "integer"} for key in keys), node.path
            case "set":
                assert items["type"] in {"string", "integer"}, node.path
            case other:
                assert other == "atomic", node.path


def test_every_field_is_described() -> None:
    """A sentence for people: capital or `name` first, a full stop last, short."""
    for node in _NODES:
        if node.field:
            assert re.fullmatch(r"[A-Z`].{3,160}\.", node.schema["description"]), node.path


def test_names_follow_the_conventions() -> None:
    """camelCase; no phase, no Timestamp, no is-, units spelled out, no Go durations."""
    for node in _NODES:
        name = node.field
        if not name:
            continue
        assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", name), node.path
        assert name != "phase", node.path
        assert not name.endswith(("Timestamp", "Duration", "Ms", "Secs", "Millis")), node.path
        assert not re.match(r"is[A-Z]", name), node.path
        if node.schema.get("format") == "date-time":
            assert name.endswith("Time"), node.path


def test_enums_are_words() -> None:
    """CamelCase with a capital first; engines keep their own spelling."""
    for node in _NODES:
        for value in node.schema.get("enum", ()):
            assert re.fullmatch(r"[A-Z][A-Za-z0-9]*|vLLM", value), node.path


def test_a_default_is_optional_and_holds() -> None:
    """Defaults stand only on optional fields, within their own bounds, and say something."""
    for node in _NODES:
        if "default" in node.schema:
            default = node.schema["default"]
            assert default not in (None, "", [], {}), node.path
            if "enum" in node.schema:
                assert default in node.schema["enum"], node.path
            if node.schema["type"] == "integer":
                assert node.schema["minimum"] <= default <= node.schema["maximum"], node.path
        for name in node.schema.get("required", ()):
            assert "default" not in node.schema["properties"][name], node.path


def test_every_pattern_can_be_explained() -> None:
    """It is in the table, so that a refusal can say it in words; it has no look-around, which RE2 lacks."""
    for node in _NODES:
        if "pattern" in node.schema:
            assert node.schema["pattern"] in {pattern.regex for pattern in PATTERNS}, node.path
            assert not re.search(r"\(\?[=!<]|\\[1-9]", node.schema["pattern"]), node.path


def test_rules_point_at_fields_that_exist() -> None:
    """`fieldPath` names a field of the object, and the message teaches."""
    for node in _NODES:
        for rule in node.schema.get("x-kubernetes-validations", ()):
            assert rule["message"].endswith("."), node.path
            assert rule.get("fieldPath", "").removeprefix(".") in {"", *node.schema["properties"]}, node.path


@_of_each_kind
def test_status_has_conditions_and_the_generation_it_answers(kind: Kind) -> None:
    """Conditions are a list map by type, first in status; all status fields are optional, and only one has a default.

    By that default an object that nobody has looked at yet has an older generation in its status than its own.
    """
    status = _schema(kind)["properties"]["status"]
    conditions = status["properties"]["conditions"]
    assert next(iter(status["properties"])) == "conditions"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert conditions["items"]["required"] == ["type", "status", "reason"]
    assert conditions["items"]["properties"]["status"]["enum"] == ["True", "False", "Unknown"]
    assert "observedGeneration" in conditions["items"]["properties"]
    assert "observedGeneration" in status["properties"]
    assert "required" not in status
    assert status["default"] == {"observedGeneration": 0}
    assert json.dumps(status).count('"default"') == 1


@_of_each_kind
def test_nothing_but_spec_and_status(kind: Kind) -> None:
    """The root holds what Kubernetes expects, and of metadata only the name is restricted."""
    properties = _schema(kind)["properties"]
    assert list(properties) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert list(properties["metadata"]["properties"]) == ["name"]
    assert _schema(kind)["required"] == ["spec"]


@_of_each_kind
def test_names_and_scope(kind: Kind) -> None:
    """Short names of two letters or more, our category, never `all`; the name's bound leaves room for children."""
    crd = custom_resource_definition(kind)
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.penstock.dev"
    assert all(len(short) >= 2 for short in names["shortNames"])
    assert names["categories"] == ["penstock"]
    assert names["singular"] == names["kind"].lower()
    assert _schema(kind)["properties"]["metadata"]["properties"]["name"]["maxLength"] == kind.longest_name <= 63
    assert crd["spec"]["scope"] == ("Cluster" if kind.name == "InferencePool" else "Namespaced")


def test_short_names_differ() -> None:
    """No two kinds share one, nor a plural or a singular."""
    names = [name for kind in KINDS for name in (kind.plural, kind.singular, kind.short_name)]
    assert len(names) == len(set(names))


@_of_each_kind
def test_subresources(kind: Kind) -> None:
    """Everyone has status; a model deployment also has scale, at paths that exist."""
    subresources = _version(kind)["subresources"]
    assert subresources["status"] == {}
    assert ("scale" in subresources) == (kind.name == "ModelDeployment")
    paths = {node.path.removeprefix(kind.name) for node in _NODES if node.path.startswith(f"{kind.name}.")}
    assert set(subresources.get("scale", {}).values()) <= paths


@_of_each_kind
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    """Each path leads to a field; conditions that are shown are conditions that the kind reports."""
    paths = {node.path.removeprefix(kind.name) for node in _NODES if node.path.startswith(f"{kind.name}.")}
    reported = {condition.type for condition in kind.conditions}
    for column in _version(kind)["additionalPrinterColumns"]:
        shown = re.fullmatch(r'\.status\.conditions\[\?\(@\.type=="(\w+)"\)\]\.(\w+)', column["jsonPath"])
        if shown:
            assert shown[1] in reported
            assert f".status.conditions[].{shown[2]}" in paths
        else:
            assert column["jsonPath"] in {*paths, ".metadata.creationTimestamp"}


@_of_each_kind
def test_columns_answer_the_first_questions(kind: Kind) -> None:
    """Whether, why and since when come without `-o wide`; the wide ones come last."""
    columns = _version(kind)["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown[0] in {"Ready", "Accepted"}
    assert shown[1] == "Reason"
    assert shown[-1] == "Age"
    priorities = [column.get("priority", 0) for column in columns]
    assert priorities == sorted(priorities)


@_of_each_kind
def test_selectable_fields_are_scalars_of_the_spec(kind: Kind) -> None:
    """The API server refuses lists there."""
    scalars = {node.path.removeprefix(kind.name) for node in _NODES if node.schema["type"] in {"string", "integer"}}
    assert {field["jsonPath"] for field in _version(kind).get("selectableFields", ())} <= scalars
