"""Per-key exponential back-off with jitter, from 5 ms to 5 minutes."""

from collections.abc import Hashable
from random import Random

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.005
_LAST_SECONDS = 300.0
_MOST_DOUBLINGS = 30


class Backoff:
    """Counts the failures of each key; forgets a key that succeeds."""

    def __init__(self, random: Random, *, first: float = _FIRST_SECONDS, last: float = _LAST_SECONDS) -> None:
        self._random = random
        self._first = first
        self._last = last
        self._failures: dict[Hashable, int] = {}

    def next(self, key: Hashable) -> float:
        """One more failure: how long to wait, in seconds; never more than `last`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._first * 2.0 ** min(failures, _MOST_DOUBLINGS), self._last)
        return delay * self._random.uniform(0.75, 1.0)

    def forget(self, key: Hashable) -> None:
        """It succeeded, or is gone."""
        self._failures.pop(key, None)

    def failures(self, key: Hashable) -> int:
        """How often it failed in a row."""
        return self._failures.get(key, 0)
