"""Conditions: what a resource says about itself, as Kubernetes' conventions ask."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api.integers import LargeCount
from penstock.api.markers import map_by
from penstock.api.meta import Model

__all__ = ["STALLED", "Condition", "ConditionStatus", "Status", "find_condition", "merge_conditions"]

STALLED = "Stalled"
_FINAL: Mapping[str, frozenset[str]] = {
    "Accepted": frozenset({"Invalid", "NotSupported", "URLInvalid"}),
    "Ready": frozenset({"ProgressDeadlineExceeded"}),
}
"""Reasons that time alone does not mend, by condition. What another resource mends, as GatewayNotFound, is none."""


class ConditionStatus(StrEnum):
    """Absence reads as Unknown."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One observation; `last_transition_time` moves only when `status` does."""

    type: Annotated[str, Field(max_length=64)]
    """What is observed, an adjective or past participle such as Ready."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Field(max_length=64)]
    """Why, one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, in words for people."""
    observed_generation: LargeCount = 0
    """The generation of the spec that was looked at."""
    last_transition_time: datetime | None = None
    """When `status` last changed."""


class Status(Model):
    """What every kind reports."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), map_by("type")] = ()
    """What holds and what does not, one entry per type."""
    observed_generation: LargeCount = 0
    """The generation of the spec that this status answers."""


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == kind), None)


def merge_conditions(old: Sequence[Condition], new: Iterable[Condition], now: datetime) -> tuple[Condition, ...]:
    """`new` in its order and what it comes to for tools that wait, each with when its status last flipped."""
    told = tuple(condition for condition in new if condition.type != STALLED)
    every = (*told, *_stalled(told))
    return tuple(_with_transition(condition, find_condition(old, condition.type), now) for condition in every)


def _stalled(told: Iterable[Condition]) -> Iterator[Condition]:
    """Waiting is of no use until somebody changes something: kstatus, and so Flux and Helm, fail at once by it."""
    for condition in told:
        if condition.status is ConditionStatus.FALSE and condition.reason in _FINAL.get(condition.type, ()):
            yield condition.model_copy(update={"type": STALLED, "status": ConditionStatus.TRUE})
            return


def _with_transition(condition: Condition, before: Condition | None, now: datetime) -> Condition:
    kept = before is not None and before.status == condition.status and before.last_transition_time is not None
    time = before.last_transition_time if kept and before else now.replace(microsecond=0)
    return condition.model_copy(update={"last_transition_time": time})
