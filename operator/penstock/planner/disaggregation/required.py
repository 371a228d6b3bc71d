"""The layout that would be chosen where prefill and decode must run apart: in which pool, and against what."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.planner.candidates import enumerate_candidates
from penstock.planner.disaggregation.advice import MOST_REPLICAS, Advice, advise, carries_cache
from penstock.planner.explain import why_nothing_fits
from penstock.planner.offers import Market
from penstock.planner.plan import Plan, Rejection
from penstock.planner.requirements import Requirements

__all__ = ["Apart", "ApartInPool", "apart_anyhow"]


@dataclass(frozen=True, slots=True)
class ApartInPool:
    """One pool's answer beside `plan`, the best way to run together there; `linked`: its network carries a cache."""

    plan: Plan
    advice: Advice
    linked: bool

    @property
    def found(self) -> bool:
        """True where there is a layout."""
        return self.advice.layout is not None


@dataclass(frozen=True, slots=True)
class Apart:
    """Every pool where it could run, the chosen one first, and what lost elsewhere; `why_not` where there is none."""

    pools: tuple[ApartInPool, ...]
    rejections: tuple[Rejection, ...]
    why_not: str = ""

    @property
    def chosen(self) -> ApartInPool | None:
        """None where no pool has a layout."""
        return self.pools[0] if self.pools and self.pools[0].found else None


def apart_anyhow(wants: Requirements, market: Market) -> Apart:
    """The pool against whose layout least speaks: a slow network most, then any gate; then in the planner's order.

    As many replicas and workers as the load takes: what `spec.replicas` and `spec.scaling` say is of replicas that
    prefill and decode together.
    """
    load = replace(wants.load, fewest_replicas=1, most_replicas=MOST_REPLICAS)
    wants = replace(wants, load=load)
    shortlist = enumerate_candidates(wants, market)
    plans = {each.plan.pool: each.plan for each in reversed(shortlist.candidates)}
    ordered = dict.fromkeys(each.plan.pool for each in shortlist.candidates)
    pools = sorted(_in_pools(wants, market, [plans[pool] for pool in ordered]), key=_objections)
    elsewhere = tuple(each for each in shortlist.rejections if each.pool not in plans)
    if pools:
        return Apart(tuple(pools), elsewhere, "" if pools[0].found else pools[0].advice.reason)
    return Apart((), elsewhere, why_nothing_fits(elsewhere)[1])


def _in_pools(wants: Requirements, market: Market, plans: list[Plan]) -> Iterator[ApartInPool]:
    for plan in plans:
        offer = market.find(plan.pool)
        if offer is not None:
            yield ApartInPool(plan, advise(wants, offer, plan, required=True), carries_cache(offer))


def _objections(each: ApartInPool) -> tuple[bool, bool, bool]:
    return not each.found, not each.linked, bool(each.advice.against)
