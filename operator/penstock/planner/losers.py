"""Why each candidate that fits lost to the one that was chosen, with what it would cost."""

from penstock.api.quantities import Money
from penstock.planner.candidates import Candidate, Shortlist
from penstock.planner.checkpoints import Standing
from penstock.planner.explain import compared, layout_in_words
from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection

__all__ = ["MOST_REJECTIONS", "losers", "plan_rejection"]

MOST_REJECTIONS = 64


def losers(chosen: Plan, shortlist: Shortlist, without_room: tuple[Rejection, ...] = ()) -> tuple[Rejection, ...]:
    """Everything that lost, what was liked better first; at most `MOST_REJECTIONS`."""
    place = next((index for index, each in enumerate(shortlist.candidates) if _same(each.plan, chosen)), -1)
    winner = shortlist.candidates[place] if place >= 0 else None
    tried = {(each.pool, each.engine, each.precision, each.layout) for each in without_room}
    told = {chosen.pool}
    firsts: list[Rejection] = []
    rest: list[Rejection] = []
    for index, candidate in enumerate(shortlist.candidates):
        if index == place or _identity(candidate.plan) in tried:
            continue
        rejection = _lost(candidate, chosen, winner, before=index < place)
        # The best of each other pool comes before further ways to use the same one, so that no pool goes untold.
        (rest if candidate.plan.pool in told else firsts).append(rejection)
        told.add(candidate.plan.pool)
    return (*without_room, *firsts, *rest, *shortlist.rejections)[:MOST_REJECTIONS]


def _identity(plan: Plan) -> tuple[str, str, str, str]:
    return plan.pool, plan.engine, plan.checkpoint.precision, plan.layout


def _same(plan: Plan, other: Plan) -> bool:
    ways = [
        (each.pipeline_parallel, each.attention_ranks, each.expert_parallel, each.checkpoint.model)
        for each in (plan, other)
    ]
    return _identity(plan) == _identity(other) and ways[0] == ways[1]


def _lost(candidate: Candidate, chosen: Plan, winner: Candidate | None, *, before: bool) -> Rejection:
    plan = candidate.plan
    if plan.pool == chosen.pool:
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, _in_pool(candidate, chosen, winner))
    if before:
        message = "it would fit by now; what is placed moves only by a proposal (`spec.placement.movePolicy`)"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    return _other_pool(candidate, chosen, winner)


def _in_pool(candidate: Candidate, chosen: Plan, winner: Candidate | None) -> str:
    """Another engine, another format, or another number of GPUs."""
    plan = candidate.plan
    if plan.checkpoint.model != chosen.checkpoint.model or plan.checkpoint.precision != chosen.checkpoint.precision:
        return _other_format(candidate, chosen)
    if plan.engine is not chosen.engine:
        seen = candidate.engine_evidence or "it is the default, and nobody compared the two for such a model here"
        return f"{chosen.engine} is preferred: {seen}; `spec.engine: {plan.engine}` asks for {plan.engine}"
    if winner is None:
        return (
            f"{layout_in_words(plan)} would give {candidate.tokens_per_second:,.0f} output tokens/s at most per replica"
        )
    return compared(plan, candidate.tokens_per_second, chosen, winner.tokens_per_second)


def _other_format(candidate: Candidate, chosen: Plan) -> str:
    precision, better = candidate.plan.checkpoint.precision, chosen.checkpoint.precision
    match candidate.standing:
        case Standing.LAST_RESORT:
            return f"{precision} is used only where nothing else fits or the KV cache would hold less than a batch"
        case Standing.TO_FIT:
            return f"{precision} makes {candidate.plan.accelerator} no faster and is used only to fit"
        case _:
            return f"{better} is preferred on {chosen.accelerator}"


def _other_pool(candidate: Candidate, chosen: Plan, winner: Candidate | None) -> Rejection:
    plan, price = candidate.plan, candidate.plan.price_per_replica_hour
    difference = _difference(candidate, chosen, winner)
    if difference is None or price is None:
        message = f"comes after pool {chosen.pool}, and the prices cannot be compared"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    currency, micro = difference
    several = candidate.replicas if winner is not None and candidate.replicas != winner.replicas else 0
    per = f"for the {candidate.replicas} replicas that the load takes" if several else "per replica"
    if micro > 0:
        whole = Money(currency, price.micro * candidate.replicas) if several else price
        message = f"{whole}/h {per}, {Money(currency, micro)}/h more than {chosen.pool}"
        return plan_rejection(plan, RejectionReason.COSTS_MORE, message)
    saves = f", though {Money(currency, -micro)}/h cheaper {per}" if micro else " at the same price"
    return plan_rejection(plan, RejectionReason.NOT_PREFERRED, f"comes after pool {chosen.pool}{saves}")


def _difference(candidate: Candidate, chosen: Plan, winner: Candidate | None) -> tuple[str, int] | None:
    """What it costs more than the chosen one, per replica or, where they need different numbers, for the load."""
    price, other = candidate.plan.price_per_replica_hour, chosen.price_per_replica_hour
    if price is None or other is None or price.currency != other.currency:
        return None
    if winner is None or winner.replicas == candidate.replicas:
        return price.currency, price.micro - other.micro
    return price.currency, candidate.cost - winner.cost
