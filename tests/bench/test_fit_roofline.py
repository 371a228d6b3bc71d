"""The fit of the performance model's constants: on calibration rows alone, better than before, the same every time."""

import json
from pathlib import Path

import pytest

from bench import fit_roofline
from bench.performance.cases import predicted
from bench.performance.rows import Row, read_rows
from penstock.catalogue import roofline

HEADER = "row,kind,model,precision,gpu,gpus,tp,ep,engine,concurrency,isl,osl,ttft_ms,tpot_ms,split,quality"
MODELS = ("Qwen/Qwen3-32B", "openai/gpt-oss-120b")
GPUS = ("h100", "b200")
SLOWER = 1.3


def line(case: tuple[str, str, int], times: tuple[float, float], *, split: str = "calibration") -> str:
    (model, gpu, load), (first, each) = case, times
    return f"{model}-{gpu}-{load},agg,{model},fp8,{gpu},2,2,1,vllm 0.19.0,{load},1024,512,{first},{each},{split},ok"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows of replicas that take longer than the present constants say, and a senseless one that is held out."""
    cases = [(model, gpu, load) for model in MODELS for gpu in GPUS for load in (1, 16, 128)]
    (tmp_path / "perf_rows.csv").write_text("\n".join([HEADER, *(line(case, (1, 1)) for case in cases)]))
    modelled = [predicted(row) for row in read_rows(tmp_path) if isinstance(row, Row)]
    lines = [
        line(
            case,
            (
                SLOWER * found.time_to_first_token_seconds * 1000,
                SLOWER * found.time_per_output_token_seconds * 1000,
            ),
        )
        for case, found in zip(cases, modelled, strict=True)
    ]
    held_out = line(("Qwen/Qwen3-32B", "h100", 8), (1e6, 1e6), split="held-out")
    (tmp_path / "perf_rows.csv").write_text("\n".join([HEADER, *lines, held_out]))
    return tmp_path


def test_a_fit_meets_its_rows_and_repeats_to_the_byte(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_roofline, "SPLITS", {"gpu": fit_roofline.SPLITS["gpu"]})
    present = Path(roofline.__file__).with_name("roofline.json").read_text(encoding="utf-8")
    written = []
    for name in ("one.json", "two.json"):
        (data / name).write_text(present)
        fit_roofline.main(["--data", str(data), "--output", str(data / name)])
        written.append((data / name).read_text())
    assert written[0] == written[1]
    figures = {figure["name"]: figure for figure in map(json.loads, capsys.readouterr().out.splitlines())}
    assert figures["fitted_tpot_error_median"]["value"] < 0.1
    assert figures["fitted_tpot_error_median"]["rows"] == len(MODELS) * len(GPUS) * 3
    assert {"leave_gpu_out_tpot_error_median", "leave_gpu_out_ttft_error_median"} <= figures.keys()
    document, before = json.loads(written[0]), json.loads(present)
    assert document["rows"] == 12
    assert (document["links"], document["derates"]) == (before["links"], before["derates"])
    assert [document[part].keys() for part in ("constants", "engines")] == [
        before[part].keys() for part in ("constants", "engines")
    ]


def test_a_dry_run_writes_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_roofline, "SPLITS", {})
    output = data / "roofline.json"
    output.write_text("untouched")
    fit_roofline.main(["--data", str(data), "--output", str(output), "--dry-run"])
    assert output.read_text() == "untouched"
