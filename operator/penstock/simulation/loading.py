"""How long a simulated engine loads and how many tokens its KV cache holds, from its command line and its node."""

from dataclasses import dataclass

from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts, built_in
from penstock.planner.memory import MemoryRequest, default_utilization, plan_memory
from penstock.simulation.command_line import EngineSettings
from penstock.simulation.serving import Timing

__all__ = ["Machine", "kv_tokens_of", "timing_of"]

_READ_BYTES_PER_SECOND = 2 * 10**9
_IMPORTS_SECONDS = 12.0
_COMPILE_SECONDS_PER_GPU = 2.0
_UNKNOWN_SHARE_PERCENT = 60
_BATCHED_TOKENS = 8192
_OVERHEAD_SECONDS = 0.004
_SHARE_OF_BANDWIDTH = 0.6


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPUs of a pod: their kind, and how many."""

    accelerator: Accelerator
    gpus: int


def timing_of(settings: EngineSettings, machine: Machine) -> Timing:
    """Reading the weights at 2 GB/s, imports and compilation; decoding as fast as memory lets it."""
    weights = _weights_bytes(settings, machine)
    load = _IMPORTS_SECONDS + weights / _READ_BYTES_PER_SECOND + _COMPILE_SECONDS_PER_GPU * machine.gpus
    bandwidth = machine.accelerator.bandwidth * machine.gpus * _SHARE_OF_BANDWIDTH
    token = _OVERHEAD_SECONDS + weights / bandwidth
    return Timing(load=load, first_token=4 * token, token=token)


def kv_tokens_of(settings: EngineSettings, machine: Machine) -> int | None:
    """What is left of the GPUs' memory for the cache, None for a model that the catalogue does not know."""
    facts = built_in(settings.model)
    if facts is None:
        return None
    plan = plan_memory(
        MemoryRequest(
            facts=facts,
            accelerator=machine.accelerator,
            engine=settings.engine,
            engine_version=settings.version,
            tensor_parallel=settings.tensor_parallel,
            max_sequences=settings.max_sequences,
            max_batched_tokens=_BATCHED_TOKENS,
            max_context_tokens=settings.max_model_tokens,
            utilization_percent=default_utilization(settings.engine, settings.version),
            kv_cache_dtype=settings.kv_cache_dtype,
        )
    )
    return plan.kv_tokens


def _weights_bytes(settings: EngineSettings, machine: Machine) -> int:
    facts: ModelFacts | None = built_in(settings.model)
    if facts is not None:
        return facts.weights_bytes
    return machine.accelerator.memory_bytes * machine.gpus * _UNKNOWN_SHARE_PERCENT // 100
