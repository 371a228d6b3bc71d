"""Builders of our own resources as stores hold them, with what their status said before."""

from typing import Any, TypeVar

from builders.live import live
from penstock.api.consumer import Consumer
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.meta import API_VERSION, Resource
from penstock.api.modelprovider import ModelProvider
from penstock.api.route import Route
from penstock.reconcilers.custom import Custom

__all__ = ["consumer_custom", "gateway_custom", "provider_custom", "route_custom", "verdicts_of"]

R = TypeVar("R", bound=Resource)

_GATEWAY = {"name": "main", "namespace": "gateway"}


def _custom(kind: type[R], name: str, namespace: str, spec: dict[str, Any], status: dict[str, Any] | None) -> Custom[R]:
    found = live(kind.kind_name, name, namespace=namespace, api_version=API_VERSION, spec=spec, status=status)
    return Custom.of(found, kind)


def gateway_custom(status: dict[str, Any] | None = None, **spec: Any) -> Custom[InferenceGateway]:
    """`gateway/main` with two replicas."""
    document = {"replicas": 2, "sensitivityLevels": ["low", "medium", "high"], **spec}
    return _custom(InferenceGateway, "main", "gateway", document, status)


def route_custom(status: dict[str, Any] | None = None, **spec: Any) -> Custom[Route]:
    """`team/assistant` on `gateway/main`."""
    rules = [{"name": "all", "backends": [{"deploymentRef": {"name": "chat"}}]}]
    document = {"gatewayRef": _GATEWAY, "modelNames": ["assistant"], "rules": rules, **spec}
    return _custom(Route, "assistant", "team", document, status)


def provider_custom(status: dict[str, Any] | None = None, **spec: Any) -> Custom[ModelProvider]:
    """`team/openai` with one model, `large`."""
    document = {
        "type": "OpenAI",
        "credentialsRef": {"name": "openai", "key": "api-key"},
        "models": [{"name": "large", "providerModel": "large-2026"}],
        **spec,
    }
    return _custom(ModelProvider, "openai", "team", document, status)


def consumer_custom(status: dict[str, Any] | None = None, **spec: Any) -> Custom[Consumer]:
    """`team/bot` on `gateway/main`."""
    document = {"gatewayRef": _GATEWAY, "keySecretRef": {"name": "bot-key", "key": "api-key"}, **spec}
    return _custom(Consumer, "bot", "team", document, status)


def verdicts_of(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition by type."""
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
