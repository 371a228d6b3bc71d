"""What is kept of each watched object: slim, frozen, only the fields that a decision reads.

A child is kept as a digest of the values that we own on it, so that drift is seen without keeping
the object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.api.meta import GROUP
from penstock.cluster.owned import owned_digest
from penstock.gateways.litellm.names import GATEWAY_LABEL
from penstock.operations.redaction import redact_text
from penstock.render.names import DEPLOYMENT_LABEL, REVISION_LABEL

__all__ = [
    "GPU_RESOURCES",
    "LEAVING_ANNOTATION",
    "Child",
    "NamespaceRecord",
    "NodeRecord",
    "PodRecord",
    "QuotaRecord",
    "Workload",
    "parse_time",
    "slim_child",
    "slim_namespace",
    "slim_node",
    "slim_pod",
    "slim_quota",
    "slim_workload",
]

Object = dict[str, Any]

LEAVING_ANNOTATION = f"{GROUP}/leaving"
GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")

_MESSAGE_LENGTH = 300

_LEAVING_TAINTS = frozenset(
    {
        *("karpenter.sh/disrupted", "karpenter.sh/disruption"),
        "ToBeDeletedByClusterAutoscaler",
        "cloud.google.com/impending-node-termination",
        "remediator.aks.microsoft.com/unschedulable",
        "node.cloudprovider.kubernetes.io/shutdown",
    }
)
_LEAVING_TAINT_GROUPS = ("aws-node-termination-handler/",)
"""How clouds and autoscalers announce that a node is about to go, spot interruptions among them."""


@dataclass(frozen=True, slots=True)
class Child:
    """An object that we applied for a ModelDeployment."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    revision: str
    digest: str
    selected_revision: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment that we applied; `digest` leaves `replicas` out, because a scale is no new revision."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    revision: str
    digest: str
    replicas: int
    pods: int
    ready: int
    available: int
    deadline_exceeded: str


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod that asks for GPUs, ours or another's."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    deployment: str
    revision: str
    node: str
    gpus: Mapping[str, int]
    finished: bool
    ready: bool
    terminating: bool
    created: datetime | None
    unschedulable: str
    trouble: str
    restarts: int
    address: str = ""
    leaving: bool = False
    """Chosen to go at the next scale-down: it gets no new requests."""
    gateway: str = ""
    """The InferenceGateway of its namespace that it is a replica of."""
    initialized: datetime | None = None
    """Since when its init containers are through; its engine starts then for the first time."""
    started: datetime | None = None
    """When its engine last started."""
    ready_since: datetime | None = None
    """Since when it is ready; None where it is not."""
    last_exit: str = ""
    """Why its engine last ended: the kubelet's reason, the exit code and the last words."""
    disrupted: str = ""
    """Why Kubernetes is about to end it; empty where it is not."""

    @property
    def holds_gpus(self) -> bool:
        """True while the scheduler counts its request against the node."""
        return bool(self.node) and not self.finished


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node with its GPUs; labels in full, because pools select by them."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    labels: Mapping[str, str]
    capacity: Mapping[str, int]
    allocatable: Mapping[str, int]
    ready: bool
    schedulable: bool
    taints: tuple[tuple[str, str, str], ...]

    @property
    def leaving(self) -> str:
        """The taint that says that the node is about to go; empty where none does."""
        keys = (key for key, _, _ in self.taints)
        return next((key for key in keys if key in _LEAVING_TAINTS or key.startswith(_LEAVING_TAINT_GROUPS)), "")


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A namespace's labels: pools admit namespaces by them."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaRecord:
    """What a ResourceQuota still allows per GPU resource."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    hard: Mapping[str, int]
    used: Mapping[str, int]


def _identity(live: Object) -> dict[str, str]:
    metadata = live["metadata"]
    owners = metadata.get("ownerReferences") or ()
    owner = next((reference["uid"] for reference in owners if reference.get("controller")), "")
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "resource_version": metadata.get("resourceVersion", ""),
        "owner_uid": owner,
    }


def _labels(live: Object) -> dict[str, str]:
    return live["metadata"].get("labels") or {}


def slim_child(live: Object) -> Child:
    """Any child but a Deployment."""
    selector = live.get("spec", {}).get("selector") if live.get("kind") == "Service" else None
    return Child(
        **_identity(live),
        revision=_labels(live).get(REVISION_LABEL, ""),
        digest=owned_digest(live),
        selected_revision=(selector or {}).get(REVISION_LABEL, ""),
    )


def slim_workload(live: Object) -> Workload:
    """A Deployment; its digest is taken without `replicas`."""
    spec = live["spec"]
    status = live.get("status") or {}
    unscaled = {**live, "spec": {key: value for key, value in spec.items() if key != "replicas"}}
    return Workload(
        **_identity(live),
        revision=_labels(live).get(REVISION_LABEL, ""),
        digest=owned_digest(unscaled),
        replicas=spec.get("replicas", 1),
        pods=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        deadline_exceeded=_deadline_message(status),
    )


def _deadline_message(status: Object) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message", "the roll-out made no progress"))[:_MESSAGE_LENGTH]
    return ""


def slim_pod(live: Object) -> PodRecord:
    """A pod, with what its containers complain of."""
    spec, status, labels = live["spec"], live.get("status") or {}, _labels(live)
    ready = _found(status, "Ready")
    return PodRecord(
        **_identity(live),
        deployment=labels.get(DEPLOYMENT_LABEL, ""),
        revision=labels.get(REVISION_LABEL, ""),
        node=spec.get("nodeName", ""),
        gpus=_requested_gpus(spec),
        finished=status.get("phase") in {"Succeeded", "Failed"},
        ready=ready.get("status") == "True",
        terminating="deletionTimestamp" in live["metadata"],
        created=parse_time(live["metadata"].get("creationTimestamp")),
        unschedulable=_unschedulable(status),
        trouble=_trouble(status),
        restarts=sum(item.get("restartCount", 0) for item in status.get("containerStatuses") or ()),
        address=status.get("podIP", ""),
        gateway=labels.get(GATEWAY_LABEL, ""),
        leaving=LEAVING_ANNOTATION in (live["metadata"].get("annotations") or {}),
        initialized=_initialized(status),
        started=_started(status),
        ready_since=parse_time(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        last_exit=_last_exit(status),
        disrupted=_disrupted(status),
    )


def parse_time(text: str | None) -> datetime | None:
    """RFC 3339 as the API server writes it, or None."""
    return datetime.fromisoformat(text) if text else None


def _requested_gpus(spec: Object) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for container in spec.get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        for resource in GPU_RESOURCES:
            if resource in limits:
                wanted[resource] = wanted.get(resource, 0) + int(limits[resource])
    return wanted


def _found(status: Object, kind: str) -> Object:
    conditions: list[Object] = status.get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _condition(status: Object, kind: str) -> str:
    return str(_found(status, kind).get("status", "Unknown"))


def _initialized(status: Object) -> datetime | None:
    """The pod's own start where no kubelet says more."""
    condition = _found(status, "Initialized")
    through = condition.get("lastTransitionTime") if condition.get("status") == "True" else None
    return parse_time(through or status.get("startTime"))


def _started(status: Object) -> datetime | None:
    for container in status.get("containerStatuses") or ():
        running = (container.get("state") or {}).get("running") or {}
        if running.get("startedAt"):
            return parse_time(running["startedAt"])
    return None


def _last_exit(status: Object) -> str:
    for container in status.get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            ended = state.get("terminated")
            if ended:
                # An engine's last lines may quote a token or a prompt; statuses and events are read by many.
                words = redact_text(str(ended.get("message", "")).strip())[-_MESSAGE_LENGTH:]
                reason = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
                return f"{reason}: {words}" if words else reason
    return ""


def _disrupted(status: Object) -> str:
    condition = _found(status, "DisruptionTarget")
    return str(condition.get("reason") or "Disrupted") if condition.get("status") == "True" else ""


def _unschedulable(status: Object) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message", "unschedulable"))[:_MESSAGE_LENGTH]
    return ""


def _trouble(status: Object) -> str:
    """The waiting reason that will not pass by itself, such as CrashLoopBackOff or ImagePullBackOff."""
    statuses = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    for container in statuses:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in {"ContainerCreating", "PodInitializing"}:
            return f"{container.get('name')}: {reason}: {waiting.get('message', '')}"[:_MESSAGE_LENGTH]
    return ""


def slim_node(live: Object) -> NodeRecord:
    """A node's labels, taints, health and GPUs."""
    spec, status = live.get("spec") or {}, live.get("status") or {}
    return NodeRecord(
        **_identity(live),
        labels=_labels(live),
        capacity=_gpus(status.get("capacity")),
        allocatable=_gpus(status.get("allocatable")),
        ready=_condition(status, "Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        taints=tuple(
            (taint.get("key", ""), taint.get("value", ""), taint.get("effect", ""))
            for taint in spec.get("taints") or ()
        ),
    )


def _gpus(resources: Object | None) -> dict[str, int]:
    return (
        {resource: int(resources[resource]) for resource in GPU_RESOURCES if resource in resources} if resources else {}
    )


def slim_namespace(live: Object) -> NamespaceRecord:
    """A namespace's labels."""
    return NamespaceRecord(**_identity(live), labels=_labels(live))


def slim_quota(live: Object) -> QuotaRecord:
    """A ResourceQuota's GPU lines."""
    status = live.get("status") or {}
    hard = {**(live.get("spec", {}).get("hard") or {}), **(status.get("hard") or {})}
    return QuotaRecord(**_identity(live), hard=_quota_lines(hard), used=_quota_lines(status.get("used") or {}))


def _quota_lines(lines: Object) -> dict[str, int]:
    return {
        resource: int(lines[f"requests.{resource}"]) for resource in GPU_RESOURCES if f"requests.{resource}" in lines
    }
