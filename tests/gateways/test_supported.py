"""What a gateway may say that is not acted on: refused with field, value and cure."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.gateway_requests import gateway
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.validation import parse
from penstock.gateways.litellm import unsupported

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"

_SECRET = {"name": "store", "key": "url"}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "driver": ({"driver": "GatewayAPI"}, "spec.driver", "GatewayAPI"),
    "postgres": ({"store": {"postgresRef": _SECRET}}, "spec.store.postgresRef.name", "store"),
    "redis": ({"store": {"redisRef": _SECRET}}, "spec.store.redisRef.name", "store"),
    "traces": (
        {"observability": {"openTelemetry": {"endpoint": "http://otel:4318"}}},
        "spec.observability.openTelemetry.endpoint",
        "http://otel:4318",
    ),
    "langfuse": (
        {
            "observability": {
                "langfuse": {"url": "https://langfuse.example", "publicKeyRef": _SECRET, "secretKeyRef": _SECRET}
            }
        },
        "spec.observability.langfuse.url",
        "https://langfuse.example",
    ),
    "redacted": ({"observability": {"prompts": "Redacted"}}, "spec.observability.prompts", "Redacted"),
    "full": ({"observability": {"prompts": "Full"}}, "spec.observability.prompts", "Full"),
}


@pytest.mark.parametrize(("spec", "field", "value"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_acted_on_is_refused(spec: dict[str, Any], field: str, value: str) -> None:
    (refusal,) = unsupported(gateway(**spec).spec)
    assert (refusal.field, refusal.value) == (field, value)
    assert "not acted on" in refusal.reason
    assert refusal.cure


def test_everything_is_told_at_once() -> None:
    spec: dict[str, Any] = {"driver": "GatewayAPI", "store": {"postgresRef": _SECRET, "redisRef": _SECRET}}
    assert len(unsupported(gateway(**spec, observability={"prompts": "Full"}).spec)) == 4


ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "what is the default": {"driver": "LiteLLM", "observability": {"prompts": "Omitted"}},
    "a store of nothing": {"store": {}},
    "what the table carries": {"modelNameGrants": [{"namespace": "other", "names": ["auto"]}]},
    "guardrails, which routing refuses per request": {"guardrails": [{"name": "pii", "type": "PIIRedaction"}]},
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_acted_on_is_accepted(spec: dict[str, Any]) -> None:
    assert unsupported(gateway(**spec).spec) == ()


def test_the_sample_is_accepted() -> None:
    documents = yaml.safe_load_all((SAMPLES / "03-gateway-and-providers.yaml").read_text(encoding="utf-8"))
    (sample,) = (each for each in documents if each["kind"] == "InferenceGateway")
    parsed = parse(sample, strict=True)
    assert isinstance(parsed, InferenceGateway)
    assert unsupported(parsed.spec) == ()
