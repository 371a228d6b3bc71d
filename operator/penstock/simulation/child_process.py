"""A part of the control plane as a child process, ended by its own id whatever happens."""

import asyncio
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock.simulation.last_words import last_words

__all__ = ["ChildProcess"]

_PATIENCE_SECONDS = 8.0


class ChildProcess(ABC):
    """`async with` starts `penstock ...` and stops it. It has a session of its own, so that Ctrl-C reaches only us."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False

    @abstractmethod
    def arguments(self) -> Sequence[str]:
        """The words after `penstock`."""

    async def ready(self) -> None:  # noqa: B027 - most have nothing to wait for
        """Wait until it is of use; nothing to wait for unless a kind says otherwise."""

    async def __aenter__(self) -> Self:
        self.log.unlink(missing_ok=True)
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def identity(self) -> int:
        """Its process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    def trouble(self) -> str:
        """Empty while it runs and where we ended it, else how it ended and its last words."""
        if self._process is None or self._process.returncode is None or not self._wanted:
            return ""
        return f"the {self.name} exited with {self._process.returncode}: {last_words(self.log)}"

    async def start(self) -> None:
        """Start it, and wait until it is of use; its log goes on."""
        self._wanted = True
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "penstock", *self.arguments()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await self.ready()
        except BaseException:
            # Nobody else would end it: `async with` was not entered.
            await self.kill()
            raise

    async def ended(self) -> int:
        """Wait until it ends; its exit status, 0 where it was never started."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not enough."""
        self._wanted = False
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL."""
        self._wanted = False
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def restart(self) -> None:
        """End it if it runs, and start it again."""
        await self.stop()
        await self.start()
