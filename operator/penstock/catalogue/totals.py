"""A model of which only its parameters are known: a size by format, and the shape of its nearest known relative.

The weights follow from the totals; layers, heads and cache are borrowed, so what is derived from them is a guess, and
`ModelFacts.source` says `totals`.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from penstock.api.formats import Precision
from penstock.catalogue.models import ModelFacts, built_in, built_in_names

__all__ = ["Totals", "facts_from_totals"]

_BITS = {
    Precision.BF16: 16.0,
    Precision.FP16: 16.0,
    Precision.FP8: 8.0,
    Precision.INT8: 8.0,
    Precision.INT4: 4.125,
    Precision.MXFP4: 4.25,
    Precision.NVFP4: 4.5,
}
_KEPT_SHARE = 0.04
_UNQUANTISED_BITS = 16.0
_COMMON_HEADS, _COMMON_KV_HEADS = 64, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What is known: parameters, those active per token (the same for dense models), and where it is stated.

    `weights_bytes` is the size of the checkpoint where it is stated too; `context_tokens` 0 where it is not.
    """

    model: str
    precision: Precision
    parameters: int
    active_parameters: int | None = None
    weights_bytes: int | None = None
    context_tokens: int = 0


def facts_from_totals(totals: Totals) -> ModelFacts:
    """Facts whose weights come from the totals and whose shape is borrowed from the nearest model in parameters."""
    active = min(totals.parameters, totals.active_parameters or totals.parameters)
    relative = _nearest(totals.parameters, active)
    size = totals.weights_bytes or _weights_bytes(totals)
    return ModelFacts(
        model=totals.model,
        architecture="",
        precision=totals.precision,
        weights_bytes=size,
        loaded_bytes=size,
        parameters=totals.parameters,
        active_parameters=active,
        max_context_tokens=totals.context_tokens or relative.max_context_tokens,
        source="totals",
        **_borrowed(relative),
    )


def _borrowed(relative: ModelFacts) -> dict[str, Any]:
    """The shape of the relative, with heads that every usual tensor-parallel size divides."""
    same = ("layers", "hidden", "vocabulary", "intermediate", "head_dim", "full_attention_layers", "tied_embeddings")
    experts = ("experts", "experts_per_token", "expert_intermediate", "moe_layers")
    heads = {"query_heads": _COMMON_HEADS, "kv_heads": _COMMON_KV_HEADS}
    return heads | {name: getattr(relative, name) for name in (*same, *experts)}


def _weights_bytes(totals: Totals) -> int:
    """Embeddings, head and norms stay 16-bit: a few percent of what is quantised otherwise."""
    kept = _KEPT_SHARE if totals.precision not in {Precision.BF16, Precision.FP16} else 0.0
    bits = kept * _UNQUANTISED_BITS + (1 - kept) * _BITS[totals.precision]
    return round(totals.parameters * bits / 8)


def _nearest(parameters: int, active: int) -> ModelFacts:
    """By the ratio of total and of active parameters, among dense models for a dense one."""
    candidates = [facts for facts in _shapes() if (facts.experts > 0) == (active < parameters)]
    return min(candidates, key=lambda facts: _distance(facts, parameters, active))


def _distance(facts: ModelFacts, parameters: int, active: int) -> float:
    return abs(math.log(facts.parameters / parameters)) + abs(math.log(facts.active_parameters / active))


@cache
def _shapes() -> tuple[ModelFacts, ...]:
    """Models with plain grouped attention: the shape whose cache is easiest to over-, not underestimate."""
    known = (built_in(model) for model in built_in_names())
    return tuple(
        facts
        for facts in known
        if facts is not None and facts.full_attention_layers == facts.layers and not facts.kv_lora_rank
    )
