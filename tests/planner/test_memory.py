"""Memory of one GPU: every term by itself, and the plan that they make."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import ACCELERATORS, by_name
from penstock.catalogue.models import ModelFacts, built_in, built_in_names
from penstock.planner.memory import (
    MemoryRequest,
    default_utilization,
    kv_bytes_per_token,
    plan_memory,
    sequence_bytes,
    sequences_that_fit,
    sglang_static_fraction,
    unmargined_kv_bytes,
    weights_bytes_per_gpu,
)

GIB = 2**30


def model(name: str) -> ModelFacts:
    facts = built_in(name)
    assert facts is not None
    return facts


def request(name: str = "Qwen/Qwen3-32B", accelerator: str = "H100-SXM-80GB", **changes: Any) -> MemoryRequest:
    usual = MemoryRequest(
        facts=model(name),
        accelerator=by_name(accelerator),
        engine=EngineName.VLLM,
        engine_version="0.24.0",
        tensor_parallel=1,
        max_sequences=256,
        max_batched_tokens=8192,
        max_context_tokens=32768,
        utilization_percent=92,
    )
    return replace(usual, **changes)


CACHE = {
    "grouped heads": ("meta-llama/Llama-3.1-70B-Instruct", 1, 2, "0.24", 327_680),
    "heads are shared out": ("meta-llama/Llama-3.1-70B-Instruct", 8, 2, "0.24", 40_960),
    "no further than there are heads": ("meta-llama/Llama-3.1-70B-Instruct", 16, 2, "0.24", 40_960),
    "an uneven share is rounded up": ("microsoft/phi-4", 8, 2, "0.24", 40_960),
    "FP8 halves it": ("meta-llama/Llama-3.1-70B-Instruct", 1, 1, "0.24", 163_840),
    "latent attention is replicated": ("deepseek-ai/DeepSeek-R1", 8, 2, "0.24", 70_272),
    "hybrids count full layers only": ("Qwen/Qwen3.5-397B-A17B", 1, 2, "0.24", 30_720),
    "windows as full layers, before 0.21": ("openai/gpt-oss-120b", 1, 2, "0.20.1", 73_728),
    "windows apart, from 0.21 on": ("openai/gpt-oss-120b", 1, 2, "0.21.0", 36_864),
    "an unknown version is an old one": ("openai/gpt-oss-120b", 1, 2, "nightly", 73_728),
}


@pytest.mark.parametrize(("name", "size", "element", "version", "want"), CACHE.values(), ids=CACHE.keys())
def test_cache_per_token(name: str, size: int, element: int, version: str, want: int) -> None:
    found = kv_bytes_per_token(model(name), tensor_parallel=size, element_bytes=element, engine_version=version)
    assert found == want


def test_a_sequence_takes_windows_and_state_besides_its_tokens() -> None:
    sliding, recurrent = model("openai/gpt-oss-120b"), model("Qwen/Qwen3.5-397B-A17B")
    old, new = (
        sequence_bytes(sliding, tensor_parallel=1, element_bytes=2, engine_version=version)
        for version in ("0.20", "0.21")
    )
    assert (old, new) == (0, 18 * 128 * 2 * 8 * 64 * 2)
    whole, shared = (
        sequence_bytes(recurrent, tensor_parallel=size, element_bytes=2, engine_version="0.24") for size in (1, 8)
    )
    assert whole == recurrent.state_bytes_per_sequence
    assert shared == pytest.approx(whole / 8, abs=8)


def test_weights_are_shared_by_tensor_and_pipeline() -> None:
    facts = model("meta-llama/Llama-3.3-70B-Instruct")
    assert weights_bytes_per_gpu(facts, tensor_parallel=4) == pytest.approx(facts.weights_bytes / 4, abs=4)
    assert weights_bytes_per_gpu(facts, tensor_parallel=4, pipeline_parallel=2) == pytest.approx(
        facts.weights_bytes / 8, abs=8
    )


UTILIZATION = {
    "vLLM up to 0.21": (EngineName.VLLM, "0.21.3", 90),
    "vLLM from 0.22": (EngineName.VLLM, "0.22.0", 92),
    "SGLang": (EngineName.SGLANG, "0.5.14", 90),
}


@pytest.mark.parametrize(("engine", "version", "want"), UTILIZATION.values(), ids=UTILIZATION.keys())
def test_default_utilization(engine: EngineName, version: str, want: int) -> None:
    assert default_utilization(engine, version) == want


def test_the_sampler_sets_the_activations_where_many_sequences_run() -> None:
    few, many = (plan_memory(request(max_sequences=count)).activation_bytes for count in (16, 1024))
    assert many == 17 * 1024 * 151_936
    assert few == 8192 * (6 * 5120 + 3 * 25_600) * 2


SAMPLER = {"0.10.2": 39, "0.11.0": 17, "0.24.0": 17, "0.11": 39}


@pytest.mark.parametrize(("version", "want"), SAMPLER.items(), ids=SAMPLER.keys())
def test_the_sampler_became_lean(version: str, want: int) -> None:
    """A vague version counts as the older one, which takes more."""
    plan = plan_memory(request(engine_version=version, max_sequences=1024))
    assert plan.activation_bytes == want * 1024 * 151_936


def test_collectives_graphs_and_expert_parallelism_take_their_share() -> None:
    alone = plan_memory(request(engine_version="0.20.0")).overhead_bytes
    with_graphs = plan_memory(request(engine_version="0.21.0")).overhead_bytes
    shared = plan_memory(request(engine_version="0.20.0", tensor_parallel=2)).overhead_bytes
    spread = plan_memory(request(engine_version="0.20.0", tensor_parallel=2, expert_parallel=True)).overhead_bytes
    assert (alone, shared) == (round(0.15 * GIB), round(0.6 * GIB))
    assert with_graphs - alone == round(0.5 * GIB)
    assert spread - shared == 4 * GIB


def test_the_planning_margin_is_a_share_and_at_least_one_and_a_half_gib() -> None:
    roomy, tight = request(accelerator="MI325X"), request(accelerator="H100-SXM-80GB")
    assert plan_memory(roomy).kv_bytes == pytest.approx(unmargined_kv_bytes(roomy) * 0.92, rel=1e-6)
    assert plan_memory(tight).kv_bytes == unmargined_kv_bytes(tight) - round(1.5 * GIB)


def test_many_experts_widen_the_margin() -> None:
    sparse = request("Qwen/Qwen3-235B-A22B-FP8", tensor_parallel=4, max_batched_tokens=1024, max_sequences=16)
    assert unmargined_kv_bytes(sparse) - plan_memory(sparse).kv_bytes > 3 * GIB


def test_no_room_is_an_answer_and_no_error() -> None:
    plan = plan_memory(request("deepseek-ai/DeepSeek-R1", tensor_parallel=8))
    assert plan.kv_bytes <= 0
    assert plan.kv_tokens == 0
    assert sequences_that_fit(plan, tokens=1) == 0


def test_pages_of_hybrids_are_padded() -> None:
    plan = plan_memory(request("Qwen/Qwen3.5-27B"))
    assert plan.kv_bytes_per_token == 65_536 * 110 // 100


def test_side_caches_of_sparse_attention_count() -> None:
    plan = plan_memory(request("deepseek-ai/DeepSeek-V3.2", "B200-SXM-180GB", tensor_parallel=8))
    assert plan.kv_bytes_per_token == 70_272 + 61 * 132


def test_sequences_share_what_is_there() -> None:
    plan = plan_memory(request("Qwen/Qwen3.5-27B"))
    each = plan.sequence_bytes + 4096 * plan.kv_bytes_per_token
    count = sequences_that_fit(plan, tokens=4096)
    assert count * each <= plan.kv_bytes < (count + 1) * each


def test_sglang_counts_activations_outside_its_fraction() -> None:
    plan = plan_memory(request(engine=EngineName.SGLANG, engine_version="0.5.14", utilization_percent=90))
    fraction = sglang_static_fraction(plan)
    assert fraction < 0.90
    static = fraction * plan.gpu_bytes
    outside = plan.activation_bytes + plan.overhead_bytes
    assert static + outside <= 0.90 * plan.gpu_bytes
    assert static >= plan.weights_bytes + plan.kv_bytes


def test_pipelines_cut_weights_and_cache_alike() -> None:
    whole, halved = (plan_memory(request(tensor_parallel=2, pipeline_parallel=stages)) for stages in (1, 2))
    assert halved.weights_bytes == pytest.approx(whole.weights_bytes / 2, abs=2)
    assert halved.kv_bytes_per_token == whole.kv_bytes_per_token // 2
    assert halved.kv_tokens > 2 * whole.kv_tokens


@given(
    name=st.sampled_from(built_in_names()),
    accelerator=st.sampled_from(sorted(ACCELERATORS)),
    engine=st.sampled_from(EngineName),
    size=st.sampled_from([1, 2, 4, 8]),
    sequences=st.integers(1, 1024),
    utilization=st.integers(50, 98),
)
def test_a_plan_never_gives_away_more_than_it_was_granted(
    *, name: str, accelerator: str, engine: EngineName, size: int, sequences: int, utilization: int
) -> None:
    plan = plan_memory(
        request(
            name,
            accelerator,
            engine=engine,
            tensor_parallel=size,
            max_sequences=sequences,
            utilization_percent=utilization,
        )
    )
    taken = plan.weights_bytes + plan.activation_bytes + plan.overhead_bytes + max(0, plan.kv_bytes)
    assert plan.kv_bytes <= 0 or taken <= plan.gpu_bytes * utilization // 100
    assert plan.kv_tokens * plan.kv_bytes_per_token <= max(0, plan.kv_bytes)


@given(name=st.sampled_from(built_in_names()), sequences=st.integers(1, 512), more=st.integers(1, 512))
def test_more_sequences_never_leave_more_room(name: str, sequences: int, more: int) -> None:
    fewer = plan_memory(request(name, max_sequences=sequences))
    greater = plan_memory(request(name, max_sequences=sequences + more))
    assert greater.kv_bytes <= fewer.kv_bytes
