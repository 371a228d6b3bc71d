"""From a manifest to a resource or to refusals: what people get wrong, and what they are told."""

import copy
import json
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import ErrorDetails

from builders.rule_cases import minimal
from penstock.api.kinds import KINDS, Kind
from penstock.api.model_tree import field_names
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from penstock.api.refusals import Refusal, Refused
from penstock.api.teaching import refusal_of
from penstock.api.validation import parse


def _refusals(manifest: Any, *, strict: bool = True) -> tuple[Refusal, ...]:
    with pytest.raises(Refused) as caught:
        parse(manifest, strict=strict)
    return caught.value.refusals


def _deployment(**spec: Any) -> dict[str, Any]:
    return minimal("ModelDeployment", **spec)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_smallest_object_of_each_kind(kind: Kind) -> None:
    """It becomes the kind's own model, with its name."""
    resource = parse(minimal(kind.name), strict=True)
    assert type(resource) is kind.model
    assert (resource.kind, resource.metadata.name) == (kind.name, "sample")


_WRONG_FIELDS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "misspelt": ({"engin": "vLLM"}, "spec.engin", "is no field of `spec`", "Write `engine`"),
    "other case": ({"enginEargs": []}, "spec.enginEargs", "is no field", "Write `engineArgs`"),
    "one level too high": ({"pools": ["a"]}, "spec.pools", "is no field", "Move it to `spec.placement.pools`"),
    "nothing like it": ({"xyzzy": 1}, "spec.xyzzy", "is no field", "Remove it; there are model, revision"),
    "nested": (
        {"workload": {"promtTokens": 1}},
        "spec.workload.promtTokens",
        "is no field of `spec.workload`",
        "Write `promptTokens`",
    ),
    "in a list": (
        {"adapters": [{"name": "a", "source": "b", "sauce": 1}]},
        "spec.adapters[0].sauce",
        "is no field of `spec.adapters[0]`",
        "Write `source`",
    ),
    "enum in lower case": ({"engine": "vllm"}, "spec.engine", "'Auto', 'vLLM' or 'SGLang'", "Write 'vLLM'"),
    "enum unlike any": ({"engine": "TGI"}, "spec.engine", "'Auto', 'vLLM' or 'SGLang'", "Write one of them"),
    "enum that YAML ate": (
        {"disaggregation": {"mode": False}},
        "spec.disaggregation.mode",
        "'Auto'",
        "Put it in quotes",
    ),
    "enum that is a number": ({"engine": 1}, "spec.engine", "'Auto'", "Write one of them"),
    "country that YAML ate": (
        {"placement": {"jurisdictions": [False]}},
        "spec.placement.jurisdictions[0]",
        "must be text",
        "YAML reads words such as NO",
    ),
    "money without quotes": (
        {"placement": {"maxPricePerReplicaHour": {"amount": 30.0}}},
        "spec.placement.maxPricePerReplicaHour.amount",
        "must be text",
        'Put it in quotes: "30.0"',
    ),
    "text that is a list": ({"model": ["a"]}, "spec.model", "must be text", "Write a single value"),
    "number in quotes": ({"replicas": "3"}, "spec.replicas", "must be a whole number", "Remove the quotes: 3"),
    "half a replica": ({"replicas": 1.5}, "spec.replicas", "must be a whole number", "in digits"),
    "too few": ({"replicas": -1}, "spec.replicas", "must be at least 0", "Raise it"),
    "too many": ({"replicas": 1001}, "spec.replicas", "must be at most 1000", "Lower it"),
    "empty text": ({"model": ""}, "spec.model", "must not be empty", "Write a value"),
    "long text": ({"model": "m" * 201}, "spec.model", "must have at most 200 characters", "Shorten it"),
    "form": ({"model": "Qwen/../etc"}, "spec.model", "a model's name as the hub has it", "Write it as in 'Qwen/Qwen3"),
    "long list": ({"engineArgs": ["-x"] * 129}, "spec.engineArgs", "must have at most 128 entries", "Remove some"),
    "one value for a list": ({"engineArgs": "--x"}, "spec.engineArgs", "must be a list", "Put it in brackets: [--x]"),
    "map for a list": ({"variants": {"a": 1}}, "spec.variants", "must be a list", "Begin each entry with '- '"),
    "word for an object": ({"placement": "eu"}, "spec.placement", "must be an object", "indented"),
    "list for a map": ({"pod": {"labels": ["a"]}}, "spec.pod.labels", "must be an object", "indented"),
    "field without a value": ({"workload": {"promptTokens": None}}, "spec.workload.promptTokens", "null", "remove it"),
    "missing": ({"scaling": {}}, "spec.scaling.maxReplicas", "is required", "Add it"),
    "label that is none": ({"pod": {"labels": {"a b": "c"}}}, "spec.pod.labels['a b']", "a label's key", "Write it as"),
    "precision twice": (
        {"variants": [{"precision": "FP8", "model": "a/b"}, {"precision": "FP8", "model": "c/d"}]},
        "spec.variants[1]",
        "must not have the same `precision` as an earlier entry",
        "Remove one of the two",
    ),
    "jurisdiction twice": (
        {"placement": {"jurisdictions": ["EU", "EU"]}},
        "spec.placement.jurisdictions[1]",
        "must not be there twice",
        "Remove one of the two",
    ),
    "huge": (
        {"variants": [{"precision": p, "model": "a/b", "metadata": {"config": "x" * 65536}} for p in ("FP8", "INT4")]}
        | {"engineArgs": ["x" * 10_000] * 100},
        "spec",
        "must have at most 1048576 bytes",
        "into a ConfigMap or a volume",
    ),
}


@pytest.mark.parametrize(("spec", "field", "reason", "cure"), _WRONG_FIELDS.values(), ids=_WRONG_FIELDS)
def test_wrong_fields_are_explained(spec: dict[str, Any], field: str, reason: str, cure: str) -> None:
    """One refusal: the field as written, why, and what would work."""
    (refusal,) = _refusals(_deployment(**spec))
    assert refusal.field == field
    assert reason in refusal.reason
    assert cure in refusal.cure


_WRONG_OUTSIDE: dict[str, tuple[dict[str, Any], str, str]] = {
    "no version": ({"apiVersion": None}, "apiVersion", "Add `apiVersion: penstock.dev/v1alpha1`"),
    "other version": ({"apiVersion": "penstock.dev/v1"}, "apiVersion", "Write `apiVersion: penstock.dev/v1alpha1`"),
    "other group": ({"apiVersion": "apps/v1"}, "apiVersion", "Write `apiVersion: penstock.dev/v1alpha1`"),
    "no kind": ({"kind": None}, "kind", "Add one of InferencePool, ModelDeployment"),
    "misspelt kind": ({"kind": "ModelDeploymnet"}, "kind", "Write 'ModelDeployment'"),
    "foreign kind": ({"kind": "Zebra"}, "kind", "Write one of InferencePool"),
    "no metadata": ({"metadata": None}, "metadata.name", "Name the resource"),
    "no name": ({"metadata": {}}, "metadata.name", "Name the resource"),
    "long name": ({"metadata": {"name": "m" * 53}}, "metadata.name", "Shorten it by 1"),
    "name with a dot": ({"metadata": {"name": "qwen2.5"}}, "metadata.name", "Write it as in 'qwen3-32b'"),
    "name that begins with a digit": ({"metadata": {"name": "3b"}}, "metadata.name", "Write it as in 'qwen3-32b'"),
    "label that is a number": ({"metadata": {"name": "a", "labels": {"v": 3}}}, "metadata.labels.v", '"3"'),
    "misspelt metadata": ({"metadata": {"name": "a", "lables": {}}}, "metadata.lables", "Write `labels`"),
    "no spec": ({"spec": None}, "spec", "Add it"),
    "spec that is a word": ({"spec": "x"}, "spec", "Write its fields below it"),
    "field outside the spec": ({"model": "a/b"}, "model", "Move it below `spec`"),
}


@pytest.mark.parametrize(("change", "field", "cure"), _WRONG_OUTSIDE.values(), ids=_WRONG_OUTSIDE)
def test_wrong_envelopes_are_explained(change: dict[str, Any], field: str, cure: str) -> None:
    """apiVersion, kind and metadata are judged before the spec."""
    manifest = {key: value for key, value in {**_deployment(), **change}.items() if value is not None}
    (refusal,) = _refusals(manifest)
    assert refusal.field == field
    assert cure in refusal.cure


def test_a_cluster_scoped_kind_has_no_namespace() -> None:
    """A pool belongs to everybody."""
    manifest = minimal("InferencePool")
    manifest["metadata"]["namespace"] = "team-a"
    (refusal,) = _refusals(manifest)
    assert (refusal.field, refusal.cure) == ("metadata.namespace", "Remove it")


@pytest.mark.parametrize("document", [None, "text", 3, ["a"], [minimal("Route")]])
def test_what_is_no_object_is_refused(document: Any) -> None:
    """One object per document."""
    (refusal,) = _refusals(document)
    assert "one object per document" in refusal.cure


def test_several_faults_are_told_together() -> None:
    """Nobody wants to learn of them one by one."""
    fields = [refusal.field for refusal in _refusals(_deployment(engine="x", replicas=-1, modle="y"))]
    assert sorted(fields) == ["spec.engine", "spec.modle", "spec.replicas"]


def test_the_number_of_refusals_is_bounded() -> None:
    """A status condition holds only so much."""
    assert len(_refusals(_deployment(engineArgs=[1] * 128))) == 16


def test_a_value_that_may_be_secret_is_not_shown() -> None:
    """Environment values stay out of conditions and logs."""
    (refusal,) = _refusals(_deployment(pod={"environment": [{"name": "A", "value": "s3cret" * 1000}]}))
    assert "s3cret" not in str(refusal)


def test_live_objects_keep_what_the_schema_does_not_know() -> None:
    """An older operator reads what a newer one's CRD let in."""
    resource = parse(_deployment(fromTheFuture=1), strict=False)
    assert isinstance(resource, ModelDeployment)
    assert resource.spec.model == "Qwen/Qwen3-8B"


def test_live_objects_are_held_to_the_rules_too() -> None:
    """What an older schema let through is refused, never acted on."""
    (refusal,) = _refusals(_deployment(scaling={"minReplicas": 2, "maxReplicas": 1}), strict=False)
    assert refusal.field == "spec.scaling.maxReplicas"


def test_tools_write_null_times() -> None:
    """`kubectl create --dry-run` does; it means absent."""
    manifest = _deployment()
    manifest["metadata"]["creationTimestamp"] = None
    assert parse(manifest, strict=True).metadata.creation_timestamp is None


def test_status_is_not_read() -> None:
    """A file with somebody's old status is still good."""
    resource = parse({**_deployment(), "status": {"replicas": "many"}}, strict=True)
    assert isinstance(resource, ModelDeployment)
    assert resource.status.replicas == 0


def test_times_without_quotes_are_text() -> None:
    """YAML reads them as times; kubectl sends text."""
    manifest = minimal("ModelProvider")
    manifest["spec"]["models"][0]["deprecationTime"] = yaml.safe_load("2027-03-31T00:00:00Z")
    assert parse(manifest, strict=True).kind == "ModelProvider"


@pytest.mark.parametrize("time", [date(2027, 3, 31), "2027-03-31T00:00:00", "tomorrow", 0])
def test_what_is_no_time_of_day_and_zone(time: Any) -> None:
    """A day, or a time without its zone, leaves open when it is."""
    manifest = minimal("ModelProvider")
    manifest["spec"]["models"][0]["deprecationTime"] = time
    (refusal,) = _refusals(manifest)
    assert refusal.field == "spec.models[0].deprecationTime"
    assert refusal.reason == "must be a time by RFC 3339"


@pytest.mark.parametrize("depth", [250, 5000])
@pytest.mark.parametrize("strict", [True, False])
def test_nesting_without_end_is_refused(depth: int, strict: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """However deep, the answer is a refusal."""
    pod: dict[str, Any] = {}
    for _ in range(depth):
        pod = {"pod": pod}
    manifest = _deployment()
    manifest["spec"]["pod"] = pod
    assert _refusals(manifest, strict=strict)


def test_yaml_that_contains_itself_is_refused() -> None:
    """An anchor inside itself has no JSON."""
    manifest = _deployment()
    manifest["spec"]["pod"] = manifest["spec"]
    (refusal,) = _refusals(manifest)
    assert "cannot be written as JSON" in refusal.reason


def test_what_has_no_place_in_json_is_refused() -> None:
    """YAML's sets and bytes among them."""
    (refusal,) = _refusals(_deployment(engineArgs={"a", "b"}))
    assert "cannot be written as JSON (set has no place in a manifest)" in refusal.reason


def test_a_list_that_must_not_be_empty() -> None:
    """A budget without thresholds would do nothing."""
    (refusal,) = _refusals(minimal("Budget", thresholds=[]))
    assert (refusal.field, refusal.reason) == ("spec.thresholds", "must have at least 1 entries")


def test_an_error_without_a_lesson_is_passed_on() -> None:
    """A kind of error that pydantic gets only later still names the field."""
    error = ErrorDetails(type="brand_new", loc=("replicas",), msg="Something else", input=3)
    refusal = refusal_of(error, ModelDeploymentSpec, "spec")
    assert str(refusal) == "`spec.replicas` '3': is not accepted (Something else). Correct it."


def test_parsing_leaves_the_manifest_alone() -> None:
    """The caller's object is not ours."""
    manifest = _deployment(variants=[{"precision": "FP8", "model": "a/b"}])
    before = copy.deepcopy(manifest)
    parse(manifest, strict=True)
    assert manifest == before


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_names = st.sampled_from(field_names(ModelDeploymentSpec))


@pytest.mark.property
@given(st.dictionaries(_names, _json, max_size=4), st.booleans())
def test_any_spec_is_accepted_or_explained(spec: dict[str, Any], strict: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever is written: a resource, or refusals with a field, a reason and a cure; never another error."""
    manifest = {**_deployment(), "spec": {"model": "a/b", **spec}}
    try:
        parse(manifest, strict=strict)
    except Refused as refused:
        for refusal in refused.refusals:
            assert refusal.field.startswith("spec")
            assert refusal.reason
            assert refusal.cure


@pytest.mark.property
@given(_json)
def test_any_document_is_accepted_or_explained(document: Any) -> None:
    """The same for what is no manifest at all."""
    assert all(refusal.cure for refusal in _refusals(document))


def test_what_was_parsed_can_be_written_again() -> None:
    """Dumping without defaults and parsing again gives the same spec."""
    resource = parse(_deployment(engine="vLLM", scaling={"maxReplicas": 3}), strict=True)
    assert isinstance(resource, ModelDeployment)
    dumped = json.loads(resource.spec.model_dump_json(by_alias=True, exclude_none=True))
    again = parse({**_deployment(), "spec": dumped}, strict=True)
    assert isinstance(again, ModelDeployment)
    assert again.spec == resource.spec
