"""One query for many, and never an answer from before a publication."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from builders.clock import settle
from penstock.server import reading
from penstock.server.access import GatewayName
from penstock.server.publication import Head
from penstock.server.reading import TableReader
from penstock.server.tables import Tables

_ONE, _TWO = GatewayName("serving", "one"), GatewayName("serving", "two")


@dataclass
class Slow:
    """A database that answers, with what it had when it was asked, when the test lets it."""

    generation: int = 1
    queries: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def head(self, _: GatewayName) -> Head:
        """Of the table."""
        head = Head(1, self.generation, f"{self.generation:08x}", 10)
        self.queries += 1
        await self.gate.wait()
        return head

    async def read(self, gateway: GatewayName) -> tuple[Head, bytes]:
        """The table."""
        head = await self.head(gateway)
        return head, f"table {head.generation}".encode()


def reader_of(database: Slow) -> TableReader:
    """A reader of it."""
    return TableReader(cast("Tables", database))


async def test_one_query_for_all_who_ask_at_once() -> None:
    """And none for the bytes while they are current."""
    database = Slow()
    reader = reader_of(database)
    asking = [asyncio.create_task(reader.table(_ONE)) for _ in range(20)]
    await settle()
    database.gate.set()
    assert {body for _, body in await asyncio.gather(*asking)} == {b"table 1"}
    assert database.queries == 2
    await reader.table(_ONE)
    assert database.queries == 3


async def test_who_asks_after_a_publication_gets_it() -> None:
    """Though a query from before is still under way."""
    database = Slow()
    reader = reader_of(database)
    before = asyncio.create_task(reader.head(_ONE))
    await settle()
    database.generation = 2
    reader.changed(_ONE)
    after = asyncio.create_task(reader.head(_ONE))
    await settle()
    database.gate.set()
    assert ((await before).generation, (await after).generation) == (1, 2)


async def test_who_gives_up_does_not_end_it_for_others() -> None:
    """Their client has gone, that is all."""
    database = Slow()
    reader = reader_of(database)
    first, second = (asyncio.create_task(reader.head(_ONE)) for _ in range(2))
    await settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    database.gate.set()
    assert (await second).generation == 1


async def test_a_read_that_is_older_than_the_head_is_made_anew() -> None:
    """Another process published in between."""
    database = Slow()
    reader = reader_of(database)
    database.gate.set()
    head = await reader.head(_ONE)
    old = asyncio.get_running_loop().create_task(database.read(_ONE))
    await old
    reader._reads[_ONE] = old
    database.generation = 2
    assert head.generation == 1
    assert (await reader.table(_ONE))[1] == b"table 2"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that was read last stays."""
    monkeypatch.setattr(reading, "_LARGEST_CACHE_BYTES", 15)
    database = Slow()
    database.gate.set()
    reader = reader_of(database)
    await reader.table(_ONE)
    await reader.table(_TWO)
    assert list(reader._kept) == [_TWO]
