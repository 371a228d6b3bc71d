"""Why each candidate that fits lost to the one that was chosen, with what it would cost."""

from penstock.api.quantities import Money
from penstock.planner.candidates import Candidate, Shortlist
from penstock.planner.checkpoints import Standing
from penstock.planner.plan import Plan, Rejection, RejectionReason

__all__ = ["MOST_REJECTIONS", "losers", "plan_rejection"]

MOST_REJECTIONS = 64


def plan_rejection(plan: Plan, reason: RejectionReason, message: str) -> Rejection:
    """A rejection of exactly this plan."""
    return Rejection(
        reason,
        message,
        pool=plan.pool,
        engine=plan.engine,
        precision=plan.checkpoint.precision,
        tensor_parallel=plan.tensor_parallel,
    )


def losers(chosen: Plan, shortlist: Shortlist, without_room: tuple[Rejection, ...] = ()) -> tuple[Rejection, ...]:
    """Everything that lost, what was liked better first; at most `MOST_REJECTIONS`."""
    place = next((index for index, each in enumerate(shortlist.candidates) if _same(each.plan, chosen)), -1)
    tried = {(each.pool, each.precision, each.tensor_parallel) for each in without_room}
    rest = [
        _lost(candidate, chosen, before=index < place)
        for index, candidate in enumerate(shortlist.candidates)
        if index != place and _identity(candidate.plan) not in tried
    ]
    return (*without_room, *rest, *shortlist.rejections)[:MOST_REJECTIONS]


def _identity(plan: Plan) -> tuple[str, str, int]:
    return plan.pool, plan.checkpoint.precision, plan.tensor_parallel


def _same(plan: Plan, other: Plan) -> bool:
    return _identity(plan) == _identity(other) and plan.checkpoint.model == other.checkpoint.model


def _lost(candidate: Candidate, chosen: Plan, *, before: bool) -> Rejection:
    plan = candidate.plan
    if plan.pool == chosen.pool:
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, _other_format(candidate, chosen))
    if before:
        message = "it would fit by now, and what is placed is not moved for a better place"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    return _other_pool(plan, chosen)


def _other_format(candidate: Candidate, chosen: Plan) -> str:
    precision, better = candidate.plan.checkpoint.precision, chosen.checkpoint.precision
    match candidate.standing:
        case Standing.LAST_RESORT:
            return f"{precision} is used only where nothing else fits or the KV cache would hold less than a batch"
        case Standing.TO_FIT:
            return f"{precision} makes {candidate.plan.accelerator} no faster and is used only to fit"
        case _:
            return f"{better} is preferred on {chosen.accelerator}"


def _other_pool(plan: Plan, chosen: Plan) -> Rejection:
    difference = _difference(plan, chosen)
    if difference is None:
        message = f"comes after pool {chosen.pool}, and the prices cannot be compared"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    currency, micro = difference
    if micro > 0:
        message = f"{plan.price_per_replica_hour}/h per replica, {Money(currency, micro)}/h more than {chosen.pool}"
        return plan_rejection(plan, RejectionReason.COSTS_MORE, message)
    saves = f", though {Money(currency, -micro)}/h cheaper per replica" if micro else " at the same price"
    return plan_rejection(plan, RejectionReason.NOT_PREFERRED, f"comes after pool {chosen.pool}{saves}")


def _difference(plan: Plan, chosen: Plan) -> tuple[str, int] | None:
    price, other = plan.price_per_replica_hour, chosen.price_per_replica_hour
    if price is None or other is None or price.currency != other.currency:
        return None
    return price.currency, price.micro - other.micro
