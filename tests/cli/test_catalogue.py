"""`penstock catalogue`: every entry is listed, filters find, and what is not there is told."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import ACCELERATORS
from penstock.catalogue.listing import list_models
from penstock.cli.catalogue import catalogue


def run(*words: str, columns: int = 0) -> Result:
    return CliRunner(env={"NO_COLOR": "1", "COLUMNS": str(columns) if columns else None}).invoke(catalogue, list(words))


def data(*words: str) -> Any:
    result = run(*words, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_entry_is_listed_once() -> None:
    assert [each["model"] for each in data("models")] == [each.model for each in list_models()]
    planned = [each["accelerator"] for each in data("accelerators") if not each["reason"]]
    assert planned == list(ACCELERATORS)
    assert {each["engine"] for each in data("engines")} == set(EngineName)


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        (("models", "qwen3-32b-fp8"), "model", {"Qwen/Qwen3-32B-FP8", "RedHatAI/Qwen3-32B-FP8-dynamic"}),
        (("accelerators", "mi355x"), "accelerator", {"MI355X"}),
        (("engines", "sglang"), "engine", {"SGLang"}),
    ],
)
def test_a_filter_finds_letters_in_any_text(words: tuple[str, ...], key: str, expected: set[str]) -> None:
    assert {each[key] for each in data(*words)} == expected


def test_an_accelerator_says_what_engines_run_on_it() -> None:
    (one,) = data("accelerators", "h100-sxm")
    assert "FP8" in one["engines"]["vLLM"]
    assert "NVFP4" not in one["formats"]


def test_what_is_never_planned_says_why() -> None:
    unplanned = [each for each in data("accelerators") if each["reason"]]
    assert unplanned
    assert "is never planned" in run("accelerators", unplanned[0]["accelerator"]).stdout


def test_one_release_of_each_engine_is_installed() -> None:
    assert sorted(each["engine"] for each in data("engines") if each["default"]) == sorted(EngineName)


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize(
    ("words", "cells"),
    [
        (("models", "qwen3-32b"), {"Qwen/Qwen3-32B", "61.0"}),
        (("accelerators",), {"H100-SXM-80GB", "79.2"}),
        (("engines",), {"vLLM", "0.33.0"}),
    ],
)
def test_tables_fit_the_terminal(words: tuple[str, ...], cells: set[str], columns: int) -> None:
    out = run(*words, columns=columns).stdout
    assert max(map(cell_len, out.splitlines())) <= columns
    assert cells <= set(out.split())


def test_nothing_found_is_exit_code_2() -> None:
    result = run("models", "no-such-model")
    assert result.exit_code == 2
    assert "`FILTER` 'no-such-model': is in no row of the models" in result.stderr
