"""The sweep drops ghosts, spares what is newer than its list, and visits the rest."""

import asyncio
from random import Random
from typing import Any

from builders.clock import FakeClock
from builders.records import Record, pod, slim
from builders.scripted_source import ScriptedSource, listed
from penstock.cluster.errors import Forbidden, Unavailable
from penstock.cluster.resources import PODS
from penstock.cluster.scope import Extent
from penstock.cluster.store import Store
from penstock.cluster.sweep import Sweep
from penstock.cluster.wire import Page
from penstock.errors import ClusterError

EVERYTHING = Extent()


class Swept:
    """A sweep over a store, and what it told."""

    def __init__(self, *lists: tuple[Page, ...] | ClusterError, extent: Extent = EVERYTHING) -> None:
        self.source = ScriptedSource(list(lists))
        self.store: Store[Record] = Store()
        self.clock = FakeClock()
        self.told: list[str] = []
        self.sweep = Sweep(self.source, PODS, self.store, self.seen, self.gone, self.visit, self.clock, extent)

    def seen(self, live: dict[str, Any]) -> None:
        """Keep it."""
        record = slim(live)
        assert record is not None
        self.store.put(record)

    def gone(self, record: Record) -> None:
        """A ghost."""
        self.told.append(f"-{record.name} {record.uid}")

    def visit(self, record: Record) -> None:
        """One that is there."""
        self.told.append(record.name)


async def test_a_ghost_is_dropped_and_told() -> None:
    """It is not in the list and not newer than it."""
    swept = Swept((listed(20, pod("b", uid="2")),))
    swept.store.put(Record(name="a", resource_version="19"))
    await swept.sweep.sweep()
    assert swept.told == ["-a 1", "b"]
    assert [record.name for record in swept.store] == ["b"]


async def test_what_came_while_the_list_was_read_stays() -> None:
    """It is newer than the list, even than its later pages."""
    swept = Swept((Page((pod(),), "20", "more"), Page((), "30")))
    swept.store.put(Record(name="new", uid="7", resource_version="25"))
    await swept.sweep.sweep()
    assert swept.store.get("ns", "new") is not None
    assert swept.told == ["a"]


async def test_a_late_event_does_not_bring_a_ghost_back() -> None:
    """Kopf may still hold one of its last life."""
    swept = Swept((listed(20),))
    swept.store.put(Record(resource_version="10"))
    await swept.sweep.sweep()
    assert not swept.store.put(Record(resource_version="15"))


async def test_a_name_that_was_used_again_is_another_life() -> None:
    """The list has the second one; the first is replaced, not told as gone and kept."""
    swept = Swept((listed(20, pod(uid="9", version=15)),))
    swept.store.put(Record(uid="1", resource_version="10"))
    await swept.sweep.sweep()
    assert [record.uid for record in swept.store] == ["9"]
    assert swept.told == ["a"]


async def test_half_a_list_drops_nothing() -> None:
    """An API server that goes away in the middle is asked again, and synced waits for it."""
    swept = Swept(Unavailable("no connection"), Unavailable("still not"), (listed(20, pod()),))
    swept.store.put(Record(name="ghost", uid="7"))
    task = asyncio.create_task(swept.sweep.run())
    await swept.clock.advance(1)
    assert swept.store.get("ns", "ghost") is not None
    assert not swept.sweep.synced.is_set()
    await swept.clock.advance(2)
    assert swept.sweep.synced.is_set()
    assert sorted(swept.told) == ["-ghost 7", "a"]
    await swept.clock.advance(600)
    assert swept.source.listings == 4
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_many_objects_leave_others_their_turn() -> None:
    """A page of five hundred is read in parts."""
    items = [pod(f"p{number}", uid=str(number)) for number in range(500)]
    Random(1).shuffle(items)
    swept = Swept((listed(20, *items),))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await swept.sweep.sweep()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert turns >= 8
    assert len(swept.told) == 500


async def test_one_that_is_wanted_comes_before_its_time() -> None:
    """Once; the next one has its own time again."""
    swept = Swept((listed(20, pod()),), (listed(21, pod()),))
    task = asyncio.create_task(swept.sweep.run())
    await swept.sweep.synced.wait()
    assert swept.sweep.idle
    swept.sweep.wanted.set()
    assert not swept.sweep.idle
    async with asyncio.timeout(5):
        while len(swept.told) < 2:
            await asyncio.sleep(0)
    assert not swept.sweep.wanted.is_set()
    task.cancel()


async def test_a_sweep_of_one_namespace_looks_at_nothing_of_another() -> None:
    """It neither drops nor visits it."""
    swept = Swept((listed(20, pod()),), extent=Extent("ns"))
    swept.store.put(Record(namespace="other", name="b", uid="7", resource_version="5"))
    await swept.sweep.sweep()
    assert swept.source.asked == [("ns", "")]
    assert swept.told == ["a"]
    assert len(swept.store) == 2


async def test_a_named_namespace_that_is_refused_holds_nothing_up() -> None:
    """It is asked again; what was known of it stays."""
    refused = Forbidden("listing pods in ns: 403", status=403)
    swept = Swept(refused, refused, refused, (listed(20, pod()),), extent=Extent("ns"))
    swept.store.put(Record(name="known", uid="7"))
    task = asyncio.create_task(swept.sweep.run())
    await swept.clock.advance(2)
    assert not swept.sweep.synced.is_set()
    await swept.clock.advance(2)
    assert swept.sweep.synced.is_set()
    assert swept.told == []
    assert swept.sweep.barred.holds("ns")
    await swept.clock.advance(10)
    assert sorted(swept.told) == ["-known 7", "a"]
    assert not swept.sweep.barred.holds("ns")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
