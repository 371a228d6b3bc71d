"""Resources as a GitOps tool sees them, with the statuses that our own builders write in each of their scenes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from builders.attached import consumer_custom, gateway_custom, provider_custom, route_custom
from penstock.api.conditions import Condition, ConditionStatus, merge_conditions
from penstock.api.kinds import KINDS
from penstock.api.meta import API_VERSION
from penstock.reconcilers.consumer_status import consumer_status
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.deployment_status import build_status
from penstock.reconcilers.gateway_status import gateway_status
from penstock.reconcilers.provider_status import provider_status
from penstock.reconcilers.route_status import route_status
from reconcilers import (
    test_consumer_status,
    test_deployment_status,
    test_gateway_status,
    test_provider_status,
    test_route_status,
)

__all__ = ["every_scene", "fresh", "judged", "reported"]

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def reported(
    kind: str, status: dict[str, Any], *, generation: int = 1, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A resource as it is read from the API server."""
    metadata = {"name": "it", "namespace": "team", "generation": generation}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status}


def fresh(kind: str) -> dict[str, Any]:
    """One that nobody has looked at: its status is the definition's default."""
    return reported(kind, {"observedGeneration": 0})


def judged(kind: str, *told: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """One with these conditions: type, status and reason of each."""
    conditions = [
        Condition(type=each, status=ConditionStatus(status), reason=reason, message="words", observed_generation=1)
        for each, status, reason in told
    ]
    merged = merge_conditions((), conditions, _NOW)
    status = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in merged]
    return reported(kind, {"conditions": status, "observedGeneration": 1}, **more)


def every_scene() -> dict[str, dict[str, Any]]:
    """By kind and the scene's own name."""
    found = {f"{kind.name}: nobody has looked": fresh(kind.name) for kind in KINDS}
    found |= {f"{each['kind']}: {name}": each for name, each in (*_deployments(), *_attached())}
    return found


def _deployments() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (scene, _) in test_deployment_status.SCENES.items():
        view = scene.view()
        yield name, _of(view.custom, build_status(view, scene.outcome, now=_NOW))


def _attached() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (gateway, _) in test_gateway_status.SCENES.items():
        custom = gateway_custom()
        yield name, _of(custom, gateway_status(custom, gateway, now=_NOW))
    for name, (provider, _) in test_provider_status.SCENES.items():
        hosted = provider_custom()
        yield name, _of(hosted, provider_status(hosted, provider, now=_NOW))
    for name, (consumer, _) in test_consumer_status.SCENES.items():
        caller = consumer_custom()
        yield name, _of(caller, consumer_status(caller, consumer, now=_NOW))
    for name, (route, _) in test_route_status.SCENES.items():
        asked = route_custom()
        yield name, _of(asked, route_status(asked, route, now=_NOW))


def _of(custom: Custom[Any], status: dict[str, Any]) -> dict[str, Any]:
    assert custom.parsed is not None
    spec = custom.parsed.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return reported(type(custom.parsed).kind_name, status, generation=custom.generation, spec=spec)
