"""Time as an argument: the only place that asks the machine for it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "sleep_or"]


class Clock(Protocol):
    """What time it is, and waiting for it to pass."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def sleep_or(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Wait until the time has passed or the event is set, whichever comes first."""
    sleeping = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    happening = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({sleeping, happening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sleeping, happening):
            task.cancel()
        await asyncio.gather(sleeping, happening, return_exceptions=True)
