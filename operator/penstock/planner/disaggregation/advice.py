"""Whether prefill and decode should run apart: the layout, what it is predicted to gain and to cost, or why not.

The gates are those of sizing.md 4.3: long prompts, a large model, much load, a fast network, few prefix hits, and a
predicted gain that is worth a second kind of worker.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator
from penstock.planner.checkpoints import Choice, Standing
from penstock.planner.disaggregation.matching import PrefillDecode, best_layout, layout_for_rate
from penstock.planner.disaggregation.workers import decode_workers, prefill_workers
from penstock.planner.fitting import Way
from penstock.planner.judging import Judgement, Misfit
from penstock.planner.layouts import Runner, Site
from penstock.planner.offers import Offer
from penstock.planner.plan import Plan
from penstock.planner.requirements import KnownCheckpoint, Load, Requirements
from penstock.planner.speed import PLANNED_UTILISATION

__all__ = ["MOST_REPLICAS", "Advice", "advise", "carries_cache"]

MOST_REPLICAS = 1_000_000
"""As many as any load takes, whatever the deployment's own bounds."""

_FEWEST_PROMPT_TOKENS = 2000
_FEWEST_ACTIVE_PARAMETERS = 30e9
_FEWEST_MIXTURE_PARAMETERS = 200e9
_FEWEST_GPUS = 16
_MOST_PREFIX_HITS = 0.5
_LEAST_GAIN = 0.15


@dataclass(frozen=True, slots=True)
class Advice:
    """`layout` None: together; `reason` says why in either case.

    `units` of the layout carry the load with so many `output_tokens_per_second` at the planned utilisation; together it
    would take `gpus_together` (0 where nobody states the load). `against` is what speaks against a layout that is
    required: the gate that it fails, or too small a gain. `gain` is the predicted throughput per GPU over running
    together, less one (0.2: a fifth more); None where there is nothing to compare. `cost` and `cost_together` are per
    hour for the whole load, None where the pool states no price.
    """

    layout: PrefillDecode | None
    reason: str
    units: int = 0
    gain: float | None = None
    cost: Money | None = None
    cost_together: Money | None = None
    against: str = ""
    output_tokens_per_second: float = 0.0
    gpus_together: int = 0

    @property
    def gpus(self) -> int:
        """GPUs of all units; 0 without a layout."""
        return self.layout.gpus * self.units if self.layout else 0


@dataclass(frozen=True, slots=True)
class _Together:
    """The aggregated plan at the same load: replicas that it takes, and requests per second of each when planned."""

    plan: Plan
    replicas: int
    requests_per_second: float

    @property
    def gpus(self) -> int:
        return self.replicas * self.plan.gpus

    @property
    def per_gpu(self) -> float:
        return self.requests_per_second / self.plan.gpus


def advise(wants: Requirements, offer: Offer, plan: Plan, *, required: bool = False) -> Advice:
    """Advice beside `plan`, the best way to run together, in that plan's pool.

    `required` offers the best layout whatever the gates say, and says which of them it fails.
    """
    site = _site(wants, offer, plan)
    if site is None:
        return Advice(None, f"nothing is known of {plan.checkpoint.model} in pool {plan.pool}")
    together = _together(site, plan)
    failed = next(_closed_gates(site, together), "")
    if failed and not required:
        return Advice(None, failed)
    found = _layout(site, together)
    if found is None:
        return Advice(None, failed or _no_worker(site))
    return _weighed(site, together, found, failed, required=required)


def _site(wants: Requirements, offer: Offer, plan: Plan) -> Site | None:
    """The plan's own checkpoint, pool and engine, to try other workers with."""
    known = next((each for each in wants.known if each.checkpoint == plan.checkpoint), None)
    if known is None or offer.accelerator is None:
        return None
    return _at(wants, offer, offer.accelerator, known, plan)


def _at(wants: Requirements, offer: Offer, accelerator: Accelerator, known: KnownCheckpoint, plan: Plan) -> Site:
    runner = Runner(plan.engine, plan.engine_version, plan.image)
    return Site(wants, offer, accelerator, Choice(known, Standing.PUBLISHED), runner)


def _together(site: Site, plan: Plan) -> _Together:
    """As many replicas as the load takes, whatever the deployment's own bounds."""
    load = replace(site.wants.load, fewest_replicas=1, most_replicas=MOST_REPLICAS)
    found = replace(site, wants=replace(site.wants, load=load)).try_way(Way.of(plan))
    judgement: Judgement | None = None if isinstance(found, Misfit) else found.judgement
    if judgement is None:
        return _Together(plan, 1, plan.expected.requests_per_second if plan.expected else 0.0)
    return _Together(plan, judgement.replicas, judgement.requests_per_second)


def _closed_gates(site: Site, together: _Together) -> Iterator[str]:
    load, facts = site.wants.load, site.choice.known.facts
    if load.prompt_tokens < _FEWEST_PROMPT_TOKENS:
        yield f"prompts have {load.prompt_tokens:,} tokens, and it pays from {_FEWEST_PROMPT_TOKENS:,} on"
    large = facts.active_parameters >= _FEWEST_ACTIVE_PARAMETERS
    if not large and not (facts.experts and facts.parameters >= _FEWEST_MIXTURE_PARAMETERS):
        yield (
            f"{_billions(facts.active_parameters)} of its {_billions(facts.parameters)} parameters work on a token, and"
            f" it pays from {_billions(_FEWEST_ACTIVE_PARAMETERS)}, or in a mixture of experts from"
            f" {_billions(_FEWEST_MIXTURE_PARAMETERS)} in all on"
        )
    if load.prefix_hit_rate > _MOST_PREFIX_HITS:
        yield f"{load.prefix_hit_rate:.0%} of the prompts come from the prefix cache, which leaves little to prefill"
    yield from _small_loads(load, together)
    yield from _slow_networks(site)


def _small_loads(load: Load, together: _Together) -> Iterator[str]:
    if not load.known:
        yield "nobody states the load; would work: `spec.workload.requestsPerSecond` or `concurrency`"
    elif together.gpus < _FEWEST_GPUS:
        yield f"the load takes {together.gpus} GPUs together, and it pays from {_FEWEST_GPUS} on"


def carries_cache(offer: Offer) -> bool:
    """True where the cache can travel from node to node: over RDMA, or in a scale-up domain larger than a node."""
    domain = offer.accelerator.scale_up_domain if offer.accelerator else 1
    return offer.rdma or domain > offer.node_gpus


def _slow_networks(site: Site) -> Iterator[str]:
    if not carries_cache(site.offer):
        yield (
            f"pool {site.offer.name} states no network that carries a KV cache between nodes; would work:"
            " `spec.fabric.rdmaResource` on the pool"
        )


def _layout(site: Site, together: _Together) -> tuple[PrefillDecode, int] | None:
    prefills, decodes = prefill_workers(site), decode_workers(site)
    rate = _rate(site.wants.load, together)
    if rate:
        return layout_for_rate(prefills, decodes, requests_per_second=rate / PLANNED_UTILISATION)
    found = best_layout(prefills, decodes, most_gpus=max(_FEWEST_GPUS, together.gpus))
    return None if found is None else (found, 1)


def _rate(load: Load, together: _Together) -> float:
    """Requests per second of the whole load; a stated concurrency at the rate at which it runs together."""
    if load.total_requests_per_second is not None:
        return load.total_requests_per_second
    return together.replicas * together.requests_per_second if load.total_concurrency else 0.0


def _no_worker(site: Site) -> str:
    fast = prefill_workers(site)
    half = "timePerOutputToken" if fast else "timeToFirstToken"
    kind = "decode" if fast else "prefill"
    return f"no {kind} worker of pool {site.offer.name} keeps `spec.serviceLevel.{half}Milliseconds`"


def _weighed(
    site: Site, together: _Together, found: tuple[PrefillDecode, int], failed: str, *, required: bool
) -> Advice:
    layout, units = found
    gain = _gain(layout, together)
    price = site.offer.price
    cost = price * (layout.gpus * units) if price else None
    # Without a load a layout and a replica carry different ones: only what each GPU gives can be compared.
    gpus_together = together.gpus if site.wants.load.known else 0
    cost_together = price * gpus_together if price and gpus_together else None
    compared = f"{_counted(layout, units)} is predicted to give {_percent(gain)} per GPU{_versus(cost, cost_together)}"
    small = gain is None or gain < _LEAST_GAIN
    too_little = f"a second kind of worker pays from {_LEAST_GAIN:.0%} more on" if small else ""
    if too_little and not required:
        return Advice(None, f"{compared}, and {too_little}", units, gain, cost, cost_together)
    against = failed or too_little
    return Advice(
        layout,
        f"{compared}; by itself it would not be chosen: {against}" if against else compared,
        *(units, gain, cost, cost_together, against),
        output_tokens_per_second=units
        * layout.requests_per_second
        * PLANNED_UTILISATION
        * site.wants.load.output_tokens,
        gpus_together=gpus_together,
    )


def _counted(layout: PrefillDecode, units: int) -> str:
    return f"{units} x {layout}" if units > 1 else str(layout)


def _gain(layout: PrefillDecode, together: _Together) -> float | None:
    if not together.per_gpu:
        return None
    return layout.requests_per_second * PLANNED_UTILISATION / layout.gpus / together.per_gpu - 1


def _percent(gain: float | None) -> str:
    if gain is None:
        return "an unknown number of requests"
    return f"{abs(gain):.0%} {'more' if gain >= 0 else 'fewer'} requests"


def _versus(cost: Money | None, together: Money | None) -> str:
    return f" at {cost}/h against {together}/h together" if cost and together else ""


def _billions(parameters: float) -> str:
    return f"{parameters / 1e9:,.0f} billion"
