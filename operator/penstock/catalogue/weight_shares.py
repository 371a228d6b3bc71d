"""How a checkpoint's weights divide into what layouts cut differently: experts, attention, tables, copies."""

from dataclasses import dataclass

from penstock.catalogue.geometry import Geometry
from penstock.catalogue.parameters import Group, count_parameters, router_parameters
from penstock.catalogue.quantization import Quantization

__all__ = ["WeightShares", "shares_from_totals", "weight_shares"]

_PLAIN_BITS = 16


@dataclass(frozen=True, slots=True)
class WeightShares:
    """Shares of the loaded bytes.

    `experts` are the routed experts, `attention` all of attention and recurrent layers (without what is copied),
    `tables` embedding and head, `copied` what every rank of a tensor-parallel group holds whole: routers, and the
    projections into the latent space of MLA with its indexer and compressors. The rest is dense layers, shared experts
    and towers.
    """

    experts: float = 0.0
    attention: float = 0.0
    tables: float = 0.0
    copied: float = 0.0


def weight_shares(geometry: Geometry, quantization: Quantization, loaded_bytes: int) -> WeightShares:
    """From the architecture; what `loaded_bytes` has beyond the formula counts with the rest."""
    counts = count_parameters(geometry)
    bits = {group: count * quantization.bits_of(group) for group, count in counts.items()}
    whole = loaded_bytes * 8
    latent = _latent_copies(geometry) * quantization.bits_of(Group.ATTENTION)
    kept = geometry.compression.kept if geometry.compression else 0
    total = max(whole, sum(bits.values()), 1)
    return WeightShares(
        experts=bits[Group.EXPERTS] / total,
        attention=max(0.0, bits[Group.ATTENTION] + bits[Group.RECURRENT] - latent) / total,
        tables=geometry.vocabulary * geometry.hidden * (1 if geometry.tied_embeddings else 2) * _PLAIN_BITS / total,
        copied=(latent + (router_parameters(geometry) + kept) * _PLAIN_BITS) / total,
    )


def shares_from_totals(*, parameters: int, active: int, experts: int, chosen: int) -> WeightShares:
    """Where only totals are known: what is not active belongs to the experts that were not chosen."""
    if not experts or experts <= chosen or parameters <= active:
        return WeightShares()
    routed = (parameters - active) / (1 - chosen / experts)
    return WeightShares(experts=min(1.0, routed / parameters), attention=max(0.0, 1 - routed / parameters))


def _latent_copies(geometry: Geometry) -> int:
    latent = geometry.latent
    if latent is None:
        return 0
    into = geometry.hidden * (latent.query_rank + latent.kv_rank + latent.rope_dim)
    indexer = latent.index_heads * (latent.query_rank * latent.index_dim + geometry.hidden)
    keys = geometry.hidden * latent.index_dim
    layers = geometry.attention.full_layers + geometry.attention.sliding_layers
    return layers * (into + (indexer + keys if latent.index_heads else 0))
