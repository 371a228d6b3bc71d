"""Memory of one GPU: weights, activations, overheads and what is left for the KV cache.

Pure arithmetic over a model's numbers; what an engine's releases do is in the catalogue (behaviour.py). It decides
nothing: a plan without room has `kv_bytes` of zero or less, and the candidates say what that means.
"""

from dataclasses import dataclass

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator, Vendor
from penstock.catalogue.behaviour import BudgetScope, EngineBehaviour, behaviour_of
from penstock.catalogue.models import ModelFacts
from penstock.planner.cache import (
    cache_bytes_per_token,
    kv_bytes_per_token,
    sequence_bytes,
    state_bytes,
    window_step_bytes,
)
from penstock.planner.plan import MemoryPlan
from penstock.planner.weights import weights_bytes_per_gpu

__all__ = [
    "Footprint",
    "MemoryRequest",
    "default_utilization",
    "footprint_of",
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
    too (`sglang_static_fraction` turns it into SGLang's own setting), unless `budget` says that it is SGLang's own
    share for weights and cache. `kv_cache_dtype` is the engine's word: `auto`, or one that starts with `fp8`.
    `tensor_parallel` counts the GPUs of one pipeline stage; attention runs on `attention_ranks` of equal size among
    them, each with its own requests, which `max_sequences` and `max_batched_tokens` are for. The cache of one sequence
    is spread over `decode_context_parallel` GPUs.
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
    attention_ranks: int = 1
    decode_context_parallel: int = 1
    budget: BudgetScope = BudgetScope.EVERYTHING

    @property
    def attention_size(self) -> int:
        """GPUs that share the attention of one request."""
        return max(1, self.tensor_parallel // self.attention_ranks)

    @property
    def behaviour(self) -> EngineBehaviour:
        """What the engine's release does with memory."""
        return behaviour_of(self.engine, self.engine_version)


_GIB = 2**30
_EXPERT_BUFFERS = 3
_LEAST_MARGIN_BYTES = round(1.5 * _GIB)
_MARGIN_PERCENT = 8
_VISION_MARGIN_BYTES = round(2.5 * _GIB)
_MANY_EXPERTS = 7000
_EXPERT_WORKSPACE_BYTES = 4 * _GIB
_INDEX_WORKSPACE_BYTES_PER_TOKEN = 7 * _GIB // 8192


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a layout takes of one GPU whatever its settings, in bytes; settings are requests at once and step sizes."""

    weights_bytes: int
    overhead_bytes: int
    kv_bytes_per_token: int
    sequence_bytes: int


def footprint_of(request: MemoryRequest) -> Footprint:
    """The same for all requests that differ in `max_sequences`, `max_batched_tokens` and `max_context_tokens` only."""
    behaviour = request.behaviour
    return Footprint(
        weights_bytes=_weights(request, behaviour),
        overhead_bytes=_runtime_bytes(request, behaviour) + behaviour.graph_bytes,
        kv_bytes_per_token=_cache_bytes_per_token(request, behaviour),
        sequence_bytes=_sequence_bytes(request, behaviour),
    )


def plan_memory(request: MemoryRequest, footprint: Footprint | None = None) -> MemoryPlan:
    """Divide one GPU's memory; never raises, `kv_bytes` of zero or less says that there is no room.

    `footprint` is the request's own, where the caller knows it already. The longest request takes nothing by itself.
    """
    known, activation = footprint or footprint_of(request), _activation_bytes(request)
    room = _unmargined(request, known, activation)
    kv_bytes = room - _margin_bytes(request, room) - _window_step_bytes(request)
    return MemoryPlan(
        gpu_bytes=request.accelerator.memory_bytes,
        weights_bytes=known.weights_bytes,
        activation_bytes=activation,
        overhead_bytes=known.overhead_bytes,
        kv_bytes=kv_bytes,
        kv_bytes_per_token=known.kv_bytes_per_token,
        kv_tokens=max(0, kv_bytes - known.sequence_bytes) // max(1, known.kv_bytes_per_token),
        utilization_percent=request.utilization_percent,
        sequence_bytes=known.sequence_bytes,
    )


def unmargined_kv_bytes(request: MemoryRequest) -> int:
    """What is left for the cache before the planning margin: the figure that engines print."""
    return _unmargined(request, footprint_of(request), _activation_bytes(request))


def _unmargined(request: MemoryRequest, footprint: Footprint, activation_bytes: int) -> int:
    memory, percent, weights = request.accelerator.memory_bytes, request.utilization_percent, footprint.weights_bytes
    if request.budget is BudgetScope.WEIGHTS_AND_CACHE:
        # The share is taken of what is free once the engine has started.
        return (memory - _runtime_bytes(request, request.behaviour)) * percent // 100 - weights
    return memory * percent // 100 - weights - activation_bytes - footprint.overhead_bytes


def sequences_that_fit(plan: MemoryPlan, *, tokens: int) -> int:
    """How many sequences of `tokens` tokens (prompt and output) the cache of `plan` holds at once, on each rank."""
    if plan.kv_bytes <= 0:
        return 0
    return plan.kv_bytes // ((plan.sequence_bytes + tokens * plan.kv_bytes_per_token) or 1)


def default_utilization(engine: EngineName, version: str) -> int:
    """The percentage of a GPU that the engine takes when nobody says otherwise; the planner always says."""
    return behaviour_of(engine, version).utilization_percent


def sglang_static_fraction(plan: MemoryPlan) -> float:
    """SGLang's `--mem-fraction-static`: weights and cache only, as a share of what its start leaves free."""
    granted = plan.gpu_bytes * plan.utilization_percent // 100
    static = granted - plan.activation_bytes - plan.overhead_bytes
    return max(0, static * 1000 // (plan.gpu_bytes - plan.overhead_bytes)) / 1000


def _margin_bytes(request: MemoryRequest, room: int) -> int:
    """What may be wrong with the estimate: a share, and more for what logs showed to take more.

    Many experts, and experts spread whole, took up to 4 GiB more than their buffers explain (kernels' workspaces,
    dispatch buffers). Sparse attention scores every key for each token of a step: MiniMax-M3 and DeepSeek-V4-Flash took
    6 to 7 GiB more in steps of 8,192. Engines also try out the largest pictures.
    """
    facts, unexplained = request.facts, 0
    if facts.experts and (request.expert_parallel or facts.experts * facts.moe_layers >= _MANY_EXPERTS):
        unexplained = _EXPERT_WORKSPACE_BYTES - _expert_bytes(request)
    if facts.index_bytes_per_token:
        scores = request.max_batched_tokens * _INDEX_WORKSPACE_BYTES_PER_TOKEN
        unexplained = max(unexplained, scores - _expert_bytes(request))
    pictures = _VISION_MARGIN_BYTES if facts.tower_parameters else 0
    return max(_LEAST_MARGIN_BYTES, room * _MARGIN_PERCENT // 100, unexplained, pictures)


def _cache_bytes_per_token(request: MemoryRequest, behaviour: EngineBehaviour) -> int:
    return cache_bytes_per_token(
        request.facts,
        behaviour,
        tensor_parallel=request.attention_size,
        kv_cache_dtype=request.kv_cache_dtype,
        pipeline_parallel=request.pipeline_parallel,
        decode_context_parallel=request.decode_context_parallel,
    )


def _sequence_bytes(request: MemoryRequest, behaviour: EngineBehaviour) -> int:
    return state_bytes(
        request.facts,
        behaviour,
        tensor_parallel=request.attention_size,
        kv_cache_dtype=request.kv_cache_dtype,
        pipeline_parallel=request.pipeline_parallel,
    )


def _window_step_bytes(request: MemoryRequest) -> int:
    return window_step_bytes(
        request.facts,
        request.behaviour,
        tensor_parallel=request.attention_size,
        kv_cache_dtype=request.kv_cache_dtype,
        step_tokens=request.max_batched_tokens,
        pipeline_parallel=request.pipeline_parallel,
    )


def _weights(request: MemoryRequest, behaviour: EngineBehaviour) -> int:
    has_no_four_bits = not request.accelerator.fp4_flops
    expands = behaviour.expands_four_bit_scales or request.accelerator.vendor is Vendor.AMD
    return weights_bytes_per_gpu(
        request.facts,
        tensor_parallel=request.tensor_parallel,
        pipeline_parallel=request.pipeline_parallel,
        attention_ranks=request.attention_ranks,
        expert_parallel=request.expert_parallel,
        unpacked=has_no_four_bits and expands,
    )


def _activation_bytes(request: MemoryRequest) -> int:
    """The greater of the sampler's logits (whole on each rank) and one forward pass, and the experts' buffers."""
    facts = request.facts
    sampler = request.behaviour.sampler_bytes_per_logit * request.max_sequences * facts.vocabulary
    width = 6 * facts.hidden + 3 * facts.intermediate // request.attention_size
    forward = request.max_batched_tokens * width * 2
    return max(sampler, forward) + _expert_bytes(request)


def _expert_bytes(request: MemoryRequest) -> int:
    """Buffers of the fused experts: each token's hidden state once per chosen expert, and those that ranks gather."""
    facts = request.facts
    hidden = request.max_batched_tokens * facts.hidden * 2
    gathered = request.attention_ranks * hidden if request.attention_ranks > 1 else 0
    return _EXPERT_BUFFERS * facts.experts_per_token * hidden + gathered if facts.experts else 0


def _runtime_bytes(request: MemoryRequest, behaviour: EngineBehaviour) -> int:
    """What lies outside PyTorch: the CUDA context, and buffers of collectives between GPUs."""
    alone = request.tensor_parallel * request.pipeline_parallel == 1
    return behaviour.runtime_bytes + (0 if alone else behaviour.collectives_bytes)
