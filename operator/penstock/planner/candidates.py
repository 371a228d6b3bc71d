"""Every way to run a deployment that memory, load, borders and money allow, best first, and why the others are none.

Depends on the deployment and on what the pools offer, not on which GPUs are free: so it is remembered between passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engine_evidence import evidence_for
from penstock.catalogue.engines import engine_supports
from penstock.planner.checkpoints import Choice, Standing, rank_checkpoints
from penstock.planner.correcting import corrected
from penstock.planner.disaggregation.alternative import apart_or_why_not
from penstock.planner.dominance import undominated
from penstock.planner.exchange import Rates
from penstock.planner.explain import by_nearness, compared
from penstock.planner.fitting import Way
from penstock.planner.judging import Judgement
from penstock.planner.layouts import Laid, Layouts, Site, find_layouts, holds_batch, lay, runner_of
from penstock.planner.memory import sequences_that_fit
from penstock.planner.offers import CAPACITY_ORDER, Market, Offer, refuse_pool, with_interruptions
from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection
from penstock.planner.requirements import Requirements

__all__ = ["Candidate", "Shortlist", "enumerate_candidates"]

_PUBLISHED_BONUS = 1.05
"""A smaller format has to give so much more for the same money before it replaces what the model's makers published."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run one replica that fits on paper and carries its share of the load.

    `replicas` of it carry the whole load (within the deployment's own bounds), each planned for up to
    `requests_per_second`; `tokens_per_second` is a replica's output at the greatest load within promise and room.
    """

    plan: Plan
    standing: Standing
    can_grow: bool
    replicas: int = 1
    requests_per_second: float = 0.0
    tokens_per_second: float = 0.0
    preferred_engine: bool = True
    engine_evidence: str = ""

    @property
    def cost(self) -> int:
        """Micro-units per hour of all replicas that the load takes; GPUs where nobody states a price."""
        price = self.plan.price_per_replica_hour
        return self.replicas * (price.micro if price else self.plan.gpus)

    @property
    def value(self) -> float:
        """Output tokens per second for its cost, with the published precision's bonus."""
        bonus = _PUBLISHED_BONUS if self.standing is Standing.PUBLISHED else 1.0
        return bonus * self.replicas * self.tokens_per_second / max(1, self.cost)


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The candidates in the order in which they are tried, and everything that is none; compared by identity."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


@lru_cache(maxsize=4096)
def enumerate_candidates(wants: Requirements, market: Market) -> Shortlist:
    """All candidates: pools by preference, else what carries the load for the least money first, pool by pool."""
    rejections = [*_absent_pools(wants, market), *_unknown_checkpoints(wants)]
    found = [(offer, _in_pool(wants, offer, market.rates)) for offer in market.offers]
    pools = sorted(
        ((offer, each) for offer, each in found if each.candidates),
        key=lambda each: _order(wants, market.rates, each[0], each[1].candidates[0]),
    )
    rejections.extend(lost for _, each in found if not each.candidates for lost in each.rejections)
    if pools:
        best = pools[0] = pools[0][0], _in_pool(wants, pools[0][0], market.rates, detailed=True)
        rejections.extend(apart_or_why_not(wants, market, best[1].candidates[0].plan))
    rejections.extend(lost for _, each in pools for lost in each.rejections)
    return Shortlist(tuple(each for _, pool in pools for each in pool.candidates), by_nearness(rejections))


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


def _order(wants: Requirements, rates: Rates, offer: Offer, best: Candidate) -> tuple[object, ...]:
    """What the pool's best costs, in the base currency; one that no rate leads to it stands for itself, after that.

    Without rates every currency stands for itself, in alphabetical order. Where only the other engine is left, because
    the preferred one never started there, other pools go first.
    """
    rank = wants.pools.index(offer.name) if wants.pools else 0
    price = best.plan.price_per_replica_hour
    apart, cost, value = _compared(rates, best, price) if price else ("", 0, 0.0)
    cost = with_interruptions(cost, offer.capacity_type)
    last = not best.preferred_engine
    return last, rank, price is None, apart, cost, CAPACITY_ORDER.index(offer.capacity_type), -value, offer.name


def _compared(rates: Rates, best: Candidate, price: Money) -> tuple[str, int, float]:
    """The currency where it stands for itself, empty in the base; then the cost and what it buys, in that currency."""
    cost = rates.convert(Money(price.currency, best.cost), rates.base)
    factor = rates.factor(price.currency, rates.base)
    if cost is None or factor is None:
        return price.currency, best.cost, best.value
    return "", cost, best.value * factor[1] / factor[0]


def _in_pool(wants: Requirements, offer: Offer, rates: Rates, *, detailed: bool = False) -> Shortlist:
    """The pool's candidates; `detailed` with those that are never better, for the pool in which that is shown."""
    refusal = refuse_pool(offer, wants, rates)
    if refusal is not None or offer.accelerator is None:
        return Shortlist((), (refusal,) if refusal else ())
    choices, lost = rank_checkpoints(wants, offer.accelerator)
    rejections = [replace(rejection, pool=offer.name) for rejection in lost]
    fitting: list[Candidate] = []
    for choice in choices:
        found = _of_checkpoint(wants, offer, offer.accelerator, choice, rates, detailed=detailed)
        rejections.extend(found.rejections)
        fitting.extend(found.candidates)
    candidates, disproved = _as_known(wants, fitting)
    if len(candidates) > 1:
        candidates.sort(key=lambda candidate: _order_in_pool(wants, candidate))
    kept, cut = undominated(tuple(candidates), lambda candidate: _requests_held(wants, candidate.plan))
    useful, larger = _without_larger(wants, kept)
    other = Shortlist((), ())
    if fitting and (detailed or not useful):
        other = _by_other_engine(wants, offer, choices, (useful or fitting)[0].plan, rates)
    return Shortlist((*useful, *other.candidates), (*rejections, *disproved, *larger, *cut, *other.rejections))


def _without_larger(
    wants: Requirements, candidates: tuple[Candidate, ...]
) -> tuple[tuple[Candidate, ...], tuple[Rejection, ...]]:
    """A larger size of the same checkpoint is no candidate where the replicas are given: it has room nowhere else."""
    if wants.load.fewest_replicas < wants.load.most_replicas:
        return candidates, ()
    smallest: dict[str, Candidate] = {}
    useful: list[Candidate] = []
    larger: list[Rejection] = []
    for each in candidates:
        plan = each.plan
        first = smallest.setdefault(plan.checkpoint.model, each)
        if first.plan.gpus >= plan.gpus:
            useful.append(each)
            continue
        message = compared(plan, each.tokens_per_second, first.plan, first.tokens_per_second)
        larger.append(plan_rejection(plan, RejectionReason.NOT_PREFERRED, message))
    return tuple(useful), tuple(larger)


def _order_in_pool(wants: Requirements, candidate: Candidate) -> tuple[object, ...]:
    """Room for a batch before everything, then the format's class; within it what the load costs, and what it buys.

    GPUs that cost nothing are counted: more of them are wanted by others.
    """
    return (
        not holds_batch(wants, candidate.plan),
        candidate.standing.liked,
        candidate.cost,
        0 if candidate.cost else candidate.replicas * candidate.plan.gpus,
        -candidate.value,
        candidate.standing,
        candidate.plan.gpus,
    )


def _of_checkpoint(
    wants: Requirements, offer: Offer, accelerator: Accelerator, choice: Choice, rates: Rates, *, detailed: bool
) -> Shortlist:
    """Every way on the preferred engine; on the other one where the preferred has none."""
    engines = _engines(wants, accelerator, choice)
    if not engines:
        return Shortlist((), (_no_engine(wants, offer, accelerator, choice),))
    rejections: list[Rejection] = []
    for engine in engines:
        site = Site(wants, offer, accelerator, choice, runner_of(engine, offer, accelerator), detailed, rates)
        found = find_layouts(site)
        rejections.extend(found.rejections)
        if found.laid:
            laid, cramped = _roomy(site, found)
            return Shortlist(tuple(_candidate(site, each) for each in laid), (*rejections, *cramped))
    return Shortlist((), tuple(rejections))


def _by_other_engine(
    wants: Requirements, offer: Offer, choices: tuple[Choice, ...], best: Plan, rates: Rates
) -> Shortlist:
    """The pool's best plan on the engine that is not preferred, last of all; or why it is none."""
    choice = next(each for each in choices if each.known.checkpoint == best.checkpoint)
    found: list[Candidate] = []
    lost: list[Rejection] = []
    for engine in wants.engines:
        if engine is best.engine or offer.accelerator is None:
            continue
        if not engine_supports(engine, offer.accelerator, best.checkpoint.precision):
            lost.append(_does_not_run(engine, best))
            continue
        runner = runner_of(engine, offer, offer.accelerator)
        site = Site(wants, offer, offer.accelerator, choice, runner, rates=rates)
        layouts = lay(site, (Way.of(best),))
        found.extend(_candidate(site, each, preferred=False) for each in layouts.laid)
        lost.extend(layouts.rejections)
    known, disproved = _as_known(wants, found)
    return Shortlist(tuple(known), (*lost, *disproved))


def _does_not_run(engine: EngineName, best: Plan) -> Rejection:
    message = f"{engine} does not run {best.checkpoint.precision} on {best.accelerator}; {best.engine} does"
    return Rejection(RejectionReason.ENGINE_UNSUPPORTED, message, pool=best.pool, engine=engine)


def _engines(wants: Requirements, accelerator: Accelerator, choice: Choice) -> tuple[EngineName, ...]:
    """Those that run the checkpoint here, the one with the better evidence first."""
    precision, facts = choice.known.checkpoint.precision, choice.known.facts
    able = [engine for engine in wants.engines if engine_supports(engine, accelerator, precision)]
    preferred = evidence_for(facts.architecture, accelerator.architecture).engine
    return tuple(sorted(able, key=lambda engine: engine is not preferred))


def _no_engine(wants: Requirements, offer: Offer, accelerator: Accelerator, choice: Choice) -> Rejection:
    precision, names = choice.known.checkpoint.precision, wants.engines
    who = f"neither {' nor '.join(names)} runs" if len(names) > 1 else f"{names[0]} does not run"
    message = f"{who} {precision} on {accelerator.name}; would work: another engine, or a variant in another precision"
    engine = names[0] if len(names) == 1 else ""
    return Rejection(RejectionReason.ENGINE_UNSUPPORTED, message, offer.name, engine, precision)


def _roomy(site: Site, found: Layouts) -> tuple[tuple[Laid, ...], tuple[Rejection, ...]]:
    """Without those whose KV cache holds less than a batch, where there are others."""
    roomy = tuple(each for each in found.laid if each.holds_batch)
    if not roomy:
        return found.laid, ()
    return roomy, tuple(_cramped(site, each.plan) for each in found.laid if not each.holds_batch)


def _cramped(site: Site, plan: Plan) -> Rejection:
    load, holds = site.wants.load, _requests_held(site.wants, plan)
    message = f"it fits, and its KV cache holds {holds} requests of {load.request_tokens:,} tokens: less than a batch"
    return plan_rejection(plan, RejectionReason.NOT_PREFERRED, message)


def _requests_held(wants: Requirements, plan: Plan) -> int:
    return sequences_that_fit(plan.memory, tokens=wants.load.request_tokens) * plan.attention_ranks


def _candidate(site: Site, laid: Laid, *, preferred: bool = True) -> Candidate:
    judgement: Judgement = laid.judgement
    evidence = evidence_for(site.choice.known.facts.architecture, site.accelerator.architecture)
    return Candidate(
        plan=laid.plan,
        standing=site.choice.standing,
        can_grow=site.offer.can_grow,
        replicas=judgement.replicas,
        requests_per_second=judgement.requests_per_second,
        tokens_per_second=judgement.tokens_per_second,
        preferred_engine=preferred,
        engine_evidence=evidence.seen,
    )


def _as_known(wants: Requirements, candidates: list[Candidate]) -> tuple[list[Candidate], list[Rejection]]:
    """As engines have shown it: without those that never started or had too little room, the others with their room."""
    kept: list[Candidate] = []
    lost: list[Rejection] = []
    for candidate in candidates:
        known = corrected(wants, candidate.plan)
        if isinstance(known, Rejection):
            lost.append(known)
        else:
            kept.append(candidate if known is candidate.plan else replace(candidate, plan=known))
    return kept, lost
