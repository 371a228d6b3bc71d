"""What the API server's audit log says of our own accounts: what was refused, written and read, and never used."""

from collections.abc import Iterator
from dataclasses import dataclass

from installed.manifests import SYSTEM_NAMESPACE
from level3.audit import AuditEvent
from level3.cluster import Cluster
from penstock.access.rights import Asked, Process, Reach, Right, granting
from penstock.access.table import RIGHTS

__all__ = ["Unused", "refused_requests", "secrets_read", "unused_rules", "writes"]

_ACCOUNT = f"system:serviceaccount:{SYSTEM_NAMESPACE}:penstock-"
_READS = frozenset({"get", "list", "watch"})
_REVIEWS = frozenset({"tokenreviews", "subjectaccessreviews"})
_COMPLETE = "ResponseComplete"


@dataclass(frozen=True, slots=True)
class Unused:
    """A rule of which nothing was asked."""

    right: Right

    def __str__(self) -> str:
        """As the table has it."""
        right = self.right
        return f"{right.process} {right.scope} {'/'.join(right.verbs)} {', '.join(right.resources)}"


def _ours(cluster: Cluster) -> Iterator[tuple[Process, AuditEvent]]:
    for event in cluster.audit():
        if event.user.startswith(_ACCOUNT):
            yield Process(event.user.removeprefix(_ACCOUNT)), event


def refused_requests(cluster: Cluster) -> list[str]:
    """Every request of ours that was not allowed, once each."""
    refused = {
        f"{process} {event.verb} {event.resource} {event.namespace}/{event.name}: {event.code} {event.reason}"
        for process, event in _ours(cluster)
        if event.decision != "allow"
    }
    return sorted(refused)


def secrets_read(cluster: Cluster) -> set[str]:
    """Namespaces whose Secrets were asked for, an empty name where they were asked for everywhere."""
    return {event.namespace for _, event in _ours(cluster) if event.resource == "secrets"}


def writes(cluster: Cluster, *, since: str) -> list[str]:
    """Writes since then (RFC 3339, UTC), but for Leases and questions to the authorizer."""
    return [
        f"{event.at} {process} {event.verb} {event.resource}/{event.subresource} {event.namespace}/{event.name}"
        for process, event in _ours(cluster)
        if event.at >= since
        and event.verb not in _READS
        and event.resource not in {"leases", *_REVIEWS}
        and event.stage == _COMPLETE
    ]


def unused_rules(cluster: Cluster, reach: Reach) -> list[Unused]:
    """Rules whose use an audit log would show, and of which none has been seen."""
    used: set[Right] = set()
    for process, event in _ours(cluster):
        asked = Asked(event.verb, event.group, event.resource, event.subresource, event.namespace, event.name)
        used.update(granting(asked, process, RIGHTS, reach))
    return [Unused(right) for right in RIGHTS if right not in used and not right.unaudited]
