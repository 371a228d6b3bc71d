"""The reference pages are those of the models, and complete."""

import re
from pathlib import Path

import pytest

from penstock.api.kinds import KINDS, Kind
from penstock.api.model_tree import field_model, field_paths
from penstock.api.pages import reference_documents
from penstock.cli import reference

_FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def test_the_folder_is_up_to_date() -> None:
    """`make docs` after every change of a model."""
    assert reference.check(_FOLDER) == ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_has_its_row(kind: Kind) -> None:
    """Once each, spec and status."""
    page = reference_documents()[f"{kind.singular}.md"]
    rows = re.findall(r"^\| `((?:spec|status)\.[^`]+)` \|", page, flags=re.MULTILINE)
    wanted = [
        path.removesuffix("[]")
        for part in ("spec", "status")
        for path in field_paths(field_model(kind.model, part), part)
    ]
    assert sorted(rows) == sorted(wanted)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_tables_are_whole(kind: Kind) -> None:
    """Each row of a table has as many cells as its head."""
    width = 0
    for line in reference_documents()[f"{kind.singular}.md"].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = 0 if not line.startswith("|") else width or cells
        assert cells in {0, width} or not line.startswith("|"), line


def test_the_contents_lead_to_every_page() -> None:
    """And say what is acted on."""
    pages = reference_documents()
    for kind in KINDS:
        assert f"[{kind.name}]({kind.singular}.md)" in pages["README.md"]
        assert ("not yet: `Accepted=False`" in pages[f"{kind.singular}.md"]) is not kind.acted_on
