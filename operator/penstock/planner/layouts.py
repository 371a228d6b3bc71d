"""How one checkpoint would run in one pool on one engine: every way to cut it over the GPUs of a node that carries.

Or why it would not: each size that was tried, and what nodes of another shape would allow.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engines import DEFAULT_VERSIONS, default_image
from penstock.planner.checkpoints import Choice, Standing
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fitting import Fit, FitQuestion, Way, fit
from penstock.planner.judging import Judgement, Misfit
from penstock.planner.memory import sequences_that_fit
from penstock.planner.offers import Offer
from penstock.planner.plan import Plan, Rejection, RejectionReason, plan_rejection
from penstock.planner.requirements import Requirements
from penstock.planner.sharding import shard_problem, tensor_parallel_sizes
from penstock.planner.ways import SIZES, grouped_ways, pipelined_ways

__all__ = ["Laid", "Layouts", "Runner", "Site", "find_layouts", "holds_batch", "lay", "runner_of", "ways"]

_WHOLE_NODE_GPUS = 8
_SMALLEST_BATCH = 16


@dataclass(frozen=True, slots=True)
class Runner:
    """An engine as one pool runs it."""

    engine: EngineName
    version: str
    image: str


@dataclass(frozen=True, slots=True)
class Laid:
    """A plan that fits, what it carries, and whether its KV cache holds a batch."""

    plan: Plan
    judgement: Judgement
    holds_batch: bool


@dataclass(frozen=True, slots=True)
class Layouts:
    """Every way that fits within the ceiling, fewest GPUs first, and the sizes and settings that are none."""

    laid: tuple[Laid, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """A checkpoint, the pool that it is tried in, and the engine that would run it there.

    `detailed` asks for what is only shown, too; `rates` compare the pool's price with a ceiling in another currency.
    """

    wants: Requirements
    offer: Offer
    accelerator: Accelerator
    choice: Choice
    runner: Runner
    detailed: bool = False
    rates: Rates = NO_RATES

    def try_way(self, way: Way) -> Fit | Misfit:
        """Whether one replica fits so many GPUs, cut that way."""
        return fit(
            FitQuestion(
                facts=self.choice.known.facts,
                accelerator=self.accelerator,
                engine=self.runner.engine,
                engine_version=self.runner.version,
                way=way,
                node_gpus=self.offer.node_gpus,
                load=self.wants.load,
                promise=self.wants.promise,
                kv_cache_dtype=self.wants.kv_cache_dtype,
                correction=self.correction,
            )
        )

    @property
    def correction(self) -> float:
        """What engines taught of the model's times here."""
        model = self.choice.known.checkpoint.model
        return self.wants.learnt.correction(model, self.accelerator.name, self.runner.engine)

    def lost(self, way: Way, reason: RejectionReason, message: str) -> Rejection:
        """The rejection of one way here."""
        precision = self.choice.known.checkpoint.precision
        engine, size = self.runner.engine, way.tensor_parallel
        return Rejection(reason, message, self.offer.name, engine, precision, size, way.label)


def runner_of(engine: EngineName, offer: Offer, accelerator: Accelerator) -> Runner:
    """The engine at the pool's own version where it names one."""
    own = next((image for image in offer.images if image.engine is engine), None)
    if own is not None:
        return Runner(engine, own.version, own.image)
    return _default_runner(engine, accelerator)


@lru_cache(maxsize=256)
def _default_runner(engine: EngineName, accelerator: Accelerator) -> Runner:
    version = DEFAULT_VERSIONS[engine]
    return Runner(engine, version, default_image(engine, version, accelerator.vendor, accelerator.architecture))


def find_layouts(site: Site) -> Layouts:
    """Tensor parallelism first; pipelines only where it does not reach."""
    found = lay(site, ways(site))
    if found.laid:
        return found
    piped = lay(site, _pipelines(site))
    lost = (*found.rejections, *piped.rejections)
    if piped.laid:
        return Layouts(piped.laid, lost)
    return Layouts((), (*lost, *_uncut(site), *_beyond_node(site)))


def ways(site: Site) -> Iterator[Way]:
    """Those without a pipeline."""
    return grouped_ways(site.choice.known.facts, site.accelerator, site.wants.load, node_gpus=site.offer.node_gpus)


def _pipelines(site: Site) -> Iterator[Way]:
    return pipelined_ways(site.choice.known.facts, site.accelerator, node_gpus=site.offer.node_gpus)


def lay(site: Site, ways: Iterable[Way]) -> Layouts:
    """Every way that fits within the ceiling and may be worth it, and why others do not."""
    laid: list[Laid] = []
    lost: list[Rejection] = []
    for way in ways:
        if _enough(site, laid, way):
            break
        found = site.try_way(way)
        if isinstance(found, Misfit):
            # A variation of a size says nothing that the size itself did not say.
            lost.extend([] if way.spread_experts else [site.lost(way, found.reason, found.message)])
            continue
        plan = _plan(site, found, way)
        too_dear = _above_ceiling(site, plan)
        if too_dear:
            lost.extend(too_dear)
            # A larger size only costs more from here on.
            break
        laid.append(Laid(plan, found.judgement, holds_batch(site.wants, plan)))
    return Layouts(tuple(laid), tuple(lost))


def _enough(site: Site, laid: list[Laid], way: Way) -> bool:
    """Sizes beyond the first that carries with room only cost more, unless replicas follow the load; one is shown.

    Of a format that is used only to fit, the first is all that is wanted.
    """
    if not laid:
        return False
    load, only_to_fit = site.wants.load, site.choice.standing > Standing.PUBLISHED
    if load.fewest_replicas < load.most_replicas and not only_to_fit:
        return False
    shown = 1 if site.detailed and not only_to_fit else 0
    beyond = {each.plan.gpus for each in laid if each.holds_batch and each.plan.gpus < way.gpus}
    return len(beyond) > shown


def holds_batch(wants: Requirements, plan: Plan) -> bool:
    """True where the KV cache holds enough requests of mean length for the GPU to work in batches."""
    load = wants.load
    batch = min(_SMALLEST_BATCH, load.concurrency or _SMALLEST_BATCH)
    if plan.expected is not None and load.total_requests_per_second is not None:
        batch = min(batch, plan.expected.concurrency)
    return sequences_that_fit(plan.memory, tokens=load.request_tokens) * plan.attention_ranks >= batch


def _plan(site: Site, found: Fit, way: Way) -> Plan:
    settings, price = found.settings, site.offer.price
    return Plan(
        pool=site.offer.name,
        accelerator=site.accelerator.name,
        gpu_resource=site.accelerator.resource,
        engine=site.runner.engine,
        engine_version=site.runner.version,
        image=site.runner.image,
        checkpoint=site.choice.known.checkpoint,
        tensor_parallel=way.tensor_parallel,
        pipeline_parallel=way.pipeline_parallel,
        expert_parallel=found.expert_parallel,
        max_context_tokens=settings.max_context_tokens,
        max_sequences=settings.max_sequences,
        max_batched_tokens=settings.max_batched_tokens,
        kv_cache_dtype=site.wants.kv_cache_dtype,
        memory=found.memory,
        price_per_replica_hour=price * way.gpus if price else None,
        attention_ranks=way.attention_ranks,
        expected=found.judgement.expected,
        speed_correction=site.correction,
    )


def _above_ceiling(site: Site, plan: Plan) -> tuple[Rejection, ...]:
    price, ceiling = plan.price_per_replica_hour, site.wants.ceiling
    if ceiling is None or price is None:
        return ()
    compared = site.rates.convert(price, ceiling.currency)
    if compared is not None and compared <= ceiling.micro:
        return ()
    cost = price if compared is None else Money(ceiling.currency, compared)
    given = f" ({cost}/h by the exchange rates)" if cost != price else ""
    message = (
        f"{plan.gpus} x {plan.accelerator} at {site.offer.price} cost {price}/h per replica{given}, the ceiling is"
        f" {ceiling}; would work: a ceiling of {cost}"
    )
    return (plan_rejection(plan, RejectionReason.PRICE_CEILING, message),)


def _uncut(site: Site) -> Iterator[Rejection]:
    """The sizes that the nodes would hold and the model cannot be cut into; a problem of all sizes is told once."""
    facts, most = site.choice.known.facts, site.offer.node_gpus
    workable = tensor_parallel_sizes(facts, site.accelerator, node_gpus=most)
    told: set[str] = set()
    for size in SIZES:
        problem = shard_problem(facts, site.accelerator, size, expert_parallel=False)
        if problem is not None and size <= most and size not in workable and problem not in told:
            told.add(problem)
            yield site.lost(Way(size), RejectionReason.SHARDING, problem)


def _beyond_node(site: Site) -> Iterator[Rejection]:
    """The smallest size that would fit a whole node of this GPU, where the pool's nodes are smaller."""
    facts, most = site.choice.known.facts, site.offer.node_gpus
    for size in tensor_parallel_sizes(facts, site.accelerator, node_gpus=max(_WHOLE_NODE_GPUS, most)):
        if size > most and isinstance(site.try_way(Way(size)), Fit):
            message = f"needs {size} GPUs on one node, the largest has {most}; would work: nodes with {size} GPUs"
            yield site.lost(Way(size), RejectionReason.NO_WHOLE_NODE, message)
            return
