"""From the stores to what the planner reads; pure over the records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.api.inferencepool import InferencePool
from penstock.api.references import Toleration
from penstock.api.refusals import Refused
from penstock.catalogue.accelerators import Accelerator, by_name, detect
from penstock.planner.fleet import Node, Pool
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.stored import NodeRecord, PodRecord

__all__ = ["Membership", "build_pools", "gpus_by_node", "membership"]

_CORDONING_EFFECTS = frozenset({"NoSchedule", "NoExecute"})
_ZONE_LABEL = "topology.kubernetes.io/zone"
_GPU_TAINT_KEYS = frozenset({"nvidia.com/gpu", "amd.com/gpu"})


@dataclass(frozen=True, slots=True)
class Membership:
    """Which nodes belong to a pool, and which it must leave to an older one (node name -> that pool)."""

    nodes: tuple[str, ...]
    contested: Mapping[str, str]


def membership(pools: Iterable[Custom[InferencePool]], nodes: Sequence[NodeRecord]) -> dict[str, Membership]:
    """Give each node to the oldest pool that selects it; a younger one learns which it lost, and to whom."""
    owners: dict[str, str] = {}
    members: dict[str, Membership] = {}
    for pool in sorted(pools, key=lambda pool: (pool.created, pool.name)):
        if pool.parsed is None or pool.deleting:
            continue
        selector = pool.parsed.spec.node_selector
        selected = [node.name for node in nodes if _selects(selector, node.labels)]
        contested = {name: owners[name] for name in selected if name in owners}
        mine = tuple(sorted(name for name in selected if name not in owners))
        owners.update(dict.fromkeys(mine, pool.name))
        members[pool.name] = Membership(nodes=mine, contested=contested)
    return members


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def gpus_by_node(pods: Iterable[PodRecord]) -> dict[tuple[str, str], int]:
    """GPUs requested per node and resource by pods that still hold them, whoever owns them."""
    used: dict[tuple[str, str], int] = {}
    for pod in pods:
        if pod.holds_gpus:
            for resource, count in pod.gpus.items():
                used[pod.node, resource] = used.get((pod.node, resource), 0) + count
    return used


def build_pools(
    pools: Iterable[Custom[InferencePool]],
    nodes: Mapping[str, NodeRecord],
    members: Mapping[str, Membership],
    used: Mapping[tuple[str, str], int],
) -> tuple[Pool, ...]:
    """Each pool with its accelerator and its nodes' GPUs."""
    built = []
    for pool in pools:
        if pool.parsed is None or pool.name not in members:
            continue
        records = [nodes[name] for name in members[pool.name].nodes if name in nodes]
        accelerator, problem = pool_accelerator(pool.parsed, records)
        built.append(
            Pool(
                name=pool.name,
                spec=pool.parsed.spec,
                accelerator=accelerator,
                nodes=tuple(_node(record, accelerator, pool.parsed, used) for record in records),
                accelerator_problem=problem,
            )
        )
    return tuple(built)


def pool_accelerator(pool: InferencePool, records: Sequence[NodeRecord]) -> tuple[Accelerator | None, str]:
    """What the admins state, checked against the labels; else what all nodes' labels agree on."""
    detections = [detect(record.labels) for record in records]
    found = sorted({detection.accelerator.name for detection in detections if detection.accelerator})
    problem = next((detection.problem for detection in detections if detection.problem), "")
    if pool.spec.accelerator is not None:
        return _stated(pool.spec.accelerator, found)
    if len(found) > 1:
        return None, f"its nodes have different accelerators ({', '.join(found)}); narrow `spec.nodeSelector`"
    if not found:
        reason = problem or ("no node label tells" if records else "the pool has no nodes")
        return None, f"{reason}; set `spec.accelerator`"
    return by_name(found[0]), problem


def _stated(name: str, found: Sequence[str]) -> tuple[Accelerator | None, str]:
    try:
        accelerator = by_name(name)
    except Refused as refused:
        return None, str(refused)
    others = [label for label in found if label != accelerator.name]
    if others:
        return None, f"`spec.accelerator` says '{accelerator.name}' but node labels say {', '.join(others)}"
    return accelerator, ""


def _node(
    record: NodeRecord, accelerator: Accelerator | None, pool: InferencePool, used: Mapping[tuple[str, str], int]
) -> Node:
    resource = accelerator.resource if accelerator else next(iter(record.capacity), "")
    return Node(
        name=record.name,
        gpus=record.capacity.get(resource, 0),
        used=used.get((record.name, resource), 0),
        ready=record.ready,
        schedulable=record.schedulable and _tolerated(record, pool),
        allocatable=record.allocatable.get(resource, 0),
        leaving=bool(record.leaving),
        zone=record.labels.get(_ZONE_LABEL, ""),
    )


def _tolerated(record: NodeRecord, pool: InferencePool) -> bool:
    """True where every taint that keeps pods away is one that our pods tolerate."""
    return all(
        effect not in _CORDONING_EFFECTS
        or key in _GPU_TAINT_KEYS
        or any(_tolerates(toleration, key, value, effect) for toleration in pool.spec.tolerations)
        for key, value, effect in record.taints
    )


def _tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect not in {"", effect}:
        return False
    if toleration.operator == "Exists":
        return toleration.key in {"", key}
    return toleration.key == key and toleration.value == value
