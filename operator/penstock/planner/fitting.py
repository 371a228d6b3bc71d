"""Whether one replica of a checkpoint fits a number of GPUs of one type, with which settings, and what it does then.

Memory, context, load and service level; where it does not fit, the numbers that say why. Pools, prices and free GPUs
are none of its business.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts
from penstock.planner.judging import Judgement, Misfit, counted_requests, judge, more_gpus, most_at_once, would_work
from penstock.planner.memory import (
    Footprint,
    MemoryRequest,
    default_utilization,
    footprint_of,
    plan_memory,
    sequences_that_fit,
)
from penstock.planner.plan import MemoryPlan, Plan, RejectionReason, layout_label
from penstock.planner.requirements import Load, sequences_for
from penstock.planner.sharding import shard_problem
from penstock.planner.speed import Promise, Replica

__all__ = ["Fit", "FitQuestion", "Room", "Way", "fit", "make_room", "replica_of"]

_GIB = 2**30
_SMALLEST_DEFAULT_CONTEXT = 8192
_LARGE_GPU_BYTES = 70 * _GIB
_LARGE_GPU_BATCHED_TOKENS, _BATCHED_TOKENS = 8192, 2048
_CONTEXT_LADDER = tuple(sorted({step for power in range(8, 25) for step in (2**power, 3 * 2 ** (power - 1))}))


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """How a replica is cut over its GPUs.

    Each layer over `tensor_parallel`, the layers over `pipeline_parallel` groups; `attention_ranks` of the group attend
    to requests of their own (1: plain tensor parallelism). `spread_experts` asks for whole experts on each GPU where
    they could be cut as well.
    """

    tensor_parallel: int
    pipeline_parallel: int = 1
    attention_ranks: int = 1
    spread_experts: bool = False

    @classmethod
    def of(cls, plan: Plan) -> "Way":
        """As a plan is cut; whole experts are asked for where it has them."""
        ranks = plan.attention_ranks
        return cls(plan.tensor_parallel, plan.pipeline_parallel, ranks, spread_experts=plan.expert_parallel)

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def label(self) -> str:
        """As people write it: `TP2xPP4`."""
        return layout_label(
            self.tensor_parallel, self.pipeline_parallel, self.attention_ranks, whole_experts=self.spread_experts
        )


@dataclass(frozen=True, slots=True)
class FitQuestion:
    """One layout under one load, on a node of `node_gpus`.

    `correction` is what engines taught of its speed (1.0: nothing yet).
    """

    facts: ModelFacts
    accelerator: Accelerator
    engine: EngineName
    engine_version: str
    way: Way
    node_gpus: int
    load: Load
    promise: Promise
    kv_cache_dtype: str = "auto"
    correction: float = 1.0

    @property
    def may_grow(self) -> bool:
        """Whether the node has GPUs that the layout leaves."""
        return self.way.gpus < self.node_gpus


@dataclass(frozen=True, slots=True)
class Settings:
    """What the engine is told: requests at once, tokens per step, and the longest request."""

    max_sequences: int
    max_batched_tokens: int
    max_context_tokens: int


@dataclass(frozen=True, slots=True)
class Fit:
    """It fits with these settings, and is expected to do so much."""

    settings: Settings
    memory: MemoryPlan
    expert_parallel: bool
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Room:
    """Settings for which there is memory, and how many mean requests the caches of the replica hold."""

    settings: Settings
    memory: MemoryPlan
    expert_parallel: bool
    requests_held: int

    @property
    def at_once(self) -> int:
        """Requests that run at once."""
        return min(self.settings.max_sequences, self.requests_held)


@lru_cache(maxsize=16_384)
def fit(question: FitQuestion) -> Fit | Misfit:
    """The roomiest settings that fit, else the shortage that the leanest settings leave; then what they carry."""
    found = _find_room(question)
    if isinstance(found, Misfit):
        return found
    layout, room = found
    replica = replica_of(question, room)
    judgement = judge(replica, question.load, question.promise, room.at_once, may_grow=question.may_grow)
    if isinstance(judgement, Misfit):
        return judgement
    room = _tightened(layout, room, judgement)
    return Fit(room.settings, room.memory, room.expert_parallel, judgement)


def make_room(question: FitQuestion) -> Room | Misfit:
    """The memory part alone: the roomiest settings that fit, whatever they carry."""
    found = _find_room(question)
    return found if isinstance(found, Misfit) else found[1]


@dataclass(frozen=True, slots=True)
class _Layout:
    """A way that the model can be cut, and what all settings have in common: `first` is with the roomiest."""

    question: FitQuestion
    expert_parallel: bool
    first: MemoryRequest
    footprint: Footprint

    @property
    def hopeless(self) -> bool:
        """True where what every setting takes leaves no room for a cache."""
        request, footprint = self.first, self.footprint
        granted = request.accelerator.memory_bytes * request.utilization_percent // 100
        return footprint.weights_bytes + footprint.overhead_bytes >= granted


def _find_room(question: FitQuestion) -> tuple[_Layout, Room] | Misfit:
    expert_parallel, problem = _sharding(question)
    if problem:
        return Misfit(RejectionReason.SHARDING, problem)
    if too_long := _beyond_model(question):
        return too_long
    layout = _layout(question, expert_parallel=expert_parallel)
    room = _roomiest(layout)
    return room if isinstance(room, Misfit) else (layout, room)


def _layout(question: FitQuestion, *, expert_parallel: bool) -> _Layout:
    request = _request(question, *_first_settings(question), expert_parallel=expert_parallel)
    return _Layout(question, expert_parallel, request, footprint_of(request))


def _roomiest(layout: _Layout) -> Room | Misfit:
    if not layout.hopeless:
        roomiest = _at(layout, *_first_settings(layout.question))
        if isinstance(roomiest, Room):
            return roomiest
    # Where nothing fits, the leanest settings are those that the refusal talks of.
    settings = tuple(_settings(layout.question))
    leanest = _at(layout, *settings[-1])
    if isinstance(leanest, Misfit):
        return leanest
    between = (_at(layout, *each) for each in settings[1:-1])
    return next((room for room in between if isinstance(room, Room)), leanest)


def _tightened(layout: _Layout, room: Room, judgement: Judgement) -> Room:
    """No more requests at once than the planned load needs: they take memory from the KV cache."""
    wanted = sequences_for(judgement.expected.concurrency)
    if not layout.question.load.known or wanted >= room.settings.max_sequences:
        return room
    tight = _at(layout, wanted, room.settings.max_batched_tokens)
    return tight if isinstance(tight, Room) else room


def replica_of(question: FitQuestion, room: Room) -> Replica:
    """The replica as the performance model sees it."""
    return Replica(
        facts=question.facts,
        accelerator=question.accelerator,
        engine=question.engine,
        engine_version=question.engine_version,
        tensor_parallel=question.way.tensor_parallel,
        pipeline_parallel=question.way.pipeline_parallel,
        expert_parallel=room.expert_parallel,
        attention_ranks=question.way.attention_ranks,
        kv_cache_dtype=question.kv_cache_dtype,
        max_batched_tokens=room.settings.max_batched_tokens,
        correction=question.correction,
    )


def _requests_held(question: FitQuestion, memory: MemoryPlan) -> int:
    """Mean requests in the KV cache of the whole replica: each attention rank holds its own."""
    return sequences_that_fit(memory, tokens=question.load.request_tokens) * question.way.attention_ranks


def _sharding(question: FitQuestion) -> tuple[bool, str | None]:
    """Whether experts must be spread whole, and why neither way of cutting works."""
    way, facts = question.way, question.facts
    spread = bool(facts.experts) and (way.spread_experts or way.attention_ranks > 1)
    problem = _problem(question, expert_parallel=spread)
    if problem is None or spread or not facts.experts:
        return spread, problem
    whole = _problem(question, expert_parallel=True)
    return whole is None, problem if whole else None


def _problem(question: FitQuestion, *, expert_parallel: bool) -> str | None:
    way = question.way
    return shard_problem(
        question.facts,
        question.accelerator,
        way.tensor_parallel,
        expert_parallel=expert_parallel,
        attention_ranks=way.attention_ranks,
        pipeline_parallel=way.pipeline_parallel,
    )


def _beyond_model(question: FitQuestion) -> Misfit | None:
    longest, load = question.facts.max_context_tokens, question.load
    wanted = load.max_context_tokens or (load.request_tokens if load.stated else 0)
    if wanted <= longest:
        return None
    said = "spec.workload.maxContextTokens" if load.max_context_tokens else "spec.workload"
    message = f"`{said}` asks for {wanted:,} tokens, the model reads {longest:,} at most; would work: {longest} or less"
    return Misfit(RejectionReason.CONTEXT_TOO_LARGE, message)


def _first_settings(question: FitQuestion) -> tuple[int, int]:
    large = question.accelerator.memory_bytes >= _LARGE_GPU_BYTES
    return question.load.max_sequences, _LARGE_GPU_BATCHED_TOKENS if large else _BATCHED_TOKENS


def _settings(question: FitQuestion) -> Iterator[tuple[int, int]]:
    """Requests at once and tokens per step, roomiest first: both take memory from the KV cache."""
    sequences, batched = _first_settings(question)
    fewest = question.load.fewest_sequences
    yield sequences, batched
    while sequences > fewest:
        sequences = max(sequences // 2, fewest)
        yield sequences, batched
    if batched > _BATCHED_TOKENS:
        yield sequences, _BATCHED_TOKENS


def _at(layout: _Layout, sequences: int, batched: int) -> Room | Misfit:
    question = layout.question
    memory = plan_memory(_with_settings(layout, sequences, batched), layout.footprint)
    longest = question.load.max_context_tokens or question.facts.max_context_tokens
    if memory.kv_tokens < longest and question.load.max_context_tokens is None:
        longest = _longest_that_fits(question, memory.kv_tokens)
    settings = Settings(sequences, batched, longest)
    room = Room(settings, memory, layout.expert_parallel, _requests_held(question, memory))
    return _shortage(question, room) or room


def _with_settings(layout: _Layout, sequences: int, batched: int) -> MemoryRequest:
    if (sequences, batched) == _first_settings(layout.question):
        return layout.first
    return _request(layout.question, sequences, batched, expert_parallel=layout.expert_parallel)


def _request(question: FitQuestion, sequences: int, batched: int, *, expert_parallel: bool) -> MemoryRequest:
    way = question.way
    return MemoryRequest(
        facts=question.facts,
        accelerator=question.accelerator,
        engine=question.engine,
        engine_version=question.engine_version,
        tensor_parallel=way.tensor_parallel,
        pipeline_parallel=way.pipeline_parallel,
        max_sequences=-(-sequences // way.attention_ranks),
        max_batched_tokens=batched,
        max_context_tokens=question.load.max_context_tokens or question.facts.max_context_tokens,
        utilization_percent=default_utilization(question.engine, question.engine_version),
        expert_parallel=expert_parallel,
        attention_ranks=way.attention_ranks,
        kv_cache_dtype=question.kv_cache_dtype,
    )


def _longest_that_fits(question: FitQuestion, kv_tokens: int) -> int:
    """The largest step that the KV cache holds, and no less than the shortest that is worth serving."""
    load, longest = question.load, question.facts.max_context_tokens
    least = min(longest, max(_SMALLEST_DEFAULT_CONTEXT, load.request_tokens if load.stated else 0))
    return max(least, max((step for step in _CONTEXT_LADDER if step <= kv_tokens), default=0))


def _shortage(question: FitQuestion, room: Room) -> Misfit | None:
    """What is missing, by the first of weights, one request, and the whole load that does not fit."""
    load, settings, memory = question.load, room.settings, room.memory
    if memory.kv_bytes <= 0:
        return Misfit(RejectionReason.WEIGHTS_TOO_LARGE, _weights_message(question, memory))
    if memory.kv_tokens < settings.max_context_tokens:
        shorter = f"`spec.workload.maxContextTokens` of {memory.kv_tokens} or less"
        message = (
            f"one request may have {settings.max_context_tokens:,} tokens, the KV cache holds {memory.kv_tokens:,};"
            f" {would_work(*more_gpus(may_grow=question.may_grow), shorter)}"
        )
        return Misfit(RejectionReason.CONTEXT_TOO_LARGE, message)
    if load.concurrency is not None and room.requests_held < load.concurrency:
        return Misfit(RejectionReason.NO_ROOM_FOR_LOAD, _load_message(question, room))
    return None


def _weights_message(question: FitQuestion, memory: MemoryPlan) -> str:
    usable = memory.gpu_bytes * memory.utilization_percent / 100
    needed = memory.weights_bytes + memory.activation_bytes + memory.overhead_bytes
    reserved = ", the rest is less than the planning margin" if needed < usable else ""
    return (
        f"{question.way.gpus} x {question.accelerator.name}: a GPU needs {_gib(needed)} before any KV cache"
        f" ({_gib(memory.weights_bytes)} of weights) and may use {_gib(usable)}{reserved};"
        f" {would_work(*more_gpus(may_grow=question.may_grow), 'a GPU with more memory', 'a smaller checkpoint')}"
    )


def _load_message(question: FitQuestion, room: Room) -> str:
    load, tokens = question.load, room.memory.kv_tokens * question.way.attention_ranks
    return (
        f"{load.concurrency or 1:,} requests at once of {load.request_tokens:,} tokens need {load.kv_tokens:,} KV"
        f" tokens per replica, there is room for {tokens:,};"
        f" {would_work(*_smaller_shares(question, room), *more_gpus(may_grow=question.may_grow))}"
    )


def _smaller_shares(question: FitQuestion, room: Room) -> tuple[str, ...]:
    """Shares that there is room for and that keep the promise, with the steps that an engine of fewer requests has."""
    if not room.requests_held:
        return ("shorter requests",)
    _, batched = _first_settings(question)
    replica = replica_of(question, replace(room, settings=replace(room.settings, max_batched_tokens=batched)))
    share = most_at_once(replica, question.load, question.promise, room.requests_held)
    if not share:
        return ("a faster GPU",)
    replicas = -(-(question.load.total_concurrency or 1) // share)
    return (
        f"{counted_requests(share)} at once per replica",
        f"{replicas:,} replica{'' if replicas == 1 else 's'}",
    )


def _gib(count: float) -> str:
    return f"{count / _GIB:.1f} GiB"
