"""Whether one replica of a checkpoint fits a number of GPUs of one type, and with which settings.

Memory, context, load and the physical floor of latency; where it does not fit, the numbers that say why. Pools, prices
and free GPUs are none of its business.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import MemoryRequest, default_utilization, plan_memory, sequences_that_fit
from penstock.planner.performance import time_per_output_token_floor_seconds, time_to_first_token_floor_seconds
from penstock.planner.plan import MemoryPlan, RejectionReason
from penstock.planner.requirements import Load
from penstock.planner.sharding import shard_problem

__all__ = ["Fit", "FitQuestion", "Misfit", "fit"]

_GIB = 2**30
_SMALLEST_DEFAULT_CONTEXT = 8192
_LARGE_GPU_BYTES = 70 * _GIB
_LARGE_GPU_BATCHED_TOKENS, _BATCHED_TOKENS = 8192, 2048
_CONTEXT_LADDER = tuple(sorted({step for power in range(8, 25) for step in (2**power, 3 * 2 ** (power - 1))}))


@dataclass(frozen=True, slots=True)
class FitQuestion:
    """One layout; the service level is in seconds, None where none is promised."""

    facts: ModelFacts
    accelerator: Accelerator = field(hash=False)
    engine: EngineName
    engine_version: str
    tensor_parallel: int
    load: Load
    time_to_first_token_seconds: float | None
    time_per_output_token_seconds: float | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the engine is told: requests at once, tokens per step, and the longest request."""

    max_sequences: int
    max_batched_tokens: int
    max_context_tokens: int


@dataclass(frozen=True, slots=True)
class Fit:
    """It fits with these settings."""

    settings: Settings
    memory: MemoryPlan
    expert_parallel: bool


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why it does not fit."""

    reason: RejectionReason
    message: str


@lru_cache(maxsize=16_384)
def fit(question: FitQuestion) -> Fit | Misfit:
    """The roomiest settings that fit, else the shortage that the leanest settings leave."""
    expert_parallel, problem = _sharding(question)
    if problem:
        return Misfit(RejectionReason.SHARDING, problem)
    if too_long := _beyond_model(question):
        return too_long
    tried = (_at(question, *setting, expert_parallel=expert_parallel) for setting in _settings(question))
    found = _first_fit(tried)
    return found if isinstance(found, Misfit) else _too_slow(question) or found


def _first_fit(tried: Iterator[Fit | Misfit]) -> Fit | Misfit:
    """The first that fits; else the last shortage, which the leanest settings leave."""
    found = next(tried)
    for attempt in tried:
        if isinstance(found, Fit):
            break
        found = attempt
    return found


def _sharding(question: FitQuestion) -> tuple[bool, str | None]:
    """Whether experts must be spread whole, and why neither way of cutting works."""
    facts, accelerator, size = question.facts, question.accelerator, question.tensor_parallel
    problem = shard_problem(facts, accelerator, size, expert_parallel=False)
    if problem is None or not facts.experts:
        return False, problem
    whole = shard_problem(facts, accelerator, size, expert_parallel=True)
    return whole is None, problem if whole else None


def _beyond_model(question: FitQuestion) -> Misfit | None:
    longest, load = question.facts.max_context_tokens, question.load
    wanted = load.max_context_tokens or (load.request_tokens if load.stated else 0)
    if wanted <= longest:
        return None
    said = "spec.workload.maxContextTokens" if load.max_context_tokens else "spec.workload"
    message = f"`{said}` asks for {wanted:,} tokens, the model reads {longest:,} at most; would work: {longest} or less"
    return Misfit(RejectionReason.CONTEXT_TOO_LARGE, message)


def _settings(question: FitQuestion) -> Iterator[tuple[int, int]]:
    """Requests at once and tokens per step, roomiest first: both take memory from the KV cache."""
    load = question.load
    large = question.accelerator.memory_bytes >= _LARGE_GPU_BYTES
    batched = _LARGE_GPU_BATCHED_TOKENS if large else _BATCHED_TOKENS
    sequences = load.max_sequences
    yield sequences, batched
    while sequences > load.fewest_sequences:
        sequences = max(sequences // 2, load.fewest_sequences)
        yield sequences, batched
    if batched > _BATCHED_TOKENS:
        yield sequences, _BATCHED_TOKENS


def _at(question: FitQuestion, sequences: int, batched: int, *, expert_parallel: bool) -> Fit | Misfit:
    longest = question.load.max_context_tokens or question.facts.max_context_tokens
    settings = Settings(sequences, batched, longest)
    memory = _memory(question, settings, expert_parallel=expert_parallel)
    if memory.kv_tokens < longest and question.load.max_context_tokens is None:
        lowered = _longest_that_fits(question, memory.kv_tokens)
        settings = Settings(sequences, batched, lowered)
        memory = _memory(question, settings, expert_parallel=expert_parallel)
    if shortage := _shortage(question, settings, memory):
        return shortage
    return Fit(settings=settings, memory=memory, expert_parallel=expert_parallel)


def _memory(question: FitQuestion, settings: Settings, *, expert_parallel: bool) -> MemoryPlan:
    return plan_memory(
        MemoryRequest(
            facts=question.facts,
            accelerator=question.accelerator,
            engine=question.engine,
            engine_version=question.engine_version,
            tensor_parallel=question.tensor_parallel,
            max_sequences=settings.max_sequences,
            max_batched_tokens=settings.max_batched_tokens,
            max_context_tokens=settings.max_context_tokens,
            utilization_percent=default_utilization(question.engine, question.engine_version),
            expert_parallel=expert_parallel,
        )
    )


def _longest_that_fits(question: FitQuestion, kv_tokens: int) -> int:
    """The largest step that the KV cache holds, and no less than the shortest that is worth serving."""
    load, longest = question.load, question.facts.max_context_tokens
    least = min(longest, max(_SMALLEST_DEFAULT_CONTEXT, load.request_tokens if load.stated else 0))
    return max(least, max((step for step in _CONTEXT_LADDER if step <= kv_tokens), default=0))


def _shortage(question: FitQuestion, settings: Settings, memory: MemoryPlan) -> Misfit | None:
    """What is missing, by the first of weights, one request, and the whole load that does not fit."""
    load = question.load
    if memory.kv_bytes <= 0:
        return Misfit(RejectionReason.WEIGHTS_TOO_LARGE, _weights_message(question, memory))
    if memory.kv_tokens < settings.max_context_tokens:
        message = (
            f"one request may have {settings.max_context_tokens:,} tokens, the KV cache holds {memory.kv_tokens:,};"
            f" would work: more GPUs per replica, or `spec.workload.maxContextTokens` of {memory.kv_tokens} or less"
        )
        return Misfit(RejectionReason.CONTEXT_TOO_LARGE, message)
    if load.concurrency is not None and sequences_that_fit(memory, tokens=load.request_tokens) < load.concurrency:
        return Misfit(RejectionReason.NO_ROOM_FOR_LOAD, _load_message(load, memory))
    return None


def _weights_message(question: FitQuestion, memory: MemoryPlan) -> str:
    usable = memory.gpu_bytes * memory.utilization_percent / 100
    needed = memory.weights_bytes + memory.activation_bytes + memory.overhead_bytes
    return (
        f"{question.tensor_parallel} x {question.accelerator.name}: a GPU needs {_gib(needed)} before any KV cache"
        f" ({_gib(memory.weights_bytes)} of weights) and may use {_gib(usable)}; would work: more GPUs per replica,"
        " a GPU with more memory, or a smaller checkpoint"
    )


def _load_message(load: Load, memory: MemoryPlan) -> str:
    concurrency = load.concurrency or 1
    how = " (an estimate from the request rate)" if load.estimated else ""
    holds = sequences_that_fit(memory, tokens=load.request_tokens)
    enough = f"{holds:,} requests at once per replica, more replicas, or more GPUs per replica"
    return (
        f"{concurrency:,} requests at once{how} of {load.request_tokens:,} tokens need {load.kv_tokens:,} KV tokens per"
        f" replica, there is room for {memory.kv_tokens:,}; would work: {enough}"
    )


def _too_slow(question: FitQuestion) -> Misfit | None:
    """Refuse a promise that no engine could keep on this hardware; a floor promises nothing itself."""
    first, each = question.time_to_first_token_seconds, question.time_per_output_token_seconds
    if each is not None:
        floor = time_per_output_token_floor_seconds(
            question.facts, question.accelerator, tensor_parallel=question.tensor_parallel
        )
        if floor > each:
            return _slower("timePerOutputToken", each, floor)
    if first is not None:
        floor = time_to_first_token_floor_seconds(
            question.facts,
            question.accelerator,
            tensor_parallel=question.tensor_parallel,
            prompt_tokens=question.load.prompt_tokens,
        )
        if floor > first:
            return _slower("timeToFirstToken", first, floor)
    return None


def _slower(promise: str, wanted: float, floor: float) -> Misfit:
    message = (
        f"`spec.serviceLevel.{promise}Milliseconds` asks for {wanted * 1000:.0f} ms, and memory and arithmetic alone"
        f" take {floor * 1000:.1f} ms; would work: more GPUs per replica, a faster GPU, or a longer time"
    )
    return Misfit(RejectionReason.SERVICE_LEVEL, message)


def _gib(count: float) -> str:
    return f"{count / _GIB:.1f} GiB"
