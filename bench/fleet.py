"""The resources of a benchmark: pools, nodes and deployments in the number wanted."""

from typing import Any

__all__ = ["GPUS_PER_NODE", "deployments", "nodes", "pool"]

GPUS_PER_NODE = 8


def pool() -> dict[str, Any]:
    """One pool of H100 nodes."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "InferencePool",
        "metadata": {"name": "h100"},
        "spec": {
            "nodeSelector": {"pool": "h100"},
            "location": {"countries": ["DE"]},
            "price": {"perGPUHour": "2.95", "currency": "USD", "capacityType": "Reserved"},
        },
    }


def nodes(count: int) -> list[dict[str, Any]]:
    """Ready nodes of eight H100s."""
    return [_node(index) for index in range(count)]


def _node(index: int) -> dict[str, Any]:
    name = f"h100-{index:04d}"
    resources = {"nvidia.com/gpu": str(GPUS_PER_NODE), "cpu": "192", "memory": "2Ti", "pods": "250"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "pool": "h100",
                "kubernetes.io/hostname": name,
                "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
                "nvidia.com/gpu.memory": "81559",
                "nvidia.com/gpu.count": str(GPUS_PER_NODE),
            },
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def deployments(count: int, namespace: str) -> list[dict[str, Any]]:
    """Deployments of a model that takes one GPU each."""
    return [
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": f"model-{index:05d}", "namespace": namespace},
            "spec": {"model": "Qwen/Qwen3-8B"},
        }
        for index in range(count)
    ]
