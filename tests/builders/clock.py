"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

__all__ = ["FakeClock", "InstantClock"]


class FakeClock:
    """Time as the test wants it; `advance` wakes whoever sleeps until then."""

    def __init__(self, start: datetime = datetime(2026, 11, 21, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = 0

    def now(self) -> datetime:
        """The wall clock."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since the test began."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock by that much."""
        future = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._number, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let everybody who wakes run."""
        target = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = target
        await settle()


class InstantClock(FakeClock):
    """A clock on which sleeping takes no time: it moves on by itself, and remembers each pause."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.pauses.append(seconds)
        self._elapsed += seconds
        await asyncio.sleep(0)


async def settle(turns: int = 10) -> None:
    """Let tasks that are ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)
