"""The second guard against ghosts: our own kinds are listed now and then, and what is gone is dropped.

kopf's watch never reports what vanished while it did not look: before its first list, or between two lives of it.
The first sweep is also what makes the store of an own kind count as filled.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from penstock.cluster.barred import Barred
from penstock.cluster.errors import Forbidden
from penstock.cluster.gate import PAGE_SIZE, gated, in_turns, new_gate
from penstock.cluster.informer import Source
from penstock.cluster.resources import ResourceType
from penstock.cluster.scope import Extent
from penstock.cluster.store import Store, Stored, is_surely_newer
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock, sleep_or

__all__ = ["Sweep"]

T = TypeVar("T", bound=Stored)

_log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 1.0
_LAST_DELAY_SECONDS = 30.0


@dataclass(slots=True)
class Sweep(Generic[T]):
    """Lists one own kind at the start, every `period` seconds, and when it is `wanted`.

    `seen` puts an object into the store, `gone` is told of a record that the list no longer has, `visit` of
    every record that stays; of a store that several sweeps share each looks only at what its own `extent` covers.
    """

    client: Source
    kind: ResourceType
    store: Store[T]
    seen: Callable[[dict[str, Any]], None]
    gone: Callable[[T], None]
    visit: Callable[[T], None]
    clock: Clock
    extent: Extent = Extent()  # noqa: RUF009 - it is frozen
    barred: Barred = field(default_factory=Barred)
    period: float = 600.0
    page_size: int = PAGE_SIZE
    gate: asyncio.Semaphore = field(default_factory=new_gate)
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _sweeping: bool = False

    def __str__(self) -> str:
        """The kind and the namespace, for problems that name it."""
        return self.extent.of(self.kind)

    async def run(self) -> None:
        """Sweep until cancelled; an API server that is away is asked again, less and less often."""
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                self.wanted.clear()
                await self.sweep()
            except ClusterError as error:
                self._tell(error, delay)
                await self.clock.sleep(delay)
                delay = min(delay * 2, _LAST_DELAY_SECONDS)
                continue
            delay = _FIRST_DELAY_SECONDS
            self.barred.answered(self.kind, self.extent)
            self.synced.set()
            await sleep_or(self.clock, self.period, self.wanted)

    def _tell(self, error: ClusterError, delay: float) -> None:
        """A namespace that is refused holds up nothing else; `barred` tells of it once."""
        if self.barred.failed(self.kind, self.extent, error):
            self.synced.set()
        level = logging.DEBUG if isinstance(error, Forbidden) and self.extent.place else logging.WARNING
        _log.log(level, "sweeping %s: %s; again in %.0f s", self, error, delay)

    @property
    def idle(self) -> bool:
        """True where the last sweep is over and none is wanted before its time."""
        return self.synced.is_set() and not self.wanted.is_set() and not self._sweeping

    async def sweep(self) -> None:
        """One list: believe what it has, drop what it has not, visit the rest; nothing is dropped by half a list."""
        self._sweeping = True
        try:
            await self._sweep()
        finally:
            self._sweeping = False

    async def _sweep(self) -> None:
        alive: set[str] = set()
        version = ""
        where = self.extent
        listing = self.client.pages(self.kind, where.namespace, labels="", fields=where.fields, limit=self.page_size)
        async with gated(listing, self.gate) as pages:
            async for page in pages:
                version = version or page.resource_version
                async for item in in_turns(page.items):
                    alive.add(item["metadata"]["uid"])
                    self.seen(item)
        for record in self.store:
            if where.covers(record):
                self._settle(record, alive, version)

    def _settle(self, record: T, alive: set[str], version: str) -> None:
        if record.uid in alive:
            self.visit(record)
        elif not is_surely_newer(record.resource_version, version):
            # One that is newer than the list came into being while we read it.
            self.store.remove(record.namespace, record.name, record.uid, version=version)
            self.gone(record)
