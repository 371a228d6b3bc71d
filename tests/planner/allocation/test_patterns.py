"""Patterns of one need: the best is found to the gap, and no pattern undercuts the bound."""

import random
from itertools import product

import pytest

from penstock.planner.allocation.exchanges import Tariff, cheaper
from penstock.planner.allocation.needs import Need, needs_of
from penstock.planner.allocation.patterns import Pattern, Pricer
from penstock.planner.allocation.problem import Demand, Option, Problem, Supply


def _need(*options: Option, rates: tuple[float, ...] = (10.0,), **settings: object) -> Need:
    demand = Demand("chat", options, rates, **settings)  # type: ignore[arg-type]
    supplies = tuple(Supply(pool, (64,), unpacked=True) for pool in sorted({option.pool for option in options}))
    return needs_of(Problem((demand,), supplies))[0]


def _random_need(chance: random.Random, buckets: int) -> Need:
    options = [
        Option(f"pool-{index}", 1, chance.randint(10, 60), tuple(chance.uniform(2, 9) for _ in range(buckets)))
        for index in range(4)
    ]
    running = {chance.randrange(4): chance.randint(1, 4)}
    rates = tuple(chance.uniform(3, 12) / buckets for _ in range(buckets))
    return _need(*options, rates=rates, running=running, churn=chance.choice((0, 5, 15)))


def _priced(need: Need) -> list[float]:
    return [float(choice.price) for choice in need.choices]


def _least(pricer: Pricer, churn: float) -> float:
    """The cheapest of all patterns that serve."""
    counts = product(*(range(choice.most + 1) for choice in pricer.need.choices))
    patterns = [tuple((position, count) for position, count in enumerate(each) if count) for each in counts]
    prices = _priced(pricer.need)
    return min(pricer.cost(prices, churn, each) for each in patterns if each and pricer.service(each) is not None)


@pytest.mark.parametrize("gap", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(25))
def test_the_best_pattern_is_found_to_the_gap(seed: int, gap: float) -> None:
    need = _random_need(random.Random(seed), buckets=1)
    pricer, churn = Pricer(need), float(need.demand.churn)
    found = pricer.find(_priced(need), churn, [], gap)
    best, least = min(pricer.cost(_priced(need), churn, each) for each in found.patterns), _least(pricer, churn)
    assert found.bound <= least + 1e-6
    assert least - 1e-6 <= best
    assert best - found.bound <= gap * abs(best) + gap * churn * 8 + 1e-6


@pytest.mark.parametrize("seed", range(15))
def test_no_pattern_of_three_buckets_undercuts_the_bound(seed: int) -> None:
    need = _random_need(random.Random(seed), buckets=3)
    pricer, churn = Pricer(need), float(need.demand.churn)
    found = pricer.find(_priced(need), churn, [], 0.005)
    assert found.bound <= _least(pricer, churn) + 1e-6


# Ten requests a second: four of the slow ones at 30, or two of the fast ones at 50 each; a fast and a slow one serve 8.
_SLOW, _FAST = Option("a", 1, 30, (3.0,)), Option("b", 1, 50, (5.0,))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(((0, 4),), ((1, 2),), id="for cheaper ones"),
        pytest.param(((0, 2), (1, 2)), ((1, 2),), id="for nothing"),
        pytest.param(((1, 2),), ((1, 2),), id="none saves"),
    ],
)
def test_exchanges(start: Pattern, end: Pattern) -> None:
    need = _need(_SLOW, _FAST)
    pricer, tariff = Pricer(need), Tariff(need, _priced(need), 0.0, [100.0], [0, 1])
    assert cheaper(start, tariff, lambda each: pricer.service(each) is not None) == end


def test_no_exchange_breaks_what_serves() -> None:
    need = _need(_SLOW, _FAST)
    tariff = Tariff(need, _priced(need), 0.0, [100.0], [0, 1])
    assert cheaper(((0, 4),), tariff, lambda _: False) == ((0, 4),)
