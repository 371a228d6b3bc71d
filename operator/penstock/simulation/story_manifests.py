"""What the story applies besides the samples: three more deployments, and other people's pods."""

from typing import Any

__all__ = ["CLINIC", "GIANT", "HELPDESK", "RESEARCH", "more_context", "taker"]

Object = dict[str, Any]

_NAMESPACE = "assistants"
RESEARCH: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "research"}}


def _model(name: str, model: str, **spec: Any) -> Object:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {"model": model, **spec},
    }


HELPDESK = _model("helpdesk", "Qwen/Qwen3-32B", placement={"pools": ["h100-eu", "mi300x-eu"]})
GIANT = _model("giant", "meta-llama/Llama-3.1-405B-Instruct", placement={"pools": ["h100-eu", "a100-spot"]})
CLINIC = _model("clinic", "Qwen/Qwen3-32B", placement={"jurisdictions": ["EU"]})


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
