"""Workers that only prefill and workers that only decode: what each carries within its half of the service level."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.planner.fitting import FitQuestion, Room, make_room, replica_of
from penstock.planner.layouts import Site, ways
from penstock.planner.speed import Replica, decode_speed, prefill_tokens_per_second

__all__ = ["Worker", "decode_workers", "prefill_workers"]

_PREFILL_LATENCY_CORRECTION = 1.1
_DECODE_LATENCY_CORRECTION = 1.08
"""What measured latencies exceed modelled ones by: AIConfigurator's corrections (sizing.md 4.3)."""

_MOST_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of a kind: its GPUs, requests per second, and its half of the latency in seconds."""

    tensor_parallel: int
    gpus: int
    requests_per_second: float
    latency_seconds: float


def prefill_workers(site: Site) -> tuple[Worker, ...]:
    """Every way to prefill within the promised time to first token."""
    return tuple(_prefill(site))


def decode_workers(site: Site) -> tuple[Worker, ...]:
    """Every way to decode within the promised time per output token, at the most requests that it may hold."""
    return tuple(_decode(site))


def _prefill(site: Site) -> Iterator[Worker]:
    load, promised = site.wants.load, site.wants.promise.time_to_first_token_seconds
    tokens = max(1, round(load.prompt_tokens * (1 - load.prefix_hit_rate)))
    for replica, _ in _fitting(site):
        rate = prefill_tokens_per_second(replica, tokens)
        latency = tokens / rate * _PREFILL_LATENCY_CORRECTION
        if promised is None or latency <= promised:
            yield Worker(replica.tensor_parallel, replica.gpus, rate / tokens, latency)


def _decode(site: Site) -> Iterator[Worker]:
    traffic = site.wants.load.traffic
    for replica, room in _fitting(site):
        most = _most_decoding(site, replica, min(_MOST_AT_ONCE, room.requests_held))
        if most:
            found = decode_speed(replica, traffic, most)
            latency = found.time_per_output_token_seconds * _DECODE_LATENCY_CORRECTION
            yield Worker(replica.tensor_parallel, replica.gpus, found.requests_per_second, latency)


def _most_decoding(site: Site, replica: Replica, room: int) -> int:
    """The most requests at once that are decoded in time; 0 where not even one is."""
    promised, traffic = site.wants.promise.time_per_output_token_seconds, site.wants.load.traffic
    kept, broken = 0, room + 1
    if promised is None:
        return room
    while broken - kept > 1:
        middle = (kept + broken) // 2
        each = decode_speed(replica, traffic, middle).time_per_output_token_seconds
        if each * _DECODE_LATENCY_CORRECTION > promised:
            broken = middle
        else:
            kept = middle
    return kept


def _fitting(site: Site) -> Iterator[tuple[Replica, Room]]:
    """Every way for which there is memory; a worker carries what it can, so no load is asked of it."""
    load = replace(site.wants.load, total_concurrency=None, total_requests_per_second=None)
    for way in ways(site):
        question = FitQuestion(
            facts=site.choice.known.facts,
            accelerator=site.accelerator,
            engine=site.runner.engine,
            engine_version=site.runner.version,
            way=way,
            node_gpus=site.offer.node_gpus,
            load=load,
            promise=site.wants.promise,
            kv_cache_dtype=site.wants.kv_cache_dtype,
        )
        room = make_room(question)
        if isinstance(room, Room) and room.requests_held:
            yield replica_of(question, room), room
