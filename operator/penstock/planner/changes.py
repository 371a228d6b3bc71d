"""What a plan changes against another one, or against what runs: per deployment, with the reason.

Compares what users see and pay for: pool, accelerator, engine, precision, GPUs, replicas, price.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from penstock.api.quantities import Money
from penstock.planner.explain import by_nearness
from penstock.planner.fleet import DeploymentKey
from penstock.planner.plan import Decision, Rejection

__all__ = ["Change", "ChangeKind", "Footprint", "compare", "footprint_of"]


class ChangeKind(StrEnum):
    """What becomes of a deployment; in the order in which changes are told."""

    UNPLACED = "Unplaced"
    NEW = "New"
    MOVED = "Moved"
    CHANGED = "Changed"
    SCALED = "Scaled"
    REPRICED = "Repriced"
    GONE = "Gone"
    SAME = "Same"


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where a deployment stands and what that takes; `price_per_hour` is that of all replicas."""

    pool: str
    accelerator: str
    engine: str
    precision: str
    tensor_parallel: int
    gpus_per_replica: int
    replicas: int
    price_per_hour: Money | None

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.gpus_per_replica * self.replicas

    @property
    def layout(self) -> tuple[str, str, str, int, int]:
        """How a replica runs, wherever."""
        return self.accelerator, self.engine, self.precision, self.tensor_parallel, self.gpus_per_replica


@dataclass(frozen=True, slots=True)
class Change:
    """One deployment before and after; None: it was not there, or has no place."""

    key: DeploymentKey
    kind: ChangeKind
    before: Footprint | None
    after: Footprint | None
    why: str


def footprint_of(decision: Decision) -> Footprint | None:
    """What a decision takes, for the replicas that have a node; None where it has no place."""
    assignment = decision.assignment
    if assignment is None or not assignment.nodes:
        return None
    plan, replicas = assignment.plan, len(assignment.nodes)
    price = plan.price_per_replica_hour
    return Footprint(
        pool=plan.pool,
        accelerator=plan.accelerator,
        engine=plan.engine,
        precision=plan.checkpoint.precision,
        tensor_parallel=plan.tensor_parallel,
        gpus_per_replica=plan.gpus,
        replicas=replicas,
        price_per_hour=price * replicas if price else None,
    )


def compare(
    before: Mapping[DeploymentKey, Footprint], decisions: Mapping[DeploymentKey, Decision]
) -> tuple[Change, ...]:
    """Every deployment of either side, what changes most first, then by name."""
    changes = [_change(key, before.get(key), decision) for key, decision in decisions.items()]
    changes += [
        Change(key, ChangeKind.GONE, old, None, "it is not in these files")
        for key, old in before.items()
        if key not in decisions
    ]
    order = list(ChangeKind)
    return tuple(sorted(changes, key=lambda each: (order.index(each.kind), each.key)))


def _change(key: DeploymentKey, before: Footprint | None, decision: Decision) -> Change:
    after = footprint_of(decision)
    kind = _kind(before, after)
    return Change(key, kind, before, after, _why(kind, before, after, decision))


def _kind(before: Footprint | None, after: Footprint | None) -> ChangeKind:
    if after is None:
        return ChangeKind.UNPLACED
    if before is None:
        return ChangeKind.NEW
    if before.pool != after.pool:
        return ChangeKind.MOVED
    if before.layout != after.layout:
        return ChangeKind.CHANGED
    if before.replicas != after.replicas:
        return ChangeKind.SCALED
    return ChangeKind.SAME if before.price_per_hour == after.price_per_hour else ChangeKind.REPRICED


def _why(kind: ChangeKind, before: Footprint | None, after: Footprint | None, decision: Decision) -> str:
    if before is None or after is None:
        return decision.message
    match kind:
        case ChangeKind.MOVED:
            return decision.moved_because or _lost(decision.rejections, before)
        case ChangeKind.CHANGED:
            return ", ".join(_differences(before, after))
        case ChangeKind.SCALED:
            return f"{before.replicas} -> {after.replicas} replicas"
        case ChangeKind.REPRICED:
            return "the pool has another price"
        case _:
            return ""


def _lost(rejections: Sequence[Rejection], before: Footprint) -> str:
    """Why the old pool was not taken again: by what is said of the same layout, else of what came nearest there."""
    told = by_nearness(each for each in rejections if each.pool == before.pool)
    if not told:
        return f"pool {before.pool} is no candidate any more"
    lost = min(
        told, key=lambda each: (each.precision, each.tensor_parallel) != (before.precision, before.tensor_parallel)
    )
    size = f"TP{lost.tensor_parallel}" if lost.tensor_parallel else ""
    which = " ".join(part for part in (before.pool, lost.precision, size) if part)
    return f"{which}: {lost.reason}: {lost.message}"


def _differences(before: Footprint, after: Footprint) -> Iterable[str]:
    names = ("accelerator", "engine", "precision", "tensor_parallel", "gpus_per_replica")
    words = ("accelerator", "engine", "precision", "TP", "GPUs per replica")
    for name, word in zip(names, words, strict=True):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{word} {old} -> {new}"
