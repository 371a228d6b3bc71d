"""The alert rules in the chart: valid, tested by promtool, on metrics that exist, each with a page for the reader."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.exported import exported
from observability.promql import problems
from observability.promtool import promtool

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "charts" / "penstock" / "files" / "alerts").glob("*.yaml"))
CASES = sorted((ROOT / "tests" / "observability" / "alerts").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = ["## What it means", "## How to look", "## What to do", "## When to escalate"]
COMMANDS = re.compile(r"\bpenstock ([a-z-]+)")
KNOWN_COMMANDS = {"status", "doctor", "support-bundle", "operator", "server", "plan", "backup", "restore"}


def alerts() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in alerts()}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_the_rules_are_valid(path: Path) -> None:
    promtool("check", "rules", "--lint-fatal", str(path))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_they_fire_when_they_should(path: Path) -> None:
    promtool("test", "rules", str(path))


def test_a_rule_that_does_not_fire_is_found(tmp_path: Path) -> None:
    """The cases are no formality: with another threshold they fail."""
    rules = (RULES[0].parent / "fleet.yaml").read_text(encoding="utf-8").replace("> 1800", "> 180000")
    (tmp_path / "fleet.yaml").write_text(rules, encoding="utf-8")
    cases = (CASES[0].parent / "fleet.yaml").read_text(encoding="utf-8")
    cases = re.sub(r"(?m)^  - \S*/fleet.yaml$", "  - fleet.yaml", cases)
    (tmp_path / "cases.yaml").write_text(cases, encoding="utf-8")
    with pytest.raises(AssertionError, match="PenstockDrainStuck"):
        promtool("test", "rules", str(tmp_path / "cases.yaml"))


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    outcomes = defaultdict(set)
    for path in CASES:
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                outcomes[case["alertname"]].add(bool(case["exp_alerts"]))
    assert outcomes == {name: {True, False} for name in ALERTS}


@pytest.mark.parametrize("name", ALERTS)
def test_its_query_asks_for_what_is_exported(name: str) -> None:
    assert problems(ALERTS[name]["expr"], exported()) == []


@pytest.mark.parametrize("name", ALERTS)
def test_it_says_what_whoever_is_woken_has_to_know(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"[1-9]\d*[mh]", rule["for"])
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"https://penstock.dev/runbooks/{name}"


@pytest.mark.parametrize("name", ALERTS)
def test_it_has_a_page(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"(?m)^## .*$", text) == HEADINGS
    sections = re.split(r"(?m)^## .*$", text)
    assert all(len(section.split()) > 10 for section in sections[1:])
    assert set(COMMANDS.findall(text)) <= KNOWN_COMMANDS


def test_no_page_is_left_over() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(ALERTS)


def test_the_index_has_every_page() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\((\w+)\.md\)", index) == list(ALERTS)
