"""The installation's fixed names, and whether its operator is at work: by the leader's Lease, whatever runs it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.access.names import LEASE, OPERATOR
from penstock.cluster.resources import DEPLOYMENTS, LEASES
from penstock.operations.view import ClusterView, part

__all__ = [
    "Leader",
    "leader",
    "moment",
    "operator_arguments",
    "ready_replicas",
    "version_of",
]


_PAST_DURATIONS = 2


@dataclass(frozen=True, slots=True)
class Leader:
    """Who holds the Lease, and since when it was not renewed; negative where clocks differ."""

    holder: str
    silent: timedelta
    duration: timedelta

    @property
    def works(self) -> bool:
        """Somebody leads: a Lease that was given back has no holder, one of the dead is not renewed."""
        return bool(self.holder) and self.silent < self.duration * _PAST_DURATIONS


def leader(view: ClusterView, namespace: str, now: datetime) -> Leader | None:
    """The leader by the Lease; None where there is no Lease, or it could not be read."""
    live = view.find(LEASES, namespace, LEASE)
    spec = part(live or {}, "spec")
    renewed = moment(spec.get("renewTime"))
    if live is None or renewed is None:
        return None
    seconds = spec.get("leaseDurationSeconds")
    duration = timedelta(seconds=seconds if isinstance(seconds, int) and seconds > 0 else 15)
    return Leader(str(spec.get("holderIdentity") or ""), now - renewed, duration)


def operator_arguments(view: ClusterView, namespace: str) -> tuple[str, ...]:
    """What its container is started with; nothing where it does not run in this cluster."""
    live = view.find(DEPLOYMENTS, namespace, OPERATOR) or {}
    containers = part(live, "spec", "template", "spec").get("containers") or ()
    return tuple(str(each) for container in containers for each in container.get("args") or ())


def ready_replicas(view: ClusterView, namespace: str, name: str) -> tuple[int, int] | None:
    """Ready and wanted replicas of a Deployment; None where there is none."""
    live = view.find(DEPLOYMENTS, namespace, name)
    if live is None:
        return None
    wanted, ready = part(live, "spec").get("replicas"), part(live, "status").get("readyReplicas")
    return int(ready or 0), wanted if isinstance(wanted, int) else 1


def version_of(workload: dict[str, Any]) -> str:
    """The tag of its first container's image; empty where it has only a digest or none."""
    containers = part(workload, "spec", "template", "spec").get("containers") or part(workload, "spec").get(
        "containers"
    )
    image = str(containers[0].get("image") or "") if isinstance(containers, list) and containers else ""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def moment(text: Any) -> datetime | None:
    """A Kubernetes time, None where it is none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
