"""Which of a gateway's tokens are good: at most two, so that one can replace the other without a gap. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["StoredToken", "displaced", "live"]

_OVERLAP_SECONDS = 3600.0
# A mounted Secret takes up to 90 s to reach every replica: the first that has the new one must not lock the others out.
_HANDOVER_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token's digest and its times in seconds since 1970; `used_at` 0: not yet."""

    id: int
    digest: str
    created_at: float
    used_at: float


def live(tokens: Sequence[StoredToken], now: float) -> tuple[StoredToken, ...]:
    """The good ones, oldest first: each lives until its successor is in use everywhere, or is an hour old."""
    ordered = sorted(tokens, key=lambda token: token.id)
    return tuple(
        token
        for place, token in enumerate(ordered)
        if not any(_replaces(successor, now) for successor in ordered[place + 1 :])
    )


def displaced(tokens: Sequence[StoredToken], now: float) -> tuple[StoredToken, ...]:
    """Those that go when another one is made: the dead, and of two good ones the one that nobody can miss."""
    good = live(tokens, now)
    dead = tuple(token for token in tokens if token not in good)
    if len(good) < 2:  # noqa: PLR2004 - one may stay beside the new one
        return dead
    oldest, newest = good[0], good[-1]
    # An unused one was never mounted anywhere; once it is used, replicas are on their way from the older one.
    return (*dead, oldest if newest.used_at else newest)


def _replaces(successor: StoredToken, now: float) -> bool:
    used = successor.used_at > 0 and now - successor.used_at >= _HANDOVER_SECONDS
    return used or now - successor.created_at >= _OVERLAP_SECONDS
