"""What needs attention, most urgent first: one finding per resource, with the cause at its root.

A deployment without a place is not available and not ready either; three lines about one thing hide the others. So
how bad it is comes from the worst condition, and why from the first in the order of causes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from pydantic import ValidationError

from penstock.api.conditions import Condition, ConditionStatus, Status
from penstock.operations.view import name_of, namespace_of, part

__all__ = ["Finding", "Urgency", "findings", "read_status"]

Object = dict[str, Any]

_PATIENCE = timedelta(minutes=15)
"""Longer than a 70B model takes to load from a hub at 1 GB/s; what still starts after that is stuck."""

_CAUSES = ("Accepted", "ResolvedRefs", "CredentialsResolved", "KeyIssued", "Exclusive", "Placed", "Available")
_CONSEQUENCES = ("Programmed", "Routable", "Ready")
_STARTING = frozenset(
    {
        *("Loading", "NotServing", "Pending", "Creating", "WaitingForNewRevision"),
        *("Draining", "InFlight", "NotPublished", "NotAcknowledged"),
    }
)
"""Reasons that pass by themselves, as a rule."""
_WANTED = frozenset({"ScaledToZero", "NotRouted"})
"""False by the user's own wish."""


class Urgency(IntEnum):
    """How soon somebody should look; the lowest first."""

    NOT_SERVING = 0
    DEGRADED = 1
    REFUSED = 2
    PENDING = 3

    @property
    def words(self) -> str:
        """As tables say it."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One resource that is not as it should be; `since` is None where nobody knows."""

    urgency: Urgency
    kind: str
    namespace: str
    name: str
    condition: str
    reason: str
    message: str
    since: datetime | None = None

    @property
    def place(self) -> str:
        """`namespace/name`, or the name of what has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def findings(resources: Iterable[Object], now: datetime) -> tuple[Finding, ...]:
    """At most one per resource of ours, sorted by urgency and name."""
    found = [finding for live in resources for finding in _judge(live, now)]
    return tuple(sorted(found, key=lambda each: (each.urgency, each.kind, each.namespace, each.name)))


def read_status(live: Object) -> Status:
    """Its conditions and generation; an empty status where it cannot be read."""
    try:
        return Status.model_validate(part(live, "status"))
    except ValidationError:
        return Status()


def _judge(live: Object, now: datetime) -> Iterator[Finding]:
    status, metadata = read_status(live), part(live, "metadata")
    conditions = {each.type: each for each in status.conditions}
    if metadata.get("deletionTimestamp"):
        yield _leaving(live, conditions, now)
        return
    if not conditions:
        message = "The operator has not looked at it yet; where this stays, run `penstock doctor`"
        yield _finding(live, Urgency.PENDING, _unseen(message, _time(metadata.get("creationTimestamp"))))
        return
    bad = {name: each for name, each in conditions.items() if _is_bad(each)}
    if bad:
        cause = next(bad[name] for name in (*_CAUSES, *_CONSEQUENCES, *bad) if name in bad)
        yield _finding(live, _urgency(live, conditions, bad, now), cause)
    elif status.observed_generation < int(metadata.get("generation") or 0):
        message = "The operator has not looked at the newest spec yet"
        yield _finding(live, Urgency.PENDING, _unseen(message, None))


def _is_bad(condition: Condition) -> bool:
    return condition.status is not ConditionStatus.TRUE and condition.reason not in _WANTED


def _urgency(live: Object, conditions: dict[str, Condition], bad: dict[str, Condition], now: datetime) -> Urgency:
    starting = _starts(bad, now)
    if _is_dead(live, conditions):
        return Urgency.PENDING if starting else Urgency.NOT_SERVING
    if "Accepted" in bad and bad["Accepted"].status is ConditionStatus.FALSE:
        return Urgency.REFUSED
    return Urgency.PENDING if starting else Urgency.DEGRADED


def _is_dead(live: Object, conditions: dict[str, Condition]) -> bool:
    """Nobody gets an answer from it, and somebody should."""
    match live.get("kind"):
        case "ModelDeployment" | "InferenceGateway":
            available = conditions.get("Available")
            return available is not None and available.status is ConditionStatus.FALSE and _is_bad(available)
        case "Route":
            ready = conditions.get("Ready")
            return not part(live, "status").get("answeringRules") and ready is not None and _is_bad(ready)
    return False


def _starts(bad: dict[str, Condition], now: datetime) -> bool:
    """Everything that is wrong is so by nature at first, and has not been for long."""
    return all(
        (each.reason in _STARTING or each.status is ConditionStatus.UNKNOWN)
        and (each.last_transition_time is None or now - each.last_transition_time < _PATIENCE)
        for each in bad.values()
    )


def _leaving(live: Object, conditions: dict[str, Condition], now: datetime) -> Finding:
    since = _time(part(live, "metadata").get("deletionTimestamp"))
    late = since is not None and now - since > _PATIENCE
    drained = conditions.get("Drained")
    message = drained.message if drained else "It is being deleted"
    if late and not drained:
        message = "It is being deleted and something holds it; is the operator running? See `penstock doctor`"
    said = Condition(
        type="Drained" if drained else "Deleted",
        status=ConditionStatus.UNKNOWN,
        reason=drained.reason if drained else "Deleting",
        message=message,
        last_transition_time=since,
    )
    return _finding(live, Urgency.DEGRADED if late else Urgency.PENDING, said)


def _unseen(message: str, since: datetime | None) -> Condition:
    return Condition(
        type="Accepted",
        status=ConditionStatus.UNKNOWN,
        reason="NotObserved",
        message=message,
        last_transition_time=since,
    )


def _finding(live: Object, urgency: Urgency, cause: Condition) -> Finding:
    return Finding(
        urgency=urgency,
        kind=str(live.get("kind") or ""),
        namespace=namespace_of(live),
        name=name_of(live),
        condition=cause.type,
        reason=cause.reason,
        message=cause.message,
        since=cause.last_transition_time,
    )


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
