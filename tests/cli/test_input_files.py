"""Whatever file somebody names, it is read whole, or refused at once with the file, the reason and a cure."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click import Command
from click.testing import CliRunner

from builders.fleet_files import DEPLOYMENT, POOL
from penstock.cli.fit import fit
from penstock.cli.input_files import Unreadable, contents, text_of
from penstock.cli.plan import plan
from penstock.cli.validate import validate

NESTED = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
)
BAD = {
    "a month that is none": ("a: 2026-13-45", "month must be in 1..12", "in quotes"),
    "a time that is none": ("a: 2026-02-30T25:61:00Z", "line 1, column 4", "in quotes"),
    "a tag that does not hold": ("a: !!bool maybe", "cannot be read", "in quotes"),
    "a number of 5,000 digits": (f"a: {'9' * 5000}", "4300 digits", "in quotes"),
    "deep lists": ("- " * 30_000 + "x", "nests deeper than 100 levels", "flatter"),
    "deep objects": ("{a: " * 100_000, "nests deeper than 100 levels", "flatter"),
    "deep JSON that does not end": ("[" * 100_000, "nests deeper than 100 levels", "flatter"),
    "deep JSON": ("[" * 101 + "]" * 101, "nests deeper than 100 levels", "flatter"),
    "aliases of aliases": (NESTED, "line 8: its aliases make it larger than 16 MiB", "Write out"),
    "an anchor in itself": ("a: &m\n  labels: *m\n", "line 2: `*m` is inside `&m`", "Write out"),
    "the same key twice": ("spec: {replicas: 1, replicas: 5}", "`replicas` is there twice", "Remove one"),
    "the same key of JSON twice": ('{"replicas": 1, "replicas": 5}', "`replicas` is there twice", "Remove one"),
    "a list without items": ('{"kind": "List", "items": null}', "items of a List are no list", "items: []"),
}


@pytest.mark.parametrize(("text", "reason", "cure"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("command", [plan, validate], ids=["plan", "validate"])
def test_a_text_that_cannot_be_read_is_refused(
    tmp_path: Path, command: Command, text: str, reason: str, cure: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    result = CliRunner().invoke(command, ["-f", str(file)])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"{file}: ")
    assert reason in result.stderr
    assert cure in result.stderr


def test_what_looks_like_those_and_is_good_is_read(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(
        "base: &base {a: 1, b: 2026-01-02}\nsame: {<<: *base, <<: {c: [x]}, a: 2}\n---\n" + "[" * 99 + "]" * 99
    )
    documents, problems = contents(file)
    assert problems == []
    assert documents[0]["same"]["a"] == 2
    assert documents[0]["same"]["c"] == ["x"]


def test_lists_in_lists_are_taken_apart(tmp_path: Path) -> None:
    file = tmp_path / "lists.json"
    file.write_text(json.dumps({"kind": "List", "items": [{"kind": "List", "items": [POOL]}, DEPLOYMENT]}))
    assert contents(file) == ([POOL, DEPLOYMENT], [])


def on_folder(command: Command) -> Callable[[Path], list[str]]:
    return lambda pipe: ["-f", str(pipe.parent)] if command is not fit else ["my/own", "--config", str(pipe)]


@pytest.mark.parametrize("command", [plan, validate, fit], ids=["plan", "validate", "fit"])
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path, command: Command) -> None:
    pipe = tmp_path / "f.yaml"
    os.mkfifo(pipe)
    result = CliRunner().invoke(command, on_folder(command)(pipe))
    assert result.exit_code == 2
    assert "is no regular file" in result.stderr


def test_a_pipe_that_a_shell_hands_over_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"kind: Pod")
    os.close(writing)
    try:
        assert text_of(Path(f"/dev/fd/{reading}")) == "kind: Pod"
    finally:
        os.close(reading)


def test_no_more_is_read_than_a_file_may_hold() -> None:
    with Path("/dev/zero").open("rb") as endless, pytest.raises(Unreadable, match="larger"):
        text_of(Path(f"/dev/fd/{endless.fileno()}"), 1000)


@pytest.mark.parametrize("metadata", [None, [1], "x", {"name": {1: 2}}])
def test_metadata_that_is_none_is_refused(tmp_path: Path, metadata: object) -> None:
    file = tmp_path / "pool.yaml"
    file.write_text(yaml.safe_dump({**POOL, "metadata": metadata}))
    result = CliRunner().invoke(validate, ["-f", str(file)])
    assert result.exit_code == 1, result.output
    assert "`metadata.name`" in result.stderr


def test_a_value_that_json_has_no_word_for_is_shown_by_its_type(tmp_path: Path) -> None:
    file = tmp_path / "pool.yaml"
    file.write_text(
        yaml.safe_dump({**POOL, "metadata": {"name": "x"}, "spec": "x"}).replace("spec: x", "spec: [{2026-01-01: 1}]")
    )
    result = CliRunner().invoke(validate, ["-f", str(file)])
    assert result.exit_code == 1, result.output
    assert "`spec` '(list)': must be an object" in result.stderr


def test_a_folder_is_read_whole_and_its_subfolders_are_named(tmp_path: Path) -> None:
    for name in ("a.YAML", "b.json", "c.yml"):
        (tmp_path / name).write_text(
            json.dumps(
                {**POOL, "metadata": {"name": name[0]}, "spec": {**POOL["spec"], "nodeSelector": {"pool": name[0]}}}
            )
        )
    (tmp_path / "notes.txt").write_text("no YAML: [")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    result = CliRunner().invoke(validate, ["-f", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert [line.rpartition(": ")[2] for line in result.stdout.splitlines()] == [
        f"InferencePool {name} is good" for name in "abc"
    ]
    assert result.stderr == f"{tmp_path}: its subfolders are not read: sub. Name them by -f as well.\n"
    (tmp_path / "d.json").write_text(json.dumps(DEPLOYMENT))
    planned = CliRunner().invoke(plan, ["-f", str(tmp_path), "-o", "json"])
    assert [each["name"] for each in json.loads(planned.stdout)["pools"]] == ["a", "b", "c"]
    assert planned.stderr == result.stderr


def test_validate_judges_what_lists_hold(tmp_path: Path) -> None:
    file = tmp_path / "l.json"
    wrong = {**DEPLOYMENT, "spec": {"modell": "x"}}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [POOL, wrong]}))
    result = CliRunner().invoke(validate, ["-f", str(file)])
    assert result.exit_code == 1
    assert "[0]: InferencePool h100 is good" in result.stdout
    assert "[1] chat: `spec.modell`" in result.stderr


def test_nothing_to_check_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    for path in (tmp_path, empty):
        empty.touch()
        result = CliRunner().invoke(validate, ["-f", str(path)])
        assert result.exit_code == 2
        assert result.stderr == f"{path}: there is nothing to check. Name a file with resources by -f.\n"
