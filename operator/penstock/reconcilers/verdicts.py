"""Verdicts on a resource, and the status that says them: conditions in one order, each with when it last flipped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import Condition, ConditionStatus, merge_conditions
from penstock.reconcilers.custom import Custom

__all__ = ["Verdict", "ready", "status_of"]

_MESSAGE_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition; `holds` is None where nobody knows."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""


def ready(verdicts: Sequence[Verdict], message: str = "", reason: str = "Ready") -> Verdict:
    """Ready where all of them hold; else for the first one's reason that does not."""
    for verdict in verdicts:
        if not verdict.holds:
            return Verdict("Ready", holds=False, reason=verdict.reason, message=verdict.message)
    return Verdict("Ready", holds=True, reason=reason, message=message)


def status_of(custom: Custom[Any], verdicts: Iterable[Verdict], now: datetime, **more: Any) -> dict[str, Any]:
    """As JSON; `more` are fields by their names in the API, left out where they are empty."""
    old = tuple(Condition.model_validate(each) for each in custom.status.get("conditions", ()))
    conditions = merge_conditions(old, (_condition(each, custom.generation) for each in verdicts), now)
    said = {name: value for name, value in more.items() if value not in (None, "", [], {}, ())}
    return {
        "conditions": [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in conditions],
        "observedGeneration": custom.generation,
        **said,
    }


def _condition(verdict: Verdict, generation: int) -> Condition:
    words = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE, None: ConditionStatus.UNKNOWN}
    return Condition(
        type=verdict.type,
        status=words[verdict.holds],
        reason=verdict.reason,
        message=verdict.message[:_MESSAGE_LENGTH],
        observed_generation=generation,
    )
