"""Our statuses, judged by the library that Flux and Helm wait with: github.com/fluxcd/cli-utils, built by Go."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builders.kstatus import kstatus
from builders.reported import every_scene

_MODULE = Path(__file__).parent / "gitops_kstatus"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from its published module: a minute where nothing is in Go's cache."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    target = tmp_path_factory.mktemp("kstatus") / "kstatus"
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(target), "."]
    built = subprocess.run(command, cwd=_MODULE, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return target


@pytest.mark.timeout(600)
def test_the_library_is_of_the_same_mind(judge: Path) -> None:
    """About every scene of our status builders, and about their deletion."""
    scenes = every_scene()
    scenes["in deletion"] = next(iter(scenes.values())) | {
        "metadata": {"name": "it", "generation": 1, "deletionTimestamp": "2026-11-21T12:00:00Z"}
    }
    asked = json.dumps(list(scenes.values()))
    answer = subprocess.run([str(judge)], input=asked, capture_output=True, text=True, check=True)
    found = dict(zip(scenes, answer.stdout.split(), strict=True))
    assert found == {name: kstatus(document) for name, document in scenes.items()}
    assert set(found.values()) == {"Current", "InProgress", "Failed", "Terminating"}
