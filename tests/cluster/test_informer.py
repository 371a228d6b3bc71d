"""The informer heals whatever goes wrong between a list and a watch, and reports each difference once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from builders.clock import FakeClock
from builders.records import Record, pod, slim
from builders.scripted_source import ScriptedSource, Step, event, listed
from penstock.cluster.errors import Forbidden, Gone, TooManyRequests, Unavailable
from penstock.cluster.informer import Informer
from penstock.cluster.resources import PODS
from penstock.cluster.scope import Extent
from penstock.cluster.store import Store
from penstock.cluster.wire import Page
from penstock.errors import ClusterError

Change = tuple[str, str]

EVERYTHING = Extent()
NO = Forbidden("listing pods in ns: 403", status=403)


@dataclass
class Run:
    """An informer at work, and what it reported: `+a red`, `~a blue`, `-a`."""

    source: ScriptedSource
    clock: FakeClock
    informer: Informer[Record]
    changes: list[str] = field(default_factory=list)

    @property
    def held(self) -> dict[str, str]:
        """What the store holds: colours by name."""
        return {record.name: record.colour for record in self.informer.store}


@asynccontextmanager
async def running(
    *lists: tuple[Page, ...] | ClusterError,
    watches: list[tuple[Step, ...]],
    relist_seconds: float = 1800,
    extent: Extent = EVERYTHING,
) -> AsyncIterator[Run]:
    """Run it until the test is through; it must not have ended by itself."""
    source, clock = ScriptedSource(list(lists), watches), FakeClock()
    changes: list[str] = []

    def changed(before: Record | None, after: Record | None) -> None:
        sign = "+" if before is None else "-" if after is None else "~"
        record = after or before
        assert record is not None
        changes.append(f"{sign}{record.name} {record.colour}")

    informer = Informer(
        source, PODS, slim, Store(), changed, clock, Random(1), relist_seconds=relist_seconds, extent=extent
    )
    task = asyncio.create_task(informer.run())
    await clock.advance(0)
    try:
        yield Run(source, clock, informer, changes)
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert source.watching == 0


BOTH = listed(20, pod("a"), pod("b", uid="2"))
BOOKMARK = event("BOOKMARK", {"metadata": {"resourceVersion": "99"}})


async def test_a_list_fills_the_store_and_a_watch_follows_from_its_version() -> None:
    """By pages; a watch begins at the version of the first of them."""
    pages = (Page((pod("a"),), "20", "more"), Page((pod("b", uid="2"),), "25"))
    async with running(pages, watches=[]) as run:
        assert run.informer.synced.is_set()
        assert run.held == {"a": "red", "b": "red"}
        assert run.source.watched_from == ["20"]
    assert run.changes == ["+a red", "+b red"]


EVENTS: dict[str, tuple[tuple[Step, ...], list[str]]] = {
    "a change": ((event("MODIFIED", pod(version=21, colour="blue")),), ["~a blue"]),
    "a duplicate": ((event("ADDED", pod()), event("MODIFIED", pod())), []),
    "a new one": ((event("ADDED", pod("c", uid="3", version=21)),), ["+c red"]),
    "a delete": ((event("DELETED", pod(version=21)),), ["-a red"]),
    "a delete of a former life": ((event("DELETED", pod(uid="0", version=21)),), []),
    "a delete twice": ((event("DELETED", pod(version=21)), event("DELETED", pod(version=21))), ["-a red"]),
    "reordered changes": (
        (event("MODIFIED", pod(version=22, colour="blue")), event("MODIFIED", pod(version=21, colour="green"))),
        ["~a blue"],
    ),
    "a change after the delete that it came before": (
        (event("DELETED", pod(version=22)), event("MODIFIED", pod(version=21, colour="blue"))),
        ["-a red"],
    ),
    "a name that is used again": (
        (event("DELETED", pod(version=21)), event("ADDED", pod(uid="9", version=22, colour="blue"))),
        ["-a red", "+a blue"],
    ),
    "a name that is used again, and the delete was lost": (
        (event("ADDED", pod(uid="9", version=22, colour="blue")),),
        ["-a red", "+a blue"],
    ),
    "one that leaves our interest": ((event("MODIFIED", pod(version=21, colour="grey")),), ["-a red"]),
    "one that leaves our interest and comes back": (
        (event("MODIFIED", pod(version=21, colour="grey")), event("MODIFIED", pod(version=22, colour="blue"))),
        ["-a red", "+a blue"],
    ),
    "one that had left our interest before": (
        (event("MODIFIED", pod(version=22, colour="blue")), event("MODIFIED", pod(version=21, colour="grey"))),
        ["~a blue"],
    ),
    "one that was never of interest": ((event("ADDED", pod("d", uid="4", version=21, colour="grey")),), []),
    "a bookmark": ((BOOKMARK,), []),
}


@pytest.mark.parametrize(("steps", "want"), EVENTS.values(), ids=EVENTS.keys())
async def test_events_become_changes(steps: tuple[Step, ...], want: list[str]) -> None:
    """Each difference once, in order, whatever order or number the events come in."""
    async with running((listed(20, pod()),), watches=[steps]) as run:
        assert run.changes[0] == "+a red"
        assert run.changes[1:] == want


async def test_an_object_that_cannot_be_read_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is named in the log; what was known of it stays."""
    odd = {**pod(version=21), "spec": {}}
    steps = (event("MODIFIED", odd), event("ADDED", pod("c", uid="3", version=22)))
    async with running((BOTH,), watches=[steps]) as run:
        assert run.held == {"a": "red", "b": "red", "c": "red"}
    assert "Pod ns/a cannot be read" in caplog.text


async def test_a_watch_is_taken_up_where_it_ended() -> None:
    """After the last event, bookmarks included; without a new list."""
    steps = (event("MODIFIED", pod(version=21, colour="blue")), BOOKMARK)
    async with running((BOTH,), watches=[steps]) as run:
        await run.clock.advance(2)
        assert run.source.watched_from == ["20", "99"]
        assert run.source.listings == 1


@pytest.mark.parametrize("error", [Unavailable("silent, or cut"), TooManyRequests("busy")])
async def test_a_broken_watch_is_resumed(error: ClusterError) -> None:
    """After a pause, from the last version that was seen."""
    steps = (event("MODIFIED", pod(version=21, colour="blue")), error)
    async with running((BOTH,), watches=[steps]) as run:
        assert run.source.watched_from == ["20"]
        await run.clock.advance(1)
        assert run.source.watched_from == ["20", "21"]
        assert run.source.listings == 1


async def test_what_vanished_in_a_gap_is_reported() -> None:
    """410: list again, and what the list no longer has is a delete; what is unchanged is no change."""
    later = listed(50, pod("b", uid="2"), pod("c", uid="3", version=45))
    async with running((BOTH,), (later,), watches=[(Gone("too old"),)]) as run:
        await run.clock.advance(1)
        assert run.held == {"b": "red", "c": "red"}
        assert run.source.watched_from == ["20", "50"]
    assert run.changes[2:] == ["+c red", "-a red"]


async def test_a_life_that_changed_in_a_gap_is_two_changes() -> None:
    """Deleted and made again while we did not look."""
    later = listed(50, pod(uid="9", version=45, colour="blue"))
    async with running((listed(20, pod()),), (later,), watches=[(Gone("too old"),)]) as run:
        await run.clock.advance(1)
    assert run.changes == ["+a red", "-a red", "+a blue"]


async def test_our_own_write_during_a_list_is_no_ghost() -> None:
    """It is newer than the list that does not have it."""
    async with running((BOTH,), watches=[(Gone("too old"),)]) as run:
        run.informer.store.put(Record(name="own", uid="7", resource_version="21"))
        await run.clock.advance(1)
        assert "own" in run.held


async def test_a_reply_that_comes_after_the_delete_brings_nothing_back() -> None:
    """Our apply was answered at version 21, the object was deleted at 22, and the delete was seen first."""
    async with running((BOTH,), watches=[(event("DELETED", pod(version=22)),)]) as run:
        assert not run.informer.store.put(Record(resource_version="21"))
        assert run.held == {"b": "red"}


async def test_a_list_is_made_anew_now_and_then() -> None:
    """A delete that no watch ever told is found by it."""
    bookmarks: list[tuple[Step, ...]] = [(BOOKMARK,) for _ in range(80)]
    async with running((BOTH,), (listed(120, pod()),), watches=bookmarks, relist_seconds=10) as run:
        await run.clock.advance(8)
        assert run.source.listings == 1
        await run.clock.advance(4)
        assert run.source.listings == 2
        assert run.held == {"a": "red"}


async def test_a_silent_server_is_listed_again_after_some_failures() -> None:
    """A version that no watch can start from, or a line that never passes, does not hold us for ever."""
    broken: list[tuple[Step, ...]] = [(Unavailable("a line that is too long"),) for _ in range(4)]
    async with running((BOTH,), watches=broken) as run:
        await run.clock.advance(30)
        assert run.source.listings == 2
        assert run.source.watched_from == ["20"] * 5


async def test_pauses_grow_to_half_a_minute_and_never_end() -> None:
    """An API server that is away for an hour costs few requests, and is found when it is back."""
    away = Unavailable("no connection")
    async with running(away, watches=[]) as run:
        assert not run.informer.synced.is_set()
        await run.clock.advance(3600)
        assert 110 < run.source.listings < 190
        run.source.lists[0] = (BOTH,)
        await run.clock.advance(30)
        assert run.informer.synced.is_set()


async def test_the_server_says_how_long_to_wait() -> None:
    """Retry-After counts."""
    busy = TooManyRequests("busy")
    busy.retry_after = 20
    async with running(busy, (BOTH,), watches=[]) as run:
        await run.clock.advance(19)
        assert run.source.listings == 1
        await run.clock.advance(1)
        assert run.source.listings == 2


async def test_a_watch_that_ends_at_once_is_no_hot_loop() -> None:
    """A server that closes each watch is asked less and less often."""
    async with running((BOTH,), watches=[() for _ in range(1000)]) as run:
        await run.clock.advance(60)
        assert len(run.source.watched_from) < 10


async def test_an_api_server_that_was_set_back_is_believed() -> None:
    """Restored from a backup: versions start from an older one, and what was made since is gone."""
    newer = listed(900, pod(version=800, colour="blue"), pod("b", uid="2", version=850))
    backup = listed(500, pod(version=400, colour="red"))
    async with running((newer,), (backup,), watches=[(Gone("too old"),)]) as run:
        await run.clock.advance(1)
        assert run.held == {"a": "red"}
        assert run.source.watched_from == ["900", "500"]


async def test_the_time_of_the_last_sign_of_life_is_kept() -> None:
    """For the liveness probe."""
    async with running((BOTH,), watches=[(BOOKMARK, Unavailable("cut")), (BOOKMARK,)]) as run:
        assert run.informer.last_heard == 0
        await run.clock.advance(5)
        assert 0 < run.informer.last_heard <= 1


def test_a_problem_names_the_kind() -> None:
    """As `kubectl` does."""
    informer: Any = Informer(ScriptedSource([]), PODS, slim, Store(), print, FakeClock(), Random(1))
    assert str(informer) == "pods"


async def test_a_list_of_one_namespace_drops_nothing_of_another() -> None:
    """They share a store."""
    other = Record(namespace="other", name="b", uid="7", resource_version="5")
    async with running((listed(20, pod()),), watches=[], extent=Extent("ns")) as run:
        run.informer.store.put(other)
        run.informer.store.put(Record(name="gone", uid="8", resource_version="5"))
        run.source.lists = [(listed(30, pod()),)]
        await run.informer._list()
        assert set(run.source.asked) == {("ns", "")}
        assert {(record.namespace, record.name) for record in run.informer.store} == {("ns", "a"), ("other", "b")}
    assert run.changes == ["+a red", "-gone red"]


async def test_a_list_of_one_name_asks_for_it_alone() -> None:
    """Both the list and the watch: RBAC can allow no more."""
    async with running((listed(20, pod()),), watches=[], extent=Extent(name="a")) as run:
        assert run.source.asked == [(None, "metadata.name=a")] * 2


async def test_a_named_namespace_that_is_refused_holds_nothing_up() -> None:
    """After some tries; it is asked again for ever, and what is there in the end is told."""
    async with running(NO, NO, NO, (BOTH,), watches=[], extent=Extent("ns")) as run:
        await run.clock.advance(2)
        assert not run.informer.synced.is_set()
        await run.clock.advance(2)
        assert run.informer.synced.is_set()
        assert run.informer.barred.holds("ns")
        await run.clock.advance(30)
        assert run.changes == ["+a red", "+b red"]
        assert not run.informer.barred.holds("ns")


async def test_a_list_of_the_cluster_that_is_refused_is_waited_for() -> None:
    """Without it nothing can be decided."""
    async with running(*[NO] * 20, (BOTH,), watches=[]) as run:
        await run.clock.advance(200)
        assert not run.informer.synced.is_set()
