"""Tokens rotate without a gap, and there are never more than two good ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.rotation import StoredToken, displaced, live


def token(number: int, *, created: float, used: float = 0) -> StoredToken:
    """A stored one."""
    return StoredToken(number, f"digest-{number}", created, used)


OLD = token(1, created=1, used=2)


@pytest.mark.parametrize(
    ("newer", "now", "want"),
    [
        pytest.param([], 1e9, [1], id="alone: for ever"),
        pytest.param([token(2, created=100)], 200, [1, 2], id="a new one, nobody has it yet"),
        pytest.param([token(2, created=100, used=150)], 200, [1, 2], id="the first replica has the new one"),
        pytest.param([token(2, created=100, used=150)], 331, [2], id="all must have it"),
        pytest.param([token(2, created=100)], 3701, [2], id="an hour is over"),
    ],
)
def test_which_are_good(newer: list[StoredToken], now: float, want: list[int]) -> None:
    """The older one ends when the newer one is in use everywhere, or after an hour."""
    assert [each.id for each in live([OLD, *newer], now)] == want


@pytest.mark.parametrize(
    ("stored", "want"),
    [
        pytest.param([], [], id="the first"),
        pytest.param([OLD], [], id="the second"),
        pytest.param([OLD, token(2, created=100)], [2], id="one that nobody used"),
        pytest.param([OLD, token(2, created=100, used=190)], [1], id="the one that is on its way out"),
        pytest.param([OLD, token(2, created=-9999)], [1], id="a dead one"),
    ],
)
def test_which_goes_for_another(stored: list[StoredToken], want: list[int]) -> None:
    """The one that nobody can miss."""
    assert [each.id for each in displaced(stored, 200)] == want


@given(st.lists(st.tuples(st.sampled_from(["make", "use"]), st.integers(0, 4000)), max_size=30))
def test_never_more_than_two_and_never_none(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of making and using; what is in use stays good while a new one is made."""
    stored: list[StoredToken] = []
    now, number = 1.0, 0
    for action, seconds in steps:
        now += seconds
        if action == "make":
            in_use = [each for each in live(stored, now) if each.used_at]
            gone = displaced(stored, now)
            number += 1
            stored = [each for each in stored if each not in gone] + [token(number, created=now)]
            assert not in_use or in_use[-1] in live(stored, now)
        elif stored:
            newest = stored.pop()
            stored.append(token(newest.id, created=newest.created_at, used=newest.used_at or now))
        assert len(live(stored, now)) <= 2
        assert bool(live(stored, now)) == bool(stored)
