"""Keeps this replica in step: pulls tables by long poll, applies each at once, acknowledges at once and as a heartbeat.

With the server away the last table goes on deciding; nothing of a client's request waits for anything here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from penstock_gateway.credentials import Credentials
from penstock_gateway.errors import ServerAway
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_gateway.pods import Pods
from penstock_gateway.replica import Replica
from penstock_gateway.server import Server

__all__ = ["Identity", "Puller"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_SAY_AGAIN_SECONDS = 0.5
_BETWEEN_REPORTS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Identity:
    """How this replica is called."""

    pod: str
    version: str


@dataclass(slots=True)
class Puller:
    """`run` never ends by itself; times are in seconds."""

    server: Server
    live: LiveTable
    pods: Pods
    credentials: Credentials
    replica: Replica
    identity: Identity
    metrics: Metrics
    random: Random
    heartbeat: float = 3.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _pause: float = _FIRST_PAUSE_SECONDS
    _refused: bytes = b""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Pull and acknowledge."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pull())
            group.create_task(self._acknowledge())
            group.create_task(self._watch(self.credentials.changed))
            group.create_task(self._watch(self.pods.vacated))

    async def tell(self) -> bool:
        """Acknowledge now; whether the server took it."""
        try:
            self.replica.sharing = await self.server.acknowledge(self.report()) or self.replica.sharing
        except ServerAway as error:
            self.metrics.server_errors.labels("acknowledge").inc()
            _log.debug("acknowledging: %s", error)
            return False
        return True

    def report(self) -> dict[str, Any]:
        """What the server is told."""
        return {
            "hash": self.live.hash,
            "generation": self.live.generation,
            "credentialVersion": self.credentials.version,
            "state": self.replica.state,
            "pod": self.identity.pod,
            "version": self.identity.version,
            "inFlight": self.pods.in_flight(),
            "leaving": self.pods.leaving(),
        }

    async def _pull(self) -> None:
        while True:
            try:
                document = await self.server.table(self.live.hash, self.live.generation)
            except ServerAway as error:
                self.metrics.server_errors.labels("table").inc()
                _log.warning("pulling the table: %s; table %d goes on", error, self.live.generation)
                await self._back_off()
                continue
            if document is None or await self._apply(document):
                self._pause = _FIRST_PAUSE_SECONDS
            else:
                # The server would give the same one again at once.
                await self._back_off()

    async def _apply(self, document: bytes) -> bool:
        # One that was refused is not read again: that takes time, and each refusal is told once.
        if document == self._refused or not await self.live.offer(document):
            self._refused = document
            return False
        self._refused = b""
        self._news.set()
        return True

    async def _back_off(self) -> None:
        """With jitter, so that replicas do not come back all at once."""
        await self.sleep(self._pause * self.random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _acknowledge(self) -> None:
        while True:
            self._news.clear()
            # The operator waits for each replica's word: one that was not heard is said again soon.
            pause = self.heartbeat if await self.tell() else min(self.heartbeat, _SAY_AGAIN_SECONDS)
            # News goes out at once, and what comes right after it together: pods may leave by the hundred.
            await self.sleep(_BETWEEN_REPORTS_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _watch(self, happened: asyncio.Event) -> None:
        while True:
            await happened.wait()
            happened.clear()
            self._news.set()
