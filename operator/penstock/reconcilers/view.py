"""Everything that one pass over a ModelDeployment reads: gathered from the stores, frozen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refused
from penstock.planner.plan import DecisionReason
from penstock.planner.prices import at_price_of
from penstock.reconcilers.children import CHILD_KINDS
from penstock.reconcilers.custom import Custom, wanted_replicas
from penstock.reconcilers.revisions import ChildName, RevisionRecord
from penstock.reconcilers.stored import Child, PodRecord, Workload
from penstock.reconcilers.world import Decided, World
from penstock.rollout.step import RevisionState

__all__ = ["View", "gather", "keep_reply"]


@dataclass(frozen=True, slots=True)
class View:
    """One deployment, what was decided for it, and what exists of it."""

    custom: Custom[ModelDeployment]
    decided: Decided | None
    revisions: Mapping[str, RevisionRecord]
    workloads: Mapping[str, Workload]
    children: Mapping[ChildName, Child]
    pods: tuple[PodRecord, ...]
    leaving_nodes: Mapping[str, str] = field(default_factory=dict)
    """Nodes of its pods that are about to go, with the taint that says so."""

    @property
    def deployment(self) -> ModelDeployment:
        """The parsed resource; Refused where it cannot be acted on."""
        if self.custom.parsed is None:
            raise Refused(self.custom.refusals)
        return self.custom.parsed

    @property
    def serving(self) -> str:
        """The revision that the ordinary Service selects; empty where there is none."""
        service = self.children.get(("Service", self.custom.name))
        return service.selected_revision if service else ""

    @property
    def exists(self) -> bool:
        """True where anything was made for it before."""
        return bool(self.revisions or self.workloads or self.children)

    @property
    def wanted(self) -> int:
        """How many replicas its users want, as far as spending limits and borders allow; what serves is left alone."""
        wanted = wanted_replicas(self.custom.parsed.spec) if self.custom.parsed else 0
        decision = self.decided.decision if self.decided else None
        if decision is None or decision.most_replicas is None:
            return wanted
        workload = self.workloads.get(self.serving) if decision.reason != DecisionReason.RECREATE else None
        return min(wanted, max(decision.most_replicas, workload.replicas if workload else 0))

    def pods_of(self, revision: str) -> tuple[PodRecord, ...]:
        """The pods of a revision that are not gone, terminating ones too."""
        return tuple(pod for pod in self.pods if pod.revision == revision and not pod.finished)

    def state_of(self, revision: str) -> RevisionState:
        """The revision as the roll-out reads it."""
        record, workload = self.revisions.get(revision), self.workloads.get(revision)
        return RevisionState(
            name=revision,
            number=record.number if record else 0,
            exists=workload is not None,
            replicas=workload.replicas if workload else 0,
            pods=max(len(self.pods_of(revision)), workload.pods if workload else 0),
            ready=workload.ready if workload else 0,
            stalled=workload.deadline_exceeded if workload else "",
        )


def gather(world: World, custom: Custom[ModelDeployment]) -> View:
    """No request: stores only. A decision for another life or an older spec is left out."""
    key = (custom.namespace, custom.name)
    decided = world.decisions.get(key)
    pods = world.pods.by_index("deployment", key)
    fresh = decided if decided and decided.uid == custom.uid and decided.generation == custom.generation else None
    return View(
        custom=custom,
        decided=fresh,
        revisions={record.revision: _priced(world, record) for record in world.revisions.by_owner(custom.uid)},
        workloads={record.revision: record for record in world.workloads.by_owner(custom.uid)},
        children={
            (kind, child.name): child for kind in CHILD_KINDS for child in world.children[kind].by_owner(custom.uid)
        },
        pods=pods,
        leaving_nodes=_leaving_nodes(world, pods),
    )


def _priced(world: World, record: RevisionRecord) -> RevisionRecord:
    """What was pinned, at what its pool costs now; in a pool that is gone, at what it cost then."""
    pool = world.pools.get("", record.assignment.plan.pool)
    if pool is None or pool.parsed is None:
        return record
    return replace(record, assignment=at_price_of(record.assignment, pool.parsed.spec))


def _leaving_nodes(world: World, pods: Iterable[PodRecord]) -> dict[str, str]:
    nodes = (world.nodes.get("", name) for name in sorted({pod.node for pod in pods if pod.node}))
    return {node.name: node.leaving for node in nodes if node is not None and node.leaving}


def keep_reply(world: World, custom: Custom[ModelDeployment], live: dict[str, Any]) -> Custom[ModelDeployment]:
    """Put the answer to a write of our own into the store.

    It may hold what somebody else changed meanwhile, of which the watch's event is no news any more: we tell it.
    """
    record = Custom.of(live, ModelDeployment)
    if world.deployments.put(record) and record.asks != custom.asks:
        world.on_deployment(custom, record)
    return record
