"""The status of a Consumer: whether its gateway admits it, what became of its key, what it may call; pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.consumer import Consumer, ConsumerStatus
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.secrets import KeyFact, unusable_key
from penstock.reconcilers.standing import Standing, is_answered, joined, outside
from penstock.reconcilers.verdicts import Verdict, ready, status_of
from penstock.routing.problems import Problem, ProblemReason

__all__ = ["ConsumerSeen", "consumer_status"]

_MOST_ROUTES = 64
_OF_KEYS = frozenset({ProblemReason.KEY_MISSING, ProblemReason.KEY_TAKEN})
"""Told by KeyIssued."""


@dataclass(frozen=True, slots=True)
class ConsumerSeen:
    """What is known of a Consumer; `key` is None until somebody has looked, `routes` are those that it may call."""

    standing: Standing
    key: KeyFact | None = None
    routes: Collection[str] = ()


def consumer_status(custom: Custom[Consumer], seen: ConsumerSeen, *, now: datetime) -> dict[str, Any]:
    """The whole status as it is to be applied."""
    accepted, issued = _accepted(custom, seen.standing), _issued(seen)
    if accepted.holds is None and is_answered(custom):
        return custom.status
    routes = sorted(seen.routes) if accepted.holds else []
    status = ConsumerStatus(routes=tuple(routes[:_MOST_ROUTES]), route_count=len(routes))
    own = {"conditions", "observed_generation"}
    fields = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=own)
    return status_of(custom, (accepted, issued, _ready((accepted, issued), custom, seen)), now, **fields)


def _accepted(custom: Custom[Consumer], standing: Standing) -> Verdict:
    verdict = outside(custom, standing)
    if verdict is not None:
        return verdict
    found = [each for each in standing.problems if each.reason not in _OF_KEYS]
    refusing = [each for each in found if each.refuses]
    if refusing:
        return Verdict("Accepted", holds=False, reason=refusing[0].reason, message=joined(refusing))
    return Verdict("Accepted", holds=True, reason="PartlyAccepted" if found else "Accepted", message=joined(found))


def _issued(seen: ConsumerSeen) -> Verdict:
    key = seen.key
    if key is None:
        message = "Nobody has looked at its Secret yet"
        return Verdict("KeyIssued", holds=None, reason="Pending", message=message)
    if key.reason:
        return Verdict("KeyIssued", holds=False, reason=key.reason, message=unusable_key("spec.keySecretRef", key))
    taken: Sequence[Problem] = [p for p in seen.standing.problems if p.reason is ProblemReason.KEY_TAKEN]
    if taken:
        return Verdict("KeyIssued", holds=False, reason=ProblemReason.KEY_TAKEN, message=joined(taken))
    message = f"In Secret '{key.secret[1]}', key '{key.key}'"
    return Verdict("KeyIssued", holds=True, reason="Issued" if key.issued else "Found", message=message)


def _ready(parts: tuple[Verdict, Verdict], custom: Custom[Consumer], seen: ConsumerSeen) -> Verdict:
    verdict = ready(parts)
    if not verdict.holds or seen.routes:
        return verdict
    if any(each.reason is ProblemReason.KEY_MISSING for each in seen.standing.problems):
        # The key was found since the table was made.
        message = f"The next table of {seen.standing.gateway} will have its key"
        return Verdict("Ready", holds=False, reason="Pending", message=message)
    message = f"Namespace '{custom.namespace}' has no Route on {seen.standing.gateway} that it may call"
    return Verdict("Ready", holds=False, reason="NoRoute", message=message)
