"""Checkpoints over GPU types and layouts: what fits, what binds it, how fast it is, and what it costs.

No pools, nodes or other deployments: a price per GPU-hour and a load are all that is known besides the model.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engines import DEFAULT_VERSIONS, engine_supports
from penstock.catalogue.models import ModelFacts
from penstock.planner.fitting import Fit, FitQuestion, Room, Way, fit, make_room
from penstock.planner.judging import Misfit
from penstock.planner.memory import sequences_that_fit
from penstock.planner.outlook import TokenPrice, token_price
from penstock.planner.plan import Expectation, MemoryPlan, RejectionReason, layout_label
from penstock.planner.requirements import Load
from penstock.planner.room import RoomBound, room_of
from penstock.planner.sharding import shard_problem, tensor_parallel_sizes
from penstock.planner.speed import Bound, Promise, Replica, unvalidated
from penstock.planner.ways import SIZES, grouped_ways, pipelined_ways

__all__ = ["SURVEYED_SIZES", "Limit", "SurveyQuestion", "SurveyRow", "survey"]

SURVEYED_SIZES = SIZES
_NODE_GPUS = max(SIZES)
_MOST_NODES = 4
_MANY_REQUESTS = 1024
_MEMORY = frozenset(
    {RejectionReason.WEIGHTS_TOO_LARGE, RejectionReason.CONTEXT_TOO_LARGE, RejectionReason.NO_ROOM_FOR_LOAD}
)


class Limit(StrEnum):
    """What keeps a replica from carrying more; the words are part of what programs read."""

    TIME_TO_FIRST_TOKEN = "TTFT"  # noqa: S105 - a reason, no secret
    TIME_PER_OUTPUT_TOKEN = "TPOT"  # noqa: S105 - the same
    CACHE = "KVCache"
    SEQUENCES = "MaxSequences"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyQuestion:
    """What is asked. `sizes` are tensor-parallel, `prices` per GPU-hour by accelerator.

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
    """One checkpoint on one GPU type in one layout. Where `reason` is empty it fits, and the figures are there.

    `kv_tokens` are those of the whole replica, of all attention ranks together; `limit` is what binds it.
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
    pipeline_parallel: int = 1
    attention_ranks: int = 1
    expert_parallel: bool = False
    reason: str = ""
    message: str = ""
    memory: MemoryPlan | None = None
    limit: Limit | None = None
    kv_tokens: int = 0
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

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def layout(self) -> str:
        """How a replica is cut over them, as `TP2xPP4`."""
        return layout_label(
            self.tensor_parallel, self.pipeline_parallel, self.attention_ranks, whole_experts=self.expert_parallel
        )


@dataclass(frozen=True, slots=True)
class _Site:
    """One checkpoint on one GPU type, and the engine that would run it there."""

    question: SurveyQuestion
    facts: ModelFacts
    accelerator: Accelerator
    engine: EngineName
    version: str

    def row(self, way: Way, reason: str = "", message: str = "") -> SurveyRow:
        """What every answer says of it."""
        return SurveyRow(
            model=self.facts.model,
            precision=self.facts.precision,
            accelerator=self.accelerator.name,
            tensor_parallel=way.tensor_parallel,
            engine=self.engine,
            engine_version=self.version,
            pipeline_parallel=way.pipeline_parallel,
            attention_ranks=way.attention_ranks,
            expert_parallel=way.spread_experts,
            reason=reason,
            message=message,
            unvalidated="; ".join(unvalidated(self._replica(way))),
        )

    def asked(self, way: Way) -> FitQuestion:
        """Whether it fits cut that way."""
        return FitQuestion(
            facts=self.facts,
            accelerator=self.accelerator,
            engine=self.engine,
            engine_version=self.version,
            way=way,
            node_gpus=_NODE_GPUS,
            load=self.question.load,
            promise=self.question.promise,
        )

    def _replica(self, way: Way) -> Replica:
        return Replica(
            facts=self.facts,
            accelerator=self.accelerator,
            engine=self.engine,
            engine_version=self.version,
            tensor_parallel=way.tensor_parallel,
            pipeline_parallel=way.pipeline_parallel,
            attention_ranks=way.attention_ranks,
        )


def survey(question: SurveyQuestion) -> tuple[SurveyRow, ...]:
    """Rows by accelerator and checkpoint in the order asked, then by GPUs of a replica; the best is marked.

    Best is the cheapest per token of those with a price; where there are no prices, the most tokens per GPU. As in
    planning, a pipeline is it only where nothing without one fits.
    """
    rows = [
        row
        for accelerator in question.accelerators
        for facts in question.checkpoints
        for row in _rows(question, facts, accelerator)
    ]
    best = min(_eligible(rows), key=lambda row: _rank(question, row), default=None)
    return tuple(replace(row, best=True) if row is best else row for row in rows)


def _eligible(rows: Sequence[SurveyRow]) -> Iterator[SurveyRow]:
    grouped = {(row.accelerator, row.model) for row in rows if row.fits and row.pipeline_parallel == 1}
    for row in rows:
        if row.fits and (row.pipeline_parallel == 1 or (row.accelerator, row.model) not in grouped):
            yield row


def _rank(question: SurveyQuestion, row: SurveyRow) -> tuple[float, float, int]:
    """The least is the best; of equals, the fewest GPUs, then the first."""
    cost = 0.0
    if question.prices:
        cost = row.token_price.all_tokens.micro if row.token_price else math.inf
    tokens = row.expected.output_tokens_per_second / row.gpus if row.expected else 0.0
    return cost, -tokens, row.gpus * row.replicas


def _rows(question: SurveyQuestion, facts: ModelFacts, accelerator: Accelerator) -> Iterator[SurveyRow]:
    engine = next((each for each in question.engines if engine_supports(each, accelerator, facts.precision)), None)
    if engine is None:
        reason, message = _unsupported(question, facts, accelerator)
        for size in question.sizes:
            yield SurveyRow(facts.model, facts.precision, accelerator.name, size, reason=reason, message=message)
        return
    version = question.engine_versions.get(engine, DEFAULT_VERSIONS[engine])
    site = _Site(question, facts, accelerator, engine, version)
    grouped = [row for size in question.sizes for row in _of_size(site, size)]
    rows = [*grouped, *_pipelines(site, grouped)]
    yield from sorted(rows, key=lambda row: row.gpus)
    if not any(row.fits for row in rows):
        yield from _across_nodes(site, rows)


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


def _of_size(site: _Site, size: int) -> Iterator[SurveyRow]:
    """The plain cut, and its variations that planning would try; that they fail too is told only where it fits."""
    plain = _plain(site, size)
    yield plain
    load = site.question.load
    if load.likely_concurrency is None:
        # A replica that is to carry what it can has many requests.
        load = replace(load, likely_concurrency=_MANY_REQUESTS)
    for way in grouped_ways(site.facts, site.accelerator, load, node_gpus=size):
        if way.tensor_parallel == size and way != Way(size):
            row = _row(site, way)
            if row.layout != plain.layout and (row.fits or plain.fits):
                yield row


def _plain(site: _Site, size: int) -> SurveyRow:
    if size in tensor_parallel_sizes(site.facts, site.accelerator, node_gpus=size):
        return _row(site, Way(size))
    problem = shard_problem(site.facts, site.accelerator, size, expert_parallel=False)
    return site.row(Way(size), RejectionReason.SHARDING, problem or _odd_size(size))


def _odd_size(size: int) -> str:
    """The heads would allow it, and nobody builds nodes for it."""
    return f"tensor parallel {size} is never planned; use tensor parallel 1, 2, 4 or 8"


def _pipelines(site: _Site, grouped: Sequence[SurveyRow]) -> Iterator[SurveyRow]:
    """Pipelines over as many GPUs as no plain group reaches."""
    reached = {row.gpus for row in grouped if row.fits}
    for way in pipelined_ways(site.facts, site.accelerator, node_gpus=_NODE_GPUS):
        if way.tensor_parallel in site.question.sizes and way.gpus not in reached:
            yield _row(site, way)


def _across_nodes(site: _Site, rows: Sequence[SurveyRow]) -> Iterator[SurveyRow]:
    """The fewest whole nodes whose memory would hold a replica, where that of one node was tried and does not."""
    largest = [row for row in rows if row.gpus >= _NODE_GPUS and row.reason in _MEMORY]
    if not largest:
        return
    group = max(row.tensor_parallel for row in largest)
    for nodes in range(2, _MOST_NODES + 1, 2):
        way = Way(group, pipeline_parallel=nodes * _NODE_GPUS // group)
        if isinstance(make_room(site.asked(way)), Room):
            message = f"a replica needs {way.gpus} GPUs, more than a node of {_NODE_GPUS}: not placed by this release"
            yield site.row(way, RejectionReason.NO_WHOLE_NODE, message)
            return


def _row(site: _Site, way: Way) -> SurveyRow:
    found = fit(site.asked(way))
    return site.row(way, found.reason, found.message) if isinstance(found, Misfit) else _fitting(site, way, found)


def _fitting(site: _Site, way: Way, found: Fit) -> SurveyRow:
    load, judged = site.question.load, found.judgement
    each = site.question.prices.get(site.accelerator.name)
    price = each * (way.gpus * judged.replicas) if each else None
    tokens = judged.expected.output_tokens_per_second * judged.replicas
    return replace(
        site.row(way),
        expert_parallel=found.expert_parallel,
        memory=found.memory,
        limit=_limit(site, way, found),
        kv_tokens=found.memory.kv_tokens * way.attention_ranks,
        longest_context_tokens=min(site.facts.max_context_tokens, found.memory.kv_tokens),
        most_concurrent=sequences_that_fit(found.memory, tokens=load.request_tokens) * way.attention_ranks,
        requests_per_second=judged.requests_per_second,
        expected=judged.expected,
        replicas=judged.replicas,
        price_per_hour=price,
        token_price=token_price(price, tokens, load) if price else None,
    )


def _limit(site: _Site, way: Way, found: Fit) -> Limit:
    """A promise, or else the room: the cache, or the requests at once that the engine is told."""
    match found.judgement.bound:
        case Bound.TIME_TO_FIRST_TOKEN:
            return Limit.TIME_TO_FIRST_TOKEN
        case Bound.TIME_PER_OUTPUT_TOKEN:
            return Limit.TIME_PER_OUTPUT_TOKEN
    room = room_of(
        found.memory,
        site.facts,
        context_tokens=site.question.load.request_tokens,
        max_sequences=-(-found.settings.max_sequences // way.attention_ranks),
        attention_ranks=way.attention_ranks,
    )
    return Limit.SEQUENCES if room.bound is RoomBound.SEQUENCES else Limit.CACHE
