"""Published tables, read once for all who wait for them, and kept in memory while they are current."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock.server.access import GatewayName
from penstock.server.publication import Head
from penstock.server.tables import Tables

__all__ = ["TableReader"]

_LARGEST_CACHE_BYTES = 128 * 2**20
T = TypeVar("T")


@dataclass(slots=True)
class TableReader:
    """A publication wakes every replica at once: one query and one copy of the bytes serve them all."""

    tables: Tables
    _heads: dict[GatewayName, "asyncio.Task[Head]"] = field(default_factory=dict)
    _reads: dict[GatewayName, "asyncio.Task[tuple[Head, bytes]]"] = field(default_factory=dict)
    _kept: OrderedDict[GatewayName, tuple[Head, bytes]] = field(default_factory=OrderedDict)

    def changed(self, gateway: GatewayName) -> None:
        """Whoever asks from now on must not be answered by a query that began before."""
        self._heads.pop(gateway, None)
        self._reads.pop(gateway, None)

    async def head(self, gateway: GatewayName) -> Head:
        """What is published; Problem (404, 503)."""
        return await _shared(self._heads, gateway, self.tables.head)

    async def table(self, gateway: GatewayName) -> tuple[Head, bytes]:
        """The table, at least as new as when it was asked for; Problem (404, 503)."""
        head = await self.head(gateway)
        kept = self._kept.get(gateway)
        if kept is not None and (kept[0].hash, kept[0].generation) == (head.hash, head.generation):
            return head, kept[1]
        read = await _shared(self._reads, gateway, self.tables.read)
        if read[0].generation < head.generation:
            # That query began before another process published.
            read = await self.tables.read(gateway)
        self._keep(gateway, read)
        return read

    def _keep(self, gateway: GatewayName, read: tuple[Head, bytes]) -> None:
        self._kept[gateway] = read
        self._kept.move_to_end(gateway)
        while len(self._kept) > 1 and sum(head.size for head, _ in self._kept.values()) > _LARGEST_CACHE_BYTES:
            self._kept.popitem(last=False)


async def _shared(
    running: dict[GatewayName, "asyncio.Task[T]"],
    gateway: GatewayName,
    read: Callable[[GatewayName], Coroutine[Any, Any, T]],
) -> T:
    """One query for everybody who asks while it runs; who gives up does not end it for the others."""
    task = running.get(gateway)
    if task is None:
        task = running[gateway] = asyncio.create_task(read(gateway))

        def done(ended: "asyncio.Task[T]") -> None:
            if running.get(gateway) is ended:
                del running[gateway]
            if not ended.cancelled():
                # Looked at even where everybody has given up.
                ended.exception()

        task.add_done_callback(done)
    return await asyncio.shield(task)
