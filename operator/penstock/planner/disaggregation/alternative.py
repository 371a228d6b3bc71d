"""Prefill and decode apart, as one of the alternatives that lost to running together."""

from collections.abc import Iterator

from penstock.api.modeldeployment import DisaggregationMode
from penstock.planner.disaggregation.advice import advise
from penstock.planner.offers import Market
from penstock.planner.plan import Plan, Rejection, RejectionReason
from penstock.planner.requirements import Requirements

__all__ = ["apart_or_why_not"]


def apart_or_why_not(wants: Requirements, market: Market, plan: Plan) -> Iterator[Rejection]:
    """The layout that would be worth it beside the best plan, or the gate that it fails; nothing where it is Off."""
    offer = market.find(plan.pool)
    if wants.disaggregation is DisaggregationMode.OFF or offer is None:
        return
    advice = advise(wants, offer, plan, required=wants.disaggregation is DisaggregationMode.REQUIRED)
    if advice.layout is None:
        message = f"prefill and decode run together: {advice.reason}"
    else:
        message = f"{advice.reason}; this release renders no such workers yet and runs both together"
    yield Rejection(RejectionReason.PREFILL_DECODE, message, plan.pool, plan.engine, plan.checkpoint.precision)
