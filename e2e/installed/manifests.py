"""What the platform team of these tests applies: namespaces that enforce *restricted*, a pool, models, one entry."""

from pathlib import Path
from typing import Any

__all__ = [
    "CONSUMER_KEY",
    "GATEWAY_NAMESPACE",
    "MODELS_NAMESPACE",
    "SYSTEM_NAMESPACE",
    "namespaces",
    "platform",
    "volume",
]

Object = dict[str, Any]

SYSTEM_NAMESPACE = "penstock-system"
GATEWAY_NAMESPACE = "gateway"
MODELS_NAMESPACE = "assistants"
CONSUMER_KEY = ("bot-key", "api-key")
"""Secret and key of the Consumer `bot`, in the models' namespace."""

_OURS = "penstock.dev/v1alpha1"
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def namespaces() -> list[Object]:
    """All that pods of ours run in."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**_RESTRICTED, **labels}}}
        for name, labels in (
            (SYSTEM_NAMESPACE, {}),
            (GATEWAY_NAMESPACE, {}),
            (MODELS_NAMESPACE, {"gpu-tier": "premium"}),
        )
    ]


def volume(folder: Path) -> Object:
    """A disk that goes where its pod goes, as a cloud's does: a folder that all nodes of this machine see."""
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(folder), "type": "Directory"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": spec}


def platform(*, key: str, gateways: int = 2, replicas: int = 2) -> list[Object]:
    """One gateway, the models `chat` and `spare` behind the Route `chat`, and one Consumer with that key."""
    return [
        _pool("h100", "DE"),
        _ours("InferenceGateway", "entry", GATEWAY_NAMESPACE, _gateway(gateways)),
        *(_ours("ModelDeployment", name, MODELS_NAMESPACE, _model(replicas)) for name in ("chat", "spare")),
        _ours("Route", "chat", MODELS_NAMESPACE, _route("chat", "spare")),
        _secret(key),
        _ours("Consumer", "bot", MODELS_NAMESPACE, _consumer()),
    ]


def _ours(kind: str, name: str, namespace: str, spec: Object) -> Object:
    return {"apiVersion": _OURS, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _pool(name: str, country: str) -> Object:
    spec = {
        "nodeSelector": {"pool": name},
        "location": {"countries": [country]},
        "price": {"perGPUHour": "2.00", "currency": "USD"},
    }
    return {"apiVersion": _OURS, "kind": "InferencePool", "metadata": {"name": name}, "spec": spec}


def _gateway(replicas: int) -> Object:
    return {
        "driver": "LiteLLM",
        "replicas": replicas,
        "sensitivityLevels": ["low", "high"],
        "allowedRoutes": {"namespaces": {"from": "All"}},
        "modelNameGrants": [{"namespace": MODELS_NAMESPACE, "names": ["chat"]}],
    }


def _model(replicas: int) -> Object:
    return {"model": "Qwen/Qwen3-8B", "replicas": replicas}


def _route(*deployments: str) -> Object:
    backends = [{"deploymentRef": {"name": each}} for each in deployments]
    return {
        "gatewayRef": _gateway_reference(),
        "modelNames": ["chat"],
        "rules": [{"name": "all", "backends": backends}],
    }


def _consumer() -> Object:
    name, key = CONSUMER_KEY
    return {"gatewayRef": _gateway_reference(), "keySecretRef": {"name": name, "key": key}}


def _gateway_reference() -> Object:
    return {"name": "entry", "namespace": GATEWAY_NAMESPACE}


def _secret(key: str) -> Object:
    name, entry = CONSUMER_KEY
    labels = {"penstock.dev/watched": "true"}
    metadata = {"name": name, "namespace": MODELS_NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {entry: key}}
