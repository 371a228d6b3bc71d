"""`penstock demo` as a newcomer runs it: told to its end, interrupted, and with samples that are wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "penstock", "demo", "--speed", "60")


def alive(process: int) -> bool:
    """Whether a process of that id is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def operator_of(output: str) -> int:
    """The operator's process id, as the story names it."""
    found = re.search(r"the operator runs \(process (\d+)\)", output)
    assert found is not None, output
    return int(found[1])


@pytest.mark.timeout(120)
def test_the_whole_story_holds_and_nothing_is_left(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND, capture_output=True, text=True, check=False, timeout=100, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "✗" not in done.stdout
    for words in (
        "llama-70b answers through its Service",
        "Moved",
        "none failed",
        "OutsideJurisdiction",
        "claims checked",
    ):
        assert words in done.stdout
    assert not alive(operator_of(done.stdout))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_an_interruption_ends_everything(name: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "✓ four pools" in line:
                process.send_signal(name)
        assert process.wait(30) == 130
    assert not alive(operator_of(told))
    assert list(tmp_path.iterdir()) == []


def test_samples_that_are_wrong_end_it_with_the_reason(tmp_path: Path) -> None:
    wrong = "{apiVersion: penstock.dev/v1alpha1, kind: InferencePool, metadata: {name: p}, spec: {colour: red}}"
    (tmp_path / "00.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: assistants}}\n---\n" + wrong)
    done = subprocess.run(
        (*COMMAND, "--samples", str(tmp_path)), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert ".spec.colour: field not declared in schema" in done.stderr
    assert not alive(operator_of(done.stdout))
