"""What the tests of level 2 ask for: one namespace, one gateway, small deployments, Routes over them."""

from typing import Any

__all__ = [
    "GATEWAY",
    "NAMESPACE",
    "changed",
    "consumer",
    "deployment",
    "gateway",
    "pool",
    "provider",
    "route",
    "secret",
]

Object = dict[str, Any]

NAMESPACE = "team"
GATEWAY = f"{NAMESPACE}/main"
_OURS = "penstock.dev/v1alpha1"


def _ours(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": _OURS, "kind": kind, "metadata": metadata, "spec": spec}


def pool(name: str, country: str) -> Object:
    """The nodes that are labelled with its name."""
    spec = {
        "nodeSelector": {"pool": name},
        "location": {"countries": [country]},
        "price": {"perGPUHour": "2.00", "currency": "USD"},
    }
    return {"apiVersion": _OURS, "kind": "InferencePool", "metadata": {"name": name}, "spec": spec}


def gateway(replicas: int = 2) -> Object:
    """`main`, with three levels."""
    return _ours("InferenceGateway", "main", {"replicas": replicas, "sensitivityLevels": ["low", "medium", "high"]})


def deployment(name: str, *, country: str = "DE", replicas: int = 1, **spec: Any) -> Object:
    """Each replica needs one GPU, in that country."""
    stated = {"model": "Qwen/Qwen3-8B", "replicas": replicas, "placement": {"jurisdictions": [country]}}
    return _ours("ModelDeployment", name, {**stated, **spec})


def route(name: str, weights: dict[str, int], *, fallback: tuple[Object, ...] = (), **rule: Any) -> Object:
    """One rule over deployments by their weights; clients ask for the Route's own name."""
    backends = [{"deploymentRef": {"name": each}, "weight": weight} for each, weight in weights.items()]
    last = {"fallback": list(fallback)} if fallback else {}
    rules = [{"name": "all", "backends": backends, **last, **rule}]
    return _ours("Route", name, {"gatewayRef": {"name": "main"}, "modelNames": [name], "rules": rules})


def consumer(name: str = "bot") -> Object:
    """Its key is in the Secret of its name."""
    reference = {"name": f"{name}-key", "key": "api-key"}
    return _ours("Consumer", name, {"gatewayRef": {"name": "main"}, "keySecretRef": reference})


def provider(name: str, url: str, *, country: str = "DE") -> Object:
    """An API of OpenAI's form with one model, `large`; its key is in the Secret of its name."""
    spec = {
        "type": "OpenAICompatible",
        "url": url,
        "countries": [country],
        "credentialsRef": {"name": name, "key": "api-key"},
        "models": [{"name": "large", "providerModel": "large"}],
    }
    return _ours("ModelProvider", name, spec)


def secret(name: str, key: str) -> Object:
    """An API key, in a Secret that the operator watches."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"penstock.dev/watched": "true"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"api-key": key}}


def changed(manifest: Object, **spec: Any) -> Object:
    """The same object with other fields of its spec."""
    return {**manifest, "spec": {**manifest["spec"], **spec}}
