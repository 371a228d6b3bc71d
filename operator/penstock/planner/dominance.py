"""Candidates of one pool that another one beats in price, speed and room: cut, and said to be."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from penstock.planner.explain import layout_in_words
from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection

__all__ = ["MOST_IN_POOL", "Rated", "undominated"]

MOST_IN_POOL = 6
"""Candidates of one pool that are kept: a larger size than the first few only costs more on the same nodes."""


class Rated(Protocol):
    """What is compared: a plan, what carrying the load with it costs, and how much it gives."""

    @property
    def plan(self) -> Plan: ...
    @property
    def cost(self) -> int: ...
    @property
    def tokens_per_second(self) -> float: ...


R = TypeVar("R", bound=Rated)


def undominated(
    candidates: tuple[R, ...], requests_held: Callable[[R], int]
) -> tuple[tuple[R, ...], tuple[Rejection, ...]]:
    """Those that no better-placed one of the same engine beats or equals in everything, and why the others are cut."""
    kept: list[tuple[R, int]] = []
    cut: list[Rejection] = []
    for candidate in candidates:
        room = requests_held(candidate)
        better = next((other for other, holds in kept if holds >= room and _beats(other, candidate)), None)
        if better is not None:
            cut.append(plan_rejection(candidate.plan, RejectionReason.DOMINATED, _beaten(candidate, better)))
        elif len(kept) < MOST_IN_POOL:
            kept.append((candidate, room))
        else:
            message = f"{MOST_IN_POOL} others are liked better in this pool"
            cut.append(plan_rejection(candidate.plan, RejectionReason.NOT_PREFERRED, message))
    return tuple(each for each, _ in kept), tuple(cut)


def _beats(other: Rated, candidate: Rated) -> bool:
    return (
        other.plan.engine is candidate.plan.engine
        and other.plan.gpus <= candidate.plan.gpus
        and other.cost <= candidate.cost
        and other.tokens_per_second >= candidate.tokens_per_second
    )


def _beaten(candidate: Rated, better: Rated) -> str:
    return f"{_gives(candidate)}, with no more room for requests; {_gives(better)}"


def _gives(rated: Rated) -> str:
    plan = rated.plan
    price = f" at {plan.price_per_replica_hour}/h" if plan.price_per_replica_hour else ""
    precision = plan.checkpoint.precision
    return f"{precision} on {layout_in_words(plan)} gives {rated.tokens_per_second:,.0f} output tokens/s{price}"
