"""What a memory plan means to whoever asks whether it fits."""

from dataclasses import replace

import pytest

from penstock.catalogue.models import ModelFacts, built_in
from penstock.planner.plan import MemoryPlan
from penstock.planner.room import RoomBound, room_of

GIB = 2**30

PLAN = MemoryPlan(
    gpu_bytes=80 * GIB,
    weights_bytes=60 * GIB,
    activation_bytes=GIB,
    overhead_bytes=GIB,
    kv_bytes=10 * GIB,
    kv_bytes_per_token=100_000,
    kv_tokens=107_000,
    utilization_percent=90,
)


def facts() -> ModelFacts:
    found = built_in("Qwen/Qwen3-8B")
    assert found is not None
    return found


BOUNDS = {
    "weights leave nothing": ({"kv_bytes": -GIB, "kv_tokens": 0}, 4096, 64, RoomBound.WEIGHTS),
    "state takes what is left": ({"kv_bytes": GIB, "kv_tokens": 0, "sequence_bytes": GIB}, 4096, 64, RoomBound.WEIGHTS),
    "one request is too long": ({}, 131_072, 64, RoomBound.CONTEXT),
    "the cache is full": ({}, 4096, 64, RoomBound.CACHE),
    "the engine takes no more": ({}, 4096, 16, RoomBound.SEQUENCES),
}


@pytest.mark.parametrize(("changes", "context", "most", "want"), BOUNDS.values(), ids=BOUNDS.keys())
def test_what_binds(changes: dict[str, int], context: int, most: int, want: RoomBound) -> None:
    found = room_of(replace(PLAN, **changes), facts(), context_tokens=context, max_sequences=most)
    assert found.bound is want


def test_ranks_add_up_and_one_request_stays_on_one() -> None:
    alone = room_of(PLAN, facts(), context_tokens=4096, max_sequences=16)
    ranks = room_of(PLAN, facts(), context_tokens=4096, max_sequences=16, attention_ranks=8)
    assert (alone.kv_gib, alone.kv_tokens, alone.sequences) == (10, 107_000, 16)
    assert (ranks.kv_gib, ranks.kv_tokens, ranks.sequences) == (10, 856_000, 128)
    assert alone.longest_context_tokens == ranks.longest_context_tokens == facts().max_context_tokens


def test_the_cache_bounds_the_longest_request_too() -> None:
    short = replace(PLAN, kv_tokens=20_000)
    assert room_of(short, facts(), context_tokens=4096, max_sequences=16).longest_context_tokens == 20_000
