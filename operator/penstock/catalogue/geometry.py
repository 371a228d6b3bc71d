"""The shape of a decoder: every number of its config.json that decides parameters, cache and sharding.

Knows the variants of names and layouts that model families use; counts nothing itself (parameters.py does).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.catalogue.compressed import Compression, read_compression
from penstock.catalogue.config_reader import ConfigReader
from penstock.catalogue.recurrent import Recurrence, read_recurrence

__all__ = ["Attention", "Draft", "Experts", "Geometry", "Latent", "read_geometry"]

_INDEX_BYTES_PER_TOKEN = 132
_UNGATED_FAMILIES = frozenset({"apertus", "falcon", "gpt_neox", "nemotron", "nemotron_h", "opt", "starcoder2"})
_COMPRESSED_FAMILIES = frozenset({"deepseek_v4"})
_CARRIES_DRAFT = ("deepseek_v3", "deepseek_v4", "glm", "qwen3_5", "qwen3_next", "nemotron_h")
_COPIES_EMBEDDINGS = frozenset({"deepseek_v3", "deepseek_v32"})
_LEAST_SLIDING_PATTERN = 2
_CONFORMER_SQUARES = 25
_GATED_TOWERS = frozenset({"glm4v", "pixtral", "qwen2_5_vl"})


@dataclass(frozen=True, slots=True)
class Attention:
    """Heads, and how many layers of each kind there are; `window` in tokens.

    `global_head_dim` and `global_kv_heads` are those of layers that see everything, where they differ (0: they do
    not); `keys_are_values` says that those layers have one projection for both. The last `sharing_layers` read the
    cache of earlier ones.
    """

    query_heads: int
    kv_heads: int
    head_dim: int
    full_layers: int
    sliding_layers: int
    window: int
    output_gate: bool
    index_bytes_per_token: int
    global_head_dim: int = 0
    global_kv_heads: int = 0
    keys_are_values: bool = False
    sharing_layers: int = 0


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: ranks of the projections, and the indexer of sparse attention where there is one."""

    query_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    index_heads: int
    index_dim: int


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts; `hidden` is the width that experts see, `shared_width` all shared experts together."""

    count: int
    chosen: int
    width: int
    layers: int
    hidden: int
    shared_width: int


@dataclass(frozen=True, slots=True)
class Draft:
    """Layers for speculative decoding that the checkpoint carries, and whether they repeat the embeddings."""

    layers: int
    own_embeddings: bool


@dataclass(frozen=True, slots=True)
class Geometry:
    """One decoder. `matrices` is 3 for gated feed-forward layers and 2 for plain ones.

    `tower_parameters` are the encoders of images and sound. `layer_embeddings` are tables that every layer has of its
    own, `sharing_widened` layers that have a feed-forward part twice as wide (Gemma's E models). `compressed` marks
    attention that keeps a compressed cache; without `compression` its config says too little to count it: a size must
    be given.
    """

    family: str
    layers: int
    hidden: int
    vocabulary: int
    tied_embeddings: bool
    max_context_tokens: int
    intermediate: int
    dense_layers: int
    matrices: int
    attention: Attention
    latent: Latent | None
    experts: Experts | None
    recurrence: Recurrence
    draft: Draft
    tower_parameters: int
    layer_embeddings: int
    sharing_widened: int
    compressed: bool
    compression: Compression | None


def read_geometry(reader: ConfigReader) -> Geometry:
    """From config.json; Refused names the key that is missing or makes no sense."""
    family = reader.text("model_type").removesuffix("_text")
    kinds = _layer_kinds(reader)
    layers = len(kinds) or reader.positive("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    experts = _experts(reader, layers, kinds)
    recurrence = read_recurrence(reader, kinds, layers)
    return Geometry(
        family=family,
        layers=layers,
        hidden=reader.positive("hidden_size", "n_embd", "dim"),
        vocabulary=reader.positive("vocab_size"),
        tied_embeddings=reader.flag("tie_word_embeddings") or family.startswith("gemma"),
        max_context_tokens=reader.positive("max_position_embeddings", "n_positions", "max_seq_len"),
        intermediate=_dense_width(reader, experts),
        dense_layers=_dense_layers(reader, layers, experts, kinds),
        matrices=2 if family in _UNGATED_FAMILIES else 3,
        attention=_attention(reader, layers, kinds, recurrence),
        latent=_latent(reader),
        experts=experts,
        recurrence=recurrence,
        draft=_draft(reader, family),
        tower_parameters=_vision_parameters(reader) + _audio_parameters(reader),
        layer_embeddings=_layer_embeddings(reader, layers),
        sharing_widened=reader.number("num_kv_shared_layers", default=0) if reader.flag("use_double_wide_mlp") else 0,
        compressed=family in _COMPRESSED_FAMILIES,
        compression=read_compression(reader, layers) if family in _COMPRESSED_FAMILIES else None,
    )


def _layer_kinds(reader: ConfigReader) -> Sequence[str]:
    """What each layer is, by the names that families use; empty where the config does not list them."""
    listed = reader.items("layers_block_type", "layer_types")
    if listed:
        return [str(kind) for kind in listed]
    pattern = reader.text("hybrid_override_pattern")
    letters = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}
    return [letters.get(letter, "attention") for letter in pattern[:1000]]


def _attention(reader: ConfigReader, layers: int, kinds: Sequence[str], recurrence: Recurrence) -> Attention:
    heads = reader.positive("num_attention_heads", "n_head", "n_heads")
    hidden = reader.positive("hidden_size", "n_embd", "dim")
    sliding = _sliding_layers(reader, layers, kinds)
    full = _full_layers(layers, kinds, recurrence) - sliding
    sparse = reader.nested("sparse_attention_config")
    return Attention(
        query_heads=heads,
        kv_heads=max(
            reader.positive("num_key_value_heads", "n_kv_heads", "multi_query_group_num", default=heads),
            reader.number("swa_num_key_value_heads", default=0),
        ),
        head_dim=reader.positive("head_dim", default=max(1, hidden // heads)),
        full_layers=full,
        sliding_layers=sliding,
        window=reader.number("sliding_window", "sliding_window_size", "window_size", default=0) if sliding else 0,
        output_gate=reader.flag("attn_output_gate"),
        index_bytes_per_token=_sparse_index_bytes(sparse) if sparse else _indexer_bytes(reader, full),
        global_head_dim=reader.number("global_head_dim", default=0),
        global_kv_heads=reader.number("num_global_key_value_heads", default=0),
        keys_are_values=reader.flag("attention_k_eq_v"),
        sharing_layers=min(full + sliding - 1, reader.number("num_kv_shared_layers", default=0)),
    )


def _full_layers(layers: int, kinds: Sequence[str], recurrence: Recurrence) -> int:
    """Layers that attend at all; block lists also name feed-forward layers of their own."""
    if any(kind in {"moe", "mlp", "mamba"} for kind in kinds):
        return sum(kind == "attention" for kind in kinds)
    return layers - recurrence.layers


def _sliding_layers(reader: ConfigReader, layers: int, kinds: Sequence[str]) -> int:
    """Layers that see a window only, by list, by family pattern (one full layer in N), else none."""
    if kinds:
        return sum(kind == "sliding_attention" for kind in kinds)
    pattern = reader.items("hybrid_layer_pattern")
    if pattern:
        return sum(entry == 1 for entry in pattern)
    every = reader.number("sliding_window_pattern", default=0)
    if every >= _LEAST_SLIDING_PATTERN and reader.value("sliding_window"):
        return layers - layers // every
    return 0


def _indexer_bytes(reader: ConfigReader, layers: int) -> int:
    return _INDEX_BYTES_PER_TOKEN * layers if reader.number("index_head_dim", default=0) else 0


def _sparse_index_bytes(sparse: ConfigReader) -> int:
    """Block-sparse attention keeps one BF16 index vector per token in each sparse layer."""
    marked = sum(bool(entry) for entry in sparse.items("sparse_attention_freq"))
    return marked * sparse.number("sparse_index_dim", default=0) * 2


def _latent(reader: ConfigReader) -> Latent | None:
    rank = reader.number("kv_lora_rank", default=0)
    compressed = reader.text("model_type").startswith("deepseek_v4")
    if not rank and not compressed:
        return None
    rope = reader.number("qk_rope_head_dim", default=64)
    return Latent(
        query_rank=reader.number("q_lora_rank", default=0),
        kv_rank=rank or max(1, reader.positive("head_dim") - rope),
        nope_dim=reader.number("qk_nope_head_dim", default=128),
        rope_dim=rope,
        value_dim=reader.number("v_head_dim", default=128),
        index_heads=reader.number("index_n_heads", default=0),
        index_dim=reader.number("index_head_dim", default=0),
    )


def _experts(reader: ConfigReader, layers: int, kinds: Sequence[str]) -> Experts | None:
    count = reader.number("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts", default=0)
    if count < 1 or reader.value("enable_moe_block") is False:
        return None
    width = reader.positive("moe_intermediate_size", "expert_dim", "intermediate_size")
    return Experts(
        count=count,
        chosen=reader.positive(
            "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_top_k"
        ),
        width=width,
        layers=_expert_layers(reader, layers, kinds),
        hidden=reader.positive("routed_expert_hidden_size", "moe_latent_size", "hidden_size", "n_embd", "dim"),
        shared_width=_shared_width(reader, width),
    )


def _expert_layers(reader: ConfigReader, layers: int, kinds: Sequence[str]) -> int:
    """By a list of ones and zeros, by layer names, else all but the first few or every N-th."""
    frequency: Sequence[Any] = reader.items("moe_layer_freq")
    if frequency:
        return sum(bool(entry) for entry in frequency)
    if "moe" in kinds:
        return sum(kind == "moe" for kind in kinds)
    step = reader.number("interleave_moe_layer_step", "decoder_sparse_step", default=1)
    first = reader.number("first_k_dense_replace", "moe_layer_start_index", default=0)
    dense_only = len(reader.items("mlp_only_layers"))
    return max(0, layers // max(1, step) - first - dense_only)


def _shared_width(reader: ConfigReader, width: int) -> int:
    given = reader.number(
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
        default=0,
    )
    if given:
        return given
    if reader.text("model_type").startswith("llama4"):
        return width
    return reader.number("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", default=0) * width


def _dense_width(reader: ConfigReader, experts: Experts | None) -> int:
    default = experts.width if experts else None
    if experts and experts.layers:
        return reader.positive("dense_intermediate_size", "intermediate_size_mlp", "intermediate_size", default=default)
    return reader.positive("intermediate_size", "n_inner", "hidden_dim", "ffn_hidden_size", default=default)


def _dense_layers(reader: ConfigReader, layers: int, experts: Experts | None, kinds: Sequence[str]) -> int:
    """Layers with an ordinary feed-forward part; some families add one beside the experts."""
    if "mamba" in kinds:
        return sum(kind == "mlp" for kind in kinds)
    if experts is None or reader.flag("enable_moe_block"):
        return layers
    return layers - experts.layers


def _draft(reader: ConfigReader, family: str) -> Draft:
    """Many configs name draft layers that the repository does not hold; only these families are known to."""
    if not family.startswith(_CARRIES_DRAFT):
        return Draft(layers=0, own_embeddings=False)
    layers = reader.number("num_nextn_predict_layers", "mtp_num_hidden_layers", default=0)
    return Draft(layers=min(layers, 8), own_embeddings=family in _COPIES_EMBEDDINGS)


def _vision_parameters(reader: ConfigReader) -> int:
    """A vision tower's attention and feed-forward weights; 0 where its config says too little."""
    vision = reader.nested("vision_config")
    if vision is None:
        return 0
    hidden = vision.number("hidden_size", "embed_dim", "vt_hidden_size", default=0)
    depth = vision.number("depth", "num_hidden_layers", "vt_num_hidden_layers", default=0)
    width = vision.number("intermediate_size", "vt_intermediate_size", default=4 * hidden)
    matrices = 3 if vision.text("model_type") in _GATED_TOWERS else 2
    return depth * (4 * hidden * hidden + matrices * hidden * width)


def _audio_parameters(reader: ConfigReader) -> int:
    """A conformer's layers: attention, two feed-forward parts of four times the width, a convolution."""
    audio = reader.nested("audio_config")
    if audio is None:
        return 0
    hidden = audio.number("hidden_size", "d_model", default=0)
    return audio.number("num_hidden_layers", "encoder_layers", default=0) * _CONFORMER_SQUARES * hidden * hidden


def _layer_embeddings(reader: ConfigReader, layers: int) -> int:
    """A table per layer, and the projections from and to the hidden state."""
    width = reader.number("hidden_size_per_layer_input", default=0)
    if not width:
        return 0
    vocabulary = reader.positive("vocab_size_per_layer_input", "vocab_size")
    return layers * width * (vocabulary + 3 * reader.positive("hidden_size"))
