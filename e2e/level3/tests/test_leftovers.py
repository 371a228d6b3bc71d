"""Only what was recorded is ended, and not whoever got its id later."""

import subprocess
from pathlib import Path

from level3 import leftovers


def test_a_recorded_process_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        leftovers.record(tmp_path, "x", process.pid)
        leftovers.sweep(tmp_path)
        assert process.wait(5) == -9
    assert not list((tmp_path / leftovers.PIDS).iterdir())


def test_another_process_with_the_same_id_is_spared(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        leftovers.record(tmp_path, "x", process.pid)
        file = tmp_path / leftovers.PIDS / "x"
        file.write_text(f"{process.pid} 1")
        leftovers.sweep(tmp_path)
        assert process.poll() is None
        process.kill()


def test_a_process_that_has_ended_has_no_start_time() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert leftovers.started(process.pid) == ""
