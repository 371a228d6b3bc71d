"""The token bucket."""

from builders.clock import FakeClock
from penstock.workqueue.rate import TokenBucket


async def test_a_bucket_is_full_at_first_and_fills_again() -> None:
    """So many at once, then so many per second, never more than the burst."""
    clock = FakeClock()
    bucket = TokenBucket(clock, per_second=2, burst=3)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    await clock.advance(1)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    await clock.advance(100)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


async def test_who_reserves_waits_in_line() -> None:
    """Each a token later than the one before."""
    clock = FakeClock()
    bucket = TokenBucket(clock, per_second=2, burst=1)
    assert [bucket.reserve() for _ in range(3)] == [0, 0.5, 1.0]
    await clock.advance(1.5)
    assert bucket.reserve() == 0
