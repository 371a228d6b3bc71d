"""The work queue: many events, one key; a key is worked by one worker at a time.

The semantics are client-go's: a key that is added while it is worked comes back when that is done. Two lanes:
what just happened goes before what is merely looked at again, but every eighth turn belongs to the slow lane, so
that it never starves. Longer waits lie in a heap until the clock says so.
"""

import asyncio
import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from penstock.errors import PenstockError
from penstock.workqueue.backoff import Backoff
from penstock.workqueue.clock import Clock, sleep_or
from penstock.workqueue.rate import TokenBucket

__all__ = ["Observer", "QueueClosed", "SilentObserver", "WorkQueue"]

K = TypeVar("K", bound=Hashable)

_SLOW_TURN = 8
_STALE_TIMERS = 64


class QueueClosed(PenstockError):
    """No more keys come; workers end."""


class Observer(Protocol):
    """Where the queue's figures go."""

    def added(self, depth: int) -> None:
        """A key was added."""
        ...

    def taken(self, waited_seconds: float, depth: int) -> None:
        """A worker took a key."""
        ...

    def retried(self) -> None:
        """A key comes back after a failure."""
        ...


class SilentObserver:
    """Observes nothing."""

    def added(self, depth: int) -> None:
        """A key was added."""

    def taken(self, waited_seconds: float, depth: int) -> None:
        """A worker took a key."""

    def retried(self) -> None:
        """A key comes back after a failure."""


class WorkQueue(Generic[K]):
    """Keys that wait, each once; `get`, work, `done`."""

    def __init__(
        self, *, clock: Clock, backoff: Backoff, observer: Observer | None = None, rate: TokenBucket | None = None
    ) -> None:
        self._clock = clock
        self._backoff = backoff
        self._rate = rate
        self._observer: Observer = observer or SilentObserver()
        self._fast: OrderedDict[K, float] = OrderedDict()
        self._slow: OrderedDict[K, float] = OrderedDict()
        self._processing: dict[K, float] = {}
        self._again: dict[K, bool] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._numbers = itertools.count()
        self._turns = itertools.count(1)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer_changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._fast) + len(self._slow)

    @property
    def idle(self) -> bool:
        """True where nothing waits and nobody works; timers do not count."""
        return not self._fast and not self._slow and not self._processing

    @property
    def longest_running(self) -> float:
        """For how many seconds the key that is worked longest is worked; 0 where none is."""
        oldest = min(self._processing.values(), default=None)
        return 0.0 if oldest is None else self._clock.monotonic() - oldest

    def add(self, key: K, *, slow: bool = False) -> None:
        """Have the key worked; a key that waits already is not added twice, at most it changes to the fast lane."""
        if self._closed:
            return
        if key in self._processing:
            self._again[key] = self._again.get(key, True) and slow
            return
        if key in self._fast or (slow and key in self._slow):
            return
        since = self._slow.pop(key, self._clock.monotonic())
        (self._slow if slow else self._fast)[key] = since
        self._observer.added(len(self))
        self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Add it when the time has passed; the earliest of several wishes counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._closed or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        if not self._timers or due < self._timers[0][0]:
            self._timer_changed.set()
        heapq.heappush(self._timers, (due, next(self._numbers), key))
        if len(self._timers) > _STALE_TIMERS + 2 * len(self._due):
            self._drop_stale_timers()

    def retry(self, key: K) -> float:
        """Add it after its back-off, or later where too many fail at once; returns the delay in seconds."""
        delay = self._backoff.next(key)
        if self._rate is not None:
            delay = max(delay, self._rate.reserve())
        self._observer.retried()
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Its failures are over."""
        self._backoff.forget(key)

    async def get(self) -> K:
        """Wait for a key; it is this worker's until `done`. Raises `QueueClosed`."""
        while not self._closed and not len(self):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._pass_on(waiter)
                raise
        if self._closed:
            # What still waits is looked at again by the next process: it reads the world, not this queue.
            raise QueueClosed
        key, since = self._lane().popitem(last=False)
        now = self._processing[key] = self._clock.monotonic()
        self._observer.taken(now - since, len(self))
        return key

    def done(self, key: K) -> None:
        """The worker is through; a key touched meanwhile waits again."""
        self._processing.pop(key, None)
        slow = self._again.pop(key, None)
        if slow is not None:
            self.add(key, slow=slow)

    def close(self) -> None:
        """Wake everybody; nothing is added any more."""
        self._closed = True
        self._timer_changed.set()
        while self._waiters:
            self._wake_one()

    async def run_timers(self) -> None:
        """Move keys whose time has come; ends when the queue is closed."""
        while not self._closed:
            self._timer_changed.clear()
            self._move_due()
            if not self._timers:
                await self._timer_changed.wait()
                continue
            await sleep_or(self._clock, self._timers[0][0] - self._clock.monotonic(), self._timer_changed)

    def _move_due(self) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            # An entry that an earlier wish has replaced is stale.
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _drop_stale_timers(self) -> None:
        self._timers = [timer for timer in self._timers if self._due.get(timer[2]) == timer[0]]
        heapq.heapify(self._timers)

    def _lane(self) -> OrderedDict[K, float]:
        if self._slow and (not self._fast or next(self._turns) % _SLOW_TURN == 0):
            return self._slow
        return self._fast

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _pass_on(self, waiter: "asyncio.Future[None]") -> None:
        """A cancelled worker that was woken hands its turn to the next."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif len(self):
            self._wake_one()
