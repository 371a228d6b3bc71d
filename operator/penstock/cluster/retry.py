"""One policy for what may pass by itself: 429, 5xx, a broken connection; within a deadline for the whole request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from penstock.cluster.errors import TooManyRequests, Unavailable
from penstock.workqueue.clock import Clock

__all__ = ["RetryPolicy"]

T = TypeVar("T")

_SHORTEST_ATTEMPT_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Tries again with growing, jittered pauses, or those that the server asks for; times are in seconds.

    `deadline` counts from the first attempt.
    """

    clock: Clock
    random: Random
    deadline: float = 30.0
    first_pause: float = 0.1
    last_pause: float = 5.0
    longest_attempt: float = 15.0
    attempts: int = 12

    async def run(self, attempt: Callable[[float], Awaitable[T]], *, repeatable: bool) -> T:
        """Call `attempt` with the seconds that it may take, until it answers; the last error where it never does.

        What is not `repeatable` is only sent again where it surely did not happen.
        """
        end, pause, tried = self.clock.monotonic() + self.deadline, self.first_pause, 0
        while True:
            left = end - self.clock.monotonic()
            try:
                return await attempt(min(max(left, _SHORTEST_ATTEMPT_SECONDS), self.longest_attempt))
            except (TooManyRequests, Unavailable) as error:
                wait, tried = self._pause(error, pause), tried + 1
                late = self.clock.monotonic() + wait >= end
                if late or tried == self.attempts or not (repeatable or _never_happened(error)):
                    raise
            await self.clock.sleep(wait)
            pause = min(pause * 2, self.last_pause)

    def _pause(self, error: TooManyRequests | Unavailable, pause: float) -> float:
        if error.retry_after is not None:
            # All who were turned away together should not come back together.
            return error.retry_after + self.random.uniform(0.0, self.first_pause)
        return pause * self.random.uniform(0.5, 1.0)


def _never_happened(error: TooManyRequests | Unavailable) -> bool:
    return isinstance(error, TooManyRequests) or not error.sent
