"""What the planner decides over: nodes, pools and deployments as they stand, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeploymentSpec, SurgePolicy
from penstock.api.refusals import Refusal
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.learnt import NOTHING_LEARNT, Learnt
from penstock.planner.plan import Assignment, Plan
from penstock.planner.spending import SpendingLimit

__all__ = [
    "DeploymentKey",
    "Destination",
    "FailedPlan",
    "FleetSnapshot",
    "Move",
    "Node",
    "Pool",
    "Tenant",
    "destination_of",
]

DeploymentKey = tuple[str, str]
"""Namespace and name."""

_LARGEST_NODE_GPUS = 8


@dataclass(frozen=True, slots=True)
class Node:
    """A node with GPUs. `used` counts GPUs requested by pods bound to it, whoever owns them; `zone` empty: unknown.

    `leaving`: it is about to go (a spot interruption, say); who stands on it needs another place now.
    """

    name: str
    gpus: int
    used: int
    ready: bool = True
    schedulable: bool = True
    allocatable: int | None = None
    zone: str = ""
    leaving: bool = False

    @property
    def stays(self) -> bool:
        """True where what stands on it may be counted on."""
        return self.ready and not self.leaving

    @property
    def free(self) -> int:
        """GPUs that a new pod could take now; a node that is not ready, about to go or cordoned has none."""
        if not (self.stays and self.schedulable):
            return 0
        return max(0, (self.gpus if self.allocatable is None else self.allocatable) - self.used)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool, what its nodes are, and the nodes that belong to it (a node belongs to one pool).

    `accelerator` None: nobody knows it; `accelerator_problem` says why (labels lie or are absent).
    """

    name: str
    spec: InferencePoolSpec
    accelerator: Accelerator | None
    nodes: tuple[Node, ...]
    accelerator_problem: str = ""

    @property
    def nodes_to_come(self) -> int:
        """By how many it may grow, those counted that joined before their device plugin told of their GPUs."""
        growth = self.spec.growth
        return max(0, growth.max_nodes - sum(node.gpus > 0 for node in self.nodes)) if growth else 0

    @property
    def full_node_gpus(self) -> int:
        """GPUs of a full node of its kind; 0 where nobody knows the kind."""
        return min(self.accelerator.scale_up_domain, _LARGEST_NODE_GPUS) if self.accelerator else 0


@dataclass(frozen=True, slots=True)
class FailedPlan:
    """A way to run the deployment whose engine never started: not tried again while the spec is what it is.

    `lacked_memory`: more GPUs may help. Else the engine cannot start there, on however many.
    """

    pool: str
    engine: str
    engine_version: str
    precision: str
    gpus: int
    why: str
    lacked_memory: bool = False

    def is_of(self, plan: Plan) -> bool:
        """True where `plan` is that way again, or would fail for the same reason."""
        mine = (self.pool, self.engine, self.engine_version, self.precision)
        tried = (plan.pool, plan.engine, plan.engine_version, plan.checkpoint.precision)
        return mine == tried and (plan.gpus <= self.gpus or not self.lacked_memory)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A deployment as it stands.

    `facts` maps the checkpoint's model name (with `@revision` where one is given) to what is known
    of it; absent: not known, `unknown` says why. `current` is the assignment that its newest revision was rendered
    from, `outdated` is true where the spec no longer asks for that. `bound` counts the newest
    revision's pods per node; `held` are the GPUs per node that pods of all its revisions hold (they
    are part of `Node.used`); `pending` counts pods of the newest revision bound to no node.
    `waiting_since` is since when room in its pool has been lacking; None while none is.
    `gpu_quota` is what the namespace's ResourceQuota still allows per GPU resource. `failed` are the plans whose
    engines never started under this very spec, the oldest first. `learnt` is what engines taught of its checkpoints.
    """

    key: DeploymentKey
    created: datetime
    spec: ModelDeploymentSpec
    replicas: int
    namespace_labels: Mapping[str, str]
    facts: Mapping[str, ModelFacts]
    unknown: Mapping[str, Refusal] = field(default_factory=dict)
    current: Assignment | None = None
    outdated: bool = False
    bound: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    waiting_since: datetime | None = None
    gpu_quota: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[FailedPlan, ...] = ()
    learnt: Learnt = NOTHING_LEARNT

    @property
    def pods(self) -> int:
        """Pods of the newest revision, those that wait for a node among them."""
        return sum(self.bound.values()) + self.pending

    @property
    def may_recreate(self) -> bool:
        """True where its older pods may go before new ones serve."""
        return self.spec.rollout.surge_policy is SurgePolicy.RECREATE

    @property
    def older_gpus(self) -> dict[str, int]:
        """GPUs per node that pods of its older revisions hold."""
        each = self.current.plan.gpus if self.current else 0
        older = {node: gpus - self.bound.get(node, 0) * each for node, gpus in self.held.items()}
        return {node: gpus for node, gpus in older.items() if gpus > 0}


@dataclass(frozen=True, slots=True)
class Destination:
    """A plan as a status names it; all empty: nowhere, the deployment would give way.

    What an upgrade changes of the numbers makes no other plan of it.
    """

    pool: str = ""
    engine: str = ""
    precision: str = ""
    layout: str = ""


def destination_of(plan: Plan | None) -> Destination:
    """The plan's, or nowhere."""
    return Destination(plan.pool, plan.engine, plan.checkpoint.precision, plan.layout) if plan else Destination()


@dataclass(frozen=True, slots=True)
class Move:
    """A better place that has been better for long enough to be taken, and why.

    `others` are the deployments that move together with this one, or not at all.
    """

    to: Destination
    why: str
    others: frozenset[DeploymentKey] = frozenset()


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """Everything that placement reads; the same snapshot and time give the same decisions.

    `moves` are carried out for deployments that move automatically, one at a time per pool.
    """

    pools: tuple[Pool, ...]
    tenants: tuple[Tenant, ...]
    rates: Rates = NO_RATES
    limits: tuple[SpendingLimit, ...] = ()
    moves: Mapping[DeploymentKey, Move] = field(default_factory=dict)
