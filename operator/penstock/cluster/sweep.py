"""The second guard against ghosts: our own kinds are listed now and then, and what is gone is dropped.

kopf's watch never reports what vanished while it did not look. The first sweep is also what makes the
store of an own kind count as filled.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from penstock.cluster.informer import Source
from penstock.cluster.resources import ResourceType
from penstock.cluster.store import Store, Stored, is_surely_newer
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock

__all__ = ["Sweep"]

T = TypeVar("T", bound=Stored)

_log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 1.0
_LAST_DELAY_SECONDS = 30.0
_OBJECTS_PER_TURN = 50


@dataclass(slots=True)
class Sweep(Generic[T]):
    """Lists one own kind at the start and every `period` seconds.

    `seen` puts an object into the store, `gone` is told of a record that the list no longer has, `visit` of
    every record that stays.
    """

    client: Source
    kind: ResourceType
    store: Store[T]
    seen: Callable[[dict[str, Any]], None]
    gone: Callable[[T], None]
    visit: Callable[[T], None]
    clock: Clock
    period: float = 600.0
    page_size: int = 250
    synced: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        """The kind, for problems that name it."""
        return str(self.kind)

    async def run(self) -> None:
        """Sweep until cancelled; an API server that is away is asked again, less and less often."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                await self.sweep()
            except ClusterError as error:
                _log.warning("sweeping %s: %s; again in %.0f s", self.kind, error, delay)
                await self.clock.sleep(delay)
                delay = min(delay * 2, _LAST_DELAY_SECONDS)
                continue
            delay = _FIRST_DELAY_SECONDS
            self.synced.set()
            await self.clock.sleep(self.period)

    async def sweep(self) -> None:
        """One list: believe what it has, drop what it has not, visit the rest; nothing is dropped by half a list."""
        alive: set[str] = set()
        version = ""
        async with aclosing(self.client.pages(self.kind, labels="", limit=self.page_size)) as pages:
            async for page in pages:
                version = version or page.resource_version
                for number, item in enumerate(page.items, start=1):
                    alive.add(item["metadata"]["uid"])
                    self.seen(item)
                    if number % _OBJECTS_PER_TURN == 0:
                        await asyncio.sleep(0)
        for record in self.store:
            self._settle(record, alive, version)

    def _settle(self, record: T, alive: set[str], version: str) -> None:
        if record.uid in alive:
            self.visit(record)
        elif not is_surely_newer(record.resource_version, version):
            # One that is newer than the list came into being while we read it.
            self.store.remove(record.namespace, record.name, record.uid, version=version)
            self.gone(record)
