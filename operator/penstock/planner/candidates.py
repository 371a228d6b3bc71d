"""Every way to run a deployment that memory, borders and money allow, best first, and why the others are none.

Depends on the deployment and on what the pools offer, not on which GPUs are free: so it is remembered between passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.planner.checkpoints import Standing, rank_checkpoints
from penstock.planner.correcting import corrected
from penstock.planner.explain import by_nearness
from penstock.planner.layouts import find_layout, holds_batch
from penstock.planner.offers import Market, Offer, refuse_pool
from penstock.planner.plan import Plan, Rejection, RejectionReason
from penstock.planner.requirements import Requirements

__all__ = ["Candidate", "Shortlist", "enumerate_candidates"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run one replica that fits on paper."""

    plan: Plan
    standing: Standing
    can_grow: bool


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The candidates in the order in which they are tried, and everything that is none; compared by identity."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


@lru_cache(maxsize=4096)
def enumerate_candidates(wants: Requirements, market: Market) -> Shortlist:
    """All candidates: pools by preference, else the cheapest replica first; within a pool the best precision first."""
    rejections = [*_absent_pools(wants, market), *_unknown_checkpoints(wants)]
    by_pool: list[tuple[Candidate, ...]] = []
    for offer in market.offers:
        shortlist = _in_pool(wants, offer)
        rejections.extend(shortlist.rejections)
        if shortlist.candidates:
            by_pool.append(shortlist.candidates)
    by_pool.sort(key=lambda candidates: _order(wants, candidates[0].plan))
    if by_pool and len(wants.engines) > 1:
        rejections.append(_other_engine(by_pool[0][0].plan))
    return Shortlist(tuple(candidate for candidates in by_pool for candidate in candidates), by_nearness(rejections))


def _absent_pools(wants: Requirements, market: Market) -> Iterator[Rejection]:
    present = {offer.name for offer in market.offers}
    for name in wants.pools:
        if name not in present:
            message = f"there is no InferencePool '{name}'; there is: {market.names}"
            yield Rejection(RejectionReason.POOL_NOT_FOUND, message, pool=name)


def _unknown_checkpoints(wants: Requirements) -> Iterator[Rejection]:
    for unknown in wants.unknown:
        precision = unknown.precision or ""
        yield Rejection(RejectionReason.MODEL_UNKNOWN, str(unknown.refusal), precision=precision)


def _order(wants: Requirements, plan: Plan) -> tuple[int, bool, str, int, str]:
    """Prices in different currencies are not compared: each currency stands for itself, in alphabetical order."""
    rank = wants.pools.index(plan.pool) if wants.pools else 0
    price = plan.price_per_replica_hour
    if price is None:
        return rank, True, "", 0, plan.pool
    return rank, False, price.currency, price.micro, plan.pool


def _other_engine(chosen: Plan) -> Rejection:
    other = EngineName.SGLANG if chosen.engine is EngineName.VLLM else EngineName.VLLM
    if other is EngineName.SGLANG:
        message = "vLLM is preferred where it can run the model; `spec.engine: SGLang` asks for SGLang"
        return Rejection(RejectionReason.NOT_PREFERRED, message, engine=other)
    message = f"vLLM does not run {chosen.checkpoint.precision} on {chosen.accelerator}; SGLang does"
    return Rejection(RejectionReason.ENGINE_UNSUPPORTED, message, pool=chosen.pool, engine=other)


def _in_pool(wants: Requirements, offer: Offer) -> Shortlist:
    refusal = refuse_pool(offer, wants)
    if refusal is not None or offer.accelerator is None:
        return Shortlist((), (refusal,) if refusal else ())
    choices, lost = rank_checkpoints(wants, offer.accelerator)
    rejections = [replace(rejection, pool=offer.name) for rejection in lost]
    candidates: list[Candidate] = []
    for choice in choices:
        layouts = find_layout(wants, offer, offer.accelerator, choice)
        rejections.extend(layouts.rejections)
        if layouts.plan is not None:
            candidates.append(Candidate(layouts.plan, choice.standing, offer.can_grow))
    candidates, disproved = _as_known(wants, candidates)
    return Shortlist(_roomy_first(wants, candidates), (*rejections, *disproved))


def _roomy_first(wants: Requirements, candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """A format that is used only to fit goes first where the better one has no KV room for a batch, and it has."""
    if not candidates or holds_batch(wants, candidates[0].plan):
        return tuple(candidates)
    gpus = candidates[0].plan.gpus
    for candidate in candidates[1:]:
        smaller = candidate.standing >= Standing.TO_FIT and candidate.plan.gpus <= gpus
        if smaller and holds_batch(wants, candidate.plan):
            return (candidate, *(other for other in candidates if other is not candidate))
    return tuple(candidates)


def _as_known(wants: Requirements, candidates: list[Candidate]) -> tuple[list[Candidate], list[Rejection]]:
    """As engines have shown it: without those that never started or had too little room, the others with their room."""
    kept: list[Candidate] = []
    lost: list[Rejection] = []
    for candidate in candidates:
        known = corrected(wants, candidate.plan)
        if isinstance(known, Rejection):
            lost.append(known)
        else:
            kept.append(replace(candidate, plan=known))
    return kept, lost
