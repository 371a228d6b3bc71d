"""A clock that runs faster than the machine's, so that minutes of loading pass in seconds."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from penstock.workqueue.clock import Clock

__all__ = ["FastClock"]


@dataclass(frozen=True, slots=True)
class FastClock:
    """Waits and measures `speed` times faster; the wall clock stays the machine's, so that times can be compared."""

    real: Clock
    speed: float = 1.0

    def now(self) -> datetime:
        """The wall clock."""
        return self.real.now()

    def monotonic(self) -> float:
        """Simulated seconds."""
        return self.real.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for simulated seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self.real.sleep(seconds / self.speed)
