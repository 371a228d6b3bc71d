"""What an InferenceGateway may say that is not acted on yet: refused, never ignored.

`guardrails` are acted on in their strictest form: as long as nothing checks requests, `penstock.routing` has all of
them refused. Refused here, a gateway that runs would go on without the guardrail that was just asked for.
"""

from collections.abc import Iterator

from penstock.api.inferencegateway import (
    GatewayDriver,
    GatewayStore,
    InferenceGatewaySpec,
    Observability,
    PromptRecording,
)
from penstock.api.refusals import Refusal

__all__ = ["unsupported"]

_REASON = "is not acted on by this release"


def unsupported(spec: InferenceGatewaySpec) -> tuple[Refusal, ...]:
    """A refusal for each field that is stated and would be ignored; the condition's reason is NotSupported."""
    return (*_driver(spec.driver), *_store(spec.store), *_observability(spec.observability))


def _driver(driver: GatewayDriver) -> Iterator[Refusal]:
    if driver is not GatewayDriver.LITELLM:
        # The field cannot be changed, so the cure is no edit.
        cure = "Delete the gateway and make it with `driver: LiteLLM`"
        yield Refusal("spec.driver", driver, _REASON, cure)


def _store(store: GatewayStore | None) -> Iterator[Refusal]:
    if store is None:
        return
    cure = "Remove it: replicas share nothing but their routing table"
    for field, reference in (("postgresRef", store.postgres_ref), ("redisRef", store.redis_ref)):
        if reference is not None:
            yield Refusal(f"spec.store.{field}.name", reference.name, _REASON, cure)


def _observability(observability: Observability) -> Iterator[Refusal]:
    if observability.open_telemetry is not None:
        cure = "Remove it, and scrape the metrics of the pods' internal port"
        yield Refusal("spec.observability.openTelemetry.endpoint", observability.open_telemetry.endpoint, _REASON, cure)
    if observability.langfuse is not None:
        yield Refusal("spec.observability.langfuse.url", observability.langfuse.url, _REASON, "Remove it")
    if observability.prompts is not PromptRecording.OMITTED:
        cure = "Write `prompts: Omitted`: nothing of prompts and answers is recorded"
        yield Refusal("spec.observability.prompts", observability.prompts, _REASON, cure)
