"""What the story applies besides the samples: more deployments and Routes, a hosted provider, other people's pods."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "CLINIC",
    "GATEWAY",
    "GIANT",
    "HELPDESK",
    "HOSTED_MODEL",
    "RESEARCH",
    "WEB_SHOP",
    "chat",
    "cloud",
    "cloud_key",
    "letters",
    "more_context",
    "taker",
]

Object = dict[str, Any]

GATEWAY = ("gateway", "main")
"""The samples' InferenceGateway."""
HOSTED_MODEL = "large"
_NAMESPACE = "assistants"
RESEARCH: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "research"}}


def _ours(kind: str, name: str, spec: Object, *, namespace: str = _NAMESPACE) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _model(name: str, model: str, **spec: Any) -> Object:
    return _ours("ModelDeployment", name, {"model": model, **spec})


HELPDESK = _model("helpdesk", "Qwen/Qwen3-32B", placement={"pools": ["h100-eu", "mi300x-eu"]})
GIANT = _model("giant", "meta-llama/Llama-3.1-405B-Instruct", placement={"pools": ["h100-eu", "a100-spot"]})
CLINIC = _model("clinic", "Qwen/Qwen3-32B", placement={"jurisdictions": ["EU"]})

_GATEWAY_REFERENCE = {"namespace": GATEWAY[0], "name": GATEWAY[1]}
_CLOUD_SECRET = {"name": "cloud", "key": "api-key"}
WEB_SHOP = _ours(
    "Consumer", "web-shop", {"gatewayRef": _GATEWAY_REFERENCE, "keySecretRef": {"name": "web-shop-key", "key": "key"}}
)
_CLOUD_BACKEND = {"providerRef": {"name": "cloud", "namespace": GATEWAY[0], "model": HOSTED_MODEL}}


def _route(name: str, rule: Object) -> Object:
    spec = {"gatewayRef": _GATEWAY_REFERENCE, "modelNames": [f"{_NAMESPACE}/{name}"], "rules": [rule]}
    return _ours("Route", name, spec)


def chat(weights: Mapping[str, int], *, hosted: bool = False) -> Object:
    """A Route to deployments by weight, and to the hosted provider where all of them fail."""
    backends = [{"deploymentRef": {"name": name}, "weight": weight} for name, weight in weights.items()]
    return _route("chat", {"name": "all", "backends": backends, "fallback": [_CLOUD_BACKEND] if hosted else []})


def letters(deployments: Sequence[str]) -> Object:
    """A Route that may not leave the EU, whatever it names: the first answers, the others are its fallback."""
    first, *others = ({"deploymentRef": {"name": name}} for name in deployments)
    constraints = {"jurisdictions": ["EU"]}
    return _route(
        "letters", {"name": "inside-the-eu", "backends": [first], "fallback": others, "constraints": constraints}
    )


def cloud(url: str) -> Object:
    """A hosted API in France, at two and six dollars for a million tokens in and out."""
    price = {"perMillionInputTokens": "2.00", "perMillionOutputTokens": "6.00", "currency": "USD"}
    spec = {
        "type": "OpenAICompatible",
        "url": f"{url}/v1",
        "credentialsRef": _CLOUD_SECRET,
        "countries": ["FR"],
        "models": [{"name": HOSTED_MODEL, "providerModel": HOSTED_MODEL, "price": price}],
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return _ours("ModelProvider", "cloud", spec, namespace=GATEWAY[0])


def cloud_key(value: str) -> Object:
    """Its key; by the label the operator sees it at once, and not only within a minute."""
    labels = {"penstock.dev/watched": "true"}
    metadata = {"name": _CLOUD_SECRET["name"], "namespace": GATEWAY[0], "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {_CLOUD_SECRET["key"]: value}}


def more_context(live: Object, tokens: int) -> Object:
    """The same deployment, planned for longer requests."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace")}
    spec = {**live["spec"], "workload": {**live["spec"].get("workload", {}), "maxContextTokens": tokens}}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": spec}


def taker(name: str, *, selector: dict[str, str], resource: str, gpus: int) -> Object:
    """A Deployment of another team that holds so many GPUs of a pool, one a pod."""
    labels = {"app": name}
    container = {
        "name": "train",
        "image": "registry.example/research/train:1",
        "command": ["python3", "train.py"],
        "resources": {"limits": {resource: "1"}},
    }
    pod = {
        "containers": [container],
        "nodeSelector": selector,
        "tolerations": [{"key": resource, "operator": "Exists"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": RESEARCH["metadata"]["name"]},
        "spec": {
            "replicas": gpus,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
