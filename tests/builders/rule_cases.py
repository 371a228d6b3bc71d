"""Specs that break exactly one rule between fields, and their neighbours that hold.

The same table is put to our own validation and, in the contract suite, to a real API server's CEL.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.api.meta import API_VERSION

__all__ = ["RULE_CASES", "RuleCase", "minimal", "minimal_spec"]

_SECRET = {"name": "secret", "key": "key"}
_CONFIG = {"name": "config", "key": "key"}
_DEPLOYMENT = {"deploymentRef": {"name": "chat"}}
_MINIMAL: dict[str, dict[str, Any]] = {
    "InferencePool": {"nodeSelector": {"pool": "h100"}},
    "ModelDeployment": {"model": "Qwen/Qwen3-8B"},
    "ModelProvider": {
        "type": "Anthropic",
        "credentialsRef": _SECRET,
        "models": [{"name": "claude", "providerModel": "claude-sonnet-4-5"}],
    },
    "InferenceGateway": {"sensitivityLevels": ["low", "high"]},
    "Route": {
        "gatewayRef": {"name": "main"},
        "modelNames": ["auto"],
        "rules": [{"name": "all", "backends": [_DEPLOYMENT]}],
    },
    "Consumer": {"gatewayRef": {"name": "main"}, "keySecretRef": _SECRET},
    "Budget": {
        "scope": {"namespace": "Own"},
        "covers": ["HostedTokens"],
        "limit": {"amount": "10.00"},
        "window": {"calendar": "Month"},
        "thresholds": [{"percent": 100, "action": "Block"}],
    },
    "Evaluation": {"promptfoo": {"configMapRef": _CONFIG}, "pass": {"minScore": "0.9"}},
}


@dataclass(frozen=True, slots=True)
class RuleCase:
    """A change to the smallest spec of a kind; `blamed` is the field of the one refusal, None where it holds."""

    kind: str
    change: dict[str, Any]
    blamed: str | None

    @property
    def manifest(self) -> dict[str, Any]:
        """The whole object."""
        return minimal(self.kind, **self.change)


def minimal_spec(kind: str) -> dict[str, Any]:
    """The smallest spec of a kind that is accepted."""
    return copy.deepcopy(_MINIMAL[kind])


def minimal(kind: str, **change: Any) -> dict[str, Any]:
    """The smallest object of a kind, with fields of its spec replaced, or taken away where the change says None."""
    changed = {**minimal_spec(kind), **copy.deepcopy(change)}
    spec = {name: value for name, value in changed.items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "sample"}, "spec": spec}


def _deployment(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("ModelDeployment", change, blamed)


def _pool(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("InferencePool", change, blamed)


def _rule(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("Route", {"rules": [{"name": "one", "backends": [_DEPLOYMENT], **change}]}, blamed)


def _rules(blamed: str | None, *rules: dict[str, Any]) -> RuleCase:
    return RuleCase("Route", {"rules": [{"backends": [_DEPLOYMENT], **rule} for rule in rules]}, blamed)


def _verify(blamed: str | None, **change: Any) -> RuleCase:
    return _rule(blamed, verify={"checks": [{"type": "CitationsRequired"}], **change})


def _check(blamed: str | None, **check: Any) -> RuleCase:
    return _rule(blamed, verify={"checks": [check]})


def _gateway(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("InferenceGateway", change, blamed)


def _budget(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("Budget", change, blamed)


def _evaluation(blamed: str | None, **change: Any) -> RuleCase:
    return RuleCase("Evaluation", change, blamed)


_BACKEND = "spec.rules[0].backends[0]"
_MATCH = {"tasks": ["legal"]}
_PROVIDER_REFERENCE = {"providerRef": {"name": "p", "model": "m"}}
_CLAIM = {"claimName": "weights"}
_VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": _CLAIM}
_LABELS = {"matchLabels": {"tier": "gold"}}


def _minimal_cases() -> Iterator[tuple[str, RuleCase]]:
    for kind in _MINIMAL:
        yield f"smallest {kind}", RuleCase(kind, {}, None)


RULE_CASES: dict[str, RuleCase] = {
    **dict(_minimal_cases()),
    "pool: namespaces by label": _pool(None, allowedNamespaces={"from": "Selector", "selector": _LABELS}),
    "pool: selector without from": _pool("spec.allowedNamespaces.selector", allowedNamespaces={"selector": _LABELS}),
    "pool: from without selector": _pool("spec.allowedNamespaces.selector", allowedNamespaces={"from": "Selector"}),
    "pool: own namespace": _pool("spec.allowedNamespaces", allowedNamespaces={"from": "Same"}),
    "toleration: every taint": _pool(None, tolerations=[{"operator": "Exists"}]),
    "toleration: value to compare": _pool(None, tolerations=[{"key": "gpu", "value": "present"}]),
    "toleration: value that is not compared": _pool(
        "spec.tolerations[0].value", tolerations=[{"key": "gpu", "operator": "Exists", "value": "present"}]
    ),
    "toleration: nothing to compare": _pool("spec.tolerations[0].key", tolerations=[{"value": "present"}]),
    "source: hub with mirror": _deployment(None, source={"hub": {"mirrorURL": "https://hub.example.internal"}}),
    "source: mirror beside a volume": _deployment(
        "spec.source.hub",
        source={"type": "PersistentVolumeClaim", "persistentVolumeClaim": _CLAIM, "hub": {"mirrorURL": "https://h"}},
    ),
    "source: volume": _deployment(None, source={"type": "PersistentVolumeClaim", "persistentVolumeClaim": _CLAIM}),
    "source: volume without its type": _deployment(
        "spec.source.persistentVolumeClaim", source={"persistentVolumeClaim": _CLAIM}
    ),
    "source: type without its volume": _deployment(
        "spec.source.persistentVolumeClaim", source={"type": "PersistentVolumeClaim"}
    ),
    "source: type without its image": _deployment("spec.source.image", source={"type": "Image"}),
    "source: type without its bucket": _deployment("spec.source.objectStore", source={"type": "ObjectStore"}),
    "source: bucket": _deployment(None, source={"type": "ObjectStore", "objectStore": {"url": "s3://bucket/model"}}),
    "variant: source of its own": _deployment(
        "spec.variants[0].source.image",
        variants=[{"precision": "FP8", "model": "a/b", "source": {"type": "Image"}}],
    ),
    "weights: storage class of a volume": _deployment(None, weights={"cache": "Volume", "storageClassName": "fast"}),
    "weights: storage class of nothing": _deployment(
        "spec.weights.storageClassName", weights={"storageClassName": "f"}
    ),
    "weights: size of the node's disk": _deployment("spec.weights.size", weights={"cache": "Node", "size": "100Gi"}),
    "weights: nothing is downloaded": _deployment("spec.weights", weights={"cache": "Node"}, source=_VOLUME),
    "weights: a place for nothing": _deployment("spec.weights", weights={"size": "100Gi"}, source=_VOLUME),
    "weights: a variant is downloaded": _deployment(
        None, weights={"cache": "Node"}, source=_VOLUME, variants=[{"precision": "FP8", "model": "a/b"}]
    ),
    "workload: rate": _deployment(None, workload={"requestsPerSecond": "4"}),
    "workload: rate and concurrency": _deployment(
        "spec.workload.concurrency", workload={"requestsPerSecond": "4", "concurrency": 8}
    ),
    "workload: context that just holds the request": _deployment(
        None, workload={"promptTokens": 300, "outputTokens": 212, "maxContextTokens": 512}
    ),
    "workload: context too short": _deployment(
        "spec.workload.maxContextTokens", workload={"promptTokens": 300, "outputTokens": 213, "maxContextTokens": 512}
    ),
    "scaling: equal bounds": _deployment(None, scaling={"minReplicas": 2, "maxReplicas": 2}),
    "scaling: bounds swapped": _deployment("spec.scaling.maxReplicas", scaling={"minReplicas": 3, "maxReplicas": 2}),
    "pod: harmless variable": _deployment(None, pod={"environment": [{"name": "LOG_LEVEL", "value": "debug"}]}),
    "pod: the loader's variable": _deployment(
        "spec.pod.environment[0].name", pod={"environment": [{"name": "LD_PRELOAD", "value": "libx.so"}]}
    ),
    "pod: the engine's variable in lower case": _deployment(
        "spec.pod.environment[0].name", pod={"environment": [{"name": "vllm_port", "value": "1"}]}
    ),
    "pod: label of one's own": _deployment(None, pod={"labels": {"example.com/team": "search", "tier": "gold"}}),
    "pod: our label": _deployment("spec.pod.labels", pod={"labels": {"penstock.dev/role": "router"}}),
    "pod: the cluster's label": _deployment("spec.pod.labels", pod={"labels": {"node.kubernetes.io/x": "true"}}),
    "routes: namespaces by label": _deployment(
        None, allowedRoutes={"namespaces": {"from": "Selector", "selector": _LABELS}}
    ),
    "routes: selector without from": _deployment(
        "spec.allowedRoutes.namespaces.selector", allowedRoutes={"namespaces": {"selector": _LABELS}}
    ),
    "provider: own server": RuleCase("ModelProvider", {"type": "OpenAICompatible", "url": "https://llm"}, None),
    "provider: own server without url": RuleCase("ModelProvider", {"type": "OpenAICompatible"}, "spec.url"),
    "gateway: rules without reference": _gateway(
        "spec.guardrails[0].rulesRef", guardrails=[{"name": "policy", "type": "PolicyRules"}]
    ),
    "gateway: reference without rules": _gateway(
        "spec.guardrails[0].rulesRef", guardrails=[{"name": "pii", "type": "PIIRedaction", "rulesRef": _CONFIG}]
    ),
    "route: provider": _rule(None, backends=[_PROVIDER_REFERENCE]),
    "route: backend that is nothing": _rule(_BACKEND, backends=[{"weight": 2}]),
    "route: backend that is two": _rule(_BACKEND, backends=[{**_DEPLOYMENT, **_PROVIDER_REFERENCE}]),
    "route: fallback that is two": _rule(
        "spec.rules[0].fallback[0]", fallback=[{**_DEPLOYMENT, **_PROVIDER_REFERENCE}]
    ),
    "route: tokens from one to one": _rule(None, match={"promptTokens": {"minimum": 1, "maximum": 1}}),
    "route: tokens swapped": _rule(
        "spec.rules[0].match.promptTokens.maximum", match={"promptTokens": {"minimum": 2, "maximum": 1}}
    ),
    "route: check with schema": _check(None, type="JSONSchema", schemaRef=_CONFIG),
    "route: check without schema": _check("spec.rules[0].verify.checks[0].schemaRef", type="JSONSchema"),
    "route: check without rules": _check("spec.rules[0].verify.checks[0].rulesRef", type="PolicyRules"),
    "route: review with queue": _verify(None, onFailure="HumanReview", reviewQueue="legal"),
    "route: review without queue": _verify("spec.rules[0].verify.reviewQueue", onFailure="HumanReview"),
    "route: queue without review": _verify("spec.rules[0].verify.reviewQueue", reviewQueue="legal"),
    "route: escalation": _verify(None, onFailure="Escalate", escalateTo=_DEPLOYMENT),
    "route: escalation that never happens": _verify("spec.rules[0].verify.escalateTo", escalateTo=_DEPLOYMENT),
    "route: last rule takes all": _rules(None, {"name": "a", "match": _MATCH}, {"name": "b"}),
    "route: first rule takes all": _rules("spec.rules", {"name": "a"}, {"name": "b", "match": _MATCH}),
    "route: two rules take all": _rules("spec.rules", {"name": "a"}, {"name": "b"}),
    "route: names twice": _rules("spec.rules", {"name": "a", "match": _MATCH}, {"name": "a"}),
    "budget: no scope": _budget("spec.scope", scope={}),
    "budget: two scopes": _budget("spec.scope", scope={"namespace": "Own", "consumers": _LABELS}),
    "budget: consumers": _budget(None, scope={"consumers": _LABELS}),
    "budget: the same money twice": _budget("spec.covers", covers=["GPUHours", "SelfHostedTokens"]),
    "budget: GPU-hours and hosted": _budget(None, covers=["GPUHours", "HostedTokens"]),
    "budget: no window": _budget("spec.window", window={}),
    "budget: two windows": _budget("spec.window", window={"calendar": "Day", "rollingHours": 24}),
    "budget: rolling with a time zone": _budget("spec.window.timeZone", window={"rollingHours": 24, "timeZone": "UTC"}),
    "budget: downgrade to nothing": _budget(
        "spec.thresholds[0].to", thresholds=[{"percent": 90, "action": "Downgrade"}]
    ),
    "budget: block to something": _budget(
        "spec.thresholds[0].to", thresholds=[{"percent": 90, "action": "Block", "to": _DEPLOYMENT}]
    ),
    "evaluation: image": RuleCase("Evaluation", {"promptfoo": None, "image": {"reference": "evals:1"}}, None),
    "evaluation: two suites": _evaluation("spec", image={"reference": "evals:1"}),
    "evaluation: schedule without target": _evaluation("spec.target", schedule="0 3 * * *"),
    "evaluation: schedule with target": _evaluation(None, schedule="0 3 * * *", target=_DEPLOYMENT),
    "evaluation: two targets": _evaluation("spec.target", target={**_DEPLOYMENT, "routeRef": {"name": "r"}}),
}
