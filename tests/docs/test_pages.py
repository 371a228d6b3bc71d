"""The documentation says what is there: pages, links, resources, commands, values; what can run here runs."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from builders.pages import ROOT, Block, Link, anchors, blocks, links, manifests, navigation
from penstock.api.meta import GROUP
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.supported import unsupported
from penstock.api.validation import parse
from penstock.cli import main

_DOCS = ROOT / "docs"
_NOT_LISTED = re.compile(r"(adr/\d{4}-.*|runbooks/.*)\.md")
_OURS = [(block, each) for block, each in manifests() if str(each.get("apiVersion", "")).startswith(f"{GROUP}/")]
_RUNNING = [block for block in blocks() if block.runs]
_VALUES = ROOT / "charts" / "penstock" / "values.yaml"


def test_the_navigation_is_whole() -> None:
    """Every page is in it once, and each of its entries is there."""
    listed = navigation()
    there = {str(path.relative_to(_DOCS)) for path in _DOCS.rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) - there == set()
    assert {page for page in there - set(listed) if not _NOT_LISTED.fullmatch(page)} == set()


@pytest.mark.parametrize("link", list(links()), ids=str)
def test_links_lead_somewhere(link: Link) -> None:
    """To a file or a folder of the checkout, and to a heading of it where one is named."""
    assert link.target.exists()
    assert not link.anchor or link.anchor in anchors(link.target)


@pytest.mark.parametrize(("block", "document"), _OURS, ids=str)
def test_every_resource_is_good_and_acted_on(block: Block, document: dict[str, Any]) -> None:
    """As `penstock validate` has it."""
    resource = parse(document, strict=True)
    assert resource.metadata.name, block
    assert not isinstance(resource, ModelDeployment) or unsupported(resource.spec) == ()


def test_the_recipes_show_a_pool_each() -> None:
    """Exact, for the nodes of that cloud; the migrations show what becomes of an example."""
    of = {(block.page.parent.name, block.page.stem, document["kind"]) for block, document in _OURS}
    recipes = ("gke", "eks", "aks", "on-premises", "air-gapped", "amd")
    assert {("recipes", name, "InferencePool") for name in recipes} <= of
    assert {("migration", name, "Route") for name in ("kserve", "kubeai", "production-stack", "litellm")} <= of


def _calls() -> Iterator[tuple[Block, list[str]]]:
    for block in blocks():
        for line in block.commands:
            for part in re.split(r"\|\||\||;|&&|\bdo\b", line):
                words = re.sub(r"[<>]\s*\S+|\s&\s*$", "", part.strip())
                if re.match(r"(\.venv/bin/)?penstock\s", words + " "):
                    yield block, shlex.split(words)[1:]


@pytest.mark.parametrize(("block", "words"), list(_calls()), ids=str)
def test_every_command_is_one_with_these_options(block: Block, words: list[str]) -> None:
    """By the command line's own definition."""
    name = next((word for word in words if not word.startswith("-")), "")
    command = main.get_command(click.Context(main), name)
    if command is None:
        assert words == ["--version"], block
        return
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    asked = {word.partition("=")[0] for word in words[words.index(name) + 1 :] if re.match(r"--?[a-z]", word)}
    assert asked <= known


def test_files_that_commands_name_are_there() -> None:
    """Where they are files of the checkout."""
    named = {
        (str(block), word)
        for block in blocks()
        for line in block.commands
        for word in re.findall(r"(?<![\w./-])(?:manifests|crds|charts|e2e)/[\w./-]+", line)
    }
    assert len(named) > 10
    assert {each for each in named if not (ROOT / each[1]).exists()} == set()


@pytest.mark.parametrize("block", _RUNNING, ids=str)
def test_what_is_marked_to_run_runs(block: Block) -> None:
    """From the root of the checkout, with nothing but the command line."""
    assert "penstock" in block.text
    environment = os.environ | {"PYTHONPATH": str(ROOT / "operator"), "PYTHON": sys.executable}
    script = f'penstock() {{ "$PYTHON" -m penstock "$@"; }}\n{block.text}'
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_some_blocks_run() -> None:
    """The mark is read."""
    assert len(_RUNNING) >= 4


def _stated() -> Iterator[tuple[str, dict[str, Any]]]:
    """Values of the chart, on pages and in manifests, with where they stand."""
    for block in blocks():
        for line in block.commands:
            for path in re.findall(r"--set(?:-string|-json)? ([\w.]+)=", line) if "penstock" in line else ():
                yield str(block), _nested(path.split("."))
        if block.language == "yaml" and block.text.startswith("# values.yaml\n"):
            yield str(block), yaml.safe_load(block.text)
    for block, document in manifests():
        for each in document.get("helmCharts", ()):
            yield str(block), each.get("valuesInline", {})
    for path in sorted((ROOT / "manifests" / "gitops").rglob("*.yaml")):
        yield from ((path.name, values) for values in _of_charts(path))


def _nested(path: list[str]) -> dict[str, Any]:
    return {path[0]: _nested(path[1:]) if path[1:] else None}


def _of_charts(path: Path) -> Iterator[dict[str, Any]]:
    for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if each["kind"] == "HelmRelease":
            yield each["spec"].get("values", {})
        if each["kind"] == "Application":
            yield each["spec"]["source"].get("helm", {}).get("valuesObject", {})


def _unknown(stated: dict[str, Any], known: dict[str, Any], at: str = "") -> Iterator[str]:
    for key, value in stated.items():
        if key not in known:
            yield f"{at}{key}"
        elif isinstance(value, dict) and isinstance(known[key], dict) and known[key]:
            yield from _unknown(value, known[key], f"{at}{key}.")


def test_chart_values_are_the_charts() -> None:
    """`--set`, blocks that begin with `# values.yaml`, and the manifests for GitOps."""
    stated = list(_stated())
    assert len(stated) > 6
    if not _VALUES.exists():
        pytest.skip("there is no chart yet")
    known = yaml.safe_load(_VALUES.read_text(encoding="utf-8"))
    assert {(where, name) for where, values in stated for name in _unknown(values, known)} == set()


def test_every_condition_and_metric_page_is_linked_from_the_troubleshooting() -> None:
    """Whoever looks for a reason finds its cure."""
    page = (_DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert "(conditions.md)" in page
    named = set(re.findall(r"`(\w+)=(?:False|True)`", page)) | set(re.findall(r"condition `(\w+)`", page))
    conditions = (_DOCS / "conditions.md").read_text(encoding="utf-8")
    assert len(named) > 4
    assert {each for each in named if each not in conditions} == set()
