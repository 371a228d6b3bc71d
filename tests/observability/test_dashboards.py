"""The dashboards in the chart: as the code writes them, with queries that have an answer."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from observability.exported import exported
from observability.promql import problems, series_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "charts" / "penstock" / "files" / "dashboards"
NAMES = ("deployment", "fleet", "gateway", "operator")
UNITS = {"short", "none", "percentunit", "s", "reqps", "ops", "bytes"}


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def panels(name: str) -> list[dict[str, Any]]:
    """Without the headings of rows."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[tuple[str, str]]:
    """The title of a panel and each of its queries."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.dashboards", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_they_are_as_the_code_writes_them() -> None:
    checked = run("--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)


def test_a_stale_one_is_named(tmp_path: Path) -> None:
    assert run("--folder", str(tmp_path)).returncode == 0
    (tmp_path / "fleet.json").write_text("{}", encoding="utf-8")
    checked = run("--folder", str(tmp_path), "--check")
    assert checked.returncode == 1
    assert checked.stderr.splitlines() == ["fleet.json is not as the code has it: run `python -m tools.dashboards`"]


@pytest.mark.parametrize("name", NAMES)
def test_every_query_asks_for_what_is_exported(name: str) -> None:
    found = {f"{title}: {query}": problems(query, exported()) for title, query in queries(name)}
    assert {query: wrong for query, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_has_values(name: str) -> None:
    """Of a label that the metric has."""
    variables = dashboard(name)["templating"]["list"]
    assert variables[0]["type"] == "datasource"
    for variable in variables[1:]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert match is not None
        selector, label = match.groups()
        assert problems(f"count by ({label}) ({selector})", exported()) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_a_query_can_be_chosen(name: str) -> None:
    known = {variable["name"] for variable in dashboard(name)["templating"]["list"]}
    used = {found for _, query in queries(name) for found in re.findall(r"\$(?!__)(\w+)", query)}
    assert used <= known


@pytest.mark.parametrize("name", NAMES)
def test_every_legend_is_a_label_of_the_result(name: str) -> None:
    for panel in panels(name):
        for target in panel["targets"]:
            wanted = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            there = set[str]().union(*(exported()[series] for series in series_of(target["expr"])))
            assert wanted <= there
            grouped = re.search(r"^(?:topk\(\d+, )?\w+ by \(([^)]*)\)", target["expr"])
            assert grouped is None or wanted <= set(grouped[1].split(", "))


@pytest.mark.parametrize("name", NAMES)
def test_panels_stand_side_by_side(name: str) -> None:
    """Inside of 24 columns, none over another, each with an id of its own."""
    found = dashboard(name)["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in found), 2):
        apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_across or apart_down


@pytest.mark.parametrize("name", NAMES)
def test_each_fits_any_grafana(name: str) -> None:
    """The datasource is a choice, the uid is ours alone, units are Grafana's; a row of numbers stands on top."""
    found = dashboard(name)
    assert (found["uid"], found["tags"]) == (f"penstock-{name}", ["penstock"])
    assert found["panels"][1]["type"] == "stat"
    for panel in panels(name):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert {panel["datasource"]["uid"], *(each["datasource"]["uid"] for each in panel["targets"])} == {
            "${datasource}"
        }
        assert len(panel["targets"]) == len({each["refId"] for each in panel["targets"]})


WRONG = {
    "nobody exports it": ("sum(penstock_nothing)", ["nobody exports penstock_nothing"]),
    "a matcher of no label": ('penstock_pool_gpus{colour="red"}', ["penstock_pool_gpus has no label colour"]),
    "grouped by no label": (
        "sum by (colour) (penstock_pool_gpus)",
        ["none of penstock_pool_gpus has the label colour"],
    ),
    "joined on no label": (
        "penstock_pool_gpus and on (colour) penstock_build_info",
        ["none of penstock_pool_gpus has the label colour", "none of penstock_build_info has the label colour"],
    ),
    "inside of a function": ("rate(penstock_nothing[5m])", ["nobody exports penstock_nothing"]),
    "a bucket of no histogram": (
        "histogram_quantile(0.9, rate(penstock_pool_gpus_bucket[5m]))",
        ["nobody exports penstock_pool_gpus_bucket"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_query_is_found(case: str) -> None:
    query, want = WRONG[case]
    assert problems(query, exported()) == want


def test_what_is_no_query_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unclosed|unexpected"):
        problems("sum(penstock_pool_gpus", exported())
