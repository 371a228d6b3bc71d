"""The status of a Deployment from its ReplicaSets; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from penstock.cluster.fake.player.objects import Object, name_of, with_condition

__all__ = ["Figures", "Progress", "deployment_status", "share"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Pods of a Deployment, counted; `pods` leaves terminating ones out, as Kubernetes does."""

    wanted: int
    pods: int
    updated: int
    ready: int
    available: int
    allowed_unavailable: int

    @classmethod
    def of(cls, live: Object, sets: Iterable[Object], current: str) -> "Figures":
        """Add up the status of its ReplicaSets; `current` is the name of the newest."""
        statuses = [(name_of(each), each.get("status", {})) for each in sets]
        bound = (live["spec"].get("strategy", {}).get("rollingUpdate") or {}).get("maxUnavailable", 0)
        return cls(
            wanted=live["spec"]["replicas"],
            pods=sum(status.get("replicas", 0) for _, status in statuses),
            updated=sum(status.get("replicas", 0) for name, status in statuses if name == current),
            ready=sum(status.get("readyReplicas", 0) for _, status in statuses),
            available=sum(status.get("availableReplicas", 0) for _, status in statuses),
            allowed_unavailable=share(bound, live["spec"]["replicas"], up=False),
        )

    @property
    def complete(self) -> bool:
        """True where every pod is of the newest template and available."""
        return self.updated == self.pods == self.available == self.wanted


@dataclass(slots=True)
class Progress:
    """When a roll-out last came a step further, on the monotonic clock."""

    uid: str
    figures: Figures
    since: float

    def note(self, figures: Figures, now: float) -> None:
        """More updated or ready pods, fewer old ones, or another wish: a step further."""
        before, self.figures = self.figures, figures
        further = (
            figures.updated > before.updated
            or figures.ready > before.ready
            or figures.available > before.available
            or figures.pods - figures.updated < before.pods - before.updated
            or figures.wanted != before.wanted
            or before.complete
        )
        if further:
            self.since = now


def share(bound: int | str, wanted: int, *, up: bool) -> int:
    """A number, or a percentage of the replicas, rounded as Kubernetes does."""
    if isinstance(bound, int):
        return bound
    percent = int(bound.rstrip("%"))
    return -(-wanted * percent // 100) if up else wanted * percent // 100


def deployment_status(live: Object, figures: Figures, *, current: str, late: bool, now: datetime) -> Object:
    """The whole status; counts of zero are left out, as the real controller leaves them."""
    counts = {
        "replicas": figures.pods,
        "updatedReplicas": figures.updated,
        "readyReplicas": figures.ready,
        "availableReplicas": figures.available,
        "unavailableReplicas": max(0, figures.wanted - figures.available),
    }
    conditions = live.get("status", {}).get("conditions") or []
    for condition in (_available(figures), _progressing(figures, current=current, late=late)):
        conditions = with_condition(conditions, condition, now=now)
    return {
        "observedGeneration": live["metadata"].get("generation", 1),
        **{name: count for name, count in counts.items() if count},
        "conditions": conditions,
    }


def _available(figures: Figures) -> Object:
    if figures.available >= figures.wanted - min(figures.allowed_unavailable, figures.wanted):
        message = "Deployment has minimum availability."
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": message}
    message = "Deployment does not have minimum availability."
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": message}


def _progressing(figures: Figures, *, current: str, late: bool) -> Object:
    if late:
        status, reason, message = (
            "False",
            "ProgressDeadlineExceeded",
            f'ReplicaSet "{current}" has timed out progressing.',
        )
    elif figures.complete:
        status, reason, message = (
            "True",
            "NewReplicaSetAvailable",
            f'ReplicaSet "{current}" has successfully progressed.',
        )
    else:
        status, reason, message = "True", "ReplicaSetUpdated", f'ReplicaSet "{current}" is progressing.'
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}
