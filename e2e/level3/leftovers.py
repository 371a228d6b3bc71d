"""Ends what a cluster left behind: `leftovers.py FOLDER`.

A node is a process namespace; when its first process is killed, the kernel kills all others in it, unmounts and removes
networks. So only the processes whose ids are recorded in the folder have to be ended, and control groups removed.
Standard library only, run by its path too: the guard calls it when the test's process was killed.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

PIDS = "pids"
CGROUP = "cgroup"
HIERARCHIES = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 15.0
_PERIOD = 0.02
_START_TIME = 19
"""Where /proc/PID/stat has it, counted behind the name of the command, which may hold blanks."""


def record(folder: Path, name: str, pid: int) -> None:
    """Note a process, with its start time: ids come again."""
    (folder / PIDS).mkdir(exist_ok=True)
    (folder / PIDS / name).write_text(f"{pid} {started(pid)}")


def started(pid: int) -> str:
    """Tell when a process was started, in clock ticks since boot; empty where there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[_START_TIME]


def hierarchies() -> Iterator[Path]:
    """List the mounted control group hierarchies: one for version 2, one for each controller for version 1."""
    if (HIERARCHIES / "cgroup.controllers").exists():
        yield HIERARCHIES
        return
    seen = sorted(path for path in HIERARCHIES.iterdir() if path.is_dir() and not path.is_symlink())
    yield from (path for path in seen if (path / "cgroup.procs").exists())


def sweep(folder: Path) -> None:
    """End the recorded processes and remove the control groups; TimeoutError where something would not go."""
    for file in sorted((folder / PIDS).glob("*")):
        _end(*file.read_text().split())
        file.unlink()
    if (folder / CGROUP).exists():
        name = (folder / CGROUP).read_text()
        for hierarchy in hierarchies():
            _wait(partial(_removed, hierarchy / name), f"control group {hierarchy / name} is in use")
        (folder / CGROUP).unlink()


def _end(pid: str, start_time: str = "") -> None:
    if start_time and started(int(pid)) == start_time:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
        _wait(lambda: started(int(pid)) != start_time, f"process {pid} does not end")


def _removed(group: Path) -> bool:
    """Remove from the leaves on; a group can go when its last process is gone."""
    try:
        for path, _, _ in os.walk(group, topdown=False):
            os.rmdir(path)  # noqa: PTH106 (os.walk gives strings)
    except OSError:
        return not group.exists()
    return True


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(_PERIOD)


if __name__ == "__main__":
    sweep(Path(sys.argv[1]))
    shutil.rmtree(sys.argv[1], ignore_errors=True)
