"""What the KV cache costs on one GPU: bytes of a token, and of a sequence besides its tokens.

By the kind of attention, how it is cut, the number format of the cache, and what the engine's release counts.
"""

from penstock.api.formats import EngineName
from penstock.catalogue.behaviour import EngineBehaviour, behaviour_of
from penstock.catalogue.models import AttentionKind, ModelFacts

__all__ = [
    "cache_bytes_per_token",
    "element_bytes",
    "kv_bytes_per_token",
    "sequence_bytes",
    "state_bytes",
    "window_step_bytes",
]

_KV_ELEMENT_BYTES = 2
_FP8_ELEMENT_BYTES = 1


def element_bytes(kv_cache_dtype: str) -> int:
    """Bytes of one number of the cache, by the engine's word for it."""
    return _FP8_ELEMENT_BYTES if kv_cache_dtype.startswith("fp8") else _KV_ELEMENT_BYTES


def kv_bytes_per_token(
    facts: ModelFacts,
    *,
    tensor_parallel: int,
    element_bytes: int,
    engine_version: str,
    engine: EngineName = EngineName.VLLM,
) -> int:
    """Keys and values of one token on one GPU of a tensor-parallel group, all layers.

    Latent attention is replicated on every rank; heads are shared out until there are no more of them.
    Without the side caches of sparse attention (`ModelFacts.index_bytes_per_token`), which compressed ones include.
    """
    behaviour = behaviour_of(engine, engine_version)
    if facts.compressed_cache:
        return facts.full_attention_layers * behaviour.compressed_layer_token_bytes
    layer = _layer_bytes(facts, tensor_parallel, element_bytes, behaviour)
    if behaviour.counts_windows:
        return facts.full_attention_layers * (_global_layer_bytes(facts, tensor_parallel, element_bytes) or layer)
    # One pool for all layers: the pages of each are as long as those of the widest.
    return (facts.full_attention_layers + facts.sliding_layers) * layer


def sequence_bytes(
    facts: ModelFacts,
    *,
    tensor_parallel: int,
    element_bytes: int,
    engine_version: str,
    engine: EngineName = EngineName.VLLM,
) -> int:
    """What one sequence takes on one GPU besides its tokens: recurrent state, and windows where they are counted."""
    behaviour = behaviour_of(engine, engine_version)
    if facts.compressed_cache:
        return facts.full_attention_layers * behaviour.compressed_layer_sequence_bytes
    state = -(-facts.state_bytes_per_sequence // tensor_parallel)
    if not behaviour.counts_windows:
        return state
    layer = _layer_bytes(facts, tensor_parallel, element_bytes, behaviour)
    return state + facts.sliding_layers * facts.sliding_window * layer


def window_step_bytes(
    facts: ModelFacts,
    behaviour: EngineBehaviour,
    *,
    tensor_parallel: int,
    kv_cache_dtype: str,
    step_tokens: int,
    pipeline_parallel: int = 1,
) -> int:
    """What a step of prefill holds of the cache beyond the windows: they are freed behind it, not during it."""
    if not (behaviour.counts_windows and facts.sliding_layers):
        return 0
    layer = _layer_bytes(facts, tensor_parallel, element_bytes(kv_cache_dtype), behaviour)
    return _of_fullest_stage(facts.sliding_layers * step_tokens * layer, facts, pipeline_parallel)


def cache_bytes_per_token(
    facts: ModelFacts,
    behaviour: EngineBehaviour,
    *,
    tensor_parallel: int,
    kv_cache_dtype: str,
    pipeline_parallel: int = 1,
    decode_context_parallel: int = 1,
) -> int:
    """All that one token takes on the fullest GPU, side caches and padding of pages included."""
    per_token = (0 if facts.compressed_cache else facts.index_bytes_per_token) + kv_bytes_per_token(
        facts,
        tensor_parallel=tensor_parallel,
        element_bytes=element_bytes(kv_cache_dtype),
        engine_version=behaviour.version,
        engine=behaviour.engine,
    )
    if facts.linear_layers:
        # Pages of attention and of recurrent state are made equally long; logs show 8-10 % lost to it.
        per_token = per_token * behaviour.hybrid_page_percent // 100
    return -(-_of_fullest_stage(per_token, facts, pipeline_parallel) // decode_context_parallel)


def state_bytes(
    facts: ModelFacts,
    behaviour: EngineBehaviour,
    *,
    tensor_parallel: int,
    kv_cache_dtype: str,
    pipeline_parallel: int = 1,
) -> int:
    """What a sequence takes besides its tokens on the fullest GPU of a pipeline."""
    whole = sequence_bytes(
        facts,
        tensor_parallel=tensor_parallel,
        element_bytes=element_bytes(kv_cache_dtype),
        engine_version=behaviour.version,
        engine=behaviour.engine,
    )
    return _of_fullest_stage(whole, facts, pipeline_parallel)


def _of_fullest_stage(amount: int, facts: ModelFacts, pipeline_parallel: int) -> int:
    """Layers are dealt out whole: of 61 in two stages one has 31."""
    layers = max(1, facts.layers)
    return -(-amount * -(-layers // pipeline_parallel) // layers)


def _global_layer_bytes(facts: ModelFacts, tensor_parallel: int, element: int) -> int:
    """Of layers that see everything, where their heads are of their own kind; 0 where they are like the others."""
    heads = max(1, -(-(facts.global_kv_heads or facts.kv_heads) // tensor_parallel))
    return 2 * heads * facts.global_head_dim * element


def _layer_bytes(facts: ModelFacts, tensor_parallel: int, element: int, behaviour: EngineBehaviour) -> int:
    if facts.attention is AttentionKind.MLA:
        if element == _FP8_ELEMENT_BYTES and facts.index_bytes_per_token:
            # Kernels of sparse attention keep scales and an unquantised rotary part beside the FP8 latent.
            return behaviour.sparse_latent_token_bytes
        return (facts.kv_lora_rank + facts.rope_head_dim) * element
    heads = max(1, -(-facts.kv_heads // tensor_parallel))
    return 2 * heads * facts.head_dim * element
