"""The memory parts of bench.sizing: how rows are read, and what the published rows must come to."""

import statistics
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.counting import RowCount
from bench.sizing import infeasible, observations, recipes
from bench.sizing.cells import read_rows
from bench.sizing.hardware import accelerators_of, engines_of, resolve_accelerator
from bench.sizing.models import Skip
from bench.sizing.observations import Observation
from bench.sizing.recipes import Worker
from builders.reference import DATA, needs_reference_data
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.behaviour import BudgetScope

GIB = 2**30
NOWHERE = Path("/nonexistent")

GPUS = {
    "the reference identifier": ("h100-sxm", None, "H100-SXM-80GB", 79.18),
    "a bare chip is the server form": ("h100", None, "H100-SXM-80GB", 79.18),
    "a form": ("NVIDIA H100 PCIe", None, "H100-PCIe-80GB", 79.1),
    "a size": ("A100 40GB", None, "A100-SXM-40GB", 39.5),
    "what the engine saw goes first": ("H100-80GB-SXM", 78.0, "H100-SXM-80GB", 78.0),
    "no entry, and its memory stated": ("RTX4070-12GB", 11.6, "RTX4070-12GB", 11.6),
    "no entry, and its memory in the name": ("RTX4070-12GB", None, "RTX4070-12GB", 11.76),
}


@pytest.mark.parametrize(("words", "memory", "name", "gib"), GPUS.values(), ids=GPUS.keys())
def test_gpus(words: str, memory: float | None, name: str, gib: float) -> None:
    found = resolve_accelerator(words, memory)
    assert isinstance(found, Accelerator)
    assert found.name == name
    assert found.memory_bytes / GIB == pytest.approx(gib, rel=1e-3)


def test_an_unknown_gpu_without_memory_is_skipped() -> None:
    assert isinstance(resolve_accelerator("tpu-v5e"), Skip)
    assert accelerators_of("tpu-v5e") == []
    assert [each.name for each in accelerators_of("l40s/l4")] == ["L40S-48GB", "L4-24GB"]
    assert all(each.scale_up_domain == 8 for each in accelerators_of("any"))


ENGINES = {
    "vllm 0.11.0": [("vLLM", "0.11.0")],
    "dynamo-vllm": [("vLLM", "")],
    "vLLM (v0.11-era, block 128)": [("vLLM", "0.11")],
    "vLLM 2026-07": [("vLLM", "0.24.0")],
    "SGLang (mem-fraction-static 0.93)": [("SGLang", "")],
    "sglang 0.5.6.post2": [("SGLang", "0.5.6")],
    "vllm/sglang/trtllm (Dynamo)": [("vLLM", ""), ("SGLang", "")],
    "trtllm 1.0.0": [],
}


@pytest.mark.parametrize(("words", "want"), ENGINES.items(), ids=ENGINES.keys())
def test_engines(words: str, want: list[tuple[str, str]]) -> None:
    assert [(each.name, each.version) for each in engines_of(words)] == want


WORKERS = {
    "plain": ({"tp": "8", "pp": "1", "ep": "1"}, [Worker(8)]),
    "ranks, counted as tensor parallel": (
        {"tp": "8", "ep": "8", "dp_attention": "True"},
        [Worker(8, attention_ranks=8, expert_parallel=True)],
    ),
    "ranks of four GPUs": (
        {"tp": "4", "ep": "16", "dp_attention": "True"},
        [Worker(16, attention_ranks=4, expert_parallel=True)],
    ),
    "prefill and decode": (
        {"layout": "P6x(tp4pp1ep1)+D1x(tp48pp1ep48dpa)"},
        [Worker(4), Worker(48, attention_ranks=48, expert_parallel=True)],
    ),
    "stages": ({"tp": "8", "pp": "2", "ep": ""}, [Worker(8, pipeline_parallel=2, is_open=True)]),
    "GPUs alone": ({"gpus_per_replica": "4", "tp": "?"}, [Worker(4, is_open=True)]),
    "nothing": ({"tp": "-1", "layout": "?"}, []),
}


@pytest.mark.parametrize(("row", "want"), WORKERS.values(), ids=WORKERS.keys())
def test_workers(row: dict[str, str], want: list[Worker]) -> None:
    assert recipes.workers_of(row) == want


def test_a_recipe_without_room_is_refused_with_the_reason() -> None:
    row = {"row": "1", "model": "deepseek-ai/DeepSeek-R1", "precision": "fp8", "gpu": "h100", "tp": "8"}
    found = recipes.judge(row | {"engine": "vllm+sglang"}, NOWHERE)
    assert not isinstance(found, Skip)
    assert [refusal.engine for refusal in found] == list(EngineName)
    assert str(found[0]).startswith("1: deepseek-ai/DeepSeek-R1 on 8 x h100 (vLLM): 0 KV tokens")
    assert recipes.judge(row | {"engine": "vllm", "tp": "16"}, NOWHERE) == []


def test_experts_are_spread_where_a_recipe_does_not_say_how_they_are_cut() -> None:
    row = {"model": "MiniMaxAI/MiniMax-M2", "precision": "fp8", "gpu": "h200", "tp": "8", "engine": "vllm"}
    assert recipes.judge(row, NOWHERE) == []
    cut = recipes.judge(row | {"ep": "1"}, NOWHERE)
    assert not isinstance(cut, Skip)
    assert "no multiple of the quantisation block" in cut[0].reason


SETTINGS = {
    "flags": ("util .90, max_num_seqs 1024, mbt 8192", (90, None, 1024, 8192)),
    "a context": ("max-model-len 16000 util .95", (95, 16000, None, None)),
    "a context in words": ("1M context", (None, 1048576, None, None)),
    "thousands": ("full 163,840 context", (None, 163840, None, None)),
    "SGLang's share": ("mem-fraction-static 0.88, chunked prefill >= 16384", (88, None, None, 16384)),
    "anything": ("any", (None, None, None, None)),
}


@pytest.mark.parametrize(("words", "want"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(words: str, want: tuple[int | None, ...]) -> None:
    found = infeasible.setting_of({"setting": words, "tp": "8", "gpus": "8"})
    assert (found.share_percent, found.context, found.sequences, found.batched_tokens) == want


def test_layouts_of_settings() -> None:
    ranks = infeasible.setting_of({"setting": "max-model-len 800000", "engine": "vllm DP8+EP8", "gpus": "8", "tp": "1"})
    assert (ranks.tensor_parallel, ranks.pipeline_parallel, ranks.attention_ranks) == (8, 1, 8)
    assert ranks.expert_parallel
    stages = infeasible.setting_of({"engine": "vllm TP8xPP2", "gpus": "16", "tp": "8"})
    assert (stages.tensor_parallel, stages.pipeline_parallel) == (8, 2)
    assert not infeasible.setting_of({"setting": "TP8 without EP", "tp": "8"}).expert_parallel


VERDICTS = {
    "hardware": (("Qwen/Qwen3-8B", "fp8", "tpu-v5e", "1", "vllm", "-", "refused"), "accelerator"),
    "engine": (("Qwen/Qwen3-8B", "fp8", "h100", "1", "trtllm 1.2", "-", "OOM"), "engine"),
    "format": (("nvidia/DeepSeek-R1-0528-FP4-V2", "nvfp4", "h200", "8", "any", "any", "refused"), "format"),
    "sharding": (("Qwen/Qwen2.5-7B-Instruct", "bf16", "h100", "8", "vllm", "-", "refused"), "sharding"),
    "memory": (("Qwen/Qwen3-32B", "bf16", "h100", "1", "vllm 0.11", "max-model-len 32000", "no KV room"), "memory"),
    "limits": (("Qwen/Qwen3-8B", "bf16", "h100", "1", "vllm", "util .98", "OOM"), "limits"),
    "preference": (("Qwen/Qwen3-8B", "bf16", "h100", "8", "vllm", "-", "pointless"), "preference"),
    "what works is chosen": (("Qwen/Qwen3-8B", "bf16", "h100", "1", "vllm", "util .90", "OOM"), ""),
}


@pytest.mark.parametrize(("cells", "rule"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts(cells: tuple[str, ...], rule: str) -> None:
    model, precision, gpu, size, engine, setting, outcome = cells
    row = {"model": model, "precision": precision, "gpu": gpu, "gpus": size, "tp": size, "engine": engine}
    found = infeasible.verdict(row | {"setting": setting, "outcome": outcome}, NOWHERE)
    assert isinstance(found, str)
    assert found.split(":", maxsplit=1)[0] == rule


def test_an_observation_takes_the_flags_of_its_row_and_the_defaults_of_its_release() -> None:
    row = {"model": "Qwen/Qwen3-8B", "gpu": "H100-80GB-SXM", "gpu_mem_total_gib": "79.18", "tp": "2", "dp": ""}
    found = observations.observation_of(row | {"engine": "vLLM 0.15.1", "max_num_seqs": "128"}, NOWHERE)
    assert isinstance(found, Observation)
    request = found.request
    assert (request.tensor_parallel, request.max_sequences, request.max_batched_tokens) == (2, 128, 8192)
    assert (request.utilization_percent, request.budget) == (90, BudgetScope.EVERYTHING)
    static = observations.observation_of(row | {"engine": "SGLang", "gpu_memory_utilization": "0.85"}, NOWHERE)
    assert isinstance(static, Observation)
    assert (static.request.utilization_percent, static.request.budget) == (85, BudgetScope.WEIGHTS_AND_CACHE)


def test_a_count_takes_every_row_once() -> None:
    count = RowCount(used=3)
    count.skip("no model")
    assert count.details() == {"rows": 4, "used": 3, "skipped": {"no model": 1}}
    assert count.share == 0.75


CELLS = st.sampled_from(["", "-", "any", "0", "-1", "inf", "nan", "1e9", "8", "TP8", "8/16", "h100", "sglang 0.5", "é"])
NUMBERS = (
    "precision weight_precision tp pp ep dp dcp dp_attention gpus layout seq_lens setting gpu_mem_total_gib"
    " gpu_memory_utilization max_model_len max_num_seqs reported_kv_tokens reported_kv_gib_per_gpu"
    " reported_max_concurrency est_weights_gib_per_gpu"
)
ROWS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-R1", "unknown/model-7B", "x"]) | CELLS,
        "gpu": st.sampled_from(["h200", "mi300x", "RTX4070-12GB", "h100/a100-80"]) | CELLS,
        "engine": st.sampled_from(["vllm", "vLLM 2026-07", "dynamo-sglang", "vllm DP8+EP8", "trt"]) | CELLS,
        "outcome": st.sampled_from(["OOM", "ok", "pointless"]) | CELLS,
    },
    optional=dict.fromkeys(NUMBERS.split(), CELLS),
)


@given(row=ROWS)
@settings(deadline=None)
def test_no_row_is_too_odd(row: dict[str, str]) -> None:
    """Every row is judged or skipped with a reason."""
    assert isinstance(recipes.judge(row, NOWHERE), list | Skip)
    assert isinstance(infeasible.verdict(row, NOWHERE), str | Skip)
    seen = observations.observation_of(row, NOWHERE)
    assert isinstance(seen, Observation | Skip)
    if isinstance(seen, Observation):
        observations.errors_of([seen])
        observations.overestimates_of([seen])


@needs_reference_data
def test_published_observations_agree() -> None:
    found = [observations.observation_of(row, DATA) for row in read_rows(DATA / "kv_observations.csv")]
    used = [each for each in found if isinstance(each, Observation)]
    assert len(used) >= 0.8 * len(found)
    assert statistics.median(abs(room.error) for room in observations.errors_of(used)) <= 0.05
    failed, over = observations.overestimates_of(used)
    assert failed >= 6
    assert over == []


@needs_reference_data
def test_published_recipes_are_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    recipes.run(DATA)
    refused, used = (line.split('"value": ')[1].split(",")[0] for line in capsys.readouterr().out.splitlines())
    assert float(refused) == 0
    assert float(used) >= 0.9


@needs_reference_data
def test_nothing_known_to_fail_is_chosen() -> None:
    found = {row["model"] + row["setting"]: infeasible.verdict(row, DATA) for row in read_rows(DATA / "infeasible.csv")}
    assert all(found.values()), found
    assert sum(isinstance(each, str) for each in found.values()) >= 0.8 * len(found)
