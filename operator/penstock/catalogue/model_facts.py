"""What a config.json says of a model: the numbers of its architecture that decide memory and sharding.

`models.py` is the door to it; here are the types and the reading, which the catalogue's own entries also go through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.config_reader import ConfigReader
from penstock.catalogue.geometry import Attention, Geometry, read_geometry
from penstock.catalogue.parameters import (
    Group,
    active_parameters,
    count_parameters,
    draft_parameters,
    layers_by_group,
)
from penstock.catalogue.quantization import Quantization, read_quantization
from penstock.catalogue.weight_shares import WeightShares, weight_shares

__all__ = [
    "AttentionKind",
    "ConfigFacts",
    "ModelFacts",
    "computed_weights_bytes",
    "facts_from_config",
]

_PADDED_WIDTH = 256
_COMPRESSED_UNPACKED_PERCENT = 125
_EIGHT_BITS = 8


class AttentionKind(StrEnum):
    """How a model attends; decides what the KV cache costs."""

    GQA = "GQA"
    MLA = "MLA"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of one checkpoint.

    `weights_bytes` is the size of the checkpoint (published or from the safetensors index where known, else
    computed), `loaded_bytes` what engines hold of it in memory: without the layers that only speculative decoding
    loads (0: the same). `unpacked_percent` is what the experts take where an engine expands their 4 bits (SGLang
    holds 125.65 GiB of DeepSeek-V4-Pro on each of 8 H200, and the files have 100.7).
    `kv_heads`, `head_dim` and the layer counts size the cache of grouped attention, `kv_lora_rank` and
    `rope_head_dim` that of latent attention; `index_bytes_per_token` is what sparse attention adds, in all layers.
    `global_kv_heads` and `global_head_dim` are those of the layers that see everything, where they differ (0).
    `compressed_cache` says that tokens share entries of it, `weight_shares` which part of the weights
    is cut in which way (None: only totals are known). `tower_parameters` are those of encoders of images and
    sound.
    `block_size` is the quantisation block (128 for block FP8), `group_size` that of INT4; 0 where there is none.
    `resolved_revision` is the commit that the hub named; None where nobody asked it.
    """

    model: str
    architecture: str
    precision: Precision
    weights_bytes: int
    parameters: int
    active_parameters: int
    layers: int
    hidden: int
    query_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    intermediate: int
    max_context_tokens: int
    attention: AttentionKind = AttentionKind.GQA
    full_attention_layers: int = 0
    sliding_layers: int = 0
    sliding_window: int = 0
    linear_layers: int = 0
    state_bytes_per_sequence: int = 0
    kv_lora_rank: int = 0
    rope_head_dim: int = 0
    index_bytes_per_token: int = 0
    compressed_cache: bool = False
    global_kv_heads: int = 0
    global_head_dim: int = 0
    loaded_bytes: int = 0
    unpacked_percent: int = 100
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    moe_layers: int = 0
    tied_embeddings: bool = False
    block_size: int = 0
    group_size: int = 0
    weight_shares: WeightShares | None = None
    tower_parameters: int = 0
    needs_remote_code: bool = False
    resolved_revision: str | None = None
    source: str = "catalogue"

    def __hash__(self) -> int:
        """Of what tells checkpoints apart: facts are looked up for every layout, and forty fields take their time."""
        return hash((self.model, self.precision, self.weights_bytes, self.resolved_revision))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFacts:
    """What is read of a checkpoint: its config.json, and the size of its weights where somebody knows it.

    `parameters` and `active_parameters` are published totals, for architectures whose parameters have no formula.
    """

    model: str
    config: Mapping[str, Any]
    weights_bytes: int | None = None
    resolved_revision: str | None = None
    source: str = "config"
    parameters: int | None = None
    active_parameters: int | None = None


def facts_from_config(request: ConfigFacts) -> ModelFacts:
    """Numbers of a config.json, with computed weights where no size is given; Refused names what is missing."""
    reader = ConfigReader.of(request.model, request.config)
    geometry = read_geometry(reader)
    quantization = read_quantization(reader, layers=layers_by_group(geometry))
    if _is_uncountable(geometry) and request.weights_bytes is None:
        raise Refused([_size_needed(request.model, geometry)])
    total = request.parameters or _total_parameters(request, geometry, quantization)
    loaded = _loaded_bytes(request, geometry, quantization)
    return ModelFacts(
        model=request.model,
        architecture=_architecture(reader, geometry),
        precision=quantization.precision,
        weights_bytes=request.weights_bytes or computed_weights_bytes(geometry, quantization),
        loaded_bytes=loaded,
        unpacked_percent=_unpacked_percent(geometry, quantization),
        parameters=total,
        active_parameters=min(total, request.active_parameters or active_parameters(geometry)),
        needs_remote_code=reader.value("auto_map") is not None,
        resolved_revision=request.resolved_revision,
        source=request.source,
        block_size=quantization.block_size,
        group_size=quantization.group_size,
        weight_shares=None if _is_uncountable(geometry) else weight_shares(geometry, quantization, loaded),
        tower_parameters=geometry.tower_parameters,
        **_shape(geometry),
        **_cache_shape(geometry),
    )


def computed_weights_bytes(geometry: Geometry, quantization: Quantization) -> int:
    """The size of the checkpoint by formula: every group at its bits per weight, draft layers included."""
    return _group_bytes(count_parameters(geometry), geometry, quantization) + _draft_bytes(geometry, quantization)


def _shape(geometry: Geometry) -> dict[str, Any]:
    experts = geometry.experts
    return {
        "layers": geometry.layers,
        "hidden": geometry.hidden,
        "vocabulary": geometry.vocabulary,
        "intermediate": geometry.intermediate,
        "max_context_tokens": geometry.max_context_tokens,
        "tied_embeddings": geometry.tied_embeddings,
        "experts": experts.count if experts else 0,
        "experts_per_token": experts.chosen if experts else 0,
        "expert_intermediate": experts.width if experts else 0,
        "moe_layers": experts.layers if experts else 0,
    }


def _cache_shape(geometry: Geometry) -> dict[str, Any]:
    attention, latent = geometry.attention, geometry.latent
    return {
        "attention": AttentionKind.MLA if latent else AttentionKind.GQA,
        "query_heads": attention.query_heads,
        "kv_heads": attention.kv_heads,
        "head_dim": attention.head_dim,
        **_cache_layers(attention),
        "sliding_window": attention.window,
        "linear_layers": geometry.recurrence.layers,
        "state_bytes_per_sequence": geometry.recurrence.state_bytes,
        "kv_lora_rank": latent.kv_rank if latent else 0,
        "rope_head_dim": latent.rope_dim if latent else 0,
        "index_bytes_per_token": attention.index_bytes_per_token,
        "compressed_cache": geometry.compressed,
        "global_kv_heads": attention.global_kv_heads,
        "global_head_dim": attention.global_head_dim,
    }


def _cache_layers(attention: Attention) -> dict[str, int]:
    """Layers that keep a cache of their own; those that share are the last ones, of both kinds in proportion."""
    layers = attention.full_layers + attention.sliding_layers
    sharing_full = attention.sharing_layers * attention.full_layers // max(1, layers)
    return {
        "full_attention_layers": attention.full_layers - sharing_full,
        "sliding_layers": attention.sliding_layers - (attention.sharing_layers - sharing_full),
    }


def _group_bytes(counts: Mapping[Group, int], geometry: Geometry, quantization: Quantization) -> int:
    bits = sum(count * quantization.bits_of(group) for group, count in counts.items())
    return round(bits / 8) + _padding_bytes(counts, geometry, quantization)


def _padding_bytes(counts: Mapping[Group, int], geometry: Geometry, quantization: Quantization) -> int:
    """MXFP4 kernels pad the experts' width to a multiple of 256 (gpt-oss: 2,880 to 3,072)."""
    if geometry.experts is None or quantization.precision is not Precision.MXFP4:
        return 0
    width = geometry.experts.width
    padded = -(-width // _PADDED_WIDTH) * _PADDED_WIDTH
    return round(counts[Group.EXPERTS] * quantization.bits_of(Group.EXPERTS) / 8 * (padded - width) / width)


def _draft_bytes(geometry: Geometry, quantization: Quantization) -> int:
    if not geometry.draft.layers:
        return 0
    counts = draft_parameters(geometry)
    return 2 * sum(counts.values()) if quantization.keeps_drafts else _group_bytes(counts, geometry, quantization)


def _loaded_bytes(request: ConfigFacts, geometry: Geometry, quantization: Quantization) -> int:
    """The checkpoint without its draft layers; never more than formula and size allow."""
    if _is_uncountable(geometry):
        return request.weights_bytes or 0
    main = computed_weights_bytes(geometry, quantization) - _draft_bytes(geometry, quantization)
    if request.weights_bytes is None:
        return main
    return max(request.weights_bytes - _draft_bytes(geometry, quantization), min(main, request.weights_bytes))


def _total_parameters(request: ConfigFacts, geometry: Geometry, quantization: Quantization) -> int:
    if _is_uncountable(geometry) and request.weights_bytes:
        return round(request.weights_bytes * 8 / quantization.bits)
    return sum(count_parameters(geometry).values())


def _unpacked_percent(geometry: Geometry, quantization: Quantization) -> int:
    """Where the format of the experts is not known, they are taken for those that grow."""
    is_small = _is_uncountable(geometry) or quantization.bits_of(Group.EXPERTS) < _EIGHT_BITS
    return _COMPRESSED_UNPACKED_PERCENT if geometry.compressed and is_small else 100


def _is_uncountable(geometry: Geometry) -> bool:
    return geometry.compressed and geometry.compression is None


def _architecture(reader: ConfigReader, geometry: Geometry) -> str:
    names = reader.parts[-1].get("architectures")
    return str(names[0]) if isinstance(names, list) and names else geometry.family


def _size_needed(model: str, geometry: Geometry) -> Refusal:
    reason = f"the parameters of '{geometry.family}' attention cannot be computed from its config.json"
    return Refusal("metadata.weightsSize", model, reason, "State the size of the weights, for example 160Gi")
