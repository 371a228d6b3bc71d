"""`penstock server` as a child process, on SQLite in a folder, with one token for the operator."""

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from penstock.errors import PenstockError
from penstock.simulation.child_process import ChildProcess
from penstock.simulation.http_probe import http_probe
from penstock.simulation.network import Place, free_port
from penstock.workqueue.clock import Clock, SystemClock

__all__ = ["NotReady", "ServerProcess"]

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.1
_PROBE_SECONDS = 2.0


class NotReady(PenstockError):
    """The server did not get ready in time, or ended before."""


class ServerProcess(ChildProcess):
    """The control-plane server; `url` and `token_file` are for the operator. A restart keeps port and database."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        super().__init__("server", folder / "server.log")
        self.token_file = folder / "operator-token"
        self._database = folder / "server.db"
        self._clock = clock or SystemClock()
        self._place: Place = (_HOST, free_port(_HOST))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._place[0]}:{self._place[1]}"

    def arguments(self) -> Sequence[str]:
        """The token stays in its file."""
        if not self.token_file.exists():
            _write_secret(self.token_file, secrets.token_urlsafe(32))
        host, port = self._place
        return (
            *("server", "--host", host, "--port", str(port), "--log-format", "text"),
            *("--database-url", f"sqlite:///{self._database.absolute()}"),
            *("--operator-token-file", str(self.token_file)),
        )

    async def ready(self) -> None:
        """When /readyz says so; NotReady with its last words where it does not."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), aiohttp.ClientSession() as session:
                while not await http_probe(session, self._place, "/readyz", _PROBE_SECONDS):
                    if trouble := self.trouble():
                        raise NotReady(trouble)
                    await self._clock.sleep(_LOOK_EVERY_SECONDS)
        except TimeoutError as error:
            message = f"the server at {self.url} is not ready after {_PATIENCE_SECONDS:.0f} s; see {self.log}"
            raise NotReady(message) from error


def _write_secret(path: Path, text: str) -> None:
    """For its owner alone from the first moment on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
