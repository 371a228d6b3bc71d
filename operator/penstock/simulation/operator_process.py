"""`penstock operator` as a child process, ended by its own id whatever happens."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["OperatorProcess"]

_PATIENCE_SECONDS = 8.0
_LAST_LINES = 5


@dataclass(slots=True)
class OperatorProcess:
    """`async with` starts it and stops it. It has a session of its own, so that Ctrl-C reaches only its parent."""

    kubeconfig: Path
    log: Path
    _process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        command = (
            *(sys.executable, "-m", "penstock", "operator", "--kubeconfig", str(self.kubeconfig), "--no-hub"),
            *("--health-host", "127.0.0.1", "--health-port", "0", "--log-format", "text"),
        )
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
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
        """Empty while it runs, else how it ended and its last words."""
        if self._process is None or self._process.returncode is None:
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return f"the operator exited with {self._process.returncode}: " + " | ".join(lines)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not enough."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
