"""Builders of a routing table's inputs (a gateway, Routes, providers, Consumers, deployments) and of requests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.api.consumer import ConsumerSpec
from penstock.api.inferencegateway import InferenceGatewaySpec
from penstock.api.modelprovider import ModelProviderSpec
from penstock.api.references import AllowedRoutes
from penstock.api.route import RouteSpec
from penstock.routing.inputs import (
    ConsumerInput,
    Credentials,
    Deployment,
    Gateway,
    Inputs,
    ProviderInput,
    Revision,
    RouteInput,
)
from penstock_policy.decision import Decision, Index, Refusal, Request, decide
from penstock_policy.table import Backend, Consumer, Route, Rule, Table

__all__ = [
    "ALL",
    "OLDEST",
    "ask",
    "backend_of",
    "consumer",
    "consumer_of",
    "deployment",
    "gateway",
    "hosted",
    "inputs",
    "local",
    "provider",
    "revision",
    "route",
    "route_of",
    "rule",
    "rule_of",
    "selected",
]

OLDEST = datetime(2026, 11, 1, tzinfo=UTC)
ALL: dict[str, Any] = {"namespaces": {"from": "All"}}


def selected(**labels: str) -> dict[str, Any]:
    """`allowedRoutes` for namespaces with these labels."""
    return {"namespaces": {"from": "Selector", "selector": {"matchLabels": labels}}}


def gateway(*, addresses: Sequence[str] = ("http://main.gateway.svc:4000",), **spec: Any) -> Gateway:
    """`gateway/main` with three levels, open to everybody; `spec` takes further fields in camelCase."""
    document = {"sensitivityLevels": ["low", "medium", "high"], "allowedRoutes": ALL, **spec}
    parsed = InferenceGatewaySpec.model_validate(document)
    return Gateway("gateway", "main", parsed, OLDEST, tuple(addresses))


def local(name: str = "chat", *, namespace: str | None = None, **fields: Any) -> dict[str, Any]:
    """A reference to a deployment, with `weight` where given."""
    return {"deploymentRef": {"name": name} | ({"namespace": namespace} if namespace else {}), **fields}


def hosted(
    name: str = "openai", model: str = "large", *, namespace: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A reference to a provider's model, with `weight` where given."""
    reference = {"name": name, "model": model} | ({"namespace": namespace} if namespace else {})
    return {"providerRef": reference, **fields}


def rule(name: str = "all", *backends: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A rule as a Route has it; `chat` answers where nothing is said."""
    return {"name": name, "backends": list(backends) or [local()], **fields}


def route(
    name: str = "assistant",
    *rules: dict[str, Any],
    namespace: str = "team",
    age: int = 0,
    names: Sequence[str] = ("assistant",),
    labels: Mapping[str, str] | None = None,
    to: str = "main",
) -> RouteInput:
    """A Route, `age` seconds younger than the oldest; `labels` are its namespace's."""
    spec = RouteSpec.model_validate(
        {
            "gatewayRef": {"name": to, "namespace": "gateway"},
            "modelNames": list(names),
            "rules": list(rules) or [rule()],
        }
    )
    return RouteInput(namespace, name, OLDEST + timedelta(seconds=age), spec, namespace_labels=labels or {})


def provider(name: str = "openai", *, namespace: str = "team", age: int = 0, **spec: Any) -> ProviderInput:
    """An OpenAI provider in the US with one model, `large`; `spec` takes further fields in camelCase."""
    document = {
        "type": "OpenAI",
        "credentialsRef": {"name": name, "key": "api-key"},
        "countries": ["US"],
        "models": [{"name": "large", "providerModel": "large-2026"}],
        **spec,
    }
    parsed = ModelProviderSpec.model_validate(document)
    return ProviderInput(namespace, name, OLDEST + timedelta(seconds=age), parsed)


def consumer(
    name: str = "bot",
    *,
    namespace: str = "team",
    age: int = 0,
    labels: Mapping[str, str] | None = None,
    to: str = "main",
    **spec: Any,
) -> ConsumerInput:
    """A Consumer of the gateway; `spec` takes further fields in camelCase."""
    document = {
        "gatewayRef": {"name": to, "namespace": "gateway"},
        "keySecretRef": {"name": f"{name}-key", "key": "api-key"},
        **spec,
    }
    parsed = ConsumerSpec.model_validate(document)
    return ConsumerInput(namespace, name, OLDEST + timedelta(seconds=age), parsed, labels=labels or {})


def revision(name: str = "r1", *pools: Sequence[str], pods: int = 1, serving: bool = True) -> Revision:
    """A revision with `pods` ready pods; one pool in Germany where none is given."""
    endpoints = tuple(f"http://{name}-{number}:8000" for number in range(pods))
    return Revision(name, tuple(frozenset(pool) for pool in pools or (("DE",),)), endpoints, serving)


def deployment(name: str = "chat", *revisions: Revision, namespace: str = "team", **changes: Any) -> Deployment:
    """A deployment that serves from Germany; `allowed_routes` as a document."""
    allowed = changes.pop("allowed_routes", None)
    return Deployment(
        namespace=namespace,
        name=name,
        model=changes.pop("model", name),
        revisions=revisions or (revision(f"{namespace}-{name}"),),
        allowed_routes=None if allowed is None else AllowedRoutes.model_validate(allowed),
        **changes,
    )


def inputs(
    *parts: RouteInput | ProviderInput | ConsumerInput | Deployment,
    of: Gateway | None = None,
    keys: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
    currency: str = "USD",
) -> Inputs:
    """Inputs of these parts; every Consumer has a key and every provider a credential unless they are given."""
    providers = tuple(part for part in parts if isinstance(part, ProviderInput))
    consumers = tuple(part for part in parts if isinstance(part, ConsumerInput))
    return Inputs(
        gateway=of or gateway(),
        routes=tuple(part for part in parts if isinstance(part, RouteInput)),
        providers=providers,
        consumers=consumers,
        deployments=tuple(part for part in parts if isinstance(part, Deployment)),
        keys={each.key: f"sha-of-{each.key}" for each in consumers} if keys is None else keys,
        credentials=credentials or Credentials("7", {each.key: f"{each.key}.key" for each in providers}),
        currency=currency,
    )


def route_of(table: Table, name: str = "team/assistant") -> Route:
    """The Route of that name."""
    return next(each for each in table.routes if each.name == name)


def rule_of(table: Table, name: str = "all", *, route: str = "team/assistant") -> Rule:
    """The rule of that name."""
    return next(each for each in route_of(table, route).rules if each.name == name)


def backend_of(table: Table, name: str = "deployment/team/chat") -> Backend:
    """The backend of that name."""
    return next(each for each in table.backends if each.name == name)


def consumer_of(table: Table, name: str = "team/bot") -> Consumer:
    """The Consumer of that name."""
    return next(each for each in table.consumers if each.name == name)


def ask(table: Table, model: str = "team/assistant", *, draw: float = 0.0, **fields: Any) -> Decision | Refusal:
    """Decide a request of somebody who may call every Route."""
    caller = Consumer("anyone", "sha", frozenset(each.name for each in table.routes))
    return decide(Index.of(table), Request(model, fields.pop("consumer", caller), **fields), draw)
