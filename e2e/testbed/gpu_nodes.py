"""Pretend GPU nodes: the labels that the vendors' node labellers write, the capacity that their plug-ins report."""

import ipaddress
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of GPU, and the node that it comes in."""

    resource: str
    labels: Callable[[int], Mapping[str, str]]
    """Labels of a node with so many of them."""
    per_node: int = 8
    architecture: str = "amd64"


def _nvidia(
    product: str, memory_mib: int, family: str, compute: str, *, per_node: int = 8, architecture: str = "amd64"
) -> Gpu:
    major, minor = compute.split(".")
    constant = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.memory": str(memory_mib),
        "nvidia.com/gpu.family": family,
        "nvidia.com/gpu.compute.major": major,
        "nvidia.com/gpu.compute.minor": minor,
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/cuda.driver-version.full": "580.95.05",
        "nvidia.com/cuda.runtime-version.full": "13.0",
        "feature.node.kubernetes.io/pci-10de.present": "true",
    }
    return Gpu("nvidia.com/gpu", lambda count: constant | {"nvidia.com/gpu.count": str(count)}, per_node, architecture)


def _amd(product: str, vram: str, device_id: str, compute_units: int) -> Gpu:
    constant = {
        "amd.com/gpu.product-name": product,
        "amd.com/gpu.vram": vram,
        "amd.com/gpu.device-id": device_id,
        "amd.com/gpu.family": "AI",
        "amd.com/gpu.cu-count": str(compute_units),
        "amd.com/gpu.simd-count": str(4 * compute_units),
        "feature.node.kubernetes.io/pci-1002.present": "true",
    }
    return Gpu("amd.com/gpu", lambda _: constant)


GPUS: Mapping[str, Gpu] = {
    "l4": _nvidia("NVIDIA-L4", 23034, "ada-lovelace", "8.9"),
    "l40s": _nvidia("NVIDIA-L40S", 46068, "ada-lovelace", "8.9"),
    "a100-40": _nvidia("NVIDIA-A100-SXM4-40GB", 40960, "ampere", "8.0"),
    "a100-80": _nvidia("NVIDIA-A100-SXM4-80GB", 81920, "ampere", "8.0"),
    "h100": _nvidia("NVIDIA-H100-80GB-HBM3", 81559, "hopper", "9.0"),
    "h200": _nvidia("NVIDIA-H200", 143771, "hopper", "9.0"),
    "b200": _nvidia("NVIDIA-B200", 183359, "blackwell", "10.0"),
    "gb200": _nvidia("NVIDIA-GB200", 189471, "blackwell", "10.0", per_node=4, architecture="arm64"),
    "mi300x": _amd("AMD_Instinct_MI300X_OAM", "192G", "74a1", 304),
    "mi325x": _amd("AMD_Instinct_MI325_OAM", "256G", "74a5", 304),
    "mi355x": _amd("AMD_Instinct_MI355_OAM", "288G", "75a3", 256),
}


def gpu_nodes(
    kind: str,
    count: int,
    *,
    prefix: str | None = None,
    per_node: int | None = None,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
) -> list[Manifest]:
    """Build so many nodes with GPUs of one kind of `GPUS`, named PREFIX-0, PREFIX-1, ..."""
    gpu = GPUS[kind]
    held = gpu.per_node if per_node is None else per_node
    own = {"type": "kwok", **gpu.labels(held), **(labels or {})}
    return [_node(f"{prefix or kind}-{index}", gpu, held, own, taints) for index in range(count)]


def cpu_nodes(count: int, *, prefix: str = "cpu", labels: Mapping[str, str] | None = None) -> list[Manifest]:
    """Build so many nodes without a GPU, where gateways and the operator would run."""
    return [_node(f"{prefix}-{index}", None, 0, {"type": "kwok", **(labels or {})}, ()) for index in range(count)]


def _node(
    name: str, gpu: Gpu | None, held: int, labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]
) -> Manifest:
    architecture = gpu.architecture if gpu else "amd64"
    capacity = {"cpu": "192", "memory": "2Ti", "ephemeral-storage": "7Ti", "pods": "110"}
    if gpu:
        capacity[gpu.resource] = str(held)
    well_known = {"kubernetes.io/hostname": name, "kubernetes.io/arch": architecture, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**well_known, **labels},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [dict(taint) for taint in taints]},
        "status": {
            "capacity": capacity,
            "allocatable": dict(capacity),
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": _address(name)},
            ],
            "nodeInfo": {"architecture": architecture, "operatingSystem": "linux"},
        },
    }


def _address(name: str) -> str:
    """Derive an address of 10.64.0.0/10 from the name: stable, and hardly ever the same for two nodes."""
    network = ipaddress.IPv4Network("10.64.0.0/10")
    return str(network[1 + zlib.crc32(name.encode()) % (network.num_addresses - 2)])
