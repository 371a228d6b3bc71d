"""What the model of speed takes and gives."""

from dataclasses import dataclass
from enum import StrEnum

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts

__all__ = ["PLANNED_UTILISATION", "Bound", "Capacity", "Promise", "Replica", "Speed", "Traffic"]

PLANNED_UTILISATION = 0.75
"""Of the modelled request rate, what a plan counts on: arrivals are bursty (sizing.md 4.1, 6.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica as it would run, with all that decides its speed.

    `attention_ranks` is over how many ranks attention runs data-parallel (1: plain tensor parallelism).
    `most_resident` is how many such requests the KV cache holds at once; further ones wait (None: no limit here).
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
    most_resident: int | None = None

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
