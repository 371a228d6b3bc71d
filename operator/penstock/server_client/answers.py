"""What the control-plane server says, as far as the operator acts on it."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LiveReplica", "LiveReplicas", "PublishedHead"]


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """What the server holds of a gateway's table: the highest term that wrote, and an empty hash for no table."""

    term: int
    generation: int
    hash: str


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A gateway replica that was heard of lately, and what it reported last.

    `in_flight` counts requests by backend. `leaving` counts those by endpoint that the replica's table no longer has,
    `*` for all others beyond a bound; replicas of older versions say nothing of them, and it is empty.
    """

    uid: str
    pod: str
    generation: int
    hash: str
    credential_version: str
    state: str
    version: str
    in_flight: Mapping[str, int]
    leaving: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LiveReplicas:
    """All that are live, by pod uid; `since` goes into the next question, to wait until it is not so any more."""

    replicas: tuple[LiveReplica, ...]
    since: str
