"""Memory of one GPU: every term by itself, and the plan that they make."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import ACCELERATORS, by_name
from penstock.catalogue.behaviour import BudgetScope
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

MIB, GIB = 2**20, 2**30


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


def test_collectives_and_graphs_take_their_share() -> None:
    alone = plan_memory(request(engine_version="0.20.0")).overhead_bytes
    with_graphs = plan_memory(request(engine_version="0.21.0")).overhead_bytes
    shared = plan_memory(request(engine_version="0.20.0", tensor_parallel=2)).overhead_bytes
    assert (alone, shared) == (154 * MIB, 614 * MIB)
    assert with_graphs - alone == 512 * MIB


def test_the_planning_margin_is_a_share_and_at_least_one_and_a_half_gib() -> None:
    roomy, tight = request(accelerator="MI325X"), request(accelerator="H100-SXM-80GB")
    assert plan_memory(roomy).kv_bytes == pytest.approx(unmargined_kv_bytes(roomy) * 0.92, rel=1e-6)
    assert plan_memory(tight).kv_bytes == unmargined_kv_bytes(tight) - round(1.5 * GIB)


def test_many_experts_widen_the_margin() -> None:
    sparse = request("Qwen/Qwen3-235B-A22B-FP8", tensor_parallel=4, max_batched_tokens=1024, max_sequences=16)
    assert unmargined_kv_bytes(sparse) - plan_memory(sparse).kv_bytes > 3 * GIB


def _margin(usual: MemoryRequest) -> int:
    return unmargined_kv_bytes(usual) - plan_memory(usual).kv_bytes


def test_whole_experts_widen_the_margin_and_change_no_weights() -> None:
    cut = request("Qwen/Qwen3-30B-A3B", tensor_parallel=4, max_batched_tokens=512, accelerator="L40S-48GB")
    whole = replace(cut, expert_parallel=True)
    assert plan_memory(cut).weights_bytes == plan_memory(whole).weights_bytes
    assert _margin(cut) < _margin(whole) < 4 * GIB


def test_a_tower_for_pictures_widens_the_margin() -> None:
    blind = request("Qwen/Qwen3-8B", "L40S-48GB")
    seeing = replace(blind, facts=replace(blind.facts, tower_parameters=10**8))
    assert _margin(blind) == pytest.approx(unmargined_kv_bytes(blind) * 0.08, abs=2)
    assert _margin(seeing) == round(2.5 * GIB)


def test_sparse_attention_widens_the_margin_with_the_step() -> None:
    usual = request("MiniMaxAI/MiniMax-M3-MXFP8", tensor_parallel=8, max_sequences=16)
    short, long = (replace(usual, max_batched_tokens=tokens) for tokens in (4096, 8192))
    assert 5 * GIB < _margin(long) <= 7 * GIB
    assert _margin(long) > _margin(short)


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
    static = fraction * (plan.gpu_bytes - plan.overhead_bytes)
    outside = plan.activation_bytes + plan.overhead_bytes
    assert static + outside <= 0.90 * plan.gpu_bytes
    assert static >= plan.weights_bytes + plan.kv_bytes


def test_pipelines_cut_weights_and_cache_alike() -> None:
    whole, halved = (plan_memory(request(tensor_parallel=2, pipeline_parallel=stages)) for stages in (1, 2))
    assert halved.weights_bytes == pytest.approx(whole.weights_bytes / 2, abs=2)
    assert halved.kv_bytes_per_token == whole.kv_bytes_per_token // 2
    assert halved.kv_tokens > 2 * whole.kv_tokens


def test_attention_ranks_copy_attention_and_keep_their_own_requests() -> None:
    one = request("deepseek-ai/DeepSeek-R1", "H200-SXM-141GB", tensor_parallel=8, max_sequences=64)
    ranks = replace(one, attention_ranks=8, expert_parallel=True)
    plain, spread = plan_memory(one), plan_memory(ranks)
    attention_and_tables = spread.weights_bytes - plain.weights_bytes
    assert 10 * GIB < attention_and_tables < 20 * GIB
    assert spread.kv_bytes_per_token == plain.kv_bytes_per_token
    of_all_ranks = 8 * sequences_that_fit(spread, tokens=1000)
    assert of_all_ranks > 4 * sequences_that_fit(plain, tokens=1000)


def test_attention_ranks_keep_the_heads_together() -> None:
    """Two key heads on eight ranks of one GPU are not replicated: each rank has both, for requests of its own."""
    usual = request("Qwen/Qwen3.5-122B-A10B", "B200-SXM-180GB", tensor_parallel=8)
    ranks = replace(usual, attention_ranks=8, expert_parallel=True)
    twice = 2 * plan_memory(usual).kv_bytes_per_token
    assert plan_memory(ranks).kv_bytes_per_token == pytest.approx(twice, abs=1)


def test_context_parallelism_shares_one_sequence() -> None:
    usual = request("moonshotai/Kimi-K2-Thinking", "H200-SXM-141GB", tensor_parallel=8)
    shared = plan_memory(replace(usual, decode_context_parallel=8))
    assert shared.kv_bytes_per_token == 70_272 // 8
    assert shared.kv_tokens == pytest.approx(8 * plan_memory(usual).kv_tokens, rel=1e-4)


def test_sparse_latent_attention_in_fp8_keeps_scales_and_positions() -> None:
    usual = request("deepseek-ai/DeepSeek-V3.2", "B200-SXM-180GB", tensor_parallel=8, kv_cache_dtype="fp8")
    assert plan_memory(usual).kv_bytes_per_token == 61 * (656 + 132)
    dense = request("deepseek-ai/DeepSeek-R1", "B200-SXM-180GB", tensor_parallel=8, kv_cache_dtype="fp8")
    assert plan_memory(dense).kv_bytes_per_token == 61 * 576


def test_layers_that_see_everything_may_have_heads_of_their_own() -> None:
    """gemma-4-31B: 10 layers with 4 wide heads, 50 with 16 narrow ones; before 0.21 all pages were as long."""
    facts = model("google/gemma-4-31B-it")
    old, new = (
        kv_bytes_per_token(facts, tensor_parallel=1, element_bytes=2, engine_version=version)
        for version in ("0.20.0", "0.21.0")
    )
    assert (old, new) == (60 * 2 * 16 * 256 * 2, 10 * 2 * 4 * 512 * 2)


def test_a_step_of_prefill_holds_its_windows() -> None:
    usual = request("google/gemma-4-31B-it", "H200-SXM-141GB", engine_version="0.21.0", max_batched_tokens=8192)
    old = replace(usual, engine_version="0.20.0")
    step = 50 * 8192 * 2 * 16 * 256 * 2
    assert _margin(usual) - _margin(old) == pytest.approx(step, rel=0.01)


COMPRESSED = {
    "vLLM 0.22": (EngineName.VLLM, "0.22.0", 43 * 1850, 43 * 103 * MIB),
    "vLLM 0.25": (EngineName.VLLM, "0.25.0", 43 * 170, 0),
    "SGLang": (EngineName.SGLANG, "0.5.14", 43 * 400, 0),
}


@pytest.mark.parametrize(("engine", "version", "token", "sequence"), COMPRESSED.values(), ids=COMPRESSED.keys())
def test_compressed_caches_by_release(engine: EngineName, version: str, token: int, sequence: int) -> None:
    usual = request("deepseek-ai/DeepSeek-V4-Flash", "H200-SXM-141GB", engine=engine, engine_version=version)
    plan = plan_memory(replace(usual, tensor_parallel=4))
    assert (plan.kv_bytes_per_token, plan.sequence_bytes) == (token, sequence)


def test_four_bit_experts_are_expanded_by_some_engines_on_some_hardware() -> None:
    def loaded(accelerator: str, engine: EngineName, version: str) -> float:
        usual = request("deepseek-ai/DeepSeek-V4-Pro", accelerator, engine=engine, engine_version=version)
        return plan_memory(replace(usual, tensor_parallel=8)).weights_bytes / GIB

    assert loaded("H200-SXM-141GB", EngineName.SGLANG, "0.5.14") == pytest.approx(125.65, rel=0.01)
    assert loaded("H200-SXM-141GB", EngineName.VLLM, "0.25.0") == pytest.approx(100.7, rel=0.02)
    assert loaded("MI300X", EngineName.VLLM, "0.25.0") == loaded("H200-SXM-141GB", EngineName.SGLANG, "0.5.14")
    assert loaded("B200-SXM-180GB", EngineName.SGLANG, "0.5.14") == loaded("B200-SXM-180GB", EngineName.VLLM, "0.25.0")


def test_a_static_share_is_of_what_the_start_leaves() -> None:
    """0.93 of an H100 held Qwen3-235B in FP8 and 16.46 GiB of cache on each of four (vllm#21348)."""
    usual = request("Qwen/Qwen3-235B-A22B-FP8", tensor_parallel=4, utilization_percent=93, engine=EngineName.SGLANG)
    static = replace(usual, budget=BudgetScope.WEIGHTS_AND_CACHE)
    assert unmargined_kv_bytes(static) / GIB == pytest.approx(16.46, rel=0.02)


LOADED = {
    "latent projections and routers on every rank": ("deepseek-ai/DeepSeek-R1", {"tensor_parallel": 8}, 79.4),
    "MXFP4 padded both ways (vllm#23278)": ("openai/gpt-oss-120b", {"tensor_parallel": 1}, 65.97),
    "the fullest of two stages": ("deepseek-ai/DeepSeek-R1", {"tensor_parallel": 8, "pipeline_parallel": 2}, 40.4),
    "whole experts that do not come out even": (
        "deepseek-ai/DeepSeek-R1",
        {"tensor_parallel": 48, "attention_ranks": 48, "expert_parallel": True},
        32.07,
    ),
}


@pytest.mark.parametrize(("name", "layout", "gib"), LOADED.values(), ids=LOADED.keys())
def test_weights_of_a_layout(name: str, layout: dict[str, Any], gib: float) -> None:
    assert weights_bytes_per_gpu(model(name), **layout) / GIB == pytest.approx(gib, rel=0.01)


def test_a_model_known_by_totals_spreads_what_is_not_active() -> None:
    totals = replace(model("deepseek-ai/DeepSeek-R1"), weight_shares=None)
    exact, guessed = (
        weights_bytes_per_gpu(facts, tensor_parallel=8, attention_ranks=8, expert_parallel=True)
        for facts in (model("deepseek-ai/DeepSeek-R1"), totals)
    )
    assert guessed == pytest.approx(exact, rel=0.05)


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


@given(
    name=st.sampled_from(built_in_names()),
    size=st.sampled_from([1, 2, 4, 8, 16]),
    stages=st.sampled_from([1, 2, 4]),
    ranks=st.sampled_from([1, 2, 4]),
    spread=st.booleans(),
)
def test_the_gpus_of_a_layout_hold_the_whole_model(
    *, name: str, size: int, stages: int, ranks: int, spread: bool
) -> None:
    """Nothing is lost however it is cut; copies only add, and a larger group never loads more on a GPU."""
    facts, ranks = model(name), min(ranks, size)

    def each(count: int) -> int:
        return weights_bytes_per_gpu(
            facts, tensor_parallel=count, pipeline_parallel=stages, attention_ranks=ranks, expert_parallel=spread
        )

    assert each(size) * size * stages >= 0.999 * (facts.loaded_bytes or facts.weights_bytes)
    assert each(2 * size) <= each(size)
