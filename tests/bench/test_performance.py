"""The benchmark of the performance model: odd rows are read or skipped with a reason, and the asks hold."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.performance import judge
from bench.performance.cases import beats_memory, predicted
from bench.performance.names import accelerator_named, engine_of
from bench.performance.regression import Parameter, fit, shrunken_centre
from bench.performance.rows import Row, Skipped, read_rows
from bench.performance.scoring import main
from builders.reference import DATA, needs_reference_data

PLAIN = {
    "row": "1",
    "kind": "agg",
    "model": "Qwen/Qwen3-32B",
    "precision": "fp8",
    "gpu": "h100",
    "gpus": "2",
    "tp": "2",
    "engine": "vllm 0.19.0",
    "concurrency": "16",
    "isl": "1024",
    "osl": "512",
    "ttft_ms": "120",
    "tpot_ms": "15",
    "load_mode": "closed-loop fixed concurrency",
    "split": "held-out",
    "quality": "ok",
}


COLUMNS = (*PLAIN, "pp", "dp_attention", "ep", "layout", "output_tok_s", "req_s", "source", "note")


def written(folder: Path, *rows: dict[str, str]) -> Path:
    lines = [",".join(f'"{row.get(column, "")}"' for column in COLUMNS) for row in rows]
    (folder / "perf_rows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return folder


def read(folder: Path, **changes: str) -> Row | Skipped:
    return next(iter(read_rows(written(folder, PLAIN | changes))))


def row(folder: Path, **changes: str) -> Row:
    found = read(folder, **changes)
    assert isinstance(found, Row), found
    return found


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("h100", "H100-SXM-80GB"),
        ("H100 SXM", "H100-SXM-80GB"),
        ("h100-pcie", "H100-PCIe-80GB"),
        ("NVIDIA A100-80GB", "A100-SXM-80GB"),
        ("a100-40", "A100-SXM-40GB"),
        ("gb300", "GB300-288GB"),
        ("AMD Instinct MI325X", "MI325X"),
        ("L40S", "L40S-48GB"),
    ],
)
def test_accelerators_are_known_by_many_words(word: str, name: str) -> None:
    found = accelerator_named(word, {})
    assert found is not None
    assert found.name == name


def test_an_accelerator_of_gpus_csv_alone_is_used() -> None:
    cells = {"vendor": "nvidia", "arch": "rubin", "mem_usable_gib": "280", "bw_tbs": "13", "bf16_tflops": "4000"}
    found = accelerator_named("r100", {"r100": cells})
    assert found is not None
    assert found.bandwidth == 13e12
    assert accelerator_named("r200", {"r100": cells}) is None


@pytest.mark.parametrize(
    ("cell", "engine"),
    [
        ("vllm 0.19.0", ("vLLM", "0.19.0")),
        ("SGLang 0.5.6.post2", ("SGLang", "0.5.6.post2")),
        ("vLLM v0.6.3 (tuned)", ("vLLM", "0.6.3")),
        ("trtllm nan", ("TRT-LLM", "")),
        ("sglang nightly-dev", ("SGLang", "")),
        ("", ("", "")),
    ],
)
def test_engines_are_read_with_their_version(cell: str, engine: tuple[str, str]) -> None:
    assert engine_of(cell) == engine


@pytest.mark.parametrize(
    ("cells", "layout"),
    [
        ({"gpus": "8", "tp": "8", "ep": "8"}, (8, 1, True)),
        ({"gpus": "64", "tp": "64", "ep": "8"}, (8, 1, True)),
        ({"gpus": "16", "tp": "4", "dp_attention": "4", "ep": "16"}, (4, 4, True)),
        ({"gpus": "8", "tp": "1", "dp_attention": "8", "ep": "8"}, (8, 8, True)),
        ({"gpus": "64", "tp": "1", "dp_attention": "64", "ep": "8"}, (8, 8, True)),
        ({"gpus": "16", "tp": "16"}, (16, 1, False)),
        ({"gpus": "", "tp": "4"}, (4, 1, False)),
    ],
)
def test_gpus_counted_twice_are_counted_once(tmp_path: Path, cells: dict[str, str], layout: tuple[Any, ...]) -> None:
    found = row(tmp_path, **cells, model="MiniMaxAI/MiniMax-M2.5", gpu="b200").layout
    assert (found.gpus, found.attention_ranks, found.expert_parallel) == layout


def test_a_product_is_kept_where_the_model_would_not_fit_on_its_root(tmp_path: Path) -> None:
    cells = {"gpus": "4", "tp": "4", "ep": "2", "model": "Qwen/Qwen3-235B-A22B-FP8"}
    assert row(tmp_path, **cells).layout.gpus == 4


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"gpu": "abacus"}, "accelerator not known"),
        ({"model": "nobody/never-heard-of"}, "unknown model"),
        ({"isl": "", "osl": ""}, "no prompt or output length"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(tmp_path: Path, cells: dict[str, str], reason: str) -> None:
    found = read(tmp_path, **cells)
    assert isinstance(found, Skipped)
    assert found.reason.startswith(reason)
    assert found.judged


@pytest.mark.parametrize(
    ("cells", "concurrency"),
    [
        ({"concurrency": "1,024"}, 1024),
        ({"concurrency": "", "req_s": "2", "load_mode": "open loop"}, 16),
        ({"concurrency": "", "load_mode": "burst", "note": "1000 prompts at once"}, 1000),
        ({"concurrency": "nan", "output_tok_s": "1024"}, 16),
        ({"concurrency": ""}, 1),
    ],
)
def test_the_load_is_read_or_reckoned(tmp_path: Path, cells: dict[str, str], concurrency: int) -> None:
    assert row(tmp_path, **cells).concurrency == concurrency


def test_lengths_of_a_known_request_set_are_used(tmp_path: Path) -> None:
    assert row(tmp_path, isl="", osl="", note="ShareGPT").traffic.prompt_tokens == 220


ODD: list[dict[str, str]] = [
    {},
    {"kind": "pd", "layout": "3P1D", "gpus": "72", "tp": "72"},
    {"kind": "disagg", "gpu": "gb200"},
    {"gpu": "mi300x", "precision": "mxfp4", "model": "openai/gpt-oss-120b"},
    {"gpu": "a100", "precision": "awq"},
    {"load_mode": "burst", "concurrency": ""},
    {"load_mode": "open loop", "concurrency": "", "req_s": "1e9"},
    {"tp": "x", "gpus": "-3", "pp": "0", "ep": "inf", "dp_attention": "nan"},
    {"tp": "3", "gpus": "7", "pp": "2", "dp_attention": "5"},
    {"isl": "1e7", "osl": "0.4", "concurrency": "1e6"},
    {"ttft_ms": "", "tpot_ms": ""},
    {"engine": "lmdeploy 0.9"},
    {"model": "Some-New-Model-30B-A3B", "precision": ""},
]


@pytest.mark.parametrize("cells", ODD)
def test_no_row_breaks_the_model(tmp_path: Path, cells: dict[str, str]) -> None:
    found = predicted(row(tmp_path, **cells))
    assert 0 < found.time_per_output_token_seconds < float("inf")
    assert 0 < found.time_to_first_token_seconds < float("inf")


@pytest.mark.parametrize(("milliseconds", "beats"), [("15", False), ("4", True), ("", False)])
def test_a_row_faster_than_its_memory_is_told_apart(tmp_path: Path, milliseconds: str, *, beats: bool) -> None:
    """34 GB of weights over two H100 take 5 ms to read."""
    assert beats_memory(row(tmp_path, tpot_ms=milliseconds)) is beats


def printed(text: str) -> dict[str, Any]:
    figures = [json.loads(line) for line in text.splitlines()]
    return {figure["name"]: figure for figure in figures}


def test_skipped_rows_of_known_models_count_as_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--data", str(written(tmp_path, PLAIN, PLAIN | {"gpu": "abacus"}, PLAIN | {"model": "nobody/unheard"}))])
    figure = printed(capsys.readouterr().out)["tpot_error_median"]
    assert (figure["rows"], figure["missed"]) == (2, 1)
    assert figure["skipped"]["accelerator not known"] == 1
    assert figure["value"] > 0.45


def test_amd_and_ampere_stand_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--data", str(written(tmp_path, PLAIN, PLAIN | {"gpu": "mi300x"}, PLAIN | {"gpu": "a100"}))])
    figures = printed(capsys.readouterr().out)
    assert figures["tpot_error_median"]["rows"] == 1
    assert figures["tpot_error_unvalidated_median"]["rows"] == 2
    assert figures["tpot_error_with_unvalidated_median"]["rows"] == 3


@needs_reference_data
def test_the_asks_hold_on_the_reference_rows(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--data", str(DATA)])
    figures = printed(capsys.readouterr().out)
    assert figures["tpot_error_median"]["value"] <= 0.12
    assert figures["tpot_error_p90"]["value"] <= 0.45
    assert figures["ttft_error_median"]["value"] <= 0.40
    assert figures["tpot_error_median"]["missed"] == 0


def test_regression_finds_constants_through_outliers() -> None:
    load = np.linspace(1, 100, 200)
    measured = 5 + 0.3 * load
    measured[::9] *= 3

    def predict(values: dict[str, float]) -> Any:
        return values["fixed"] + values["slope"] * load

    found = fit(predict, measured, (Parameter("fixed", 1.0, 2.0), Parameter("slope", 1.0, 2.0)), scale=0.05)
    assert found["fixed"] == pytest.approx(5, rel=0.02)
    assert found["slope"] == pytest.approx(0.3, rel=0.02)


def test_few_rows_move_a_factor_little() -> None:
    few, many = np.full(2, 0.4), np.full(200, 0.4)
    assert 0 < shrunken_centre(few, prior_rows=6) < 0.15
    assert shrunken_centre(many, prior_rows=6) == pytest.approx(0.4, rel=0.05)


def test_the_judges_report_is_read() -> None:
    text = "  TTFT:             1,162.5 ms\n  TPOT:             20.834 ms\n"
    assert judge.read_estimate(text) == judge.Estimate(1.1625, 0.020834)
    assert judge.read_estimate("no such model") is None


def test_the_judge_is_asked_only_what_it_covers(tmp_path: Path) -> None:
    asked = judge.arguments_for(row(tmp_path, model="deepseek-ai/DeepSeek-R1", gpus="8", tp="8", ep="8"))
    assert asked is not None
    assert asked[asked.index("--moe-ep-size") + 1] == "8"
    assert judge.arguments_for(row(tmp_path, gpu="mi300x")) is None


@pytest.mark.skipif(judge.command() is None, reason="AIConfigurator is not installed")
def test_the_judge_agrees_within_half(tmp_path: Path) -> None:
    program = judge.command()
    assert program is not None
    asked = row(tmp_path, gpu="h200")
    found = judge.estimate(program, asked)
    assert found is not None
    assert predicted(asked).time_per_output_token_seconds == pytest.approx(found.tpot_seconds, rel=0.5)
