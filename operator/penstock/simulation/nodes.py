"""Simulated nodes: GPUs with the labels that NVIDIA's and AMD's labellers write, and plain ones for gateways."""

import ipaddress
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from penstock.catalogue.accelerators import Accelerator, Vendor, by_name

__all__ = ["NODE_KINDS", "NodeKind", "gpu_nodes", "plain_nodes", "sample_fleet"]

Object = dict[str, Any]

_NETWORK = ipaddress.IPv4Network("10.64.0.0/10")


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A node pool's machines: the GPU by its name in the catalogue, and what the cloud and the labeller write."""

    accelerator: str
    labels: Mapping[str, str]
    gpus: int = 8
    cpu: str = "192"
    memory: str = "2Ti"


def _nvidia(product: str, memory_mib: int, family: str, compute: tuple[int, int]) -> dict[str, str]:
    return {
        "feature.node.kubernetes.io/pci-10de.present": "true",
        "nvidia.com/cuda.driver-version.full": "580.95.05",
        "nvidia.com/cuda.runtime-version.full": "13.0",
        "nvidia.com/gpu.compute.major": str(compute[0]),
        "nvidia.com/gpu.compute.minor": str(compute[1]),
        "nvidia.com/gpu.family": family,
        "nvidia.com/gpu.memory": str(memory_mib),
        "nvidia.com/gpu.mode": "compute",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/mig.strategy": "single",
    }


def _amd(product: str, vram: str, device: str, compute_units: int) -> dict[str, str]:
    return {
        "amd.com/gpu.cu-count": str(compute_units),
        "amd.com/gpu.device-id": device,
        "amd.com/gpu.driver-version": "6.14.14",
        "amd.com/gpu.family": "AI",
        "amd.com/gpu.product-name": product,
        "amd.com/gpu.simd-count": str(4 * compute_units),
        "amd.com/gpu.vram": vram,
        "feature.node.kubernetes.io/pci-1002.present": "true",
    }


NODE_KINDS: Mapping[str, NodeKind] = MappingProxyType(
    {
        "h100": NodeKind(
            "H100-SXM-80GB", {"pool": "h100-eu", **_nvidia("NVIDIA-H100-80GB-HBM3", 81559, "hopper", (9, 0))}
        ),
        "b200": NodeKind(
            "B200-SXM-180GB",
            {
                "cloud.google.com/gke-accelerator": "nvidia-b200",
                "cloud.google.com/gke-accelerator-count": "8",
                **_nvidia("NVIDIA-B200", 183359, "blackwell", (10, 0)),
            },
        ),
        "mi300x": NodeKind("MI300X", _amd("AMD_Instinct_MI300X_OAM", "192G", "74a1", 304)),
        "a100": NodeKind(
            "A100-SXM-80GB", {"pool": "a100-spot", **_nvidia("NVIDIA-A100-SXM4-80GB", 81920, "ampere", (8, 0))}
        ),
    }
)
"""By the pools of the samples."""


def gpu_nodes(kind: str, count: int, *, gpus: int | None = None, prefix: str | None = None) -> list[Object]:
    """So many nodes of one kind of `NODE_KINDS`, named PREFIX-0, PREFIX-1 and so on."""
    machine = NODE_KINDS[kind]
    return [_gpu_node(f"{prefix or kind}-{index}", machine, gpus or machine.gpus) for index in range(count)]


def sample_fleet(counts: Mapping[str, int]) -> list[Object]:
    """Nodes of several kinds."""
    return [node for kind, count in counts.items() for node in gpu_nodes(kind, count)]


def plain_nodes(count: int, *, prefix: str = "plain") -> list[Object]:
    """So many nodes without GPUs and without taints, named PREFIX-0, PREFIX-1 and so on."""
    capacity = {"cpu": "16", "ephemeral-storage": "500Gi", "memory": "64Gi", "pods": "110"}
    return [_node(f"{prefix}-{index}", labels={}, capacity=capacity, taints=[]) for index in range(count)]


def _gpu_node(name: str, kind: NodeKind, gpus: int) -> Object:
    resource = by_name(kind.accelerator).resource
    capacity = {"cpu": kind.cpu, "ephemeral-storage": "7Ti", "memory": kind.memory, "pods": "110", resource: str(gpus)}
    labels = {**kind.labels, **_count(by_name(kind.accelerator), gpus)}
    taint = {"key": resource, "value": "present", "effect": "NoSchedule"}
    return _node(name, labels=labels, capacity=capacity, taints=[taint])


def _node(name: str, *, labels: Mapping[str, str], capacity: Mapping[str, str], taints: list[Object]) -> Object:
    well_known = {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**well_known, **labels}},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": _address(name)},
            ],
            "allocatable": dict(capacity),
            "capacity": dict(capacity),
            "nodeInfo": {"architecture": "amd64", "kubeletVersion": "v1.36.0", "operatingSystem": "linux"},
        },
    }


def _count(accelerator: Accelerator, gpus: int) -> dict[str, str]:
    """AMD's labeller counts per product; NVIDIA's writes one number."""
    return {"nvidia.com/gpu.count": str(gpus)} if accelerator.vendor is Vendor.NVIDIA else {}


def _address(name: str) -> str:
    """Derived from the name: stable, and hardly ever the same for two nodes."""
    return str(_NETWORK[1 + zlib.crc32(name.encode()) % (_NETWORK.num_addresses - 2)])
