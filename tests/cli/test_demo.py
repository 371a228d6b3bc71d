"""`penstock demo` as a newcomer runs it: told to its end, interrupted, and with samples that are wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Gateways run in this environment: what `make gateway` makes is not there for everybody, and takes seconds to import.
COMMAND = (sys.executable, "-m", "penstock", "demo", "--speed", "60", "--gateway-python", sys.executable)

_CHILDREN = 4
"""Operator, server and two gateways."""


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


def gateways_of(output: str) -> list[int]:
    """The replicas' process ids, as the story names them."""
    return [int(process) for process in re.findall(r"main-gateway-\S+ │ (\d+)", output)]


def children_of(process: int) -> list[int]:
    """All that it started: the operator, the server, and gateways once their pods run."""
    found = subprocess.run(("pgrep", "-P", str(process)), capture_output=True, text=True, check=True)
    return [int(child) for child in found.stdout.split()]


@pytest.mark.soak
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
        "LiteLLM is not installed here",
        "both replicas decide by the new weights",
        "were asked for again elsewhere, none failed",
        "its engines were told to end only after that",
        "the request is refused: 403",
        "the bill: ",
        "claims checked",
    ):
        assert words in done.stdout
    gateways = gateways_of(done.stdout)
    assert len(gateways) == 2
    assert not any(alive(each) for each in (operator_of(done.stdout), *gateways))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM], ids=lambda each: each.name
)
def test_an_interruption_ends_everything(name: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told, children = "", list[int]()
        for line in process.stdout:
            told += line
            if "✓ Kubernetes finds" in line:
                children = children_of(process.pid)
                process.send_signal(name)
        assert process.wait(30) == 130
    assert operator_of(told) in children
    assert len(children) == _CHILDREN
    assert not any(alive(child) for child in children)
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
