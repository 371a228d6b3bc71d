"""A rule's time limits and attempts: of each limit that is stated twice, the smaller one."""

from penstock.api.refusals import Refusal
from penstock.api.route import Constraints, RouteRule, Timeouts
from penstock.routing.problems import Finding, ProblemReason
from penstock_policy.table import Limits

__all__ = ["crossed", "limits_of"]


def limits_of(rule: RouteRule) -> Limits:
    """Limits in seconds; what nobody states is the gateway's."""
    timeouts, constraints = rule.timeouts or Timeouts(), rule.constraints or Constraints()
    given = {} if rule.retries is None else {"attempts": rule.retries.attempts + 1}
    return Limits(
        request_seconds=_smaller(timeouts.request_seconds, constraints.total_latency_milliseconds),
        first_token_seconds=_smaller(timeouts.first_token_seconds, constraints.time_to_first_token_milliseconds),
        **given,
    )


def _smaller(seconds: int | None, milliseconds: int | None) -> float | None:
    stated = [float(seconds)] if seconds is not None else []
    stated += [milliseconds / 1000] if milliseconds is not None else []
    return min(stated, default=None)


def crossed(rule: RouteRule, place: str) -> Finding | None:
    """The finding where a request is given up before its first token is late; both limits hold all the same."""
    limits = limits_of(rule)
    total, first = limits.request_seconds, limits.first_token_seconds
    if total is None or first is None or total > first:
        return None
    by_constraint = rule.constraints is not None and rule.constraints.total_latency_milliseconds == total * 1000
    field = "constraints.totalLatencyMilliseconds" if by_constraint else "timeouts.requestSeconds"
    value = str(round(total * 1000)) if by_constraint else f"{total:g}"
    reason = f"is {total:g} s for the whole request, and the first token alone may take {first:g} s"
    cure = "Give the whole request more time than its first token"
    return Finding(ProblemReason.LIMITS_CROSSED, Refusal(f"{place}.{field}", value, reason, cure))
