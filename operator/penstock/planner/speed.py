"""How fast one replica is: time to first token, time per output token, and the load it carries within promises.

A roofline with overheads (weights and KV cache read per step, arithmetic, launch and collective costs per layer).
"""

from dataclasses import dataclass
from enum import StrEnum

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.accelerators import Accelerator, FormatSupport
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import kv_bytes_per_token, weights_bytes_per_gpu

__all__ = [
    "PLANNED_UTILISATION",
    "Bound",
    "Capacity",
    "Promise",
    "Replica",
    "Speed",
    "Traffic",
    "capacity",
    "decode_speed",
    "prefill_tokens_per_second",
    "speed",
]

PLANNED_UTILISATION = 0.75
"""Of the modelled request rate, what a plan counts on: arrivals are bursty (sizing.md 4.1, 6.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica as it would run, with all that decides its speed.

    `attention_ranks` is over how many ranks attention runs data-parallel (1: plain tensor parallelism).
    `correction` is what live metrics taught: measured over modelled time of a step (1.0: nothing yet).
    """

    facts: ModelFacts
    accelerator: Accelerator
    engine: EngineName
    engine_version: str
    tensor_parallel: int
    pipeline_parallel: int = 1
    expert_parallel: bool = False
    attention_ranks: int = 1
    kv_cache_dtype: str = "auto"
    max_batched_tokens: int = 8192
    correction: float = 1.0

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""
        return self.tensor_parallel * self.pipeline_parallel


@dataclass(frozen=True, slots=True)
class Traffic:
    """A typical request.

    `prefix_hit_rate` is the share of prompt tokens found in the cache; `accepted_drafts` the tokens that speculative
    decoding adds to each step, on average.
    """

    prompt_tokens: int
    output_tokens: int
    prefix_hit_rate: float = 0.0
    accepted_drafts: float = 0.0


@dataclass(frozen=True, slots=True)
class Promise:
    """A service level in seconds; None where nothing is promised."""

    time_to_first_token_seconds: float | None = None
    time_per_output_token_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """One replica with so many requests in flight, each followed by the next (closed loop); means, in seconds."""

    concurrency: int
    time_to_first_token_seconds: float
    time_per_output_token_seconds: float
    requests_per_second: float
    output_tokens_per_second: float


class Bound(StrEnum):
    """What keeps a replica from carrying more."""

    TIME_TO_FIRST_TOKEN = "TimeToFirstToken"  # noqa: S105 - a reason, no secret
    TIME_PER_OUTPUT_TOKEN = "TimePerOutputToken"  # noqa: S105 - the same
    CONCURRENCY = "Concurrency"


@dataclass(frozen=True, slots=True)
class Capacity:
    """The greatest load within the promise.

    `requests_per_second` is what a plan counts on (`PLANNED_UTILISATION` of the modelled rate); `speed` is at the
    greatest number of requests in flight.
    """

    requests_per_second: float
    speed: Speed
    bound: Bound


def speed(replica: Replica, traffic: Traffic, concurrency: int) -> Speed:
    """Latency and throughput with `concurrency` requests in flight (at least 1)."""
    step = _step_seconds(replica, traffic, concurrency)
    prefill = _prefill_seconds(replica, traffic)
    each = (step + concurrency / max(1, traffic.output_tokens) * prefill) / (1 + traffic.accepted_drafts)
    first = prefill + step
    whole = first + each * max(0, traffic.output_tokens - 1)
    rate = concurrency / whole
    return Speed(concurrency, first, each, rate, rate * traffic.output_tokens)


def decode_speed(replica: Replica, traffic: Traffic, concurrency: int) -> Speed:
    """A worker that only decodes: no prompt ever takes time from its steps; TTFT is one step."""
    step = _step_seconds(replica, traffic, concurrency)
    each = step / (1 + traffic.accepted_drafts)
    rate = concurrency / (step + each * max(0, traffic.output_tokens - 1))
    return Speed(concurrency, step, each, rate, rate * traffic.output_tokens)


def prefill_tokens_per_second(replica: Replica, prompt_tokens: int) -> float:
    """Prompt tokens that a worker which only prefills gets through, with prompts of this length waiting."""
    return prompt_tokens / _prefill_seconds(replica, Traffic(prompt_tokens, 1))


def capacity(replica: Replica, traffic: Traffic, promise: Promise, *, most_concurrent: int) -> Capacity | None:
    """The greatest load that keeps the promise with at most `most_concurrent` in flight; None where one breaks it."""
    if most_concurrent < 1 or _broken(speed(replica, traffic, 1), promise):
        return None
    kept, broken = 1, most_concurrent + 1
    while broken - kept > 1:
        middle = (kept + broken) // 2
        if _broken(speed(replica, traffic, middle), promise):
            broken = middle
        else:
            kept = middle
    found = speed(replica, traffic, kept)
    bound = Bound.CONCURRENCY
    if broken <= most_concurrent:
        bound = _broken(speed(replica, traffic, broken), promise) or bound
    return Capacity(found.requests_per_second * PLANNED_UTILISATION, found, bound)


def _broken(found: Speed, promise: Promise) -> Bound | None:
    first, each = promise.time_to_first_token_seconds, promise.time_per_output_token_seconds
    if each is not None and found.time_per_output_token_seconds > each:
        return Bound.TIME_PER_OUTPUT_TOKEN
    if first is not None and found.time_to_first_token_seconds > first:
        return Bound.TIME_TO_FIRST_TOKEN
    return None


def _step_seconds(replica: Replica, traffic: Traffic, concurrency: int) -> float:
    facts, gpu, gpus = replica.facts, replica.accelerator, replica.gpus
    weights = weights_bytes_per_gpu(facts, tensor_parallel=gpus) * max(
        facts.active_parameters / facts.parameters, _experts_read(facts, concurrency)
    )
    per_token = kv_bytes_per_token(
        facts, tensor_parallel=replica.tensor_parallel, element_bytes=2, engine_version=replica.engine_version
    )
    cached = concurrency * (traffic.prompt_tokens + traffic.output_tokens / 2) * per_token / replica.attention_ranks
    reading = (weights / 0.9 + cached) / gpu.bandwidth
    layers = facts.layers * (30e-6 + (39e-6 if gpus > 1 else 0)) + facts.moe_layers * 55e-6
    computing = 2 * facts.active_parameters * concurrency / (gpus * _peak(facts, gpu) * 0.43)
    return max(reading + layers + concurrency * 23.5e-6, computing) * replica.correction


def _experts_read(facts: ModelFacts, concurrency: int) -> float:
    if not facts.experts:
        return 1.0
    return float(1 - (1 - facts.experts_per_token / facts.experts) ** concurrency)


def _prefill_seconds(replica: Replica, traffic: Traffic) -> float:
    facts, tokens = replica.facts, traffic.prompt_tokens * (1 - traffic.prefix_hit_rate)
    operations = 2 * facts.active_parameters * tokens
    return operations / (replica.gpus * _peak(facts, replica.accelerator) * 0.43) * replica.correction


def _peak(facts: ModelFacts, accelerator: Accelerator) -> float:
    """Weight-only formats are unpacked and multiplied as BF16."""
    if accelerator.formats.get(facts.precision) is not FormatSupport.NATIVE:
        return accelerator.bf16_flops
    match facts.precision:
        case Precision.FP8 | Precision.INT8:
            return accelerator.fp8_flops or accelerator.bf16_flops
        case Precision.NVFP4 | Precision.MXFP4:
            return accelerator.fp4_flops or accelerator.fp8_flops or accelerator.bf16_flops
        case _:
            return accelerator.bf16_flops
