"""Nothing that rings is lost, and nobody waits longer than they want."""

import asyncio

import pytest

from builders.clock import FakeClock, settle
from penstock.server.access import GatewayName, Subresource
from penstock.server.problems import Problem
from penstock.server.waiting import Look, Waiters

TOPIC = (GatewayName("ns", "gw"), Subresource.TABLE)
OTHER = (GatewayName("ns", "gw"), Subresource.REPLICAS)


async def stays() -> None:
    """A client that does not hang up."""
    await asyncio.Event().wait()


class Thing:
    """What is waited for."""

    def __init__(self) -> None:
        self.value: str | None = None
        self.looks = 0
        self.again = float("inf")

    async def look(self) -> Look[str]:
        """Now."""
        self.looks += 1
        return Look(self.value, self.again)


async def test_a_ring_wakes_those_who_wait_for_it() -> None:
    """And nobody else."""
    clock, thing, other = FakeClock(), Thing(), Thing()
    waiters = Waiters(clock)
    one = asyncio.create_task(waiters.until(TOPIC, thing.look, seconds=10, hung_up=stays))
    two = asyncio.create_task(waiters.until(OTHER, other.look, seconds=10, hung_up=stays))
    await settle()
    assert len(waiters) == 2
    thing.value = other.value = "new"
    waiters.ring(TOPIC)
    assert await one == "new"
    assert other.looks == 2
    await clock.advance(10)
    assert await two == "new"
    assert len(waiters) == 0


async def test_a_ring_while_looking_is_not_lost() -> None:
    """What was read may be older than the ring."""
    clock, thing = FakeClock(), Thing()
    waiters = Waiters(clock)

    async def look() -> Look[str]:
        seen = await thing.look()
        if thing.looks == 2:
            thing.value = "new"
            waiters.ring(TOPIC)
        return seen

    waiting = asyncio.create_task(waiters.until(TOPIC, look, seconds=10, hung_up=stays))
    await settle()
    assert await waiting == "new"
    assert clock.monotonic() == 0


async def test_what_changes_by_itself_is_looked_at_then() -> None:
    """Without a ring."""
    clock, thing = FakeClock(), Thing()
    thing.again = 3
    waiting = asyncio.create_task(Waiters(clock).until(TOPIC, thing.look, seconds=10, hung_up=stays))
    await clock.advance(2)
    thing.value = "new"
    assert not waiting.done()
    await clock.advance(1)
    assert await waiting == "new"


@pytest.mark.parametrize("seconds", [0, 10])
async def test_nothing_new(seconds: float) -> None:
    """None when the time is up."""
    clock, thing = FakeClock(), Thing()
    waiting = asyncio.create_task(Waiters(clock).until(TOPIC, thing.look, seconds=seconds, hung_up=stays))
    await clock.advance(seconds)
    assert await waiting is None


async def test_who_hangs_up_gives_the_place_free() -> None:
    """Clients that die in a long poll must not fill the house."""
    clock, thing, gone = FakeClock(), Thing(), asyncio.Event()

    async def hangs_up() -> None:
        await gone.wait()

    waiters = Waiters(clock, limit=1)
    waiting = asyncio.create_task(waiters.until(TOPIC, thing.look, seconds=50, hung_up=hangs_up))
    await settle()
    with pytest.raises(Problem, match="wait already"):
        await waiters.until(TOPIC, thing.look, seconds=1, hung_up=stays)
    gone.set()
    assert await waiting is None
    assert len(waiters) == 0


async def test_the_end_of_the_process() -> None:
    """Those who wait are answered, those who come get one look."""
    clock, thing = FakeClock(), Thing()
    waiters = Waiters(clock)
    waiting = asyncio.create_task(waiters.until(TOPIC, thing.look, seconds=50, hung_up=stays))
    await settle()
    waiters.close()
    assert await waiting is None
    assert await waiters.until(TOPIC, thing.look, seconds=50, hung_up=stays) is None


async def test_a_look_that_fails_ends_the_wait() -> None:
    """And gives the place free."""

    async def fail() -> Look[str]:
        raise Problem(503, "DatabaseBusy", "busy")

    waiters = Waiters(FakeClock())
    with pytest.raises(Problem):
        await waiters.until(TOPIC, fail, seconds=50, hung_up=stays)
    assert len(waiters) == 0
