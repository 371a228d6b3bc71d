"""Counting parameters by the part of the model that they belong to, since parts are quantised differently."""

from collections.abc import Mapping
from enum import StrEnum

from penstock.catalogue.geometry import Experts, Geometry, Latent

__all__ = ["Group", "active_parameters", "count_parameters", "draft_parameters", "layers_by_group", "router_parameters"]


class Group(StrEnum):
    """A part of the model whose weights share a number format."""

    ATTENTION = "attention"
    RECURRENT = "recurrent"
    DENSE = "dense"
    EXPERTS = "experts"
    SHARED = "shared experts"
    OTHER = "embedding, head, router, vision"


def count_parameters(geometry: Geometry) -> Mapping[Group, int]:
    """Parameters of the main model by group; norms and biases (below 0.1 %) are left out."""
    experts = geometry.experts
    return {
        Group.ATTENTION: _attention(geometry),
        Group.RECURRENT: geometry.recurrence.layers * geometry.recurrence.layer_parameters,
        Group.DENSE: (geometry.dense_layers + geometry.sharing_widened) * _dense(geometry),
        Group.EXPERTS: experts.layers * experts.count * _expert(geometry, experts) if experts else 0,
        Group.SHARED: experts.layers * _shared(geometry, experts) if experts else 0,
        Group.OTHER: _embeddings(geometry) + router_parameters(geometry) + geometry.tower_parameters + _kept(geometry),
    }


def layers_by_group(geometry: Geometry) -> Mapping[Group, int]:
    """How many layers have a part of each group."""
    experts = geometry.experts.layers if geometry.experts else 0
    return {
        Group.ATTENTION: geometry.attention.full_layers + geometry.attention.sliding_layers,
        Group.RECURRENT: geometry.recurrence.layers,
        Group.DENSE: geometry.dense_layers,
        Group.EXPERTS: experts,
        Group.SHARED: experts,
    }


def active_parameters(geometry: Geometry) -> int:
    """Parameters that one token multiplies: all but the experts not chosen and the embedding table."""
    groups = count_parameters(geometry)
    experts = geometry.experts
    chosen = experts.layers * experts.chosen * _expert(geometry, experts) if experts else 0
    table = geometry.vocabulary * geometry.hidden
    read_whole = groups[Group.OTHER] - geometry.tower_parameters - geometry.layer_embeddings
    head_only = read_whole - (0 if geometry.tied_embeddings else table)
    return sum(groups.values()) - groups[Group.EXPERTS] - groups[Group.OTHER] + chosen + head_only


def draft_parameters(geometry: Geometry) -> Mapping[Group, int]:
    """Parameters of the layers that engines load for speculative decoding only."""
    layers, experts = geometry.draft.layers, geometry.experts
    ends = 2 * geometry.vocabulary * geometry.hidden if geometry.draft.own_embeddings else 0
    joint = 2 * geometry.hidden * geometry.hidden
    return {
        Group.ATTENTION: layers * _attention_layer(geometry),
        Group.DENSE: 0 if experts else layers * _dense(geometry),
        Group.EXPERTS: layers * experts.count * _expert(geometry, experts) if experts else 0,
        Group.SHARED: layers * _shared(geometry, experts) if experts else 0,
        Group.OTHER: layers * (ends + joint),
    }


def _attention(geometry: Geometry) -> int:
    attention = geometry.attention
    if geometry.compression is not None:
        return geometry.compression.quantised
    if not attention.global_head_dim:
        layers = attention.full_layers + attention.sliding_layers
        return layers * _attention_layer(geometry) - attention.sharing_layers * _keys_and_values(geometry)
    near = attention.sliding_layers * _attention_layer(geometry)
    return (
        near + attention.full_layers * _global_layer(geometry) - attention.sharing_layers * _keys_and_values(geometry)
    )


def _attention_layer(geometry: Geometry) -> int:
    if geometry.compression is not None:
        return geometry.compression.layer
    if geometry.latent is not None:
        return _latent_layer(geometry, geometry.latent)
    attention, hidden = geometry.attention, geometry.hidden
    queries = attention.query_heads * attention.head_dim
    return hidden * queries * (3 if attention.output_gate else 2) + _keys_and_values(geometry)


def _keys_and_values(geometry: Geometry) -> int:
    return 2 * geometry.hidden * geometry.attention.kv_heads * geometry.attention.head_dim


def _global_layer(geometry: Geometry) -> int:
    """A layer that sees everything, with heads of its own size."""
    attention, hidden = geometry.attention, geometry.hidden
    heads = attention.global_kv_heads or attention.kv_heads
    keys = hidden * heads * attention.global_head_dim * (1 if attention.keys_are_values else 2)
    return 2 * hidden * attention.query_heads * attention.global_head_dim + keys


def _latent_layer(geometry: Geometry, latent: Latent) -> int:
    hidden, heads = geometry.hidden, geometry.attention.query_heads
    query_width = heads * (latent.nope_dim + latent.rope_dim)
    queries = (
        hidden * latent.query_rank + latent.query_rank * query_width if latent.query_rank else hidden * query_width
    )
    keys = hidden * (latent.kv_rank + latent.rope_dim)
    values = latent.kv_rank * heads * (latent.nope_dim + latent.value_dim)
    indexer = latent.index_heads * (latent.query_rank * latent.index_dim + hidden) + hidden * latent.index_dim
    return queries + keys + values + heads * latent.value_dim * hidden + (indexer if latent.index_heads else 0)


def _dense(geometry: Geometry) -> int:
    return geometry.matrices * geometry.hidden * geometry.intermediate


def _expert(geometry: Geometry, experts: Experts) -> int:
    return geometry.matrices * experts.hidden * experts.width


def _shared(geometry: Geometry, experts: Experts) -> int:
    """Shared experts of a layer, and the projections into and out of a narrower expert width."""
    projections = 2 * geometry.hidden * experts.hidden if experts.hidden != geometry.hidden else 0
    return geometry.matrices * geometry.hidden * experts.shared_width + projections


def _kept(geometry: Geometry) -> int:
    """Parts of unusual families that no checkpoint quantises."""
    compressors = geometry.compression.kept if geometry.compression else 0
    return compressors + geometry.layer_embeddings


def _embeddings(geometry: Geometry) -> int:
    return geometry.vocabulary * geometry.hidden * (1 if geometry.tied_embeddings else 2)


def router_parameters(geometry: Geometry) -> int:
    """Those of the gates that choose experts, in all layers; 0 for a dense model."""
    experts = geometry.experts
    return experts.layers * geometry.hidden * experts.count if experts else 0
