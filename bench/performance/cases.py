"""A measured row as a replica under load, and what the model says of it."""

from bench.performance.rows import Row
from penstock.api.formats import EngineName, Precision
from penstock.planner.memory import MemoryRequest, plan_memory, unmargined_kv_bytes
from penstock.planner.speed import Replica, Speed, decode_speed, speed, speed_at_rate
from penstock.planner.speed.amounts import amounts_of

__all__ = ["beats_memory", "predicted", "replica_of"]

_PLAIN = frozenset({Precision.BF16, Precision.FP16})
_BURST_TIME = 1 / 0.55
"""Bursts of requests at once run at 0.55 of the modelled throughput (ratios of gpustack's runs, sizing.md 4.1)."""
_SEQUENCES_AT_ONCE = 1024


def replica_of(row: Row) -> Replica:
    """The row's layout; an engine that Penstock does not run stands there as vLLM."""
    layout = row.layout
    is_short = row.short_cache and row.facts.precision not in _PLAIN
    return Replica(
        facts=row.facts,
        accelerator=row.accelerator,
        engine=EngineName.SGLANG if row.engine == "SGLang" else EngineName.VLLM,
        engine_version=row.engine_version,
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        expert_parallel=layout.expert_parallel,
        attention_ranks=layout.attention_ranks,
        kv_cache_dtype="fp8" if is_short else "auto",
        most_resident=_most_resident(row, "fp8" if is_short else "auto"),
    )


def predicted(row: Row) -> Speed:
    """At the row's load; a burst runs as many at once as fit, the mean request waiting for half of those before it."""
    replica = replica_of(row)
    if row.kind != "agg":
        return decode_speed(replica, row.traffic, row.concurrency)
    if row.open_loop and row.requests_per_second is not None:
        found = speed_at_rate(replica, row.traffic, row.requests_per_second)
        return found or speed(replica, row.traffic, row.concurrency)
    if not row.burst:
        return speed(replica, row.traffic, row.concurrency)
    resident = min(row.concurrency, replica.most_resident or row.concurrency, _SEQUENCES_AT_ONCE)
    found = speed(replica, row.traffic, resident)
    later = (row.concurrency - resident) / 2 / found.requests_per_second
    return Speed(
        row.concurrency,
        (found.time_to_first_token_seconds + later) * _BURST_TIME,
        found.time_per_output_token_seconds * _BURST_TIME,
        found.requests_per_second / _BURST_TIME,
        found.output_tokens_per_second / _BURST_TIME,
    )


def beats_memory(row: Row) -> bool:
    """Whether the row's TPOT is below the time of reading weights and cache once at full bandwidth.

    Then a step yields more than a token: speculative decoding, which no row states, or another layout than it says.
    """
    if row.tpot_seconds is None:
        return False
    replica = replica_of(row)
    amounts = amounts_of(replica, row.traffic)
    running = min(row.concurrency, replica.most_resident or row.concurrency)
    touched = 1 - amounts.expert_missed**running
    read = amounts.dense_bytes + amounts.expert_bytes * touched + running / amounts.ranks * amounts.cache_bytes
    return row.tpot_seconds < float(read) / amounts.bytes_per_second


def _most_resident(row: Row, cache: str) -> int | None:
    """Requests that the cache holds; None where the model would not fit at all, which the row disproves."""
    layout, tokens = row.layout, row.traffic.prompt_tokens + row.traffic.output_tokens
    request = MemoryRequest(
        facts=row.facts,
        accelerator=row.accelerator,
        engine=EngineName.VLLM,
        engine_version="0.22.0",
        tensor_parallel=max(1, layout.tensor_parallel // layout.attention_ranks),
        pipeline_parallel=layout.pipeline_parallel,
        max_sequences=256,
        max_batched_tokens=8192,
        max_context_tokens=tokens,
        utilization_percent=92,
        kv_cache_dtype=cache,
    )
    plan = plan_memory(request)
    # Experts are spread over all GPUs also where each attention rank holds its own copy of the rest.
    spread = plan.weights_bytes * (1 - layout.tensor_parallel // layout.attention_ranks / layout.tensor_parallel)
    room = unmargined_kv_bytes(request) + (spread if layout.attention_ranks > 1 else 0)
    held = int(room // max(1, plan.sequence_bytes + tokens * plan.kv_bytes_per_token)) * layout.attention_ranks
    return held if held > 0 else None
