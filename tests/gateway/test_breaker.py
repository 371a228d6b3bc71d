"""When a circuit opens, and how it closes."""

from penstock_gateway.breaker import Breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(3)
    for _ in range(3):
        breaker.began()
        breaker.failed(at)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3)
    for outcome in (breaker.failed, breaker.failed):
        outcome(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.permits(0.0)
    assert not opened().permits(0.9)


def test_one_probe_goes_through_after_a_pause() -> None:
    breaker = opened()
    assert breaker.permits(1.0)
    breaker.began()
    assert not breaker.permits(1.0)
    breaker.succeeded()
    assert breaker.permits(1.0)


def test_a_failed_probe_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now, pauses = opened(), 1.0, []
    for _ in range(8):
        breaker.began()
        breaker.failed(now)
        pause = next(seconds for seconds in range(100) if breaker.permits(now + seconds))
        pauses.append(pause)
        now += pause
    assert pauses == [2, 4, 8, 16, 30, 30, 30, 30]


def test_what_was_under_way_does_not_lengthen_the_pause() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(0.5)
    assert breaker.permits(1.0)


def test_a_probe_that_says_nothing_lets_another_go() -> None:
    breaker = opened()
    breaker.began()
    breaker.spared()
    assert breaker.permits(1.0)
