"""Memory of one GPU: weights, activations, overheads and what is left for the KV cache.

Pure arithmetic over a model's numbers; constants are what vLLM's own logs show. It decides nothing:
a plan without room has `kv_bytes` of zero or less, and the candidates say what that means.
"""

from dataclasses import dataclass

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import AttentionKind, ModelFacts
from penstock.planner.plan import MemoryPlan

__all__ = [
    "MemoryRequest",
    "default_utilization",
    "kv_bytes_per_token",
    "plan_memory",
    "sequence_bytes",
    "sequences_that_fit",
    "sglang_static_fraction",
    "unmargined_kv_bytes",
    "weights_bytes_per_gpu",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRequest:
    """One layout of one checkpoint on one GPU type, with every setting that takes memory.

    `utilization_percent` is the share of the GPU's memory that the engine may take in all, for SGLang
    too (`sglang_static_fraction` turns it into SGLang's own setting). `kv_cache_dtype` is the engine's
    word: `auto`, or one that starts with `fp8`.
    """

    facts: ModelFacts
    accelerator: Accelerator
    engine: EngineName
    engine_version: str
    tensor_parallel: int
    max_sequences: int
    max_batched_tokens: int
    max_context_tokens: int
    utilization_percent: int
    kv_cache_dtype: str = "auto"
    pipeline_parallel: int = 1
    expert_parallel: bool = False


_GIB = 2**30
_KV_ELEMENT_BYTES = 2
_FP8_ELEMENT_BYTES = 1
_CUDA_BYTES = round(0.15 * _GIB)
_CUDA_AND_COLLECTIVES_BYTES = round(0.6 * _GIB)
_GRAPH_BYTES = round(0.5 * _GIB)
_GRAPHS_COUNTED_SINCE = (0, 21)
_SAMPLER_BYTES_PER_LOGIT = 17
_OLD_SAMPLER_BYTES_PER_LOGIT = 39
_LEAN_SAMPLER_SINCE = (0, 11, 0)
_WINDOWS_COUNTED_SINCE = (0, 21)
_HIGHER_UTILIZATION_SINCE = (0, 22)
_EXPERT_BUFFERS = 3
_EXPERT_PARALLEL_BYTES = 4 * _GIB
_LEAST_MARGIN_BYTES = round(1.5 * _GIB)
_MARGIN_PERCENT = 8
_MANY_EXPERTS = 7000
_MANY_EXPERTS_BYTES = 4 * _GIB
_HYBRID_PAGE_PERCENT = 110


def plan_memory(request: MemoryRequest) -> MemoryPlan:
    """Divide one GPU's memory; never raises, `kv_bytes` of zero or less says that there is no room."""
    per_token = _cache_bytes_per_token(request)
    per_sequence = _sequence_bytes(request)
    room = unmargined_kv_bytes(request)
    kv_bytes = room - _margin_bytes(request, room)
    return MemoryPlan(
        gpu_bytes=request.accelerator.memory_bytes,
        weights_bytes=_weights(request),
        activation_bytes=_activation_bytes(request),
        overhead_bytes=_overhead_bytes(request),
        kv_bytes=kv_bytes,
        kv_bytes_per_token=per_token,
        kv_tokens=max(0, kv_bytes - per_sequence) // max(1, per_token),
        utilization_percent=request.utilization_percent,
        sequence_bytes=per_sequence,
    )


def unmargined_kv_bytes(request: MemoryRequest) -> int:
    """What is left for the cache before the planning margin: the figure that engines print."""
    granted = request.accelerator.memory_bytes * request.utilization_percent // 100
    return granted - _weights(request) - _activation_bytes(request) - _overhead_bytes(request)


def sequences_that_fit(plan: MemoryPlan, *, tokens: int) -> int:
    """How many sequences of `tokens` tokens (prompt and output) the cache of `plan` holds at once."""
    return max(0, plan.kv_bytes) // max(1, plan.sequence_bytes + tokens * plan.kv_bytes_per_token)


def weights_bytes_per_gpu(facts: ModelFacts, *, tensor_parallel: int, pipeline_parallel: int = 1) -> int:
    """Weights that one GPU loads, draft layers left out."""
    loaded = facts.loaded_bytes or facts.weights_bytes
    return -(-loaded // (tensor_parallel * pipeline_parallel))


def kv_bytes_per_token(facts: ModelFacts, *, tensor_parallel: int, element_bytes: int, engine_version: str) -> int:
    """Keys and values of one token on one GPU of a tensor-parallel group, all layers.

    Latent attention is replicated on every rank; heads are shared out until there are no more of them.
    Without the side caches of sparse attention (`ModelFacts.index_bytes_per_token`).
    """
    layers = facts.full_attention_layers
    if not _counts_windows(engine_version):
        layers += facts.sliding_layers
    return layers * _layer_bytes_per_token(facts, tensor_parallel=tensor_parallel, element_bytes=element_bytes)


def sequence_bytes(facts: ModelFacts, *, tensor_parallel: int, element_bytes: int, engine_version: str) -> int:
    """What one sequence takes on one GPU besides its tokens: recurrent state, and windows where they are counted."""
    state = -(-facts.state_bytes_per_sequence // tensor_parallel)
    if not _counts_windows(engine_version):
        return state
    layer = _layer_bytes_per_token(facts, tensor_parallel=tensor_parallel, element_bytes=element_bytes)
    return state + facts.sliding_layers * facts.sliding_window * layer


def default_utilization(engine: EngineName, version: str) -> int:
    """The percentage of a GPU that the engine takes when nobody says otherwise; the planner always says."""
    if engine is EngineName.VLLM and _release(version) >= _HIGHER_UTILIZATION_SINCE:
        return 92
    return 90


def sglang_static_fraction(plan: MemoryPlan) -> float:
    """SGLang's `--mem-fraction-static`: weights and cache only, activations and overheads lie outside it."""
    granted = plan.gpu_bytes * plan.utilization_percent // 100
    static = granted - plan.activation_bytes - plan.overhead_bytes
    return max(0, static * 1000 // plan.gpu_bytes) / 1000


def _margin_bytes(request: MemoryRequest, room: int) -> int:
    """What may be wrong with the estimate; many experts took up to 4 GiB more than their buffers explain."""
    unexplained = 0
    if request.facts.experts * request.facts.moe_layers >= _MANY_EXPERTS:
        unexplained = _MANY_EXPERTS_BYTES - _expert_bytes(request)
    return max(_LEAST_MARGIN_BYTES, room * _MARGIN_PERCENT // 100, unexplained)


def _layer_bytes_per_token(facts: ModelFacts, *, tensor_parallel: int, element_bytes: int) -> int:
    if facts.attention is AttentionKind.MLA:
        return (facts.kv_lora_rank + facts.rope_head_dim) * element_bytes
    heads = max(1, -(-facts.kv_heads // tensor_parallel))
    return 2 * heads * facts.head_dim * element_bytes


def _cache_bytes_per_token(request: MemoryRequest) -> int:
    facts = request.facts
    per_token = facts.index_bytes_per_token + kv_bytes_per_token(
        facts,
        tensor_parallel=request.tensor_parallel,
        element_bytes=_element_bytes(request.kv_cache_dtype),
        engine_version=request.engine_version,
    )
    if facts.linear_layers:
        # Pages of attention and of recurrent state are made equally long; logs show 8-10 % lost to it.
        per_token = per_token * _HYBRID_PAGE_PERCENT // 100
    return -(-per_token // request.pipeline_parallel)


def _sequence_bytes(request: MemoryRequest) -> int:
    whole = sequence_bytes(
        request.facts,
        tensor_parallel=request.tensor_parallel,
        element_bytes=_element_bytes(request.kv_cache_dtype),
        engine_version=request.engine_version,
    )
    return -(-whole // request.pipeline_parallel)


def _element_bytes(kv_cache_dtype: str) -> int:
    return _FP8_ELEMENT_BYTES if kv_cache_dtype.startswith("fp8") else _KV_ELEMENT_BYTES


def _weights(request: MemoryRequest) -> int:
    packed = weights_bytes_per_gpu(
        request.facts, tensor_parallel=request.tensor_parallel, pipeline_parallel=request.pipeline_parallel
    )
    return packed if request.accelerator.fp4_flops else packed * request.facts.unpacked_percent // 100


def _activation_bytes(request: MemoryRequest) -> int:
    """The greater of the sampler's logits (whole on each rank) and one forward pass, and the experts' buffers."""
    facts = request.facts
    lean = request.engine is not EngineName.VLLM or _release(request.engine_version) >= _LEAN_SAMPLER_SINCE
    per_logit = _SAMPLER_BYTES_PER_LOGIT if lean else _OLD_SAMPLER_BYTES_PER_LOGIT
    sampler = per_logit * request.max_sequences * facts.vocabulary
    width = 6 * facts.hidden + 3 * facts.intermediate // request.tensor_parallel
    forward = request.max_batched_tokens * width * 2
    return max(sampler, forward) + _expert_bytes(request)


def _expert_bytes(request: MemoryRequest) -> int:
    """Buffers of the fused experts: each token's hidden state once per chosen expert."""
    facts = request.facts
    routed = request.max_batched_tokens * facts.experts_per_token * facts.hidden * 2
    return _EXPERT_BUFFERS * routed if facts.experts else 0


def _overhead_bytes(request: MemoryRequest) -> int:
    alone = request.tensor_parallel * request.pipeline_parallel == 1
    overhead = _CUDA_BYTES if alone else _CUDA_AND_COLLECTIVES_BYTES
    if request.engine is not EngineName.VLLM or _release(request.engine_version) >= _GRAPHS_COUNTED_SINCE:
        overhead += _GRAPH_BYTES
    if request.expert_parallel:
        overhead += _EXPERT_PARALLEL_BYTES
    return overhead


def _counts_windows(engine_version: str) -> bool:
    """Whether sliding-window layers are charged for their window only (vLLM's hybrid cache manager).

    SGLang's releases (0.5 and later) compare as older: all layers are charged, which errs on the safe side.
    """
    return _release(engine_version) >= _WINDOWS_COUNTED_SINCE


def _release(version: str) -> tuple[int, ...]:
    """The version's leading numbers; what is not numeric, or is vaguer, compares as older: the larger figures."""
    numbers: list[int] = []
    for part in version.removeprefix("v").split(".")[:3]:
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
