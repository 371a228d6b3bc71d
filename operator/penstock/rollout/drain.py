"""When may a backend be relied on, and when may it be taken away: by what every gateway replica has acknowledged.

A replica sends to what its table says. So endpoints are routable when each live replica has a table that holds them,
and drained when each has one that does not and nothing is in flight there. While the server is away nobody knows, and
nothing is removed. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Drain", "Drained", "GatewayState", "Replica", "Routed", "drained", "in_flight", "routable"]

_OTHERS = "*"
"""Under which a replica counts what it has no room to list."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Replica:
    """A gateway replica that the server has heard of lately."""

    name: str
    generation: int
    """Of the table that it has applied; 0: none yet."""
    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Requests by endpoint; only endpoints that left its table are listed."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A gateway that may send to the endpoints, as the server knows it."""

    name: str
    generation: int
    """Of the published table in which they all came in, or from which on none is in; 0: not published yet."""
    replicas: Sequence[Replica] | None
    """None: the server does not answer, so that nobody knows."""


class Routed(StrEnum):
    """Why a backend is routable, or is not yet."""

    ROUTABLE = "Routable"
    NOT_ROUTED = "NotRouted"
    NOT_SERVING = "NotServing"
    SERVER_AWAY = "ServerAway"
    NOT_PUBLISHED = "NotPublished"
    NOT_ACKNOWLEDGED = "NotAcknowledged"
    NO_REPLICA = "NoReplica"


class Drained(StrEnum):
    """Why a backend may be removed, or what it waits for."""

    DRAINED = "Drained"
    FORCED = "ForcedDrain"
    SERVER_AWAY = "ServerAway"
    NOT_PUBLISHED = "NotPublished"
    NOT_ACKNOWLEDGED = "NotAcknowledged"
    IN_FLIGHT = "InFlight"


@dataclass(frozen=True, slots=True)
class Drain:
    """A removal that is under way: of these endpoints; seconds."""

    endpoints: frozenset[str]
    waited_seconds: float
    """Since the removal was published everywhere; 0 before that."""
    in_flight_seconds: float
    """How long requests in flight are waited for: no request may take longer."""
    asked_seconds: float = 0.0
    """Since the removal was asked for."""
    deadline_seconds: float | None = None
    """After which the user wants it gone whatever is in flight; None: never forced."""


def routable(gateways: Iterable[GatewayState]) -> tuple[Routed, str]:
    """The verdict and a sentence; no gateway at all means that no Route refers to it."""
    known = tuple(gateways)
    if not known:
        return Routed.NOT_ROUTED, "No Route refers to it"
    for gateway in known:
        if gateway.replicas is None:
            return Routed.SERVER_AWAY, _away(gateway)
        if not gateway.generation:
            return Routed.NOT_PUBLISHED, f"The table of {gateway.name} with it is not published yet"
        if not gateway.replicas:
            return Routed.NO_REPLICA, f"{gateway.name} has no live replica"
        if late := _late(gateway, gateway.replicas):
            return Routed.NOT_ACKNOWLEDGED, _waits(gateway, late)
    return Routed.ROUTABLE, ""


def drained(gateways: Iterable[GatewayState], drain: Drain) -> tuple[Drained, str]:
    """The verdict and a sentence; a deadline of the user's ends every wait but the one for a publication.

    A gateway without any live replica sends nothing. A replica that comes later starts with the published table.
    """
    known = tuple(gateways)
    unpublished = next((gateway for gateway in known if not gateway.generation), None)
    if unpublished is not None:
        if unpublished.replicas is None:
            return Drained.SERVER_AWAY, _away(unpublished)
        return Drained.NOT_PUBLISHED, f"The table of {unpublished.name} without it is not published yet"
    verdict = _waiting(known, drain)
    if verdict is None:
        return Drained.DRAINED, ""
    if drain.deadline_seconds is not None and drain.asked_seconds >= drain.deadline_seconds:
        return Drained.FORCED, f"The deadline of {drain.deadline_seconds:.0f} s has passed. {verdict[1]}"
    return verdict


def in_flight(gateways: Iterable[GatewayState], endpoints: Iterable[str]) -> int:
    """How many requests the live replicas have under way there; what a replica does not list apart counts, too."""
    counted = {*endpoints, _OTHERS}
    replicas = (replica for gateway in gateways for replica in gateway.replicas or ())
    return sum(count for replica in replicas for place, count in replica.in_flight.items() if place in counted)


def _waiting(gateways: Sequence[GatewayState], drain: Drain) -> tuple[Drained, str] | None:
    for gateway in gateways:
        if gateway.replicas is None:
            return Drained.SERVER_AWAY, _away(gateway)
        if late := _late(gateway, gateway.replicas):
            return Drained.NOT_ACKNOWLEDGED, _waits(gateway, late)
    if drain.waited_seconds < drain.in_flight_seconds and in_flight(gateways, drain.endpoints):
        # No count: it would change a status with every request that ends.
        return Drained.IN_FLIGHT, f"Requests are in flight; waiting {drain.in_flight_seconds:.0f} s at most"
    return None


def _away(gateway: GatewayState) -> str:
    return f"The server does not say what the replicas of {gateway.name} have"


def _late(gateway: GatewayState, replicas: Iterable[Replica]) -> list[str]:
    return sorted(replica.name for replica in replicas if replica.generation < gateway.generation)


def _waits(gateway: GatewayState, late: Sequence[str]) -> str:
    others = " and others" if len(late) > _MOST_NAMED else ""
    names = ", ".join(late[:_MOST_NAMED]) + others
    return f"{names} of {gateway.name} did not acknowledge generation {gateway.generation} yet"
