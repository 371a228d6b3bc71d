"""What a replica must read, multiply and exchange for its requests: from numbers of model and hardware alone."""

from dataclasses import dataclass

from penstock.api.formats import Precision
from penstock.catalogue.accelerators import Accelerator, FormatSupport
from penstock.catalogue.models import AttentionKind, ModelFacts
from penstock.catalogue.roofline import link_bytes_per_second
from penstock.planner.speed.replica import Replica, Traffic

__all__ = ["Amounts", "amounts_of"]

_BITS = {
    Precision.BF16: 16.0,
    Precision.FP16: 16.0,
    Precision.FP8: 8.0,
    Precision.INT8: 8.0,
    Precision.INT4: 4.16,
    Precision.MXFP4: 4.25,
    Precision.NVFP4: 4.5,
}
_MATRICES = 3
_LEAST_DENSE_SHARE = 0.03
_TOKENS_READ_BY_SPARSE_ATTENTION = 2048
_LATENT_HEAD_DIM = 160
_PLAIN_ELEMENT_BYTES, _SHORT_ELEMENT_BYTES = 2, 1
_ACCEPTED_OF_DRAFTED = 0.65


@dataclass(frozen=True, slots=True)
class Amounts:
    """Bytes and operations on one GPU of a tensor-parallel group, for one request unless said otherwise.

    Nothing here depends on the load or on fitted constants. All are floats, so that the fit can hold arrays in them.
    `*_per_second` are the hardware's peaks; layer counts multiply the costs of launching.
    """

    gpus: float
    stages: float
    ranks: float
    dense_bytes: float
    expert_bytes: float
    expert_missed: float
    cache_bytes: float
    dense_operations: float
    expert_operations: float
    attention_operations: float
    peak_per_second: float
    plain_peak_per_second: float
    bytes_per_second: float
    link_seconds: float
    layers: float
    expert_layers: float
    spread_expert_layers: float
    linear_layers: float
    latent_layers: float
    sparse_layers: float
    linked_layers: float
    activations: float
    routed_activations: float
    prompt_tokens: float
    prompt_passes: float
    output_tokens: float
    tokens_per_step: float
    tokens_checked: float


def amounts_of(replica: Replica, traffic: Traffic) -> Amounts:
    """For one typical request; lengths below one token count as one."""
    facts, accelerator, gpus = replica.facts, replica.accelerator, replica.tensor_parallel
    group = max(1, gpus // replica.attention_ranks)
    experts, chosen = _expert_weights(facts)
    prompt, output = max(1, traffic.prompt_tokens), max(1, traffic.output_tokens)
    fresh = max(1.0, prompt * (1 - traffic.prefix_hit_rate))
    moe, sparse = float(facts.moe_layers if facts.experts else 0), _is_sparse(facts)
    return Amounts(
        gpus=float(gpus),
        stages=float(replica.pipeline_parallel),
        ranks=float(gpus // group),
        dense_bytes=_dense_bytes(facts, experts) / group,
        expert_bytes=experts / gpus,
        expert_missed=1 - facts.experts_per_token / facts.experts if facts.experts else 0.0,
        cache_bytes=_cache_bytes(replica, group, prompt + output / 2),
        dense_operations=2 * (facts.active_parameters - chosen) / gpus,
        expert_operations=2 * chosen / gpus,
        attention_operations=_attention_operations(facts, fresh, prompt) / gpus,
        peak_per_second=_peak(facts, accelerator),
        plain_peak_per_second=accelerator.bf16_flops,
        bytes_per_second=accelerator.bandwidth,
        link_seconds=_link_seconds(facts, accelerator, gpus),
        layers=float(facts.layers),
        expert_layers=moe,
        spread_expert_layers=moe if replica.expert_parallel and gpus > 1 else 0.0,
        linear_layers=float(facts.linear_layers),
        latent_layers=float(facts.layers) if facts.attention is AttentionKind.MLA else 0.0,
        sparse_layers=float(facts.layers) if sparse else 0.0,
        linked_layers=float(facts.layers) if gpus > 1 else 0.0,
        activations=float(facts.layers * facts.hidden),
        routed_activations=moe * facts.experts_per_token * facts.hidden,
        prompt_tokens=fresh,
        prompt_passes=max(1.0, fresh / max(1, replica.max_batched_tokens)),
        output_tokens=float(output),
        tokens_per_step=1 + traffic.accepted_drafts,
        tokens_checked=1 + traffic.accepted_drafts / _ACCEPTED_OF_DRAFTED,
    )


def _expert_weights(facts: ModelFacts) -> tuple[float, float]:
    """Bytes of all routed experts, and parameters of those that one token chooses."""
    if not facts.experts:
        return 0.0, 0.0
    each = facts.moe_layers * _MATRICES * facts.hidden * facts.expert_intermediate
    loaded = facts.loaded_bytes or facts.weights_bytes
    stored = min(each * facts.experts * _BITS[facts.precision] / 8, loaded * (1 - _LEAST_DENSE_SHARE))
    chosen = min(each * facts.experts_per_token, facts.active_parameters * (1 - _LEAST_DENSE_SHARE))
    return stored, chosen


def _dense_bytes(facts: ModelFacts, experts: float) -> float:
    """What every token reads: all but the routed experts and the embedding table."""
    loaded = facts.loaded_bytes or facts.weights_bytes
    table = 0 if facts.tied_embeddings else facts.vocabulary * facts.hidden * 2
    return max(loaded - experts - table, loaded * _LEAST_DENSE_SHARE)


def _is_sparse(facts: ModelFacts) -> bool:
    return facts.index_bytes_per_token > 0


def _cache_bytes(replica: Replica, group: int, context: float) -> float:
    """What a step reads of one request's cache: windows and chosen tokens only where attention sees no more."""
    facts = replica.facts
    element = _SHORT_ELEMENT_BYTES if replica.kv_cache_dtype.startswith("fp8") else _PLAIN_ELEMENT_BYTES
    if facts.attention is AttentionKind.MLA:
        layer = (facts.kv_lora_rank + facts.rope_head_dim) * element
    else:
        layer = 2 * max(1, -(-facts.kv_heads // group)) * facts.head_dim * element
    seen = min(context, _TOKENS_READ_BY_SPARSE_ATTENTION) if _is_sparse(facts) else context
    windowed = min(context, facts.sliding_window or context)
    read = layer * (facts.full_attention_layers * seen + facts.sliding_layers * windowed)
    # The state of linear attention is read and written.
    return read + facts.index_bytes_per_token * context + 2 * facts.state_bytes_per_sequence / group


def _attention_operations(facts: ModelFacts, fresh: float, prompt: float) -> float:
    """Scores and values of a prompt's new tokens over all before them."""
    width = facts.query_heads * (_LATENT_HEAD_DIM if facts.attention is AttentionKind.MLA else facts.head_dim)
    seen = min(prompt - fresh / 2, 2.0 * _TOKENS_READ_BY_SPARSE_ATTENTION if _is_sparse(facts) else prompt)
    windowed = min(prompt - fresh / 2, facts.sliding_window or prompt)
    return 4 * width * fresh * (facts.full_attention_layers * seen + facts.sliding_layers * windowed)


def _link_seconds(facts: ModelFacts, accelerator: Accelerator, gpus: int) -> float:
    """Two all-reduces per layer of one token's BF16 activations, at the link's peak."""
    if gpus == 1:
        return 0.0
    moved = facts.layers * 2 * facts.hidden * 2 * 2 * (gpus - 1) / gpus
    return moved / link_bytes_per_second(accelerator)


def _peak(facts: ModelFacts, accelerator: Accelerator) -> float:
    """Weight-only formats are unpacked and multiplied as BF16."""
    if accelerator.formats.get(facts.precision) is not FormatSupport.NATIVE:
        return accelerator.bf16_flops
    match facts.precision:
        case Precision.FP8 | Precision.INT8:
            return accelerator.fp8_flops or accelerator.bf16_flops
        case Precision.NVFP4 | Precision.MXFP4:
            return accelerator.fp4_flops or accelerator.fp8_flops or accelerator.bf16_flops
        case _:
            return accelerator.bf16_flops
