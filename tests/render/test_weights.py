"""Where weights come from and what the engine is told."""

from typing import Any

import pytest

from builders.plans import checkpoint, plan
from builders.revisions import revision_request
from penstock.api.formats import EngineName
from penstock.api.modeldeployment import Source
from penstock.api.refusals import Refused
from penstock.render.revisions import render_revision

CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "weights", "path": "/qwen/fp8/"}}
IMAGE = {"type": "Image", "image": {"reference": "registry.example.internal/models/qwen@sha256:" + "0" * 64}}
S3 = {"type": "ObjectStore", "objectStore": {"url": "s3://weights/qwen", "endpoint": "https://s3.example.internal"}}
AWS = {"type": "ObjectStore", "objectStore": {"url": "s3://weights/qwen"}}
GOOGLE = {"type": "ObjectStore", "objectStore": {"url": "gs://weights/qwen"}}


def pod(document: dict[str, Any], engine: EngineName = EngineName.VLLM, **spec: Any) -> dict[str, Any]:
    weights = checkpoint(source=Source.model_validate(document), revision=None)
    revision = render_revision(revision_request(plan(engine, checkpoint=weights), {"source": document, **spec}))
    (deployment,) = (each for each in revision.manifests if each["kind"] == "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}


PLACES = {
    "claim": (CLAIM, "/weights/qwen/fp8", True),
    "image": (IMAGE, "/weights", True),
    "S3": (S3, "s3://weights/qwen", False),
    "Google": (GOOGLE, "gs://weights/qwen", False),
}


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize(("document", "model", "mounted"), PLACES.values(), ids=PLACES.keys())
def test_the_engine_is_told_where(document: dict[str, Any], model: str, mounted: bool, engine: EngineName) -> None:  # noqa: FBT001
    found = pod(document, engine)
    args = found["containers"][0]["args"]
    place = 0 if engine is EngineName.VLLM else args.index("--model-path") + 1
    assert args[place] == model
    assert "--revision" not in args
    assert ("--load-format" in args) != mounted
    mounts = [mount for mount in found["containers"][0]["volumeMounts"] if mount["name"] == "weights"]
    assert [mount["readOnly"] for mount in mounts] == [True] * mounted


@pytest.mark.parametrize("document", [CLAIM, IMAGE], ids=["claim", "image"])
def test_weights_that_are_there_need_no_hub(document: dict[str, Any]) -> None:
    assert environment(pod(document))["HF_HUB_OFFLINE"] == "1"


def test_a_store_of_ones_own_is_asked_by_path() -> None:
    own, cloud = environment(pod(S3)), environment(pod(AWS))
    assert own["AWS_ENDPOINT_URL"] == "https://s3.example.internal"
    assert own["RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING"] == "0"
    assert not {"AWS_ENDPOINT_URL", "RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING"} & cloud.keys()


@pytest.mark.parametrize("document", [S3, AWS, GOOGLE], ids=["own", "AWS", "Google"])
def test_a_stream_takes_no_more_host_memory_than_a_tensor(document: dict[str, Any]) -> None:
    """By itself the streamer takes 40 GB for every GPU, more than the pod has."""
    assert environment(pod(document))["RUNAI_STREAMER_MEMORY_LIMIT"] == "0"


def test_a_variable_that_is_set_already_is_refused() -> None:
    """The API server takes no list with a name twice: every apply would fail, and nobody would read why."""
    mine = [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "AWS_ENDPOINT_URL", "value": "https://mine.example"}]
    with pytest.raises(Refused) as refused:
        pod(S3, pod={"environment": mine})
    (refusal,) = refused.value.refusals
    assert refusal.field == "spec.pod.environment[1].name"
    assert {"AWS_ENDPOINT_URL", "LOG_LEVEL"} <= environment(pod(AWS, pod={"environment": mine})).keys()


OVERRIDES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "nothing asked": ({}, {"cpu": "8", "memory": "36Gi"}),
    "less than planned counts for nothing": ({"cpu": "1", "memory": "1Gi"}, {"cpu": "8", "memory": "36Gi"}),
    "more": ({"cpu": "12", "memory": "2048Gi"}, {"cpu": "12", "memory": "2Ti"}),
    "thousandths": ({"cpu": "8500m"}, {"cpu": "8500m", "memory": "36Gi"}),
    "a broken number of cores": ({"cpu": "9.25"}, {"cpu": "9250m", "memory": "36Gi"}),
    "whole cores in thousandths": ({"cpu": "9000m"}, {"cpu": "9", "memory": "36Gi"}),
}


@pytest.mark.parametrize(("asked", "want"), OVERRIDES.values(), ids=OVERRIDES.keys())
def test_only_more_than_planned_counts(asked: dict[str, str], want: dict[str, str]) -> None:
    requests = pod(CLAIM, pod=asked)["containers"][0]["resources"]["requests"]
    assert {name: requests[name] for name in want} == want


def test_scratch_space_is_asked_for_where_weights_land_in_it() -> None:
    """A pod that fills the node's disk is evicted, and its neighbours with it."""
    revision = render_revision(revision_request(plan(), {}))
    (deployment,) = (each for each in revision.manifests if each["kind"] == "Deployment")
    (engine,) = deployment["spec"]["template"]["spec"]["containers"]
    assert engine["resources"]["requests"]["ephemeral-storage"] == "64Gi"
