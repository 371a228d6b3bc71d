"""How one checkpoint would run in one pool: the engine and the fewest GPUs that everything fits on.

Or why it would not: each size that was tried, and what nodes of another shape would allow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engines import DEFAULT_VERSIONS, default_image, engine_supports
from penstock.planner.checkpoints import Choice
from penstock.planner.fitting import Fit, FitQuestion, Misfit, fit
from penstock.planner.memory import sequences_that_fit
from penstock.planner.offers import Offer
from penstock.planner.plan import Plan, Rejection, RejectionReason
from penstock.planner.requirements import Requirements
from penstock.planner.sharding import shard_problem, tensor_parallel_sizes

__all__ = ["Layouts", "find_layout", "holds_batch"]

_WHOLE_NODE_GPUS = 8
_SIZES = (1, 2, 4, 8)
_SMALLEST_BATCH = 16


@dataclass(frozen=True, slots=True)
class Layouts:
    """The plan, None where there is none, and the sizes and settings that lost on the way to it."""

    plan: Plan | None
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class _Runner:
    """An engine as one pool runs it."""

    engine: EngineName
    version: str
    image: str


@dataclass(frozen=True, slots=True)
class _Site:
    """A checkpoint, the pool that it is tried in, and the engine that would run it there."""

    wants: Requirements
    offer: Offer
    accelerator: Accelerator
    choice: Choice
    runner: _Runner

    def try_size(self, size: int) -> Fit | Misfit:
        """Whether one replica fits that many GPUs."""
        return fit(
            FitQuestion(
                facts=self.choice.known.facts,
                accelerator=self.accelerator,
                engine=self.runner.engine,
                engine_version=self.runner.version,
                tensor_parallel=size,
                load=self.wants.load,
                time_to_first_token_seconds=self.wants.time_to_first_token_seconds,
                time_per_output_token_seconds=self.wants.time_per_output_token_seconds,
            )
        )

    def lost(self, size: int, reason: RejectionReason, message: str) -> Rejection:
        """The rejection of one size here."""
        precision = self.choice.known.checkpoint.precision
        return Rejection(reason, message, self.offer.name, self.runner.engine, precision, size)


def find_layout(wants: Requirements, offer: Offer, accelerator: Accelerator, choice: Choice) -> Layouts:
    """Take the fewest GPUs whose KV cache holds a batch, else the fewest that fit at all, within the ceiling."""
    runner = _runner(wants, offer, accelerator, choice)
    if runner is None:
        return Layouts(None, (_no_engine(wants, offer, accelerator, choice),))
    site = _Site(wants, offer, accelerator, choice, runner)
    plans, lost = _tried(site)
    roomy = next((plan for plan in plans if holds_batch(wants, plan)), None)
    if roomy is not None:
        return Layouts(roomy, (*lost, *(_cramped(site, plan) for plan in plans if plan.gpus < roomy.gpus)))
    if plans:
        return Layouts(plans[0], lost)
    return Layouts(None, (*lost, *_uncut(site), *_beyond_node(site)))


def _tried(site: _Site) -> tuple[tuple[Plan, ...], tuple[Rejection, ...]]:
    """Every size that fits within the ceiling, up to the first that holds a batch, and why others do not."""
    plans: list[Plan] = []
    lost: list[Rejection] = []
    for size in tensor_parallel_sizes(site.choice.known.facts, site.accelerator, node_gpus=site.offer.node_gpus):
        found = site.try_size(size)
        if isinstance(found, Misfit):
            lost.append(site.lost(size, found.reason, found.message))
            continue
        plan = _plan(site, found, size)
        too_dear = _above_ceiling(site, plan)
        lost.extend(too_dear)
        plans.extend([] if too_dear else [plan])
        # A larger size only costs more from here on.
        if too_dear or holds_batch(site.wants, plan):
            break
    return tuple(plans), tuple(lost)


def holds_batch(wants: Requirements, plan: Plan) -> bool:
    """True where the KV cache holds enough requests of mean length for the GPU to work in batches."""
    load = wants.load
    batch = min(_SMALLEST_BATCH, load.concurrency or _SMALLEST_BATCH)
    return sequences_that_fit(plan.memory, tokens=load.request_tokens) >= batch


def _cramped(site: _Site, plan: Plan) -> Rejection:
    load = site.wants.load
    holds = sequences_that_fit(plan.memory, tokens=load.request_tokens)
    message = f"it fits, and its KV cache holds {holds} requests of {load.request_tokens:,} tokens: less than a batch"
    return site.lost(plan.gpus, RejectionReason.NOT_PREFERRED, message)


def _runner(wants: Requirements, offer: Offer, accelerator: Accelerator, choice: Choice) -> _Runner | None:
    """The first engine that can run the checkpoint here, at the pool's own version where it names one."""
    for engine in wants.engines:
        if not engine_supports(engine, accelerator, choice.known.checkpoint.precision):
            continue
        own = next((image for image in offer.images if image.engine is engine), None)
        if own is not None:
            return _Runner(engine, own.version, own.image)
        version = DEFAULT_VERSIONS[engine]
        return _Runner(engine, version, default_image(engine, version, accelerator.vendor))
    return None


def _no_engine(wants: Requirements, offer: Offer, accelerator: Accelerator, choice: Choice) -> Rejection:
    precision, names = choice.known.checkpoint.precision, wants.engines
    who = f"neither {' nor '.join(names)} runs" if len(names) > 1 else f"{names[0]} does not run"
    message = f"{who} {precision} on {accelerator.name}; would work: another engine, or a variant in another precision"
    engine = names[0] if len(names) == 1 else ""
    return Rejection(RejectionReason.ENGINE_UNSUPPORTED, message, offer.name, engine, precision)


def _plan(site: _Site, found: Fit, size: int) -> Plan:
    settings, price = found.settings, site.offer.price
    return Plan(
        pool=site.offer.name,
        accelerator=site.accelerator.name,
        gpu_resource=site.accelerator.resource,
        engine=site.runner.engine,
        engine_version=site.runner.version,
        image=site.runner.image,
        checkpoint=site.choice.known.checkpoint,
        tensor_parallel=size,
        pipeline_parallel=1,
        expert_parallel=found.expert_parallel,
        max_context_tokens=settings.max_context_tokens,
        max_sequences=settings.max_sequences,
        max_batched_tokens=settings.max_batched_tokens,
        kv_cache_dtype="auto",
        memory=found.memory,
        price_per_replica_hour=price * size if price else None,
    )


def _above_ceiling(site: _Site, plan: Plan) -> tuple[Rejection, ...]:
    price, ceiling = plan.price_per_replica_hour, site.wants.ceiling
    if ceiling is None or price is None or price.micro <= ceiling.micro:
        return ()
    message = (
        f"{plan.gpus} x {plan.accelerator} at {site.offer.price} cost {price}/h per replica, the ceiling is {ceiling};"
        f" would work: a ceiling of {price}"
    )
    return (site.lost(plan.gpus, RejectionReason.PRICE_CEILING, message),)


def _uncut(site: _Site) -> Iterator[Rejection]:
    """The sizes that the nodes would hold and the model cannot be cut into; a problem of all sizes is told once."""
    facts, most = site.choice.known.facts, site.offer.node_gpus
    workable = tensor_parallel_sizes(facts, site.accelerator, node_gpus=most)
    told: set[str] = set()
    for size in _SIZES:
        problem = shard_problem(facts, site.accelerator, size, expert_parallel=False)
        if problem is not None and size <= most and size not in workable and problem not in told:
            told.add(problem)
            yield site.lost(size, RejectionReason.SHARDING, problem)


def _beyond_node(site: _Site) -> Iterator[Rejection]:
    """The smallest size that would fit a whole node of this GPU, where the pool's nodes are smaller."""
    facts, most = site.choice.known.facts, site.offer.node_gpus
    for size in tensor_parallel_sizes(facts, site.accelerator, node_gpus=max(_WHOLE_NODE_GPUS, most)):
        if size > most and isinstance(site.try_size(size), Fit):
            message = f"needs {size} GPUs on one node, the largest has {most}; would work: nodes with {size} GPUs"
            yield site.lost(size, RejectionReason.NO_WHOLE_NODE, message)
            return
