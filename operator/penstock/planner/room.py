"""What a memory plan means to whoever asks "does it fit": cache, tokens, requests at once, longest request, and why."""

from dataclasses import dataclass
from enum import StrEnum

from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import sequences_that_fit
from penstock.planner.plan import MemoryPlan

__all__ = ["Room", "RoomBound", "room_of"]

_GIB = 2**30


class RoomBound(StrEnum):
    """What keeps more or longer requests out."""

    WEIGHTS = "Weights"
    CONTEXT = "Context"
    CACHE = "Cache"
    SEQUENCES = "Sequences"


@dataclass(frozen=True, slots=True)
class Room:
    """The smallest honest unit of "fits"; nothing is counted that the planning margin takes.

    `kv_gib` is for one GPU, `kv_tokens` and `sequences` (at the context that was asked) for the whole replica,
    `longest_context_tokens` for one request alone.
    """

    kv_gib: float
    kv_tokens: int
    sequences: int
    longest_context_tokens: int
    bound: RoomBound


def room_of(
    plan: MemoryPlan, facts: ModelFacts, *, context_tokens: int, max_sequences: int, attention_ranks: int = 1
) -> Room:
    """Requests of `context_tokens` (prompt and output), at most `max_sequences` on each attention rank."""
    held = sequences_that_fit(plan, tokens=context_tokens)
    return Room(
        kv_gib=max(0, plan.kv_bytes) / _GIB,
        kv_tokens=plan.kv_tokens * attention_ranks,
        sequences=min(held, max_sequences) * attention_ranks,
        longest_context_tokens=min(plan.kv_tokens, facts.max_context_tokens),
        bound=_bound(plan, held, context_tokens=context_tokens, max_sequences=max_sequences),
    )


def _bound(plan: MemoryPlan, held: int, *, context_tokens: int, max_sequences: int) -> RoomBound:
    """The first that says no: weights, the length of one request, the cache for all of them, or the engine's limit."""
    if plan.kv_bytes <= plan.sequence_bytes:
        return RoomBound.WEIGHTS
    if plan.kv_tokens < context_tokens:
        return RoomBound.CONTEXT
    return RoomBound.CACHE if held < max_sequences else RoomBound.SEQUENCES
