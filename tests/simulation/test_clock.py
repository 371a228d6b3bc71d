"""The fast clock shortens waits and stretches what it measures; the wall clock stays."""

import asyncio

from builders.clock import FakeClock, settle
from penstock.simulation.clock import FastClock


async def test_waits_are_shorter_and_measures_longer() -> None:

    real = FakeClock()
    fast = FastClock(real, speed=20)
    waiting = asyncio.create_task(fast.sleep(60))
    await real.advance(2.9)
    assert not waiting.done()
    await real.advance(0.2)
    await settle()
    assert waiting.done()
    assert fast.monotonic() == real.monotonic() * 20
    assert fast.now() == real.now()
