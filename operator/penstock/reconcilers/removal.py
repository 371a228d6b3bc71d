"""Something of a deployment that is taken away, and whether gateways have let go of it: read from the traffic; pure.

Since when it is waited is read from the condition `Drained`, so that a restart neither shortens a wait nor begins it
anew: Unknown since something leaves, False since every replica has acknowledged that and only requests are in flight.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import ConditionStatus
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.stored import parse_time
from penstock.reconcilers.traffic import Traffic, backend_name
from penstock.rollout.drain import Drain, Drained, drained, in_flight
from penstock_policy.table import Rule

__all__ = ["FORCE_ANNOTATION", "Removal", "deadline_of", "drained_condition", "judge", "worst"]

FORCE_ANNOTATION = "penstock.dev/force-drain-after"
"""The user's own deadline, after which what is taken away goes whatever is in flight."""

_LONGEST_REQUEST_SECONDS = 600.0
_DURATION = re.compile(r"([0-9]{1,7})(s|m|h)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}
_BADNESS = {Drained.DRAINED: 0, Drained.FORCED: 0, Drained.IN_FLIGHT: 1}


@dataclass(frozen=True, slots=True)
class Removal:
    """`what` is taken away, and may go or waits; seconds until a time is over that ends the wait, None: there is none.

    `in_flight` is how many requests were under way there when it was judged.
    """

    what: str
    verdict: Drained
    message: str = ""
    look_again_seconds: float | None = None
    in_flight: int = 0

    @property
    def may_go(self) -> bool:
        """True where nothing holds it back any more."""
        return self.verdict in {Drained.DRAINED, Drained.FORCED}


def worst(removals: Iterable[Removal]) -> Removal | None:
    """Of those that wait the one that is furthest from its end, None where none waits."""
    waiting = [removal for removal in removals if not removal.may_go]
    return max(waiting, key=lambda removal: _BADNESS.get(removal.verdict, 2), default=None)


def judge(
    traffic: Traffic, custom: Custom[ModelDeployment], what: str, endpoints: Iterable[str], now: datetime
) -> Removal:
    """Whether these endpoints may go."""
    places = frozenset(endpoints)
    gateways, refused = traffic.departures(places), ""
    try:
        deadline = deadline_of(custom)
    except Refused as refusal:
        deadline, refused = None, f". {refusal}"
    drain = Drain(
        endpoints=places,
        waited_seconds=_waited(custom, now),
        in_flight_seconds=_longest_request(traffic, backend_name(custom.namespace, custom.name)),
        asked_seconds=_asked(custom, now),
        deadline_seconds=deadline,
    )
    verdict, message = drained(gateways, drain)
    again = _look_again(verdict, drain)
    return Removal(what, verdict, f"{message}{refused}", again, in_flight(gateways, places))


def deadline_of(custom: Custom[ModelDeployment]) -> float | None:
    """The annotation's seconds, None where there is none; Refused where it is no duration."""
    annotations = custom.parsed.metadata.annotations if custom.parsed else {}
    value = annotations.get(FORCE_ANNOTATION)
    if value is None:
        return None
    match = _DURATION.fullmatch(value)
    if match is None:
        field = f"metadata.annotations[{FORCE_ANNOTATION}]"
        raise Refused([Refusal(field, value, "it is not a duration", "Write it such as 10m, 2h, 90s or 600")])
    return float(int(match[1]) * _SECONDS[match[2]])


def drained_condition(custom: Custom[ModelDeployment]) -> Mapping[str, Any]:
    """The condition as it was written last, empty where nothing was being taken away."""
    conditions = custom.status.get("conditions", ())
    return next((each for each in conditions if each.get("type") == "Drained"), {})


def _waited(custom: Custom[ModelDeployment], now: datetime) -> float:
    condition = drained_condition(custom)
    if condition.get("status") != ConditionStatus.FALSE:
        return 0.0
    return _seconds_since(parse_time(condition.get("lastTransitionTime")), now)


def _asked(custom: Custom[ModelDeployment], now: datetime) -> float:
    """A deletion has a time of its own; anything else began when the condition came, or last took a step."""
    deleted = custom.parsed.metadata.deletion_timestamp if custom.parsed else None
    return _seconds_since(deleted or parse_time(drained_condition(custom).get("lastTransitionTime")), now)


def _seconds_since(then: datetime | None, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds()) if then else 0.0


def _longest_request(traffic: Traffic, backend: str) -> float:
    """As long as any rule that names it lets a request take; a rule that says nothing, as long as gateways do."""
    tables = (gateway.table for gateway in traffic.gateways.values() if gateway.table is not None)
    rules = (rule for table in tables for route in table.routes for rule in route.rules if _names(rule, backend))
    return max((rule.limits.request_seconds or _LONGEST_REQUEST_SECONDS for rule in rules), default=0.0) or (
        _LONGEST_REQUEST_SECONDS
    )


def _names(rule: Rule, backend: str) -> bool:
    return backend in rule.fallback or any(share.backend == backend for share in rule.shares)


def _look_again(verdict: Drained, drain: Drain) -> float | None:
    ends = [drain.in_flight_seconds - drain.waited_seconds] if verdict is Drained.IN_FLIGHT else []
    if drain.deadline_seconds is not None:
        ends.append(drain.deadline_seconds - drain.asked_seconds)
    return min((end for end in ends if end > 0), default=None)
