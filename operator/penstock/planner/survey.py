"""Checkpoints over GPU types and tensor-parallel sizes: what fits, how fast it is, and what it costs.

No pools, nodes or other deployments: a price per GPU-hour and a load are all that is known besides the model.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator, Vendor
from penstock.catalogue.engines import DEFAULT_VERSIONS, engine_supports
from penstock.catalogue.models import ModelFacts
from penstock.planner.fitting import Fit, FitQuestion, Misfit, fit
from penstock.planner.memory import sequences_that_fit
from penstock.planner.outlook import TokenPrice, expectation, token_price
from penstock.planner.plan import Expectation, MemoryPlan, RejectionReason
from penstock.planner.requirements import Load
from penstock.planner.sharding import expert_parallel_needed, shard_problem
from penstock.planner.speed import PLANNED_UTILISATION, Capacity, Promise, Replica, Speed, Traffic, capacity, speed

__all__ = ["SURVEYED_SIZES", "SurveyQuestion", "SurveyRow", "survey"]

SURVEYED_SIZES = (1, 2, 4, 8)

_UNVALIDATED_ARCHITECTURES = frozenset({"ampere"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyQuestion:
    """What is asked. `prices` are per GPU-hour by accelerator; `requests_per_second` is over all replicas.

    `engine_versions` are those that are planned with; an engine that is left out has its default one.
    """

    checkpoints: tuple[ModelFacts, ...]
    accelerators: tuple[Accelerator, ...]
    load: Load
    promise: Promise
    sizes: tuple[int, ...] = SURVEYED_SIZES
    engines: tuple[EngineName, ...] = (EngineName.VLLM, EngineName.SGLANG)
    engine_versions: Mapping[EngineName, str] = field(default_factory=dict)
    requests_per_second: Decimal | None = None
    prices: Mapping[str, Money] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """One checkpoint on one GPU type and size. Where `reason` is empty it fits, and the figures are there.

    `most_concurrent` counts requests of mean length that the KV cache holds, `replicas` what the request rate needs,
    `price_per_hour` is that of all of them. `unvalidated` says why the figures of speed were not checked here.
    """

    model: str
    precision: str
    accelerator: str
    tensor_parallel: int
    engine: str = ""
    engine_version: str = ""
    expert_parallel: bool = False
    reason: str = ""
    message: str = ""
    memory: MemoryPlan | None = None
    longest_context_tokens: int = 0
    most_concurrent: int = 0
    expected: Expectation | None = None
    bound: str = ""
    replicas: int = 1
    price_per_hour: Money | None = None
    token_price: TokenPrice | None = None
    unvalidated: str = ""
    best: bool = False

    @property
    def fits(self) -> bool:
        """True where it runs within memory and promise."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class _Site:
    """One checkpoint on one GPU type and size, and the engine that would run it there."""

    question: SurveyQuestion
    facts: ModelFacts
    accelerator: Accelerator
    size: int
    engine: EngineName
    version: str

    def row(self, reason: str = "", message: str = "") -> SurveyRow:
        """What every answer says of it."""
        return SurveyRow(
            *(self.facts.model, self.facts.precision, self.accelerator.name, self.size, self.engine, self.version),
            reason=reason,
            message=message,
            unvalidated=_unvalidated(self.accelerator),
        )

    def replica(self, found: Fit) -> Replica:
        """As the model of speed reads it."""
        return Replica(
            facts=self.facts,
            accelerator=self.accelerator,
            engine=self.engine,
            engine_version=self.version,
            tensor_parallel=self.size,
            expert_parallel=found.expert_parallel,
            max_batched_tokens=found.settings.max_batched_tokens,
        )


def survey(question: SurveyQuestion) -> tuple[SurveyRow, ...]:
    """A row per accelerator, checkpoint and size, in the order asked; the best is marked.

    Best is the cheapest per token of those with a price; where there are no prices, the most tokens per GPU.
    """
    rows = [
        row
        for accelerator in question.accelerators
        for facts in question.checkpoints
        for row in _rows(question, facts, accelerator)
    ]
    best = min((row for row in rows if row.fits), key=lambda row: _rank(question, row), default=None)
    return tuple(replace(row, best=True) if row is best else row for row in rows)


def _rank(question: SurveyQuestion, row: SurveyRow) -> tuple[float, float, int]:
    """The least is the best; of equals, the fewest GPUs, then the first."""
    cost = 0.0
    if question.prices:
        cost = row.token_price.all_tokens.micro if row.token_price else math.inf
    tokens = row.expected.output_tokens_per_second / row.tensor_parallel if row.expected else 0.0
    return cost, -tokens, row.tensor_parallel * row.replicas


def _rows(question: SurveyQuestion, facts: ModelFacts, accelerator: Accelerator) -> Iterator[SurveyRow]:
    engine = next((each for each in question.engines if engine_supports(each, accelerator, facts.precision)), None)
    if engine is None:
        reason, message = _unsupported(question, facts, accelerator)
        for size in question.sizes:
            yield SurveyRow(facts.model, facts.precision, accelerator.name, size, reason=reason, message=message)
        return
    version = question.engine_versions.get(engine, DEFAULT_VERSIONS[engine])
    for size in question.sizes:
        yield _row(_Site(question, facts, accelerator, size, engine, version))


def _unsupported(question: SurveyQuestion, facts: ModelFacts, accelerator: Accelerator) -> tuple[RejectionReason, str]:
    precision = facts.precision
    if precision not in accelerator.formats:
        message = f"it cannot run {precision}; would work: a checkpoint in {', '.join(accelerator.formats)}"
        return RejectionReason.PRECISION_UNSUPPORTED, message
    who = " and ".join(question.engines)
    message = f"{who} {'does' if len(question.engines) == 1 else 'do'} not run {precision} on it"
    return (
        RejectionReason.ENGINE_UNSUPPORTED,
        f"{message}; would work: another engine, or a checkpoint in another format",
    )


def _row(site: _Site) -> SurveyRow:
    facts, accelerator = site.facts, site.accelerator
    problem = shard_problem(facts, accelerator, site.size, expert_parallel=False)
    if problem and not expert_parallel_needed(facts, accelerator, site.size):
        return site.row(RejectionReason.SHARDING, problem)
    found = fit(_fit_question(site))
    return site.row(found.reason, found.message) if isinstance(found, Misfit) else _timed(site, found)


def _fit_question(site: _Site) -> FitQuestion:
    promise = site.question.promise
    return FitQuestion(
        facts=site.facts,
        accelerator=site.accelerator,
        engine=site.engine,
        engine_version=site.version,
        tensor_parallel=site.size,
        load=site.question.load,
        time_to_first_token_seconds=promise.time_to_first_token_seconds,
        time_per_output_token_seconds=promise.time_per_output_token_seconds,
    )


def _timed(site: _Site, found: Fit) -> SurveyRow:
    """What it does at the load; refused where the promise is broken."""
    question, load = site.question, site.question.load
    most = max(1, sequences_that_fit(found.memory, tokens=load.request_tokens))
    traffic = Traffic(load.prompt_tokens, load.output_tokens)
    replica = site.replica(found)
    least = load.concurrency or 1
    carried = capacity(
        replica, traffic, question.promise, most_concurrent=max(least, min(most, found.settings.max_sequences))
    )
    if carried is None or carried.speed.concurrency < least:
        return site.row(RejectionReason.SERVICE_LEVEL, _late(site, replica, carried))
    row = replace(
        site.row(),
        expert_parallel=found.expert_parallel,
        memory=found.memory,
        longest_context_tokens=min(site.facts.max_context_tokens, found.memory.kv_tokens),
        most_concurrent=most,
        bound=carried.bound,
    )
    return _priced(question, row, *_at_load(question, replica, carried))


def _at_load(question: SurveyQuestion, replica: Replica, carried: Capacity) -> tuple[Expectation, int]:
    """What one replica does, and how many replicas there are: at the rate, at the concurrency, else at capacity."""
    load, rate = question.load, question.requests_per_second
    traffic, output = Traffic(load.prompt_tokens, load.output_tokens), load.output_tokens
    if rate is not None:
        replicas = max(1, math.ceil(float(rate) / carried.requests_per_second))
        each = float(rate) / replicas
        return expectation(
            _at_rate(replica, traffic, each, carried), requests_per_second=each, output_tokens=output
        ), replicas
    if load.concurrency is not None:
        found = speed(replica, traffic, load.concurrency)
        return expectation(found, requests_per_second=found.requests_per_second, output_tokens=output), 1
    found = carried.speed
    return expectation(found, requests_per_second=carried.requests_per_second, output_tokens=output), 1


def _at_rate(replica: Replica, traffic: Traffic, rate: float, carried: Capacity) -> Speed:
    """With the fewest requests in flight that answer the rate, arrivals being bursty."""
    low, high = 0, carried.speed.concurrency
    while high - low > 1:
        middle = (low + high) // 2
        if speed(replica, traffic, middle).requests_per_second * PLANNED_UTILISATION < rate:
            low = middle
        else:
            high = middle
    return speed(replica, traffic, high)


def _priced(question: SurveyQuestion, row: SurveyRow, expected: Expectation, replicas: int) -> SurveyRow:
    each = question.prices.get(row.accelerator)
    price = each * (row.tensor_parallel * replicas) if each else None
    tokens = expected.output_tokens_per_second * replicas
    return replace(
        row,
        expected=expected,
        replicas=replicas,
        price_per_hour=price,
        token_price=token_price(price, tokens, question.load) if price else None,
    )


def _late(site: _Site, replica: Replica, carried: Capacity | None) -> str:
    """Which promise is broken by how much, and what would keep it."""
    load, promise = site.question.load, site.question.promise
    in_flight = load.concurrency or 1
    found = speed(replica, Traffic(load.prompt_tokens, load.output_tokens), in_flight)
    times = (
        ("TTFT", found.time_to_first_token_seconds, promise.time_to_first_token_seconds),
        ("TPOT", found.time_per_output_token_seconds, promise.time_per_output_token_seconds),
    )
    missed = ", ".join(
        f"{name} {took * 1000:,.0f} ms instead of {asked * 1000:,.0f}"
        for name, took, asked in times
        if asked and took > asked
    )
    fewer = f"at most {carried.speed.concurrency:,} requests in flight per replica, " if carried else ""
    return f"with {in_flight:,} in flight {missed}; would work: {fewer}a longer time, more or faster GPUs"


def _unvalidated(accelerator: Accelerator) -> str:
    if accelerator.vendor is Vendor.AMD:
        return "speed on AMD is derated and unvalidated"
    if accelerator.architecture in _UNVALIDATED_ARCHITECTURES:
        return "speed on Ampere is derated and unvalidated"
    return ""
