"""Checks of GPU nodes: labels that the catalogue reads, device plugins, drivers, the network between nodes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from penstock.catalogue.accelerators import detect
from penstock.cluster.resources import INFERENCE_POOLS, NODES
from penstock.operations.checks import Check, Facts, Outcome, fail, fine, skip, some, warn
from penstock.operations.view import name_of, part

__all__ = ["NODE_CHECKS"]

Object = dict[str, Any]

_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")
_MARKS = ("nvidia.com/gpu.product", "gpu.nvidia.com/model", "amd.com/gpu.product-name", "amd.com/gpu.device-id")
_NVIDIA_DRIVER = tuple(f"nvidia.com/cuda.driver-version.{part_}" for part_ in ("major", "minor", "revision"))
_AMD_DRIVER = "amd.com/gpu.driver-version"
_RUNTIME = "nvidia.com/cuda.runtime-version.full"


def _labels_of(live: Object) -> dict[str, str]:
    return {str(key): str(value) for key, value in part(live, "metadata", "labels").items()}


def _gpus(live: Object) -> int:
    allocatable = part(live, "status", "allocatable")
    return sum(int(value) for name in _RESOURCES if (value := str(allocatable.get(name) or "0")).isdigit())


def _gpu_nodes(facts: Facts) -> tuple[Object, ...]:
    """Nodes that say that they have GPUs, by labels or by a device plugin."""
    return tuple(live for live in facts.view.items(NODES) if _gpus(live) or _is_marked(_labels_of(live)))


def _is_marked(labels: dict[str, str]) -> bool:
    return any(key in labels for key in _MARKS) or any(key.startswith("amd.com/gpu.device-id.") for key in labels)


def _without_nodes(facts: Facts) -> Outcome | None:
    listing = facts.view.listing(NODES)
    if listing.gap is not None:
        return skip(listing.message, "Use a context that may list nodes")
    if not _gpu_nodes(facts):
        cure = "Install the GPU vendor's operator, or let the autoscaler add a node; hosted providers need none"
        return warn("no node has GPUs", cure)
    return None


def _accelerators(facts: Facts) -> Outcome:
    nothing = _without_nodes(facts)
    if nothing is not None:
        return nothing
    found: Counter[str] = Counter()
    unread: list[str] = []
    for live in _gpu_nodes(facts):
        seen = detect(_labels_of(live))
        if seen.accelerator is not None:
            found[seen.accelerator.name] += 1
        elif not _is_named_by_a_pool(live, facts.view.items(INFERENCE_POOLS)):
            unread.append(f"{name_of(live)}: {seen.problem or 'no label says which GPU it is'}")
    if unread:
        cure = "Run GPU feature discovery (NVIDIA) or the node labeller (AMD), or name the pool's `spec.accelerator`"
        return fail(f"no model can be placed on {len(unread)} nodes: {some(unread, 2)}", cure)
    return fine(", ".join(f"{count} x {name}" for name, count in found.most_common()) or "named by their pools")


def _is_named_by_a_pool(live: Object, pools: Iterable[Object]) -> bool:
    return any(part(pool, "spec").get("accelerator") and _selects(pool, live) for pool in pools)


def _selects(pool: Object, live: Object) -> bool:
    labels, wanted = _labels_of(live), part(pool, "spec", "nodeSelector")
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _device_plugins(facts: Facts) -> Outcome:
    nothing = _without_nodes(facts)
    if nothing is not None:
        return nothing
    nodes = _gpu_nodes(facts)
    silent = sorted(name_of(live) for live in nodes if not _gpus(live))
    if silent:
        cure = "See the device plugin's pod on that node; it registers nvidia.com/gpu or amd.com/gpu with the kubelet"
        return fail(f"labelled as GPU nodes, but no GPU is allocatable: {some(silent)}", cure)
    return fine(f"{sum(map(_gpus, nodes))} GPUs on {len(nodes)} nodes")


def _drivers(facts: Facts) -> Outcome:
    """The catalogue does not know which driver an engine's image needs; what can be seen is told, and mixtures too."""
    nothing = _without_nodes(facts)
    if nothing is not None:
        return nothing
    versions = {name_of(live): _driver(_labels_of(live)) for live in _gpu_nodes(facts)}
    told = Counter(version for version in versions.values() if version)
    if not told:
        cure = "GPU feature discovery labels nodes with the driver's version; see nvidia-smi on the node"
        return skip("no node says which driver it has", cure)
    mixed = list(_mixed(facts, versions))
    shown = ", ".join(f"{count} x {version}" for version, count in told.most_common(4))
    if mixed:
        return warn(f"{shown}; different ones in one pool: {some(mixed)}", "Bring a pool's nodes to one driver")
    return fine(shown)


def _driver(labels: dict[str, str]) -> str:
    numbers = [labels[key] for key in _NVIDIA_DRIVER if key in labels]
    if not numbers:
        return f"AMD {labels[_AMD_DRIVER]}" if _AMD_DRIVER in labels else ""
    runtime = f" (CUDA {labels[_RUNTIME]})" if _RUNTIME in labels else ""
    return f"NVIDIA {'.'.join(numbers)}{runtime}"


def _mixed(facts: Facts, versions: dict[str, str]) -> Iterator[str]:
    for pool in facts.view.items(INFERENCE_POOLS):
        mine = {versions.get(name_of(live), "") for live in facts.view.items(NODES) if _selects(pool, live)} - {""}
        if len(mine) > 1:
            yield name_of(pool)


def _fabric(facts: Facts) -> Outcome:
    listing = facts.view.listing(NODES)
    claims = {
        name_of(pool): str(part(pool, "spec", "fabric").get("rdmaResource"))
        for pool in facts.view.items(INFERENCE_POOLS)
        if part(pool, "spec", "fabric").get("rdmaResource")
    }
    if not claims:
        return fine("no pool claims RDMA")
    if listing.gap is not None:
        return skip(listing.message)
    pools = {name_of(pool): pool for pool in facts.view.items(INFERENCE_POOLS)}
    lacking = [
        f"{name_of(live)} has no {resource} (pool {name})"
        for name, resource in claims.items()
        for live in listing.items
        if _selects(pools[name], live) and not part(live, "status", "allocatable").get(resource)
    ]
    if lacking:
        cure = "Run the RDMA device plugin there, or take `spec.fabric` away from the pool"
        return fail(some(lacking, 2), cure)
    return fine(", ".join(f"{name}: {resource}" for name, resource in claims.items()))


NODE_CHECKS = (
    Check("gpu-labels", "node labels that say which GPU it is", _accelerators),
    Check("device-plugins", "GPUs that pods may ask for", _device_plugins),
    Check("drivers", "driver versions that nodes state", _drivers),
    Check("fabric", "the RDMA resource that pools claim", _fabric),
)
