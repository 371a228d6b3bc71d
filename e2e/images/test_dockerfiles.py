"""The Dockerfiles hold their pins, and are alike where they should be."""

import re

import pytest

from imagebuild.request import IMAGES, ROOT, inputs

FOLDERS = sorted(IMAGES)
_BASE = re.compile(r"^ARG BASE=[a-z0-9./-]+:[a-zA-Z0-9._-]+@sha256:[0-9a-f]{64}$", re.MULTILINE)
_PIN = re.compile(r"^[a-z0-9-]+(?:\[[a-z,]+\])?==\S+ \\$")


def text_of(folder: str) -> str:
    """Without comments, each instruction on one line."""
    lines = (ROOT / "images" / folder / "Dockerfile").read_text().splitlines()
    kept = "\n".join(line for line in lines if not line.startswith("#"))
    return re.sub(r"\s*\\\n\s*", " ", kept)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_base_is_pinned_by_digest_and_the_only_image_from_outside(folder: str) -> None:
    text = text_of(folder)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    assert _BASE.search(text)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages == {"${BASE}", "scratch"}
    assert set(re.findall(r"--from=(\S+)", text)) <= stages


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_installed_without_hashes_or_compiled(folder: str) -> None:
    installs = re.findall(r"pip(?: --python \S+)? (?:install|wheel) .*?(?=&&|$)", text_of(folder), re.MULTILINE)
    assert len(installs) == 4
    for each in installs:
        pinned = "--require-hashes" in each and "--only-binary=:all:" in each
        assert pinned or ("--no-deps" in each and "--no-index" in each), each


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_requirements_it_installs_are_pinned_with_hashes(folder: str) -> None:
    files = [path for path in inputs(folder) if path.suffix == ".txt"]
    assert len(files) == 2
    for path in files:
        said = [line for line in path.read_text().splitlines() if line and not line.startswith((" ", "#"))]
        assert said
        assert all(_PIN.match(line) for line in said), path


@pytest.mark.parametrize("folder", FOLDERS)
def test_it_ends_as_a_user_without_rights_over_an_empty_image(folder: str) -> None:
    text = text_of(folder)
    final = text.rpartition("\nFROM ")[2]
    assert final.startswith("scratch\n")
    assert "USER 65532:65532" in final
    assert "ADD " not in text
    assert "# syntax" not in (ROOT / "images" / folder / "Dockerfile").read_text()
    assert "RUN " not in final


def test_the_first_stages_are_the_same_so_that_they_are_built_once() -> None:
    heads = {text_of(folder).partition("FROM tools AS dependencies")[0] for folder in FOLDERS}
    assert len(heads) == 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_build_sees_sources_and_no_working_copy(folder: str) -> None:
    seen = {str(path.relative_to(ROOT)) for path in inputs(folder)}
    assert "operator/penstock/__init__.py" in seen
    assert "images/tools/trim.py" in seen
    assert not [path for path in seen if path.startswith((".git", ".venv", "tests/", "e2e/")) or "__pycache__" in path]
