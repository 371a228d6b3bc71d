"""The work queue: dedupe, lanes, back-off, timers, and that no key is lost or worked twice at once."""

import asyncio
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.clock import FakeClock
from penstock.workqueue.backoff import Backoff
from penstock.workqueue.queue import QueueClosed, WorkQueue
from penstock.workqueue.rate import TokenBucket
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


async def test_a_closed_queue_gives_nothing_more() -> None:
    """What still waits is the next process's: a shutdown is short."""
    queue = make()
    queue.add("a")
    queue.close()
    with pytest.raises(QueueClosed):
        await queue.get()
    queue.add("b")
    queue.add_after("c", 0)
    assert len(queue) == 1


async def test_a_key_that_waits_for_its_timer_can_come_earlier() -> None:
    """The timer then brings it once more."""
    clock = FakeClock()
    queue = make(clock)
    timers = asyncio.create_task(queue.run_timers())
    queue.add_after("a", 10)
    queue.add("a")
    assert await drain(queue) == ["a"]
    await clock.advance(10)
    assert await drain(queue) == ["a"]
    queue.close()
    await timers


async def test_an_earlier_timer_overtakes_the_one_that_is_slept_on() -> None:
    """It need not wait for the first to end."""
    clock = FakeClock()
    queue = make(clock)
    timers = asyncio.create_task(queue.run_timers())
    queue.add_after("late", 100)
    await clock.advance(1)
    queue.add_after("early", 1)
    await clock.advance(1)
    assert await drain(queue) == ["early"]
    queue.close()
    await timers


async def test_timers_that_were_replaced_take_no_memory() -> None:
    """Each key has one wish, however often it is brought forward."""
    queue = make()
    for number in range(10_000):
        queue.add_after("a", 20_000 - number)
    assert len(queue._timers) < 100


async def test_what_fails_often_waits_longer_and_others_do_not() -> None:
    """Back-off is per key and ends with a success."""
    queue = make()
    delays = [queue.retry("bad") for _ in range(10)]
    assert delays[-1] > 100 * delays[0]
    assert queue.retry("other") <= 0.005
    queue.forget("bad")
    assert queue.retry("bad") <= 0.005


async def test_failures_of_all_keys_together_are_limited() -> None:
    """When everything fails, the API server is not asked by everybody at once."""
    clock = FakeClock()
    rate = TokenBucket(clock, per_second=10, burst=5)
    queue: WorkQueue[int] = WorkQueue(clock=clock, backoff=Backoff(Random(1)), rate=rate)
    delays = [queue.retry(key) for key in range(105)]
    assert max(delays[:5]) <= 0.005
    assert delays[-1] == pytest.approx(10)


async def test_the_longest_running_key_is_known() -> None:
    """A worker that hangs can be seen."""
    clock = FakeClock()
    queue = make(clock)
    assert queue.longest_running == 0
    queue.add("a")
    queue.add("b")
    await queue.get()
    await clock.advance(5)
    await queue.get()
    await clock.advance(1)
    assert queue.longest_running == 6
    queue.done("a")
    assert queue.longest_running == 1


class Figures:
    """Remembers what the queue says of itself."""

    def __init__(self) -> None:
        self.said: list[tuple[str, float, int]] = []

    def added(self, depth: int) -> None:
        """A key waits."""
        self.said.append(("added", 0, depth))

    def taken(self, waited_seconds: float, depth: int) -> None:
        """A key is worked."""
        self.said.append(("taken", waited_seconds, depth))

    def retried(self) -> None:
        """A key failed."""
        self.said.append(("retried", 0, 0))


async def test_the_queue_tells_its_figures() -> None:
    """Depth, adds, how long a key waited, and failures."""
    clock, figures = FakeClock(), Figures()
    queue: WorkQueue[str] = WorkQueue(clock=clock, backoff=Backoff(Random(1)), observer=figures)
    queue.add("a", slow=True)
    await clock.advance(3)
    queue.add("a")
    queue.add("b")
    await queue.get()
    queue.retry("a")
    assert figures.said == [("added", 0, 1), ("added", 0, 1), ("added", 0, 2), ("taken", 3, 1), ("retried", 0, 0)]


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


async def test_workers_end_with_the_queue_though_keys_wait() -> None:
    """A worker finishes the key that it has, and takes no other."""
    clock, observed = FakeClock(), Observed()
    queue = make(clock)

    async def reconcile(_: str) -> Result:
        await clock.sleep(1)
        return Result()

    workers = asyncio.create_task(Workers(queue, reconcile, clock, observed, count=1).run())
    queue.add("a")
    queue.add("b")
    await clock.advance(0)
    queue.close()
    await clock.advance(1)
    await workers
    assert observed.outcomes == [("a", "success")]


@pytest.mark.property
@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 4), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_workers_see_each_last_change_and_never_share_a_key(events: list[tuple[str, int, bool]], count: int) -> None:
    """Events at any time, work that takes time and fails now and then, some workers."""
    asyncio.run(_work(events, count))


async def _work(events: list[tuple[str, int, bool]], count: int) -> None:
    clock, queue_clock = FakeClock(), FakeClock()
    queue = make(queue_clock)
    world: Counter[str] = Counter()
    known: dict[str, int] = {}
    working: set[str] = set()

    async def reconcile(key: str) -> Result:
        assert key not in working
        working.add(key)
        seen = world[key]
        await clock.sleep(1)
        working.remove(key)
        if seen % 5 == 4 and known.get(key) != -seen:
            known[key] = -seen
            message = "now and then"
            raise Retry(message)
        known[key] = seen
        return Result()

    workers = asyncio.create_task(Workers(queue, reconcile, clock, Observed(), count=count).run())
    for key, pause, slow in events:
        world[key] += 1
        queue.add(key, slow=slow)
        await clock.advance(pause)
    while not queue.idle or queue._due:
        await clock.advance(1)
        await queue_clock.advance(1)
    queue.close()
    await workers
    assert known == dict(world)


@pytest.mark.property
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40))
def test_a_lane_is_fair(keys: list[str]) -> None:
    """First come, first served: a key that is touched again keeps its place."""
    assert asyncio.run(_order(keys)) == list(dict.fromkeys(keys))


async def _order(keys: list[str]) -> list[str]:
    queue = make()
    for key in keys:
        queue.add(key)
    return await drain(queue)
