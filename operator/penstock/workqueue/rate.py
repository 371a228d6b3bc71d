"""A token bucket: so many at once, then so many per second; time is the clock's."""

from penstock.workqueue.clock import Clock

__all__ = ["TokenBucket"]


class TokenBucket:
    """Full at first; `take` spends what is there, `reserve` also what will be."""

    def __init__(self, clock: Clock, *, per_second: float, burst: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """One token, if there is one."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self) -> float:
        """One token, now or later; how many seconds to wait for it."""
        self._fill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
