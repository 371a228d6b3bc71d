"""Notices what other server processes wrote: a look at every gateway's version, sooner where PostgreSQL notifies."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from penstock.server.access import Subresource
from penstock.server.problems import Problem
from penstock.server.reading import TableReader
from penstock.server.tables import CHANNEL, Tables, Versions
from penstock.server.waiting import Waiters
from penstock.workqueue.clock import Clock, sleep_or

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
# With notifications a look is only the net under them.
_SLOW_LOOK_SECONDS = 5.0
_CONNECT_AGAIN_SECONDS = 2.0


@dataclass(slots=True)
class Watcher:
    """Rings for whoever waits; looks at nothing while nobody does."""

    tables: Tables
    reader: TableReader
    waiters: Waiters
    clock: Clock
    listening: bool = False
    _notified: asyncio.Event = field(default_factory=asyncio.Event)
    _known: Versions = field(default_factory=dict)

    async def run(self) -> None:
        """Look for ever; a database that does not answer is looked at again."""
        if not self.tables.database.is_postgresql:
            await self._look_for_ever()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_for_ever())
            group.create_task(self._listen_for_ever())

    async def look(self) -> None:
        """Ring for every gateway that changed since the last look, or that was not known then."""
        known, self._known = self._known, await self.tables.versions()
        for gateway in known.keys() | self._known.keys():
            (table, replicas), (table_now, replicas_now) = (
                known.get(gateway, (-1, -1)),
                self._known.get(gateway, (-1, -1)),
            )
            if table != table_now:
                self.reader.changed(gateway)
                self.waiters.ring((gateway, Subresource.TABLE))
            if replicas != replicas_now:
                self.waiters.ring((gateway, Subresource.REPLICAS))

    async def _look_for_ever(self) -> None:
        while True:
            await self.waiters.occupied.wait()
            self._notified.clear()
            try:
                await self.look()
            except Problem as problem:
                _log.warning("looking for changes: %s", problem.reason)
            await sleep_or(self.clock, _SLOW_LOOK_SECONDS if self.listening else _LOOK_SECONDS, self._notified)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - the driver raises its own; the looks go on without it
                _log.warning("listening for changes: %s; looking instead", type(error).__name__)
            finally:
                self.listening = False
            await self.clock.sleep(_CONNECT_AGAIN_SECONDS)

    async def _listen(self) -> None:
        """Until the connection breaks."""
        broken = asyncio.Event()
        async with self.tables.database.session() as driver:

            def notified(*_: Any) -> None:
                self._notified.set()

            def ended(*_: Any) -> None:
                broken.set()

            await driver.add_listener(CHANNEL, notified)
            driver.add_termination_listener(ended)
            try:
                self.listening = True
                # What was notified before we listened was not heard.
                self._notified.set()
                await broken.wait()
            finally:
                driver.remove_termination_listener(ended)
                if not driver.is_closed():
                    await driver.remove_listener(CHANNEL, notified)
