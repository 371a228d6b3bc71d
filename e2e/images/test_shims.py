"""The simulated engine's commands without an image: what they do before and instead of serving."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild.request import ROOT
from images.pods import rendered

SHIMS = ROOT / "images" / "engine" / "shims"
_TERMINATED = 143
_JOB = "sglang-volume.yaml"


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join((str(SHIMS), str(ROOT / "operator")))
    return {"PATH": os.defpath, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, check=False, timeout=60, cwd=SHIMS.parent
    )


@pytest.mark.parametrize(
    "words",
    [
        (str(SHIMS / "vllm.py"), "serve", "m"),
        ("-m", "sglang.launch_server", "--model-path", "m"),
    ],
)
def test_a_flag_that_the_engine_does_not_have_ends_it_as_argparse_would(words: tuple[str, ...]) -> None:
    done = run(*words, "--no-such-flag")
    assert done.returncode == 2
    assert "unrecognized arguments: --no-such-flag" in done.stderr


def test_it_hears_sigterm_while_it_still_imports(tmp_path: Path) -> None:
    """As the container's first process it would otherwise outlive its grace period."""
    (tmp_path / "penstock.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    command = [sys.executable, str(SHIMS / "vllm.py"), "serve", "m"]
    surroundings = environment() | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == _TERMINATED


def test_the_prefetch_job_leaves_its_marker_and_a_snapshot(tmp_path: Path) -> None:
    job = rendered(_JOB, "Job")
    words = [word.replace("/cache/", f"{tmp_path}/") for word in job.argv]
    done = run(*words[1:], HF_HOME=str(tmp_path / "huggingface"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "prefetched").exists()
    assert list(tmp_path.glob("huggingface/hub/models--*/snapshots/*/config.json"))
    assert "simulated hub" in done.stderr


def test_offline_nothing_is_prefetched(tmp_path: Path) -> None:
    job = rendered(_JOB, "Job")
    words = [word.replace("/cache/", f"{tmp_path}/") for word in job.argv]
    done = run(*words[1:], HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert not (tmp_path / "prefetched").exists()
