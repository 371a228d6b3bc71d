"""What the operator knows of the cluster: the stores, the decisions, and who must look again at what.

Event sources call `on_*`; nothing here talks to the API server.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.api.consumer import Consumer
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.inferencepool import InferencePool
from penstock.api.meta import Resource
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelprovider import ModelProvider
from penstock.api.plan_status import ProposalStatus, WaitingStatus
from penstock.api.quantities import Money
from penstock.api.route import Route
from penstock.cluster.barred import Barred
from penstock.cluster.scope import Scope
from penstock.cluster.store import Store
from penstock.planner.fleet import DeploymentKey, Tenant
from penstock.planner.plan import Decision
from penstock.planner.prices import price_of
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.fleet import Membership
from penstock.reconcilers.keys import PLACEMENT, Key, Subject
from penstock.reconcilers.learnt import LearntBook
from penstock.reconcilers.readings import ReadingBook
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.secrets import SecretBook, SecretRecord
from penstock.reconcilers.stored import Child, NamespaceRecord, NodeRecord, PodRecord, QuotaRecord, Workload
from penstock.reconcilers.told import Told
from penstock.reconcilers.traffic import Traffic
from penstock.server_client.client import LiveReplica

__all__ = ["Candidate", "Decided", "World"]


def _deployment_of(pod: PodRecord) -> Iterable[Hashable]:
    return ((pod.namespace, pod.deployment),) if pod.deployment else ()


_COUNT_DELAY_SECONDS = 0.2
_TABLE_DELAY_SECONDS = 0.02
_REPORT_DELAY_SECONDS = 0.5


def _uid_of(record: Custom[Any]) -> Iterable[Hashable]:
    return (record.uid,)


def _deployment_store() -> Store[Custom[ModelDeployment]]:
    return Store(indices={"uid": _uid_of})


def _gateway_store() -> Store[Custom[InferenceGateway]]:
    return Store(indices={"uid": _uid_of})


def _namespace_of(record: QuotaRecord) -> Iterable[Hashable]:
    return (record.namespace,)


def _quota_store() -> Store[QuotaRecord]:
    return Store(indices={"namespace": _namespace_of})


def _gateway_of(pod: PodRecord) -> Iterable[Hashable]:
    return ((pod.namespace, pod.gateway),) if pod.gateway else ()


def _pod_store() -> Store[PodRecord]:
    return Store(indices={"deployment": _deployment_of, "gateway": _gateway_of})


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and the life and generation of the deployment that it was made for.

    `final_digest` is the digest of the spec that the assignment answers; empty where there is none or it only waits.
    `waiting` is the room that it waits for, and since when.
    """

    uid: str
    generation: int
    decision: Decision
    final_digest: str = ""
    waiting: WaitingStatus | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tenant, the life and generation of the deployment that it was built from, and what it was waiting for."""

    tenant: Tenant
    uid: str
    generation: int
    digest: str
    waiting: WaitingStatus | None = None


@dataclass(slots=True)
class World:
    """The stores of one operator process. `enqueue` is the work queue's `add`, `enqueue_after` its `add_after`.

    `proposals` are better plans that are not taken; None until the fleet was planned anew once, so that those in the
    statuses stand meanwhile.
    `scope` says what of the cluster they hold, `barred` what the API server refuses of that. `without_secrets` are the
    Secrets of gateways, by namespace and name, that it refused to us.
    """

    enqueue: Callable[[Key], None]
    enqueue_after: Callable[[Key, float], None]
    deployments: Store[Custom[ModelDeployment]] = field(default_factory=_deployment_store)
    pools: Store[Custom[InferencePool]] = field(default_factory=Store)
    gateways: Store[Custom[InferenceGateway]] = field(default_factory=_gateway_store)
    providers: Store[Custom[ModelProvider]] = field(default_factory=Store)
    routes: Store[Custom[Route]] = field(default_factory=Store)
    consumers: Store[Custom[Consumer]] = field(default_factory=Store)
    secrets: Store[SecretRecord] = field(default_factory=Store)
    others: dict[str, Store[Custom[Resource]]] = field(default_factory=dict)
    revisions: Store[RevisionRecord] = field(default_factory=Store)
    workloads: Store[Workload] = field(default_factory=Store)
    children: dict[str, Store[Child]] = field(default_factory=dict)
    pods: Store[PodRecord] = field(default_factory=_pod_store)
    nodes: Store[NodeRecord] = field(default_factory=Store)
    namespaces: Store[NamespaceRecord] = field(default_factory=Store)
    quotas: Store[QuotaRecord] = field(default_factory=_quota_store)
    decisions: dict[DeploymentKey, Decided] = field(default_factory=dict)
    tenants: dict[DeploymentKey, Candidate] = field(default_factory=dict)
    members: dict[str, Membership] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    readings: ReadingBook = field(default_factory=ReadingBook)
    learnt: LearntBook = field(default_factory=LearntBook)
    proposals: Mapping[DeploymentKey, ProposalStatus] | None = None
    told: dict[tuple[str, str], Told] = field(default_factory=dict)
    reports: dict[tuple[str, str], tuple[LiveReplica, ...]] = field(default_factory=dict)
    keys: SecretBook = field(default_factory=SecretBook)
    stale_tenants: set[DeploymentKey] = field(default_factory=set)
    scope: Scope = Scope()  # noqa: RUF009 - it is frozen
    barred: Barred = field(default_factory=Barred)
    without_secrets: set[tuple[str, str]] = field(default_factory=set)
    placement_delay: float = 0.05
    fleet_changed: bool = True

    def look_at(self, namespace: str, name: str) -> None:
        """Have the deployment reconciled, and its tenant built anew before the next placement."""
        self.stale_tenants.add((namespace, name))
        self.enqueue(Key(Subject.MODEL_DEPLOYMENT, namespace, name))

    def propose(self, proposals: Mapping[DeploymentKey, ProposalStatus]) -> None:
        """Take these for all better plans that there are; deployments whose own changed are reconciled."""
        before, self.proposals = self.proposals, proposals
        told = {**before, **proposals} if before is not None else dict.fromkeys(self.tenants)
        for key in told:
            if before is None or before.get(key) != proposals.get(key):
                self.enqueue(Key(Subject.MODEL_DEPLOYMENT, *key))

    def place_soon(self) -> None:
        """Have everything placed after a short while, so that a burst of changes costs one pass."""
        self.enqueue_after(PLACEMENT, self.placement_delay)

    def route_soon(self) -> None:
        """Have every gateway's table made anew after a moment, so that a burst of changes costs one of each."""
        for gateway in self.gateways:
            self.enqueue_after(Key(Subject.ROUTING_TABLE, gateway.namespace, gateway.name), _TABLE_DELAY_SECONDS)

    def report_soon(self, namespace: str, name: str) -> None:
        """Have the gateway's status looked at, once for a burst of acknowledgements."""
        self.enqueue_after(Key(Subject.INFERENCE_GATEWAY, namespace, name), _REPORT_DELAY_SECONDS)

    def on_deployment(self, before: Custom[ModelDeployment] | None, after: Custom[ModelDeployment] | None) -> None:
        """A ModelDeployment came, changed or went."""
        record = after or before
        if record is None:
            return
        self.look_at(record.namespace, record.name)
        if before is None or after is None or before.generation != after.generation or before.uid != after.uid:
            self.place_soon()
            self.route_soon()
        elif (before.deleting, before.finalizers) != (after.deleting, after.finalizers):
            self.route_soon()

    def on_pool(self, before: Custom[InferencePool] | None, after: Custom[InferencePool] | None) -> None:
        """A pool came, changed or went: nodes may change hands, so every pool looks again."""
        if before and after and before.generation == after.generation and before.uid == after.uid:
            self.enqueue(Key(Subject.INFERENCE_POOL, "", after.name))
            return
        self.fleet_changed = True
        self._look_at_pools()
        self.place_soon()
        if after is not None and _price(before) != _price(after):
            self._look_at_revisions_in(after.name)

    def on_node(self, before: NodeRecord | None, after: NodeRecord | None) -> None:
        """A node came, changed or went."""
        if before and after and _same_but_version(before, after):
            return
        self.fleet_changed = True
        self._look_at_pools()
        self.place_soon()
        self.route_soon()
        if after is not None and _leaving(before) != after.leaving:
            self._look_at_pods_on(after.name)

    def on_pod(self, before: PodRecord | None, after: PodRecord | None) -> None:
        """A pod with GPUs came, changed or went."""
        for record in {id(r): r for r in (before, after) if r}.values():
            if record.deployment:
                self.look_at(record.namespace, record.deployment)
            if record.gateway:
                self._note_replicas(record.namespace, record.gateway)
        if _answering(before) != _answering(after):
            self.route_soon()
        if _holding(before) != _holding(after) or _waiting(before) != _waiting(after):
            self._look_at_pools()
            self.place_soon()

    def on_owned(self, before: Any, after: Any) -> None:
        """A child of a deployment came, changed or went."""
        record = after or before
        owner = self.deployment_by_uid(record.owner_uid)
        if owner is not None:
            self.look_at(owner.namespace, owner.name)
            self.route_soon()
            return
        for gateway in self.gateways.by_index("uid", record.owner_uid):
            self.enqueue(Key(Subject.INFERENCE_GATEWAY, gateway.namespace, gateway.name))

    def on_revision(self, before: RevisionRecord | None, after: RevisionRecord | None) -> None:
        """A ControllerRevision came, changed or went: the assignments that placement reads have changed."""
        self.on_owned(before, after)
        self.place_soon()

    def on_surroundings(self, before: Any, after: Any) -> None:
        """A namespace's labels or a quota changed: everything in it is looked at again."""
        record = after or before
        namespace = record.namespace or record.name
        self.stale_tenants.update(key for key in self.tenants if key[0] == namespace)
        self.place_soon()
        self.route_soon()

    def on_other(self, kind: str) -> Callable[[Custom[Resource] | None, Custom[Resource] | None], None]:
        """What to do when a resource of a kind that is not acted on came, changed or went."""

        def changed(_before: Custom[Resource] | None, after: Custom[Resource] | None) -> None:
            if after is not None:
                self.enqueue(Key(Subject.UNSUPPORTED, after.namespace, after.name, kind))

        return changed

    def on_gateway(self, before: Custom[InferenceGateway] | None, after: Custom[InferenceGateway] | None) -> None:
        """A gateway came, changed or went; one that comes is expected before anything else is decided."""
        record = after or before
        if record is None:
            return
        if after is not None and self.traffic.enabled:
            self.traffic.expect((after.namespace, after.name))
            self._note_replicas(after.namespace, after.name)
        self.enqueue(Key(Subject.INFERENCE_GATEWAY, record.namespace, record.name))
        if not _same_spec(before, after):
            self.enqueue(Key(Subject.ROUTING_TABLE, record.namespace, record.name))

    def on_routed(self, subject: Subject) -> Callable[[Custom[Any] | None, Custom[Any] | None], None]:
        """What to do when a Route, a ModelProvider or a Consumer came, changed or went."""

        def changed(before: Custom[Any] | None, after: Custom[Any] | None) -> None:
            if after is not None:
                self.enqueue(Key(subject, after.namespace, after.name))
            elif before is not None:
                self.keys.forget(subject, (before.namespace, before.name))
            if not _same_spec(before, after):
                self.route_soon()

        return changed

    def on_secret(self, before: SecretRecord | None, after: SecretRecord | None) -> None:
        """A Secret that is watched came, changed or went: whoever reads it looks again."""
        record = after or before
        if record is None:
            return
        self.on_owned(before, after)
        for subject, (namespace, name) in self.keys.readers(record.namespace, record.name):
            self.enqueue(Key(subject, namespace, name))

    def facts_known(self, namespace: str, name: str) -> None:
        """A question about a checkpoint of the deployment was answered."""
        self.look_at(namespace, name)
        self.place_soon()

    def deployment_by_uid(self, uid: str) -> Custom[ModelDeployment] | None:
        """The living deployment with that uid."""
        found = self.deployments.by_index("uid", uid)
        return found[0] if found else None

    def _note_replicas(self, namespace: str, gateway: str) -> None:
        """Which pods of the gateway may send requests on: those that are ready, and those that end their work."""
        traffic = self.traffic.gateways.get((namespace, gateway))
        if traffic is None:
            return
        before, traffic.pods = (
            traffic.pods,
            frozenset(
                pod.name
                for pod in self.pods.by_index("gateway", (namespace, gateway))
                if (pod.ready or pod.terminating) and not pod.finished
            ),
        )
        if traffic.pods != before:
            self.report_soon(namespace, gateway)
            for asker in self.traffic.take_asking():
                self.look_at(*asker)

    def _look_at_revisions_in(self, pool: str) -> None:
        for record in self.revisions:
            owner = self.deployment_by_uid(record.owner_uid) if record.assignment.plan.pool == pool else None
            if owner is not None:
                self.look_at(owner.namespace, owner.name)

    def _look_at_pods_on(self, node: str) -> None:
        for pod in self.pods:
            if pod.deployment and pod.node == node:
                self.look_at(pod.namespace, pod.deployment)

    def _look_at_pools(self) -> None:
        for pool in self.pools:
            self.enqueue_after(Key(Subject.INFERENCE_POOL, "", pool.name), _COUNT_DELAY_SECONDS)


def _same_spec(before: Custom[Any] | None, after: Custom[Any] | None) -> bool:
    """Whether nothing that a table is made from differs; labels of a Consumer are matched, too."""
    if before is None or after is None:
        return False
    return (before.uid, before.generation, before.deleting, before.labels) == (
        after.uid,
        after.generation,
        after.deleting,
        after.labels,
    )


def _price(pool: Custom[InferencePool] | None) -> Money | None:
    return price_of(pool.parsed.spec) if pool and pool.parsed else None


def _answering(pod: PodRecord | None) -> tuple[object, ...] | None:
    """What a table says of an engine's pod; other pods are in none."""
    if pod is None or not pod.deployment:
        return None
    return (pod.address, pod.revision, pod.ready, pod.terminating, pod.leaving, pod.disrupted)


def _holding(pod: PodRecord | None) -> tuple[str, tuple[tuple[str, int], ...]] | None:
    return (pod.node, tuple(pod.gpus.items())) if pod and pod.holds_gpus else None


def _waiting(pod: PodRecord | None) -> tuple[str, str] | None:
    return (pod.revision, pod.unschedulable) if pod and not pod.node else None


def _leaving(node: NodeRecord | None) -> str:
    return node.leaving if node else ""


def _same_but_version(before: NodeRecord, after: NodeRecord) -> bool:
    return (
        before.uid == after.uid
        and before.labels == after.labels
        and before.allocatable == after.allocatable
        and before.capacity == after.capacity
        and (before.ready, before.schedulable, before.taints) == (after.ready, after.schedulable, after.taints)
    )
