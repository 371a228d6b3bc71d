"""Workers: take a key, reconcile it, and deal with what came of it; one failing key harms no other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from penstock.errors import PenstockError
from penstock.workqueue.clock import Clock
from penstock.workqueue.queue import QueueClosed, WorkQueue

__all__ = ["Result", "Retry", "WorkObserver", "Workers"]

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile came to; `requeue_after` in seconds, None: when something changes."""

    requeue_after: float | None = None


class Retry(PenstockError):
    """Not this time: once more after the key's back-off, or after `after` seconds."""

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class WorkObserver(Protocol):
    """Where the workers' figures go."""

    def worked(self, key: Hashable, result: str, seconds: float) -> None:
        """A pass over a key ended as `success`, `requeue_after`, `retry` or `error`."""
        ...


@dataclass(slots=True)
class Workers(Generic[K]):
    """`count` workers on one queue; `run` ends when the queue is closed."""

    queue: WorkQueue[K]
    reconcile: Callable[[K], Awaitable[Result]]
    clock: Clock
    observer: WorkObserver
    count: int = 32

    async def prepare(self, key: K) -> None:
        """Work this key before there are workers; where it fails it comes back like any other."""
        await self._one(key)

    async def run(self) -> None:
        """Work until the queue is closed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run_timers())
            for _ in range(self.count):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                await self._one(key)
            finally:
                self.queue.done(key)
            # A pass without a request never waits: thousands of them in a row would hold the loop for seconds.
            await asyncio.sleep(0)

    async def _one(self, key: K) -> None:
        started = self.clock.monotonic()
        outcome = await self._outcome(key)
        self.observer.worked(key, outcome, self.clock.monotonic() - started)

    async def _outcome(self, key: K) -> str:
        """A worker outlives whatever one key does: this is the one place that catches everything."""
        try:
            result = await self.reconcile(key)
        except Retry as again:
            self._again(key, again)
            return "retry"
        except PenstockError as error:
            _log.warning("%s: %s; again in %.1f s", key, error, self.queue.retry(key))
            return "error"
        except Exception:  # noqa: BLE001 - one broken key must not stop the others
            _log.exception("%s: unexpected; again in %.1f s", key, self.queue.retry(key))
            return "error"
        self.queue.forget(key)
        if result.requeue_after is None:
            return "success"
        self.queue.add_after(key, result.requeue_after)
        return "requeue_after"

    def _again(self, key: K, again: Retry) -> None:
        if again.after is None:
            self.queue.retry(key)
        else:
            self.queue.add_after(key, again.after)
