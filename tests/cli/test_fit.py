"""`penstock fit`: what people and programs read, and that every option that cannot be acted on is told with a cure."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from rich.cells import cell_len

from penstock.cli.fit import fit
from penstock.hub.client import Hub, HubAnswer, HubQuestion

MODEL = "Qwen/Qwen3-32B"
PRICES = ("--price", "H100-SXM=2.50", "--price", "H200=3.40")
CONFIG = Path(__file__).parent / "qwen3-8b-config.json"


def run(*words: str, columns: int = 0) -> Result:
    environment = {"NO_COLOR": "1", "COLUMNS": str(columns) if columns else None}
    return CliRunner(env=environment).invoke(fit, list(words))


def data(*words: str) -> Any:
    result = run(*words, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_row_says_what_fits_how_fast_and_at_what_price() -> None:
    content = data(MODEL, "--gpu", "H100-SXM", "--gpu", "h200-sxm", *PRICES, "--prompt", "2000", "--answer", "300")
    assert content["checkpoints"][0]["precision"] == "BF16"
    assert content["load"] | {"promptTokens": 2000, "outputTokens": 300} == content["load"]
    rows = content["rows"]
    assert {(row["accelerator"], row["tensorParallel"]) for row in rows} == {
        (gpu, size) for gpu in ("H100-SXM-80GB", "H200-SXM-141GB") for size in (1, 2, 4, 8)
    }
    best = next(row for row in rows if row["best"])
    assert (best["fits"], best["reason"]) == (True, "")
    assert best["kvTokens"] >= best["longestContextTokens"] > 0
    assert best["expected"]["outputTokensPerSecond"] > 0
    assert best["pricePerMillionTokens"].endswith(" USD")
    gpus = {"H100-SXM-80GB": 2.5, "H200-SXM-141GB": 3.4}
    assert best["pricePerHour"] == f"{gpus[best['accelerator']] * best['tensorParallel']:.2f} USD"
    assert all((row["memoryPerGPU"] is None) is not row["fits"] for row in rows)


def test_without_a_load_all_figures_and_the_price_are_at_what_a_plan_counts_on() -> None:
    for row in data(MODEL, "--gpu", "H100-SXM", *PRICES, "--tpot", "40", "--answer", "500", "--prompt", "1500")["rows"]:
        if row["fits"]:
            rate, tokens = row["requestsPerSecond"], row["expected"]["outputTokensPerSecond"]
            assert rate == row["expected"]["requestsPerSecond"]
            assert tokens == pytest.approx(rate * 500, rel=1e-3)
            paid = 2.5 * row["gpusPerReplica"] / (rate * 2000 * 3600) * 1e6
            assert float(row["pricePerMillionTokens"].split()[0]) == pytest.approx(paid, rel=2e-3)


def test_yaml_is_the_same() -> None:
    words = (MODEL, "--gpu", "L4", "--gpu", "H200", *PRICES)
    assert yaml.safe_load(run(*words, "-o", "yaml").stdout) == data(*words)


@pytest.mark.parametrize("columns", [80, 160])
def test_terminals_get_a_table_that_fits(columns: int) -> None:
    result = run(MODEL, "--gpu", "L4", "--gpu", "H100", "--gpu", "MI300X", *PRICES, columns=columns)
    lines = result.stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    headings = next(line for line in lines if "GPU " in line and "LAYOUT" in line)
    for heading in ("GPU", "LAYOUT", "OUT TOK/S", "PER MTOK IN+OUT"):
        assert heading in headings
    assert ("WEIGHTS/GPU" in headings) is (columns == 160)
    (best,) = [line for line in lines if line.startswith("*  ")]
    assert "USD" in best
    assert any(line.split()[:2] == ["MI300X", "?"] for line in lines)
    assert "too few GPUs for the weights: L4-24GB TP1, TP2" in result.stdout
    assert any(line.startswith("? ") for line in lines)


def test_a_pipe_gets_a_line_per_row() -> None:
    lines = run(MODEL, "--gpu", "H200").stdout.splitlines()
    assert len([line for line in lines if "H200-SXM-141GB" in line]) == 4


def test_markdown_is_a_table_with_the_misfits_below() -> None:
    out = run(MODEL, "--gpu", "H200", "--gpu", "L4", "--tensor-parallel", "1", "-o", "markdown").stdout
    assert "| GPU | layout |" in out
    assert "- **L4-24GB TP1** does not fit: WeightsDoNotFit: a GPU needs" in out


def test_pipelines_take_over_where_groups_end_and_say_what_binds() -> None:
    """Llama-3.3-70B FP8 runs on 8 L4 as TP2xPP4 (sizing.md 3)."""
    words = ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "--gpu", "L4")
    rows = {row["layout"]: row for row in data(*words)["rows"]}
    assert list(rows) == ["TP1", "TP2", "TP4", "TP2xPP2", "TP8", "TP2xPP4"]
    best = rows["TP2xPP4"]
    assert (best["tensorParallel"], best["pipelineParallel"], best["gpusPerReplica"]) == (2, 4, 8)
    assert (best["fits"], best["best"], best["limit"]) == (True, True, "KVCache")
    out = run(*words, columns=160).stdout
    assert "CannotShard" not in out
    (line,) = [line for line in out.splitlines() if line.startswith("*  ")]
    assert line.rstrip().endswith("KV cache")


def test_what_needs_more_than_a_node_says_how_many_gpus() -> None:
    out = run("deepseek-ai/DeepSeek-R1", "--gpu", "H100-SXM", columns=160).stdout
    message = "a replica needs 16 GPUs, more than a node of 8: not placed by this release"
    assert f"H100-SXM-80GB TP8xPP2: NoNodeLargeEnough: {message}" in out
    assert "H100-SXM-80GB TP1, TP2, TP4, TP8: WeightsDoNotFit: a GPU needs" in out


def test_latencies_of_pipelines_stand_apart_from_those_of_groups() -> None:
    out = run(MODEL, "--gpu", "L4", "--tpot", "40", "-o", "markdown").stdout
    assert "- **L4-24GB TP4** does not fit: ServiceLevelOutOfReach" in out
    assert "- **L4-24GB TP2xPP2, TP2xPP4** does not fit: ServiceLevelOutOfReach" in out


def test_a_cure_that_several_share_is_told_once() -> None:
    words = (MODEL, "--tensor-parallel", "1", "--gpu", "L4", "--gpu", "A10G")
    out = run(*words, columns=160).stdout
    assert out.count("more GPUs per replica") == 1
    assert "would work there: more GPUs per replica, a GPU with more memory, or a smaller checkpoint" in out
    assert run(*words[:5], columns=160).stdout.count("; would work: more GPUs per replica") == 1


def test_a_word_means_the_gpus_that_start_with_it() -> None:
    assert {row["accelerator"] for row in data(MODEL, "--gpu", "l4")["rows"]} == {"L4-24GB"}
    assert {row["accelerator"] for row in data(MODEL, "--gpu", "b")["rows"]} == {"B200-SXM-180GB", "B300-SXM-288GB"}


@pytest.mark.parametrize("spelt", ["qwen3-32b", "Qwen3 32B", "QWEN/qwen3-32b"])
def test_other_spellings_are_read_and_said(spelt: str) -> None:
    result = run(spelt, "--gpu", "H200", "-o", "json")
    assert json.loads(result.stdout)["checkpoints"][0]["model"] == MODEL
    assert (f"'{spelt}' is read as {MODEL}" in result.stderr) is (spelt.lower() != MODEL.lower())


def test_formats_are_those_of_checkpoints_that_exist() -> None:
    content = data("meta-llama/Llama-3.3-70B-Instruct", "--gpu", "H200", "--precision", "bf16", "--precision", "FP8")
    assert [(each["precision"], "3.3-70B" in each["model"]) for each in content["checkpoints"]] == [
        ("BF16", True),
        ("FP8", True),
    ]
    assert {row["precision"] for row in content["rows"]} == {"BF16", "FP8"}


def test_a_rate_takes_replicas_and_the_table_says_how_many() -> None:
    words = (MODEL, "--gpu", "H200", *PRICES, "--requests-per-second", "30")
    rows = [row for row in data(*words)["rows"] if row["fits"]]
    assert all(row["replicas"] >= 1 for row in rows)
    assert max(row["replicas"] for row in rows) > 1
    assert "REPLICAS" in run(*words).stdout


def test_what_one_replica_may_do_is_headed_apart_from_the_load_of_all() -> None:
    words = (MODEL, "--gpu", "H200", "--tensor-parallel", "4")
    assert "MOST REQ/S EACH" in run(*words, "--requests-per-second", "30").stdout
    assert "MOST REQ/S EACH" not in run(*words).stdout


def test_where_no_row_has_a_price_the_best_is_not_called_the_cheapest() -> None:
    out = run(MODEL, "--gpu", "H200", "--price", "H100=2").stdout
    assert "* best: the most tokens per second and GPU" in out


def test_a_promise_is_told_as_it_was_asked() -> None:
    assert "asks for 0.1 ms" in run(MODEL, "--gpu", "H200", "--tensor-parallel", "4", "--tpot", "0.1").stdout


def test_the_share_that_is_named_as_a_cure_keeps_the_promise() -> None:
    words = (MODEL, "--gpu", "H100-SXM", "--tensor-parallel", "4", "--tpot", "40", "--concurrency")
    share = re.search(r"would work: (\d+) requests\s+at once per replica, (\d+) replicas", run(*words, "410").stdout)
    assert share is not None
    most = int(share[1])
    assert int(share[2]) == -(-410 // most)
    assert run(*words, str(most)).exit_code == 0
    assert run(*words, str(most + 1)).exit_code == 2


def test_an_engine_and_its_version_are_taken() -> None:
    rows = data(MODEL, "--gpu", "H200", "--engine", "sglang", "--engine-version", "0.5.22")["rows"]
    assert {(row["engine"], row["engineVersion"]) for row in rows} == {("SGLang", "0.5.22")}


def test_a_config_file_is_enough_for_a_model_that_nobody_knows() -> None:
    content = data("my/own", "--config", str(CONFIG), "--weights-size", "16Gi", "--gpu", "H200")
    assert content["checkpoints"][0] | {"model": "my/own", "weightsBytes": 16 * 2**30} == content["checkpoints"][0]


def test_the_hub_answers_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def facts(_hub: Hub, question: HubQuestion) -> HubAnswer:
        assert question == HubQuestion("nobody/knows-it", token="secret")
        return HubAnswer(json.loads(CONFIG.read_text()), 16_381_470_720, "abc")

    monkeypatch.setattr(Hub, "facts", facts)
    content = data("nobody/knows-it", "--hub", "--token", "secret", "--gpu", "H200")
    assert content["checkpoints"][0]["source"] == "hub"


REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "an unknown model": (("Qwen/Qwen3-32C",), "`MODEL` 'Qwen/Qwen3-32C'", "Perhaps Qwen/Qwen3-32B"),
    "a model like none": (("zzzzzzzz",), "`MODEL` 'zzzzzzzz'", "config.json by --config, or ask the hub by --hub"),
    "an unknown GPU": ((MODEL, "--gpu", "H1000"), "`--gpu` 'H1000'", "Use one of H100"),
    "an empty GPU": ((MODEL, "--gpu", ""), "`--gpu` ''", "Use one of"),
    "a price in words": ((MODEL, "--price", "H100=abc"), "`--price` 'H100=abc'", "H100-SXM-80GB=2.50"),
    "a negative price": ((MODEL, "--price", "H100=-2"), "`--price` 'H100=-2'", "not negative"),
    "a price of nothing": ((MODEL, "--price", "2.50"), "`--price` '2.50'", "GPU=AMOUNT"),
    "two currencies": (
        (MODEL, "--price", "H100=2EUR", "--price", "H200=3"),
        "EUR and USD, which cannot be compared",
        "in one currency",
    ),
    "a context beyond the model's": ((MODEL, "--context", "1000000"), "`--context` '1000000'", "40960 or less"),
    "a prompt beyond the model's": ((MODEL, "--prompt", "50000"), "`--prompt` '50512'", "40960 or less"),
    "a context below the load": ((MODEL, "--context", "1000"), "`--context` '1000'", "Raise it to 2048"),
    "10^12 requests": ((MODEL, "--requests-per-second", "1e12"), "'1e12'", "State what one deployment gets"),
    "a negative rate": ((MODEL, "--requests-per-second", "-3"), "'-3'", "0.5"),
    "a rate that is none": ((MODEL, "--requests-per-second", "nan"), "'nan'", "0.5"),
    "a rate and a concurrency": (
        (MODEL, "--requests-per-second", "3", "--concurrency", "8"),
        "`--concurrency` '8'",
        "Keep one of them",
    ),
    "a version of no engine": ((MODEL, "--engine-version", "0.30.0"), "`--engine-version`", "--engine"),
    "a version that is none": (
        (MODEL, "--engine", "vLLM", "--engine-version", "banana"),
        "`--engine-version` 'banana': must be the engine's version",
        "Name one of 0.33.0",
    ),
    "an empty version": ((MODEL, "--engine", "vLLM", "--engine-version", ""), "`--engine-version` ''", "Name one of"),
    "a version before all that are known": (
        (MODEL, "--engine", "vLLM", "--engine-version", "0.1.0"),
        "`--engine-version` '0.1.0': vLLM before",
        "Name one of",
    ),
    "a format that nobody published": ((MODEL, "--precision", "MXFP4"), "`--precision` 'MXFP4'", "Ask for one of"),
    "a size without a config": ((MODEL, "--weights-size", "10Gi"), "`--weights-size` '10Gi'", "--config"),
    "a size in words": (("my/own", "--config", str(CONFIG), "--weights-size", "big"), "'big'", "160Gi"),
    "an empty size": (("my/own", "--config", str(CONFIG), "--weights-size", ""), "`--weights-size` ''", "160Gi"),
    "a size of nothing": (
        ("my/own", "--config", str(CONFIG), "--weights-size", "0"),
        "`--weights-size` '0': is less than half of what its parameters take in BF16",
        "leave it out",
    ),
    "a size without its unit": (
        ("my/own", "--config", str(CONFIG), "--weights-size", "16"),
        "`--weights-size` '16': is less than half of what its parameters take in BF16, 15.3Gi",
        "Write 16Gi where GiB are meant",
    ),
    "a config that is no JSON": (("my/own", "--config", __file__), "cannot be read as JSON", "config.json"),
}


@pytest.mark.parametrize(("words", "what", "cure"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_acted_on_is_exit_code_2_with_field_value_and_cure(
    words: tuple[str, ...], what: str, cure: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert what in result.stderr
    assert cure in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "qwen3", "hidden_size": 4096}, "`num_hidden_layers`"),
        ([1, 2], "not a JSON object"),
        ({**json.loads(CONFIG.read_text()), "num_attention_heads": -4}, "-4"),
    ],
)
def test_half_a_config_is_refused_with_the_key(tmp_path: Path, config: Any, says: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    result = run("my/own", "--config", str(file))
    assert result.exit_code == 2
    assert "`--config`" in result.stderr
    assert says in result.stderr


NOWHERE = {
    "heads that cannot be shared": (("--tensor-parallel", "3"), "64 attention heads cannot be shared by 3 GPUs"),
    "a promise that nothing keeps": (("--tpot", "0.1", "--gpu", "L4"), "`--tpot`"),
    "a context that no cache holds": (
        ("--gpu", "L4", "--context", "40000", "--tensor-parallel", "4"),
        "`--context` of",
    ),
}


@pytest.mark.parametrize(("words", "says"), NOWHERE.values(), ids=NOWHERE)
def test_what_fits_nowhere_is_exit_code_2_and_speaks_of_options(words: tuple[str, ...], says: str) -> None:
    result = run(MODEL, *words)
    assert result.exit_code == 2
    assert says in result.stdout
    assert "spec." not in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--concurrency", "0"),
        ("--tpot", "-1"),
        ("--tpot", "nan"),
        ("--ttft", "inf"),
        ("--ttft", "nan"),
        ("--context", "x"),
        ("--engine", "Triton"),
    ],
)
def test_values_out_of_range_are_refused(words: tuple[str, ...]) -> None:
    result = run(MODEL, *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr
