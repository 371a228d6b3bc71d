"""InferencePool: counts its nodes and GPUs, says what runs there and what it costs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import Condition, ConditionStatus, merge_conditions
from penstock.api.inferencepool import InferencePool, InferencePoolStatus, NodeShape, PoolGPUs
from penstock.cluster.client import Client
from penstock.cluster.resources import INFERENCE_POOLS
from penstock.cluster.scope import Scope
from penstock.planner.fleet import Node, Pool
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.fleet import Membership, build_pools, gpus_by_node, membership
from penstock.reconcilers.keys import Key
from penstock.reconcilers.world import World
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["InferencePoolReconciler"]

_MOST_NAMES = 64


@dataclass(slots=True)
class InferencePoolReconciler:
    """One status, written when what it counts has changed."""

    world: World
    client: Client
    clock: Clock

    async def reconcile(self, key: Key) -> Result:
        """Count and report."""
        custom = self.world.pools.get("", key.name)
        if custom is None or custom.deleting:
            return Result()
        status = self._status(custom)
        if status != custom.status:
            metadata = {"name": custom.name, "uid": custom.uid}
            manifest = {"apiVersion": INFERENCE_POOLS.api_version, "kind": INFERENCE_POOLS.kind, "metadata": metadata}
            live = await self.client.apply({**manifest, "status": status}, subresource="status")
            self.world.pools.put(Custom.of(live, InferencePool))
        return Result()

    def _status(self, custom: Custom[InferencePool]) -> dict[str, Any]:
        old = InferencePoolStatus.model_validate(custom.status)
        if custom.parsed is None:
            status = old.model_copy(update={"conditions": _invalid(custom, old, self.clock.now())})
        else:
            status = self._counted(custom, old)
        return status.model_dump(mode="json", by_alias=True, exclude_none=True)

    def _counted(self, custom: Custom[InferencePool], old: InferencePoolStatus) -> InferencePoolStatus:
        world = self.world
        members = membership(world.pools, tuple(world.nodes))
        nodes = {node.name: node for node in world.nodes}
        mine = members.get(custom.name, Membership((), {}))
        used = gpus_by_node(world.pods)
        (pool,) = build_pools([custom], nodes, {custom.name: mine}, used)
        gpus = _gpus(pool)
        lost = {name: other.contested for name, other in members.items() if custom.name in other.contested.values()}
        return InferencePoolStatus(
            conditions=merge_conditions(
                old.conditions,
                _conditions(custom, pool, mine, lost, _note(world.scope)),
                self.clock.now(),
            ),
            observed_generation=custom.generation,
            accelerator=pool.accelerator.name if pool.accelerator else "",
            nodes=len(pool.nodes),
            ready_nodes=sum(node.ready for node in pool.nodes),
            gpus=gpus,
            shapes=_shapes(pool.nodes),
            deployments=self._deployments(pool),
            cost_per_hour=_cost(pool, gpus.total),
        )

    def _deployments(self, pool: Pool) -> tuple[str, ...]:
        names = {node.name for node in pool.nodes}
        here = {
            f"{pod.namespace}/{pod.deployment}"
            for pod in self.world.pods
            if pod.deployment and pod.node in names and pod.holds_gpus
        }
        return tuple(sorted(here)[:_MOST_NAMES])


def _note(scope: Scope) -> str:
    """What its numbers leave out."""
    if scope.watched is None:
        return ""
    return "Only pods in the namespaces of `watchNamespaces` are counted: keep all others off its nodes"


def _gpus(pool: Pool) -> PoolGPUs:
    allocatable = sum((node.allocatable or 0) for node in pool.nodes if node.ready)
    return PoolGPUs(
        total=sum(node.gpus for node in pool.nodes),
        allocatable=allocatable,
        allocated=sum(node.used for node in pool.nodes),
        free=sum(node.free for node in pool.nodes),
    )


def _shapes(nodes: Sequence[Node]) -> tuple[NodeShape, ...]:
    counts = Counter(node.gpus for node in nodes)
    free = Counter(node.gpus for node in nodes if node.free == node.gpus)
    return tuple(NodeShape(gpus=gpus, nodes=counts[gpus], free_nodes=free[gpus]) for gpus in sorted(counts))


def _cost(pool: Pool, gpus: int) -> str:
    return str(pool.spec.price.money * gpus) if pool.spec.price else ""


def _conditions(
    custom: Custom[InferencePool], pool: Pool, mine: Membership, lost: dict[str, Any], note: str
) -> tuple[Condition, ...]:
    accepted = _condition(custom, "Accepted", ConditionStatus.TRUE, "Accepted")
    exclusive = _exclusive(custom, mine, lost)
    return (accepted, exclusive, _ready(custom, pool, note))


def _exclusive(custom: Custom[InferencePool], mine: Membership, lost: dict[str, Any]) -> Condition:
    """Both sides of an overlap say so: who keeps the nodes, and who must leave them."""
    if mine.contested:
        others = sorted(set(mine.contested.values()))
        message = (
            f"{len(mine.contested)} of its nodes belong to the older pool {', '.join(others)}; narrow one selector"
        )
        return _condition(custom, "Exclusive", ConditionStatus.FALSE, "NodesBelongToOlderPool", message)
    if lost:
        message = f"It keeps nodes that {', '.join(sorted(lost))} select too; narrow one selector"
        return _condition(custom, "Exclusive", ConditionStatus.FALSE, "NodesSelectedTwice", message)
    return _condition(custom, "Exclusive", ConditionStatus.TRUE, "Exclusive")


def _ready(custom: Custom[InferencePool], pool: Pool, note: str) -> Condition:
    if not pool.nodes:
        message = "No node carries the labels of `spec.nodeSelector`"
        return _condition(custom, "Ready", ConditionStatus.FALSE, "NoNodes", message)
    if pool.accelerator is None:
        return _condition(custom, "Ready", ConditionStatus.FALSE, "AcceleratorUnknown", pool.accelerator_problem)
    if not any(node.ready for node in pool.nodes):
        return _condition(custom, "Ready", ConditionStatus.FALSE, "NoReadyNodes", "None of its nodes is ready")
    message = ". ".join(each for each in (pool.accelerator_problem, note) if each)
    return _condition(custom, "Ready", ConditionStatus.TRUE, "Ready", message)


def _invalid(custom: Custom[InferencePool], old: InferencePoolStatus, now: datetime) -> tuple[Condition, ...]:
    message = " ".join(str(refusal) for refusal in custom.refusals)
    kinds = ("Accepted", "Ready")
    fresh = tuple(_condition(custom, kind, ConditionStatus.FALSE, "Invalid", message) for kind in kinds)
    return merge_conditions(old.conditions, fresh, now)


def _condition(
    custom: Custom[InferencePool], kind: str, status: ConditionStatus, reason: str, message: str = ""
) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, observed_generation=custom.generation)
