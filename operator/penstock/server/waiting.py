"""Long polls: whoever waits looks, sleeps until something rings or its time is up, and looks again."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from penstock.server.access import GatewayName, Subresource
from penstock.server.problems import Problem
from penstock.workqueue.clock import Clock, sleep_or

__all__ = ["Look", "Topic", "Waiters"]

Topic = tuple[GatewayName, Subresource]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Look(Generic[T_co]):
    """What was seen: the answer, or None and after how many seconds it may change without a ring."""

    found: T_co | None
    again: float = float("inf")


@dataclass(slots=True)
class Waiters:
    """Everybody who waits in this process, at most `limit`; `occupied` is set while there is anybody."""

    clock: Clock
    limit: int = 4000
    closed: bool = False
    occupied: asyncio.Event = field(default_factory=asyncio.Event)
    _bells: defaultdict[Topic, set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(bells) for bells in self._bells.values())

    def ring(self, topic: Topic) -> None:
        """Something changed: everybody who waits for it looks again."""
        for bell in self._bells.get(topic, ()):
            bell.set()

    def close(self) -> None:
        """Nobody waits any longer: the process ends."""
        self.closed = True
        for topic in list(self._bells):
            self.ring(topic)

    async def until(
        self,
        topic: Topic,
        look: Callable[[], Awaitable[Look[T]]],
        *,
        seconds: float,
        hung_up: Callable[[], Awaitable[None]],
    ) -> T | None:
        """What was found; None after `seconds`, at the end of the process, or when the client has gone.

        Problem (503) where too many wait already.
        """
        latest = self.clock.monotonic() + seconds
        # Who need not wait takes no place.
        seen = await look()
        if seen.found is not None or seconds <= 0 or self.closed:
            return seen.found
        with self._bell(topic) as bell:
            leaving = asyncio.ensure_future(hung_up())
            leaving.add_done_callback(lambda _: bell.set())
            try:
                return await self._watch(look, bell, leaving, latest)
            finally:
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)

    async def _watch(
        self,
        look: Callable[[], Awaitable[Look[T]]],
        bell: asyncio.Event,
        leaving: "asyncio.Future[None]",
        latest: float,
    ) -> T | None:
        while True:
            # Strictly before looking: what rings while we look must not be lost.
            bell.clear()
            seen = await look()
            left = latest - self.clock.monotonic()
            if seen.found is not None or left <= 0 or self.closed or leaving.done():
                return seen.found
            await sleep_or(self.clock, min(left, seen.again), bell)

    @contextmanager
    def _bell(self, topic: Topic) -> Iterator[asyncio.Event]:
        if len(self) >= self.limit:
            message = f"{self.limit} requests wait already"
            cure = "try again later, or run more servers on PostgreSQL"
            raise Problem(503, "TooManyWaiters", message, cure=cure, retry_after=5)
        bell = asyncio.Event()
        self._bells[topic].add(bell)
        self.occupied.set()
        try:
            yield bell
        finally:
            self._bells[topic].discard(bell)
            if not self._bells[topic]:
                del self._bells[topic]
            if not self._bells:
                self.occupied.clear()
