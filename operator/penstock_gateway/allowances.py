"""What each consumer may still ask of this replica: its share of the limits, in buckets that fill within a minute.

The share is the limit by the number of live replicas, because requests spread over them. Pure, and without locks: all
of it happens between two awaits of one event loop.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock_gateway.errors import Limited
from penstock_policy.decision import Index
from penstock_policy.table import Consumer

__all__ = ["Allowances"]

_MINUTE = 60.0
_LONGEST_WAIT_SECONDS = 3600
_DIGITS = 6
_REQUESTS, _TOKENS = "requestsPerMinute", "tokensPerMinute"


@dataclass(slots=True)
class _Bucket:
    """Holds a minute's share, at least 1; below 0 where answers were longer than what was left."""

    size: float
    left: float
    at: float

    def fill(self, share: float, now: float) -> None:
        """With what the time gave since, of a share that may have changed."""
        self.size = max(1.0, share)
        self.left = min(self.size, self.left + (now - self.at) * share / _MINUTE)
        self.at = now

    def lacks(self, amount: float) -> float:
        """How much is missing for it; what is more than the bucket holds passes when that is full."""
        return round(min(amount, self.size) - self.left, _DIGITS)


@dataclass(slots=True)
class Allowances:
    """`admit` before a request, `settle` after it; `now` is in seconds of a clock that never goes back."""

    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict)
    """By consumer and limit; only of those that have limits."""

    def admit(self, consumer: Consumer, prompt_tokens: int, *, replicas: int, now: float) -> Limited | None:
        """Take one request and the tokens of its prompt; where a limit is used up, which, and nothing is taken."""
        if consumer.requests_per_minute is None and consumer.tokens_per_minute is None:
            return None
        taken = []
        for name, limit, amount in _stated(consumer, prompt_tokens):
            share = limit / max(1, replicas)
            bucket = self._bucket(consumer, name, share, now)
            lacking = bucket.lacks(amount)
            if lacking > 0:
                return Limited(consumer.name, name, limit, _wait(lacking, share))
            taken.append((bucket, amount))
        for bucket, amount in taken:
            bucket.left -= amount
        return None

    def settle(self, consumer: Consumer, prompt_tokens: int, used: int) -> None:
        """What was used takes the place of the estimate that `admit` took."""
        bucket = self._buckets.get((consumer.name, _TOKENS))
        if bucket is not None:
            bucket.left = min(bucket.size, bucket.left + prompt_tokens - used)

    def apply(self, index: Index) -> None:
        """Forget whom the table no longer has: there are never more buckets than limits in it."""
        if self._buckets:
            names = {consumer.name for consumer in index.table.consumers}
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] in names}

    def _bucket(self, consumer: Consumer, name: str, share: float, now: float) -> _Bucket:
        """Filled up to now; a new one is full."""
        bucket = self._buckets.get((consumer.name, name))
        if bucket is None:
            bucket = self._buckets[consumer.name, name] = _Bucket(share, math.inf, now)
        bucket.fill(share, now)
        return bucket


def _stated(consumer: Consumer, prompt_tokens: int) -> Iterator[tuple[str, int, int]]:
    """Each limit by its field's name, and what a request takes of it."""
    if consumer.requests_per_minute is not None:
        yield _REQUESTS, consumer.requests_per_minute, 1
    if consumer.tokens_per_minute is not None:
        yield _TOKENS, consumer.tokens_per_minute, prompt_tokens


def _wait(lacking: float, share: float) -> int:
    """Whole seconds until it is there; a long answer may have overdrawn a bucket by hours."""
    return math.ceil(min(_LONGEST_WAIT_SECONDS, lacking * _MINUTE / share)) if share > 0 else _LONGEST_WAIT_SECONDS
