"""Builders of live objects, as the API server would return them."""

from itertools import count
from typing import Any

__all__ = ["gpu_node", "gpu_pod", "live"]

_numbers = count(1)


def live(
    kind: str,
    name: str,
    *,
    namespace: str = "",
    labels: dict[str, str] | None = None,
    owner: str = "",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    api_version: str = "v1",
) -> dict[str, Any]:
    """An object with server-made metadata."""
    number = next(_numbers)
    metadata: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{number}",
        "resourceVersion": str(number),
        "generation": 1,
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "labels": labels or {},
    }
    if namespace:
        metadata["namespace"] = namespace
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Owner", "name": "owner", "uid": owner, "controller": True}
        ]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": spec or {},
        "status": status or {},
    }


def gpu_node(
    name: str,
    *,
    gpus: int = 8,
    ready: bool = True,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    unschedulable: bool = False,
) -> dict[str, Any]:
    """A node of H100s unless its labels say otherwise."""
    resources = {"nvidia.com/gpu": str(gpus), "cpu": "64"}
    found = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559", "pool": "h100"}
    return live(
        "Node",
        name,
        labels={**found, "kubernetes.io/hostname": name} if labels is None else labels,
        spec={"taints": taints or [], "unschedulable": unschedulable},
        status={
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    )


def gpu_pod(
    name: str,
    *,
    node: str = "",
    gpus: int = 1,
    phase: str = "Running",
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A pod that asks for NVIDIA GPUs."""
    spec: dict[str, Any] = {
        "containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}],
    }
    if node:
        spec["nodeName"] = node
    return live("Pod", name, namespace=namespace, labels=labels, spec=spec, status={"phase": phase, **(status or {})})
