"""Child processes that end with this one, however it ends.

A guard, a shell that reads from a pipe whose other end only this process holds, leads the process group of all
children. When this process is gone, killed or not, the pipe closes: the guard ends the group and removes its folder.
Unlike Linux's parent-death signal this does not mistake the end of the starting thread for the end of the process.
"""

import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.errors import NotReadyError

# The guard ignores the signal that it sends to the whole group, then takes itself along with the rest.
_GUARD = """folder=$1; shift; read _; trap '' TERM; kill -TERM 0; sleep 2; "$@"; rm -rf -- "$folder"; kill -KILL 0"""
_PERIOD = 0.05


@dataclass(frozen=True, slots=True)
class Daemon:
    """One child process, and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """Return the end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, grace: float) -> None:
        """Ask it to end, wait so many seconds, then kill it."""
        self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without asking."""
        self.process.kill()
        self.process.wait()


class Group:
    """The children of one test bed, in one process group.

    `sweep` is a command that the guard runs before it removes the folder, for what is left beside processes and files.
    """

    def __init__(self, folder: Path, sweep: Sequence[str] = ()) -> None:
        self._folder = folder
        self._daemons: dict[str, Daemon] = {}
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "testbed-guard", str(folder), *sweep],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def __getitem__(self, name: str) -> Daemon:
        return self._daemons[name]

    def __iter__(self) -> Iterator[Daemon]:
        return iter(self._daemons.values())

    def start(self, name: str, argv: Sequence[str], *, pass_fds: Sequence[int] = ()) -> Daemon:
        """Start a child, or start it again; its output is appended to its log."""
        log = self._folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=self._guard.pid,
                pass_fds=pass_fds,
            )
        self._daemons[name] = Daemon(name, process, log)
        return self._daemons[name]

    def forget(self, name: str) -> None:
        """Take a child that was ended on purpose out of what is watched."""
        del self._daemons[name]

    def dead(self) -> list[Daemon]:
        """Tell which children have ended by themselves."""
        return [daemon for daemon in self if not daemon.alive]

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for something; NotReadyError with the ends of the logs when it takes too long or a child has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.dead() or time.monotonic() > deadline:
                raise NotReadyError(self._why_not(what, seconds))
            time.sleep(_PERIOD)

    def _why_not(self, what: str, seconds: float) -> str:
        dead = self.dead()
        first = f"{dead[0].name} ended" if dead else f"{what} was not ready within {seconds:.0f} s"
        tails = [f"--- {daemon.log}\n{daemon.tail()}" for daemon in dead or self]
        return "\n".join([first, *tails])

    def stop(self, grace: float) -> None:
        """End all children, the last started first, then the guard."""
        for daemon in reversed(list(self)):
            daemon.stop(grace)
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


class OfDaemons(ABC):
    """Made of daemons: at the end of its `with` it tells which of them had ended by themselves, and stops the rest."""

    _group: Group

    @abstractmethod
    def stop(self) -> None:
        """End everything and leave nothing behind."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for daemon in self._group.dead():
            print(f"{daemon.name} had ended by itself:\n{daemon.tail()}", file=sys.stderr)
        self.stop()
