"""Weights that one GPU of a layout loads: every part of the model by the way in which it is cut."""

import math

from penstock.api.formats import Precision
from penstock.catalogue.models import ModelFacts
from penstock.catalogue.weight_shares import WeightShares, shares_from_totals

__all__ = ["weights_bytes_per_gpu"]

_PADDED_HIDDEN = 128


def weights_bytes_per_gpu(
    facts: ModelFacts,
    *,
    tensor_parallel: int,
    pipeline_parallel: int = 1,
    attention_ranks: int = 1,
    expert_parallel: bool = False,
    unpacked: bool = False,
) -> int:
    """Weights that the fullest GPU loads, draft layers left out.

    Of `tensor_parallel` GPUs, experts are cut over all (whole ones where `expert_parallel`), everything else over
    those of one attention rank; routers and latent projections are held whole by each. A pipeline's fullest stage has
    the most layers and one of the two tables. `unpacked`: experts of 4 bits as they lie where they are expanded.
    """
    loaded = facts.loaded_bytes or facts.weights_bytes
    shares = _shares(facts)
    group = tensor_parallel // attention_ranks
    stored = _padding(facts) * (facts.unpacked_percent / 100 if unpacked else 1)
    experts = loaded * shares.experts * stored * _expert_fraction(facts, tensor_parallel, whole=expert_parallel)
    tables, copied = loaded * shares.tables, loaded * shares.copied
    others = loaded * max(0.0, 1 - shares.experts - shares.tables - shares.copied)
    layers = max(1, facts.layers)
    stage = math.ceil(layers / pipeline_parallel) / layers
    held = tables if pipeline_parallel == 1 or facts.tied_embeddings else tables / 2
    return math.ceil((experts + copied + others / group) * stage + held / group)


def _shares(facts: ModelFacts) -> WeightShares:
    return facts.weight_shares or shares_from_totals(
        parameters=facts.parameters,
        active=facts.active_parameters,
        experts=facts.experts,
        chosen=facts.experts_per_token,
    )


def _expert_fraction(facts: ModelFacts, size: int, *, whole: bool) -> float:
    """Whole experts go to GPUs in whole numbers; where they do not come out even, some GPU holds one more."""
    if whole and facts.experts:
        return math.ceil(facts.experts / size) / facts.experts
    return 1 / size


def _padding(facts: ModelFacts) -> float:
    """MXFP4 kernels pad the hidden width too: gpt-oss-120b loads 65.97 GiB, 1.6 more than its width explains."""
    if facts.precision is not Precision.MXFP4:
        return 1.0
    return math.ceil(facts.hidden / _PADDED_HIDDEN) * _PADDED_HIDDEN / facts.hidden
