"""DeepSeek-V4's attention: queries over one compressed stream of keys and values, with an indexer on some layers.

Counted from its published modelling code; the hyper-connections that mix its residual streams are counted here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.catalogue.config_reader import ConfigReader

__all__ = ["Compression", "read_compression"]

_INDEXED_RATIO = 4
_OVERLAPPING = 2
_MIXED_PER_LAYER = 2
_DOUBLE_WIDTH = 2


@dataclass(frozen=True, slots=True)
class Compression:
    """Parameters of all layers: `quantised` follow the checkpoint's format, `kept` stay 16-bit.

    `layer` is what one layer without compression has (the draft layers are such).
    """

    quantised: int
    kept: int
    layer: int


def read_compression(reader: ConfigReader, layers: int) -> Compression | None:
    """From config.json; None where it is of another kind, or too short to count."""
    ratios = reader.items("compress_ratios")[:layers]
    if len(ratios) < layers or not reader.number("o_lora_rank", default=0):
        return None
    layer = _layer(reader)
    indexers = sum(ratio == _INDEXED_RATIO for ratio in ratios)
    return Compression(
        quantised=layers * layer + indexers * _indexer_queries(reader),
        kept=_compressors(reader, ratios) + indexers * _indexer_keys(reader) + layers * _hyper_connections(reader),
        layer=layer,
    )


def _layer(reader: ConfigReader) -> int:
    """Low-rank queries, one key-value head, and an output projection in groups."""
    hidden, rank, width = reader.positive("hidden_size"), reader.positive("q_lora_rank"), reader.positive("head_dim")
    heads, groups = reader.positive("num_attention_heads"), reader.positive("o_groups")
    out_rank = reader.positive("o_lora_rank")
    return hidden * (rank + width) + rank * heads * width + heads * width * out_rank + groups * out_rank * hidden


def _compressors(reader: ConfigReader, ratios: Sequence[object]) -> int:
    """Keys with values and their gates; windows overlap where the ratio is small."""
    hidden, width = reader.positive("hidden_size"), reader.positive("head_dim")
    streams = sum(_OVERLAPPING if ratio == _INDEXED_RATIO else 1 for ratio in ratios if ratio)
    return streams * 2 * hidden * width


def _indexer_queries(reader: ConfigReader) -> int:
    return reader.positive("q_lora_rank") * reader.positive("index_n_heads") * reader.positive("index_head_dim")


def _indexer_keys(reader: ConfigReader) -> int:
    hidden, width = reader.positive("hidden_size"), reader.positive("index_head_dim")
    return hidden * reader.positive("index_n_heads") + _OVERLAPPING * 2 * hidden * width


def _hyper_connections(reader: ConfigReader) -> int:
    """32-bit, so each counts as two 16-bit parameters."""
    streams = reader.number("hc_mult", default=0)
    mixed = (2 + streams) * streams * streams * reader.positive("hidden_size")
    return _MIXED_PER_LAYER * _DOUBLE_WIDTH * mixed
