"""The work queue: dedupe, lanes, back-off, timers, and that no key is lost or worked twice at once."""

import asyncio
from random import Random

import pytest
from builders.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from penstock.workqueue.backoff import Backoff
from penstock.workqueue.queue import QueueClosed, WorkQueue
from penstock.workqueue.workers import Result, Retry, Workers


def make(clock: FakeClock | None = None) -> WorkQueue[str]:
    """A queue with a seeded back-off."""
    return WorkQueue(clock=clock or FakeClock(), backoff=Backoff(Random(1)))


async def drain(queue: WorkQueue[str]) -> list[str]:
    """Work everything that waits."""
    taken = []
    while len(queue):
        taken.append(await queue.get())
        queue.done(taken[-1])
    return taken


async def test_a_key_waits_once() -> None:
    """Many events, one pass."""
    queue = make()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert await drain(queue) == ["a", "b"]


async def test_a_key_touched_while_it_is_worked_comes_back_after() -> None:
    """Never two workers on one key, never a lost change."""
    queue = make()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await drain(queue) == ["a"]


async def test_what_just_happened_goes_before_what_is_looked_at_again() -> None:
    """A live event does not wait behind the sweep."""
    queue = make()
    queue.add("slow", slow=True)
    queue.add("fast")
    assert await drain(queue) == ["fast", "slow"]


async def test_a_slow_key_that_is_touched_becomes_fast() -> None:
    """It keeps no second entry."""
    queue = make()
    queue.add("x", slow=True)
    queue.add("y", slow=True)
    queue.add("y")
    assert await drain(queue) == ["y", "x"]


async def test_the_slow_lane_never_starves() -> None:
    """Under endless fast keys a slow one comes within eight turns."""
    queue = make()
    queue.add("slow", slow=True)
    turns = []
    for number in range(10):
        queue.add(f"fast-{number}")
        queue.add(f"more-{number}")
        turns.append(await queue.get())
        queue.done(turns[-1])
    assert "slow" in turns[:8]


async def test_a_timer_adds_the_key_when_its_time_has_come() -> None:
    """The earliest wish counts; the later one is forgotten."""
    clock = FakeClock()
    queue = make(clock)
    timers = asyncio.create_task(queue.run_timers())
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    await clock.advance(4.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await drain(queue) == ["a"]
    await clock.advance(10)
    assert len(queue) == 0
    queue.close()
    await timers


async def test_a_closed_queue_ends_its_workers() -> None:
    """Also those that wait already."""
    queue = make()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(QueueClosed):
        await waiting


async def test_a_cancelled_worker_hands_its_turn_on() -> None:
    """A key that woke a dying worker is not lost."""
    queue = make()
    dying = asyncio.create_task(queue.get())
    living = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    dying.cancel()
    assert await living == "a"


def test_backoff_grows_to_five_minutes_and_is_forgotten() -> None:
    """From milliseconds to minutes, with jitter that only shortens."""
    backoff = Backoff(Random(1))
    delays = [backoff.next("a") for _ in range(40)]
    assert 0.00375 <= delays[0] <= 0.005
    assert 225 <= delays[-1] <= 300
    backoff.forget("a")
    assert backoff.next("a") <= 0.005


@pytest.mark.property
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=40))
def test_no_key_is_lost_or_worked_twice_at_once(steps: list[tuple[str, bool, bool]]) -> None:
    """Whatever the order of adds, takes and dones: each added key is worked after its last add."""
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, bool, bool]]) -> None:
    queue = make()
    unseen: set[str] = set()
    working: list[str] = []
    for key, slow, act in steps:
        queue.add(key, slow=slow)
        unseen.add(key)
        if act and len(queue):
            taken = await queue.get()
            assert taken not in working
            working.append(taken)
            unseen.discard(taken)
        elif working:
            queue.done(working.pop(0))
    for key in working:
        queue.done(key)
    unseen -= set(await drain(queue))
    assert not unseen


class Observed:
    """Remembers outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[object, str]] = []

    def worked(self, key: object, result: str, seconds: float) -> None:
        """One pass."""
        assert seconds >= 0
        self.outcomes.append((key, result))


async def test_workers_survive_what_a_key_does() -> None:
    """An unexpected error costs a back-off of that key, not the worker."""
    clock, observed = FakeClock(), Observed()
    queue = make(clock)

    async def reconcile(key: str) -> Result:
        if key == "bad":
            message = "broken"
            raise ValueError(message)
        if key == "later":
            raise Retry(after=30)
        return Result(requeue_after=60 if key == "timer" else None)

    workers = asyncio.create_task(Workers(queue, reconcile, clock, observed, count=2).run())
    for key in ("bad", "good", "timer", "later"):
        queue.add(key)
    await clock.advance(0)
    assert sorted(observed.outcomes) == [
        ("bad", "error"),
        ("good", "success"),
        ("later", "retry"),
        ("timer", "requeue_after"),
    ]
    await clock.advance(0.005)
    assert observed.outcomes.count(("bad", "error")) == 2
    queue.close()
    await workers
