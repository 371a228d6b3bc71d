"""The status of a Route, from what its gateway's table has of it and since when all replicas have that; pure.

Pods that come and go change tables many times a minute and say nothing here: what moves is who answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import Condition, ConditionStatus, find_condition
from penstock.api.route import Route, RouteStatus, RuleStatus
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.standing import Standing, is_answered, joined, outside
from penstock.reconcilers.verdicts import Verdict, ready, status_of
from penstock.rollout.drain import GatewayState, Routed, routable
from penstock.routing.explain import RouteExplanation, RuleExplanation
from penstock.routing.problems import Problem, ProblemReason

__all__ = ["RouteSeen", "route_status"]

_MESSAGE_LENGTH = 1024
_NAMES = frozenset({ProblemReason.NAME_NOT_GRANTED, ProblemReason.NAME_TAKEN})
_REFERENCES = frozenset(
    {
        ProblemReason.BACKEND_NOT_FOUND,
        ProblemReason.BACKEND_NOT_PERMITTED,
        ProblemReason.BACKEND_UNUSABLE,
        ProblemReason.MODEL_NOT_FOUND,
    }
)


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """What is known of a Route.

    `explanation` is None where the newest table does not have it. `state` says since which generation the published
    table has the Route as it is (0: it does not), and which replicas there are; None: nothing was read yet.
    `has_server`: the operator was given one.
    """

    standing: Standing
    explanation: RouteExplanation | None = None
    state: GatewayState | None = None
    has_server: bool = True


def route_status(custom: Custom[Route], seen: RouteSeen, *, now: datetime) -> dict[str, Any]:
    """The whole status as it is to be applied."""
    accepted = _accepted(custom, seen)
    if accepted.holds is None and is_answered(custom):
        return custom.status
    told = seen.explanation
    if told is None or outside(custom, seen.standing) is not None:
        return status_of(custom, _left_out(accepted), now)
    programmed = _programmed(custom, seen)
    verdicts = (accepted, _resolved(seen.standing.problems), programmed, _ready(accepted, programmed, told))
    return status_of(custom, verdicts, now, **_fields(told))


def _left_out(accepted: Verdict) -> Iterator[Verdict]:
    yield accepted
    yield Verdict("ResolvedRefs", holds=None, reason=_unlisted(accepted), message="No table has it")
    yield Verdict("Programmed", holds=False, reason=_unlisted(accepted), message="No table has it")
    yield ready((accepted,))


def _unlisted(accepted: Verdict) -> str:
    return "Pending" if accepted.holds is None else "NotAccepted"


def _accepted(custom: Custom[Route], seen: RouteSeen) -> Verdict:
    problems = seen.standing.problems
    verdict = outside(custom, seen.standing)
    if verdict is not None:
        return verdict
    refusing = [each for each in problems if each.refuses and not each.rule]
    if refusing:
        return Verdict("Accepted", holds=False, reason=refusing[0].reason, message=joined(refusing))
    if seen.explanation is None:
        message = f"The next table of {seen.standing.gateway} will have it"
        return Verdict("Accepted", holds=None, reason="Pending", message=message)
    return _taken(seen.explanation, problems)


def _taken(told: RouteExplanation, problems: Sequence[Problem]) -> Verdict:
    """Of a Route that the table has: nobody reaches it without a name, or it says nothing that can be acted on."""
    names = [each for each in problems if each.reason in _NAMES]
    if not told.model_names:
        reason = names[0].reason if names else "NoModelName"
        return Verdict("Accepted", holds=False, reason=reason, message=joined(names))
    unsupported = [each for each in problems if each.reason is ProblemReason.NOT_SUPPORTED]
    if {each.rule for each in unsupported if each.refuses} >= {rule.rule for rule in told.rules}:
        return Verdict("Accepted", holds=False, reason=ProblemReason.NOT_SUPPORTED, message=joined(unsupported))
    reason = "PartlyAccepted" if names or unsupported else "Accepted"
    return Verdict("Accepted", holds=True, reason=reason, message=joined((*names, *unsupported)))


def _resolved(problems: Sequence[Problem]) -> Verdict:
    found = [each for each in problems if each.reason in _REFERENCES]
    if found:
        return Verdict("ResolvedRefs", holds=False, reason=found[0].reason, message=joined(found))
    return Verdict("ResolvedRefs", holds=True, reason="ResolvedRefs")


def _programmed(custom: Custom[Route], seen: RouteSeen) -> Verdict:
    if not seen.has_server:
        message = "The operator was given no server to publish tables to"
        return Verdict("Programmed", holds=False, reason="NoServer", message=message)
    if seen.state is None or seen.state.replicas is None:
        return _unheard(custom, seen.state)
    reason, message = routable([seen.state])
    if reason is Routed.ROUTABLE:
        return Verdict("Programmed", holds=True, reason="Programmed")
    if reason is Routed.NOT_ACKNOWLEDGED:
        # Who lags is in the gateway's status, once for all of its Routes.
        message = f"Not every replica of {seen.state.name} has acknowledged it; its own status names them"
    return Verdict("Programmed", holds=False, reason=reason, message=message)


def _unheard(custom: Custom[Route], state: GatewayState | None) -> Verdict:
    """Nobody says what the replicas have. What they had they go on with, for nothing is published meanwhile."""
    conditions = (Condition.model_validate(each) for each in custom.status.get("conditions", ()))
    before = find_condition(conditions, "Programmed")
    had = before is not None and before.status is ConditionStatus.TRUE
    if had and is_answered(custom) and (state is None or state.generation):
        return Verdict("Programmed", holds=True, reason="Programmed")
    message = "The server does not say what the replicas have"
    return Verdict("Programmed", holds=None, reason=Routed.SERVER_AWAY, message=message)


def _ready(accepted: Verdict, programmed: Verdict, told: RouteExplanation) -> Verdict:
    """A Route of which some rules answer is ready, and says which do not; so is one with a reference to nothing."""
    if not accepted.holds or not programmed.holds:
        return ready((accepted, programmed))
    if not any(rule.answers for rule in told.rules):
        return Verdict("Ready", holds=False, reason="NothingAnswers", message=told.headline)
    return ready((), told.headline, "PartlyAnswers" if told.degraded else "Ready")


def _fields(told: RouteExplanation) -> dict[str, Any]:
    status = RouteStatus(
        model_names=told.model_names,
        answering_rules=sum(rule.answers for rule in told.rules),
        rules=tuple(_rule(rule) for rule in told.rules),
    )
    own = {"conditions", "observed_generation"}
    return status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=own)


def _rule(rule: RuleExplanation) -> RuleStatus:
    whole = rule.answers and not rule.absent and not rule.problems
    live = rule.live if rule.answers else ()
    return RuleStatus(name=rule.rule, live_backends=live, message="" if whole else rule.sentence[:_MESSAGE_LENGTH])
