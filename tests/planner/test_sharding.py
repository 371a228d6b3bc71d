"""Which tensor-parallel sizes work, and what the refusals teach."""

from dataclasses import replace
from typing import Any

import pytest

from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts, built_in
from penstock.planner.sharding import expert_parallel_needed, shard_problem, tensor_parallel_sizes

H100 = by_name("H100-SXM-80GB")


def model(name: str) -> ModelFacts:
    facts = built_in(name)
    assert facts is not None
    return facts


SIZES = {
    "heads divide by eight": ("meta-llama/Llama-3.1-8B-Instruct", "H100-SXM-80GB", 8, (1, 2, 4, 8)),
    "28 heads": ("Qwen/Qwen2.5-7B-Instruct", "H100-SXM-80GB", 8, (1, 2, 4)),
    "10 key heads": ("microsoft/phi-4", "H100-SXM-80GB", 8, (1, 2)),
    "a node of four": ("meta-llama/Llama-3.1-8B-Instruct", "H100-SXM-80GB", 4, (1, 2, 4)),
    "cards over PCIe": ("meta-llama/Llama-3.1-8B-Instruct", "L40S-48GB", 8, (1, 2, 4)),
    "pairs by bridge": ("meta-llama/Llama-3.1-8B-Instruct", "H100-NVL-94GB", 8, (1, 2)),
    "two key heads are replicated": ("Qwen/Qwen3.5-122B-A10B", "B200-SXM-180GB", 8, (1, 2, 4, 8)),
    "latent attention needs server chips": ("deepseek-ai/DeepSeek-R1", "L40S-48GB", 8, ()),
    "block FP8 at eight with whole experts": ("Qwen/Qwen3-235B-A22B-FP8", "H100-SXM-80GB", 8, (1, 2, 4, 8)),
}


@pytest.mark.parametrize(("name", "accelerator", "gpus", "want"), SIZES.values(), ids=SIZES.keys())
def test_sizes(name: str, accelerator: str, gpus: int, want: tuple[int, ...]) -> None:
    assert tensor_parallel_sizes(model(name), by_name(accelerator), node_gpus=gpus) == want


PROBLEMS = {
    "heads": (
        "Qwen/Qwen2.5-7B-Instruct",
        8,
        "28 attention heads cannot be shared by 8 GPUs; use tensor parallel 1, 2, 4",
    ),
    "key heads": ("microsoft/phi-4", 4, "10 key-value heads"),
    "block FP8": ("Qwen/Qwen3-235B-A22B-FP8", 8, "use tensor parallel 4, or 8 with expert parallelism"),
    "domain": ("meta-llama/Llama-3.1-8B-Instruct", 16, "links at most 8 GPUs"),
}


@pytest.mark.parametrize(("name", "size", "want"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_refusals_say_what_would_work(name: str, size: int, want: str) -> None:
    problem = shard_problem(model(name), H100, size, expert_parallel=False)
    assert problem is not None
    assert want in problem


def test_block_fp8_reads_the_field_and_not_the_family() -> None:
    """GLM-4.6 in FP8 is scaled by channel: the same width that block FP8 refuses works there."""
    assert model("zai-org/GLM-4.6-FP8").expert_intermediate == model("Qwen/Qwen3-235B-A22B-FP8").expert_intermediate
    assert shard_problem(model("zai-org/GLM-4.6-FP8"), H100, 8, expert_parallel=False) is None
    assert expert_parallel_needed(model("Qwen/Qwen3-235B-A22B-FP8"), H100, 8)
    assert not expert_parallel_needed(model("Qwen/Qwen3-235B-A22B-FP8"), H100, 4)


def test_whole_experts_must_come_out_even() -> None:
    uneven = replace(model("Qwen/Qwen3-235B-A22B-FP8"), experts=12)
    assert shard_problem(uneven, H100, 4, expert_parallel=True) is None
    problem = shard_problem(uneven, H100, 8, expert_parallel=True)
    assert problem == "12 experts cannot be spread over 8 GPUs; use tensor parallel 1, 2, 4"


def test_dense_layers_are_cut_in_whole_blocks() -> None:
    narrow = replace(model("Qwen/Qwen3-8B-FP8"), intermediate=3 * 1024)
    assert shard_problem(narrow, H100, 8, expert_parallel=False) is None
    problem = shard_problem(replace(narrow, intermediate=12 * 128), H100, 8, expert_parallel=False)
    assert problem is not None
    assert problem.endswith("use tensor parallel 4")


def test_groups_of_int4_stay_whole() -> None:
    narrow = replace(model("Qwen/Qwen3-32B-AWQ"), intermediate=12 * 128)
    assert shard_problem(narrow, H100, 4, expert_parallel=False) is None
    problem = shard_problem(narrow, H100, 8, expert_parallel=False)
    assert problem is not None
    assert problem.endswith("in blocks of 128; use tensor parallel 4")


def test_expert_parallelism_does_not_help_a_dense_model() -> None:
    assert not expert_parallel_needed(model("Qwen/Qwen2.5-7B-Instruct"), H100, 8)


def problem_of(name: str, size: int, accelerator: str = "H100-SXM-80GB", **layout: Any) -> str | None:
    spread = layout.pop("expert_parallel", True)
    return shard_problem(model(name), by_name(accelerator), size, expert_parallel=spread, **layout)


WORKS = {
    "eight ranks of one GPU": ("deepseek-ai/DeepSeek-R1", 8, {"attention_ranks": 8}),
    "ten key heads at two ranks of two": ("microsoft/phi-4", 2, {"expert_parallel": False}),
    "two nodes on a fast network": ("deepseek-ai/DeepSeek-R1", 16, {"across_nodes": True}),
    "a tray and more of one domain": ("deepseek-ai/DeepSeek-R1", 16, {"accelerator": "GB200-192GB"}),
    "stages for every layer": ("deepseek-ai/DeepSeek-R1", 8, {"pipeline_parallel": 61}),
    "copies of busy experts make it even": (
        "deepseek-ai/DeepSeek-R1",
        48,
        {"attention_ranks": 48, "redundant_experts": True, "accelerator": "GB200-192GB"},
    ),
}


@pytest.mark.parametrize(("name", "size", "layout"), WORKS.values(), ids=WORKS.keys())
def test_layouts_that_work(name: str, size: int, layout: dict[str, Any]) -> None:
    assert problem_of(name, size, **layout) is None


REFUSED = {
    "ranks of a dense model": (
        "Qwen/Qwen3-32B",
        4,
        {"attention_ranks": 4},
        "data-parallel attention needs experts to share; use 4 replicas instead",
    ),
    "ranks of unlike size": (
        "deepseek-ai/DeepSeek-R1",
        8,
        {"attention_ranks": 3},
        "8 GPUs cannot form 3 attention ranks of one size; use 1, 2, 4, 8",
    ),
    "more stages than layers": (
        "deepseek-ai/DeepSeek-R1",
        8,
        {"pipeline_parallel": 62},
        "61 layers cannot form 62 pipeline stages; use 1 to 61",
    ),
    "bridged pairs have no such network": (
        "meta-llama/Llama-3.1-8B-Instruct",
        4,
        {"accelerator": "H100-NVL-94GB", "across_nodes": True},
        "H100-NVL-94GB links at most 2 GPUs fast enough; use tensor parallel 2 or less",
    ),
    "uneven without copies": (
        "deepseek-ai/DeepSeek-R1",
        48,
        {"attention_ranks": 48, "accelerator": "GB200-192GB"},
        "256 experts cannot be spread over 48 GPUs",
    ),
}


@pytest.mark.parametrize(("name", "size", "layout", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_layouts_that_do_not(name: str, size: int, layout: dict[str, Any], want: str) -> None:
    problem = problem_of(name, size, **layout)
    assert problem is not None
    assert want in problem
