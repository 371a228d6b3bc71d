"""What deployments ask and what pools have, as the joint decision reads it; and who shares a pool with whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.api.inferencepool import CapacityType
from penstock.planner.candidates import Candidate
from penstock.planner.capacity import Ledger
from penstock.planner.fleet import DeploymentKey, Pool
from penstock.planner.plan import Plan

__all__ = ["Ask", "Room", "linked", "precedence", "room_of"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A deployment that is decided together with others: so many replicas, by one of the candidates (best first).

    `pools` is the user's order. `patient`: a preferred pool that can grow is waited for. `running` is the plan by
    which `standing` replicas serve now; None where it has no place.
    """

    key: DeploymentKey
    created: datetime
    replicas: int
    candidates: tuple[Candidate, ...]
    priority: int = 0
    pools: tuple[str, ...] = ()
    patient: bool = False
    running: Plan | None = None
    standing: int = 0

    @property
    def name(self) -> str:
        """As messages call it."""
        return "/".join(self.key)

    def distance(self, plan: Plan) -> int:
        """How many pools its users prefer to that of the plan."""
        return self.pools.index(plan.pool) if plan.pool in self.pools else len(self.pools)


@dataclass(frozen=True, slots=True)
class Room:
    """One pool: the free GPUs of each node, and how many nodes of `node_gpus` GPUs it may still get."""

    pool: str
    free: tuple[int, ...]
    node_gpus: int
    more_nodes: int = 0
    capacity_type: CapacityType = CapacityType.ON_DEMAND

    def holds(self, gpus: int) -> int:
        """How many replicas of that many GPUs have room now."""
        return sum(free // gpus for free in self.free)


def precedence(ask: Ask) -> tuple[int, datetime, DeploymentKey]:
    """Who goes first where not everybody has room: by priority, then by age."""
    return -ask.priority, ask.created, ask.key


def room_of(pool: Pool, ledger: Ledger) -> Room:
    """The pool's room as the ledger has it now."""
    free = tuple(sorted(left for node in pool.nodes if (left := ledger.free[node.name]) > 0))
    price = pool.spec.price
    return Room(
        pool=pool.name,
        free=free,
        node_gpus=max((node.gpus for node in pool.nodes), default=0) or pool.full_node_gpus,
        more_nodes=pool.nodes_to_come,
        capacity_type=price.capacity_type if price else CapacityType.ON_DEMAND,
    )


def linked(groups: Sequence[frozenset[str]]) -> tuple[tuple[int, ...], ...]:
    """Indices of groups that share a member, directly or through others; in order."""
    found: list[tuple[set[str], list[int]]] = []
    for index, group in enumerate(groups):
        touching = [each for each in found if each[0] & group]
        members = set(group).union(*(each[0] for each in touching))
        indices = [index, *(other for each in touching for other in each[1])]
        found = [each for each in found if not any(each is other for other in touching)]
        found.append((members, indices))
    return tuple(sorted(tuple(sorted(indices)) for _, indices in found))
