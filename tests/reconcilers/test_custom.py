"""Our resources as they are kept: refusals, the digest of a spec, and how many replicas it wants."""

from typing import Any

import pytest

from builders.live import live
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from penstock.reconcilers.custom import Custom, spec_digest, wanted_replicas


def spec(**fields: Any) -> ModelDeploymentSpec:
    """A spec of one model."""
    return ModelDeploymentSpec.model_validate({"model": "Qwen/Qwen3-8B", **fields})


SAME = {
    "replicas": {"replicas": 5},
    "scaling": {"scaling": {"minReplicas": 1, "maxReplicas": 4}},
    "the roll-out's settings": {"rollout": {"drainSeconds": 40}},
    "the fall-back timer": {"placement": {"fallbackAfterSeconds": 7}},
    "a field at its default": {"engineArgs": []},
}
OTHER = {
    "another model": {"model": "Qwen/Qwen3-32B"},
    "engine arguments": {"engineArgs": ["--seed=1"]},
    "pools": {"placement": {"pools": ["h100"]}},
    "borders": {"placement": {"jurisdictions": ["EU"]}},
}


@pytest.mark.parametrize("fields", SAME.values(), ids=SAME.keys())
def test_what_changes_no_pod_changes_no_digest(fields: dict[str, Any]) -> None:
    """Scaling and roll-out settings make no new revision."""
    assert spec_digest(spec(**fields)) == spec_digest(spec())


@pytest.mark.parametrize("fields", OTHER.values(), ids=OTHER.keys())
def test_what_changes_pods_changes_the_digest(fields: dict[str, Any]) -> None:
    """A new revision is decided."""
    assert spec_digest(spec(**fields)) != spec_digest(spec())


REPLICAS: dict[str, tuple[dict[str, Any], int]] = {
    "nobody says": ({}, 1),
    "the user says": ({"replicas": 3}, 3),
    "zero is zero": ({"replicas": 0, "scaling": {"minReplicas": 2, "maxReplicas": 4}}, 0),
    "below the bounds": ({"replicas": 1, "scaling": {"minReplicas": 2, "maxReplicas": 4}}, 2),
    "above the bounds": ({"replicas": 9, "scaling": {"minReplicas": 2, "maxReplicas": 4}}, 4),
    "only bounds": ({"scaling": {"minReplicas": 2, "maxReplicas": 4}}, 2),
}


@pytest.mark.parametrize(("fields", "want"), REPLICAS.values(), ids=REPLICAS.keys())
def test_wanted_replicas(fields: dict[str, Any], want: int) -> None:
    """`spec.replicas` within the bounds of `spec.scaling`."""
    assert wanted_replicas(spec(**fields)) == want


def made(content: dict[str, Any], status: dict[str, Any] | None = None) -> Custom[ModelDeployment]:
    """What is kept of a live ModelDeployment."""
    found = live(
        "ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=content, status=status
    )
    return Custom.of(found, ModelDeployment)


def test_what_cannot_be_parsed_is_kept_with_its_refusals() -> None:
    """An older schema let it through; nothing is raised, nothing is acted on."""
    custom = made({"model": "Qwen/Qwen3-8B", "replicas": "many"})
    assert custom.parsed is None
    assert custom.digest == ""
    assert any("replicas" in refusal.field for refusal in custom.refusals)


def test_empty_parts_of_a_status_say_nothing() -> None:
    """Server-side apply leaves `{}` where the last owned field of an object was taken away."""
    custom = made({"model": "Qwen/Qwen3-8B"}, {"nextPlan": {}, "plan": None, "rejected": [], "replicas": 0})
    assert custom.status == {"rejected": [], "replicas": 0}
