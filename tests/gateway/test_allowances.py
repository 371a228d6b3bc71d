"""Consumers' limits: what passes, what waits and for how long, by a clock that tests move."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.tables import backend, consumer, table
from penstock_gateway.allowances import Allowances
from penstock_gateway.errors import Limited
from penstock_policy.decision import Index


@dataclass
class Till:
    """Asks for one consumer."""

    limits: dict[str, Any]
    replicas: int = 1
    now: float = 0.0
    allowances: Allowances = field(default_factory=Allowances)

    def ask(self, tokens: int = 1) -> Limited | None:
        """A request whose prompt has so many tokens."""
        return self.allowances.admit(consumer(**self.limits), tokens, replicas=self.replicas, now=self.now)

    def passed(self, tokens: int = 1) -> int:
        """How many go through at this moment."""
        return next(number for number in itertools.count() if self.ask(tokens))

    def settle(self, tokens: int, used: int) -> None:
        """The answer came."""
        self.allowances.settle(consumer(**self.limits), tokens, used)


def test_who_has_no_limits_is_not_kept() -> None:
    till = Till({})
    assert all(till.ask(10**9) is None for _ in range(1000))
    assert till.allowances == Allowances()


@pytest.mark.parametrize(("replicas", "burst"), [(1, 6), (2, 3), (3, 2), (6, 1), (100, 1)])
def test_a_replica_grants_its_share_at_once_and_then_by_the_minute(replicas: int, burst: int) -> None:
    till = Till({"requests_per_minute": 6}, replicas)
    assert till.passed() == burst
    limited = till.ask()
    assert limited is not None
    assert (limited.limit, limited.seconds) == ("requestsPerMinute", 10 * replicas)
    till.now = limited.seconds - 0.5
    assert till.passed() == 0
    till.now = float(limited.seconds)
    assert till.passed() == 1


def test_another_replica_takes_its_share_from_then_on() -> None:
    till = Till({"requests_per_minute": 60})
    till.replicas = 4
    assert till.passed() == 15
    till.replicas = 1
    till.now = 30.0
    assert till.passed() == 30


def test_tokens_are_taken_by_estimate_and_settled_by_use() -> None:
    till = Till({"tokens_per_minute": 600})
    assert till.ask(100) is None
    till.settle(100, 550)
    assert till.ask(50) is None
    limited = till.ask(10)
    assert limited is not None
    assert (limited.limit, limited.seconds) == ("tokensPerMinute", 1)
    till.settle(50, 0)
    assert till.ask(50) is None


def test_a_long_answer_is_paid_back_before_the_next_request() -> None:
    till = Till({"tokens_per_minute": 600})
    till.ask(100)
    till.settle(100, 1800)
    limited = till.ask(1)
    assert limited is not None
    assert limited.seconds == 121
    till.settle(0, 10**9)
    overdrawn = till.ask(1)
    assert overdrawn is not None
    assert overdrawn.seconds == 3600


def test_a_prompt_above_the_share_passes_when_nothing_is_owed() -> None:
    """It would never pass otherwise."""
    till = Till({"tokens_per_minute": 600})
    assert till.ask(1000) is None
    assert till.ask(1) is not None
    till.now = 41.0
    assert till.ask(1) is None


def test_what_one_limit_refuses_takes_nothing_of_the_other() -> None:
    till = Till({"requests_per_minute": 2, "tokens_per_minute": 100})
    assert till.ask(100) is None
    assert all(till.ask(100) is not None for _ in range(5))
    till.settle(100, 0)
    assert till.ask(100) is None


def test_whom_the_table_no_longer_has_is_forgotten() -> None:
    till = Till({"requests_per_minute": 1, "tokens_per_minute": 10})
    till.ask()
    kept = Index.of(table(backend("a", "http://a"), consumers=(consumer(),)))
    till.allowances.apply(kept)
    assert till.passed() == 0
    till.allowances.apply(Index.of(table(backend("a", "http://a"), consumers=())))
    till.settle(1, 5)
    assert till.allowances == Allowances()


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 8)), max_size=60),
    st.integers(1, 50),
    st.integers(1, 8),
)
def test_no_more_than_the_share_and_one_burst_ever_passes(
    asked: list[tuple[float, int]], limit: int, replicas: int
) -> None:
    till = Till({"requests_per_minute": limit}, replicas)
    passed = 0
    for pause, count in asked:
        till.now += pause
        passed += sum(till.ask() is None for _ in range(count))
    share = limit / replicas
    assert passed <= max(1.0, share) + till.now * share / 60 + 1e-6
