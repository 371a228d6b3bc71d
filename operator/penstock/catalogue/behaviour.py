"""How releases of an engine use memory: defaults, what their budget covers, what they count, and how that is known.

Read from engine_behaviour.json. What no numbers are known of gets the safe reading: the one that plans less cache.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.hardware import Accelerator

__all__ = [
    "BehaviourChange",
    "BudgetScope",
    "EngineBehaviour",
    "behaviour_changes",
    "behaviour_of",
    "emulates",
    "read_behaviour",
    "release_of",
]

_MIB = 2**20
_LARGE_GPU_BYTES = 70 * 2**30
_NOT_LARGE = frozenset({"ampere"})


class BudgetScope(StrEnum):
    """What the engine's memory fraction covers: all that it takes, or weights and cache with the rest outside."""

    EVERYTHING = "Everything"
    WEIGHTS_AND_CACHE = "WeightsAndCache"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, strict=False)


class _Values(_Entry):
    """The fields of the data file; a release's are complete, a change names those that it replaces."""

    utilization_percent: int = Field(ge=50, le=100)
    utilization_covers: BudgetScope
    sampler_bytes_per_logit: int = Field(ge=4, le=100)
    graph_mib: int = Field(ge=0, alias="graphMiB")
    runtime_mib: int = Field(ge=0, alias="runtimeMiB")
    collectives_mib: int = Field(ge=0, alias="collectivesMiB")
    counts_windows: bool
    compressed_layer_token_bytes: int = Field(ge=1)
    compressed_layer_sequence_mib: int = Field(ge=0, alias="compressedLayerSequenceMiB")
    hybrid_page_percent: int = Field(ge=100, le=200)
    sparse_latent_token_bytes: int = Field(ge=1)
    expands_four_bit_scales: bool
    sequences_on_large_gpus: int = Field(ge=1, alias="sequencesOnLargeGPUs")
    sequences: int = Field(ge=1)
    batched_tokens_on_large_gpus: int = Field(ge=1, alias="batchedTokensOnLargeGPUs")
    batched_tokens: int = Field(ge=1)


class BehaviourChange(_Entry):
    """What one release changed, and how that is known."""

    since: str = Field(pattern=r"^\d+\.\d+(\.\d+)?$")
    values: Mapping[str, Any] = Field(min_length=1)
    source: str = Field(min_length=1)
    confidence: str = Field(pattern="^(high|medium|low)$")


class _Engine(_Entry):
    source: str = Field(min_length=1)
    base: _Values
    emulated_formats: tuple[Precision, ...]
    unknown: Mapping[str, Any]
    changes: tuple[BehaviourChange, ...]


class _Table(_Entry):
    source: str = Field(min_length=1)
    engines: Mapping[EngineName, _Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBehaviour:
    """One release's use of memory; sizes in bytes.

    `utilization_percent` is the default share of the GPU, `utilization_covers` what it is a share for.
    `sampler_bytes_per_logit` is what sampling takes per sequence and word of the vocabulary. `runtime_bytes` is what
    lies outside PyTorch on a lone GPU, `collectives_bytes` what groups of GPUs add, `graph_bytes` the CUDA graphs where
    they are part of the budget. `counts_windows` says that sliding windows are charged for the window only,
    `compressed_layer_*` what one layer of compressed attention (DeepSeek-V4) takes. `expands_four_bit_scales`: on
    hardware without 4-bit arithmetic the experts of compressed families take more than in their files.
    """

    engine: EngineName
    version: str
    utilization_percent: int
    utilization_covers: BudgetScope
    sampler_bytes_per_logit: int
    graph_bytes: int
    runtime_bytes: int
    collectives_bytes: int
    counts_windows: bool
    compressed_layer_token_bytes: int
    compressed_layer_sequence_bytes: int
    hybrid_page_percent: int
    sparse_latent_token_bytes: int
    expands_four_bit_scales: bool
    large_gpu_defaults: tuple[int, int]
    small_gpu_defaults: tuple[int, int]

    def defaults_on(self, accelerator: Accelerator) -> tuple[int, int]:
        """Sequences at once and tokens per step where nobody sets them; engines ask for 70 GiB and no A100."""
        is_large = accelerator.memory_bytes >= _LARGE_GPU_BYTES and accelerator.architecture not in _NOT_LARGE
        return self.large_gpu_defaults if is_large else self.small_gpu_defaults


@lru_cache(maxsize=1024)
def behaviour_of(engine: EngineName, version: str) -> EngineBehaviour:
    """What is known of that release; a version without numbers gets the safe reading, a vague one is an older one."""
    known = _table().engines[engine]
    release = release_of(version)
    values: dict[str, Any] = known.base.model_dump(by_alias=True)
    for change in known.changes:
        if release >= release_of(change.since):
            values |= change.values
    if not release:
        values |= known.unknown
    return _behaviour(engine, version, _Values.model_validate(values))


def behaviour_changes(engine: EngineName) -> tuple[BehaviourChange, ...]:
    """Every change that is known of an engine, oldest first, with its source."""
    return _table().engines[engine].changes


def emulates(engine: EngineName, precision: Precision) -> bool:
    """Whether the engine was seen running that format on hardware that only emulates it."""
    return precision in _table().engines[engine].emulated_formats


def release_of(version: str) -> tuple[int, ...]:
    """The version's leading numbers, three at most: `v0.21.0rc1` is (0, 21), older than 0.21.0; `nightly` is empty."""
    numbers: list[int] = []
    for part in version.removeprefix("v").split(".")[:3]:
        if not (part.isascii() and part.isdecimal()):
            break
        numbers.append(int(part))
    return tuple(numbers)


def read_behaviour(text: str) -> _Table:
    """A data file, checked; pydantic's ValidationError names the place of a broken entry."""
    table = _Table.model_validate(json.loads(text))
    for known in table.engines.values():
        for values in (known.unknown, *(change.values for change in known.changes)):
            _Values.model_validate({**known.base.model_dump(by_alias=True), **values})
    return table


def _behaviour(engine: EngineName, version: str, values: _Values) -> EngineBehaviour:
    return EngineBehaviour(
        engine=engine,
        version=version,
        utilization_percent=values.utilization_percent,
        utilization_covers=values.utilization_covers,
        sampler_bytes_per_logit=values.sampler_bytes_per_logit,
        graph_bytes=values.graph_mib * _MIB,
        runtime_bytes=values.runtime_mib * _MIB,
        collectives_bytes=values.collectives_mib * _MIB,
        counts_windows=values.counts_windows,
        compressed_layer_token_bytes=values.compressed_layer_token_bytes,
        compressed_layer_sequence_bytes=values.compressed_layer_sequence_mib * _MIB,
        hybrid_page_percent=values.hybrid_page_percent,
        sparse_latent_token_bytes=values.sparse_latent_token_bytes,
        expands_four_bit_scales=values.expands_four_bit_scales,
        large_gpu_defaults=(values.sequences_on_large_gpus, values.batched_tokens_on_large_gpus),
        small_gpu_defaults=(values.sequences, values.batched_tokens),
    )


@lru_cache(maxsize=1)
def _table() -> _Table:
    path = resources.files("penstock.catalogue").joinpath("engine_behaviour.json")
    return read_behaviour(path.read_text(encoding="utf-8"))
