"""Fields that are not acted on yet are refused, never ignored."""

from typing import Any

import pytest

from builders.rule_cases import minimal
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal
from penstock.api.supported import unsupported
from penstock.api.validation import parse


def _unsupported(**spec: Any) -> tuple[Refusal, ...]:
    resource = parse(minimal("ModelDeployment", **spec), strict=True)
    assert isinstance(resource, ModelDeployment)
    return unsupported(resource.spec)


_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "prefill apart": ({"disaggregation": {"mode": "Required"}}, "spec.disaggregation.mode"),
    "adapters": ({"adapters": [{"name": "acme", "source": "acme/lora"}]}, "spec.adapters"),
    "canary": ({"rollout": {"canaryPercent": 5}}, "spec.rollout.canaryPercent"),
    "evaluations": ({"rollout": {"evaluationRefs": [{"name": "quality"}]}}, "spec.rollout.evaluationRefs"),
    "credentials without a hub": (
        {
            "credentialsRef": {"name": "s3", "key": "key"},
            "source": {"type": "ObjectStore", "objectStore": {"url": "s3://bucket/model"}},
        },
        "spec.credentialsRef.name",
    ),
    "promotion": ({"rollout": {"promotion": "Manual"}}, "spec.rollout.promotion"),
}


@pytest.mark.parametrize(("spec", "field"), _REFUSED.values(), ids=_REFUSED)
def test_what_would_be_ignored_is_refused(spec: dict[str, Any], field: str) -> None:
    """With the field, and what to write instead."""
    (refusal,) = _unsupported(**spec)
    assert refusal.field == field
    assert refusal.value
    assert refusal.cure


_ACTED_ON: dict[str, dict[str, Any]] = {
    "the smallest": {},
    "the planner's choice": {"disaggregation": {"mode": "Auto"}},
    "together": {"disaggregation": {"mode": "Off"}},
    "credentials of the hub": {"credentialsRef": {"name": "hugging-face", "key": "token"}},
    "scaling": {"scaling": {"minReplicas": 2, "maxReplicas": 8}},
    "service level": {"serviceLevel": {"timeToFirstTokenMilliseconds": 500}},
    "borders of routes": {"maxSensitivity": "low", "allowedRoutes": {"namespaces": {"from": "All"}}},
    "a quality policy": {"precisionPolicy": "EightBit"},
    "a known share of prefixes": {"workload": {"prefixHitPercent": 60}},
    "money, ranks and moves": {
        "placement": {"capacityTypes": ["Reserved", "Spot"], "priority": -5, "movePolicy": "Automatic"}
    },
    "roll-out": {"rollout": {"surgePolicy": "Recreate", "drainSeconds": 0, "progressDeadlineSeconds": 60}},
}


@pytest.mark.parametrize("spec", _ACTED_ON.values(), ids=_ACTED_ON)
def test_what_is_acted_on_is_accepted(spec: dict[str, Any]) -> None:
    """Nothing is refused for good measure."""
    assert _unsupported(**spec) == ()
