"""Checkpoints over GPU types and tensor-parallel sizes: what fits, how fast it is, and what it costs.

No pools, nodes or other deployments: a price per GPU-hour and a load are all that is known besides the model.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engines import DEFAULT_VERSIONS, engine_supports
from penstock.catalogue.models import ModelFacts
from penstock.planner.fitting import Fit, FitQuestion, Way, fit
from penstock.planner.judging import Misfit
from penstock.planner.memory import sequences_that_fit
from penstock.planner.outlook import TokenPrice, token_price
from penstock.planner.plan import Expectation, MemoryPlan, RejectionReason
from penstock.planner.requirements import Load
from penstock.planner.sharding import shard_problem, tensor_parallel_sizes
from penstock.planner.speed import Promise, Replica, unvalidated

__all__ = ["SURVEYED_SIZES", "SurveyQuestion", "SurveyRow", "survey"]

SURVEYED_SIZES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyQuestion:
    """What is asked. `prices` are per GPU-hour by accelerator.

    `engine_versions` are those that are planned with; an engine that is left out has its default one.
    """

    checkpoints: tuple[ModelFacts, ...]
    accelerators: tuple[Accelerator, ...]
    load: Load
    promise: Promise
    sizes: tuple[int, ...] = SURVEYED_SIZES
    engines: tuple[EngineName, ...] = (EngineName.VLLM, EngineName.SGLANG)
    engine_versions: Mapping[EngineName, str] = field(default_factory=dict)
    prices: Mapping[str, Money] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """One checkpoint on one GPU type and size. Where `reason` is empty it fits, and the figures are there.

    `most_concurrent` counts requests of mean length that the KV cache holds; `requests_per_second` is what one replica
    may be planned for, `expected` what it does at the load. `replicas` are those that the load takes, `price_per_hour`
    is that of all of them. `unvalidated` says on what the speed rests where nobody measured such a replica.
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
    requests_per_second: float = 0.0
    expected: Expectation | None = None
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
            unvalidated="; ".join(unvalidated(self._replica)),
        )

    @property
    def _replica(self) -> Replica:
        return Replica(
            facts=self.facts,
            accelerator=self.accelerator,
            engine=self.engine,
            engine_version=self.version,
            tensor_parallel=self.size,
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
    if site.size not in tensor_parallel_sizes(site.facts, site.accelerator, node_gpus=site.size):
        problem = shard_problem(site.facts, site.accelerator, site.size, expert_parallel=False)
        return site.row(RejectionReason.SHARDING, problem or _odd_size(site.size))
    found = fit(
        FitQuestion(
            facts=site.facts,
            accelerator=site.accelerator,
            engine=site.engine,
            engine_version=site.version,
            way=Way(site.size),
            load=site.question.load,
            promise=site.question.promise,
        )
    )
    return site.row(found.reason, found.message) if isinstance(found, Misfit) else _fitting(site, found)


def _odd_size(size: int) -> str:
    """The heads would allow it, and nobody builds nodes for it."""
    return f"tensor parallel {size} is never planned; use tensor parallel 1, 2, 4 or 8"


def _fitting(site: _Site, found: Fit) -> SurveyRow:
    load, judged = site.question.load, found.judgement
    each = site.question.prices.get(site.accelerator.name)
    price = each * (site.size * judged.replicas) if each else None
    tokens = judged.expected.output_tokens_per_second * judged.replicas
    return replace(
        site.row(),
        expert_parallel=found.expert_parallel,
        memory=found.memory,
        longest_context_tokens=min(site.facts.max_context_tokens, found.memory.kv_tokens),
        most_concurrent=sequences_that_fit(found.memory, tokens=load.request_tokens),
        requests_per_second=judged.requests_per_second,
        expected=judged.expected,
        replicas=judged.replicas,
        price_per_hour=price,
        token_price=token_price(price, tokens, load) if price else None,
    )
