"""A container without a process: it waits to be ended, or has exited at once."""

import asyncio

from penstock.simulation.engine import EXIT_KILLED

__all__ = ["IdleContainer"]


class IdleContainer:
    """A container that only waits, or that exits at once with a status and last words."""

    def __init__(self, *, status: int | None = None, message: str = "") -> None:
        self.message = message
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if status is not None:
            self._ended.set_result(status)

    async def wait(self) -> int:
        """The exit status."""
        return await asyncio.shield(self._ended)

    async def probe(self, path: str, port: int, within: float) -> bool:
        """Nobody listens."""
        del path, port, within
        return False

    def terminate(self) -> None:
        """SIGTERM."""
        self._end(0)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(EXIT_KILLED)

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)
