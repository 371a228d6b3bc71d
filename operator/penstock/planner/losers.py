"""Why each candidate that fits lost to the one that was chosen, with what it would cost."""

from penstock.api.quantities import Money
from penstock.planner.candidates import Candidate, Shortlist
from penstock.planner.checkpoints import Standing
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.explain import compared, counted, layout_in_words
from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection

__all__ = ["MOST_REJECTIONS", "losers", "plan_rejection"]

MOST_REJECTIONS = 64


def losers(
    chosen: Plan, shortlist: Shortlist, without_room: tuple[Rejection, ...] = (), *, rates: Rates = NO_RATES
) -> tuple[Rejection, ...]:
    """Everything that lost, what was liked better first; at most `MOST_REJECTIONS`. `rates` compare the prices."""
    place = next((index for index, each in enumerate(shortlist.candidates) if _same(each.plan, chosen)), -1)
    winner = shortlist.candidates[place] if place >= 0 else None
    tried = {(each.pool, each.engine, each.precision, each.layout) for each in without_room}
    told = {chosen.pool}
    firsts: list[Rejection] = []
    rest: list[Rejection] = []
    for index, candidate in enumerate(shortlist.candidates):
        if index == place or _identity(candidate.plan) in tried:
            continue
        rejection = _lost(candidate, chosen, winner, rates, before=index < place)
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


def _lost(candidate: Candidate, chosen: Plan, winner: Candidate | None, rates: Rates, *, before: bool) -> Rejection:
    plan = candidate.plan
    if plan.pool == chosen.pool:
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, _in_pool(candidate, chosen, winner))
    if before:
        message = "it would fit by now; what is placed moves only by a proposal (`spec.placement.movePolicy`)"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    return _other_pool(candidate, chosen, winner, rates)


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


def _other_pool(candidate: Candidate, chosen: Plan, winner: Candidate | None, rates: Rates) -> Rejection:
    plan, price = candidate.plan, candidate.plan.price_per_replica_hour
    difference = _difference(candidate, chosen, winner, rates)
    if difference is None or price is None:
        message = f"comes after pool {chosen.pool}, and the prices cannot be compared{_why_not(plan, chosen, rates)}"
        return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)
    several = candidate.replicas if winner is not None and candidate.replicas != winner.replicas else 0
    per = f"for the {counted(candidate.replicas, 'replica')} that the load takes" if several else "per replica"
    if difference.micro > 0:
        whole = price * candidate.replicas if several else price
        by = " by the exchange rates" if difference.currency != price.currency else ""
        message = f"{whole}/h {per}, {difference}/h more than {chosen.pool}{by}"
        return plan_rejection(plan, RejectionReason.COSTS_MORE, message)
    saves = f", though {difference * -1}/h cheaper {per}" if difference.micro else " at the same price"
    return plan_rejection(plan, RejectionReason.NOT_PREFERRED, f"comes after pool {chosen.pool}{saves}")


def _why_not(plan: Plan, chosen: Plan, rates: Rates) -> str:
    price, other = plan.price_per_replica_hour, chosen.price_per_replica_hour
    if price is None or other is None:
        silent = plan if price is None else chosen
        return f": pool {silent.pool} states none; would work: `spec.price` on it"
    return (
        f": they are in {price.currency} and {other.currency}; would work:"
        f" {rates.lacking(price.currency, other.currency)}"
    )


def _difference(candidate: Candidate, chosen: Plan, winner: Candidate | None, rates: Rates) -> Money | None:
    """What it costs more than the chosen one, per replica or, where they need different numbers, for the load.

    In the currency of both, else in the base; None where they cannot be compared.
    """
    price, other = candidate.plan.price_per_replica_hour, chosen.price_per_replica_hour
    if price is None or other is None:
        return None
    if winner is not None and winner.replicas != candidate.replicas:
        price, other = Money(price.currency, candidate.cost), Money(other.currency, winner.cost)
    currency = price.currency if price.currency == other.currency else rates.base
    mine, its = rates.convert(price, currency), rates.convert(other, currency)
    return None if mine is None or its is None else Money(currency, mine - its)
