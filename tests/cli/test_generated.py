"""Generated folders: written whole, compared whole."""

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

from penstock.cli import crds, generated, reference

_DOCUMENTS = {"a.yaml": "a\n", "b.yaml": "b\n"}


def test_what_was_written_is_up_to_date(tmp_path: Path) -> None:
    """Also where the folder was not there."""
    generated.write(tmp_path / "new", _DOCUMENTS)
    assert generated.differences(tmp_path / "new", _DOCUMENTS) == ()


def test_every_difference_is_named(tmp_path: Path) -> None:
    """Changed, missing and left over, one line each."""
    generated.write(tmp_path, {**_DOCUMENTS, "old.yaml": "old\n"})
    (tmp_path / "a.yaml").write_text("changed\n")
    (tmp_path / "b.yaml").unlink()
    lines = generated.differences(tmp_path, _DOCUMENTS)
    assert sorted(line.removeprefix(f"{tmp_path}/") for line in lines) == [
        "a.yaml: differs from the models",
        "b.yaml: is missing",
        "old.yaml: is not generated any more",
    ]


def test_writing_heals_and_leaves_strangers_alone(tmp_path: Path) -> None:
    """Only files of the generated type are ours."""
    (tmp_path / "old.yaml").write_text("old\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    generated.write(tmp_path, _DOCUMENTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml", "notes.txt"]


@pytest.mark.parametrize("command", [crds.crds, reference.reference], ids=["crds", "reference"])
def test_check_fails_until_written(command: Command, tmp_path: Path) -> None:
    """Exit code 1 and the cure; 0 afterwards."""
    run = CliRunner().invoke
    stale = run(command, ["--check", str(tmp_path)])
    assert stale.exit_code == 1
    assert "is missing; run `penstock" in stale.output
    assert run(command, [str(tmp_path)]).exit_code == 0
    assert run(command, ["--check", str(tmp_path)]).exit_code == 0
