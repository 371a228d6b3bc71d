"""What holds for every problem: nothing is broken, order does not matter, more capacity never hurts, nothing is better.

How many problems each property sees is the Hypothesis profile's matter (a third of what it asks: a problem is dear).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.planner.allocation.greedy import allocate
from penstock.planner.allocation.master import mix
from penstock.planner.allocation.needs import needs_of
from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Allocation, Budget, Demand, Option, Problem, Supply
from penstock.planner.allocation.solve import solve
from penstock.planner.allocation.verify import violations

pytestmark = pytest.mark.property
profile = settings.default or settings()
over_many = settings(
    deadline=None, max_examples=profile.max_examples // 3, suppress_health_check=[HealthCheck.too_slow]
)

POOLS = ("a", "b")
Draw = Callable[[st.SearchStrategy[Any]], Any]
Merit = tuple[tuple[float, ...], float, int]


@st.composite
def some_options(draw: Draw, buckets: int) -> tuple[Option, ...]:
    ranks = draw(st.sampled_from(((0, 0, 0), (0, 1, 2))))
    return tuple(
        Option(
            pool=draw(st.sampled_from(POOLS)),
            gpus=draw(st.sampled_from((1, 2, 4, 8, 16))),
            cost=draw(st.sampled_from((0, 7, 10, 25, 1_000_000))),
            throughput=tuple(draw(st.sampled_from((0.0, 0.5, 1.0, 1.7))) for _ in range(buckets)),
            rank=ranks[index],
            penalty=draw(st.sampled_from((0, 0, 3))),
        )
        for index in range(draw(st.integers(1, 2)))
    )


@st.composite
def some_demands(draw: Draw, name: str) -> Demand:
    buckets = draw(st.sampled_from((0, 1, 1, 2)))
    options = draw(some_options(buckets))
    asked: dict[str, Any] = {"rates": tuple(draw(st.sampled_from((0.0, 0.4, 1.0, 2.1))) for _ in range(buckets))}
    if not buckets:
        asked = {"replicas": draw(st.integers(0, 3))}
    elif draw(st.booleans()):
        asked |= {"fewest_replicas": draw(st.integers(0, 2)), "most_replicas": draw(st.sampled_from((None, 2, 3)))}
    return Demand(
        name,
        options,
        one_option=draw(st.booleans()),
        priority=draw(st.integers(0, 1)),
        running=draw(st.sampled_from(({}, {0: 1}, {0: 2}))),
        churn=draw(st.sampled_from((0, 4, 30))),
        **asked,
    )


@st.composite
def some_problems(draw: Draw) -> Problem:
    demands = tuple(draw(some_demands(f"m{index}")) for index in range(draw(st.integers(1, 3))))
    supplies = tuple(
        Supply(pool, tuple(draw(st.lists(st.sampled_from((8, 4, 3, 1, 8)), max_size=3))), unpacked=draw(st.booleans()))
        for pool in POOLS
    )
    limit = draw(st.sampled_from((None, None, 20, 60)))
    budgets = () if limit is None else (Budget("team", limit, frozenset({"m0"})),)
    return Problem(demands, supplies, budgets)


def exact(problem: Problem) -> Allocation:
    return solve(problem, gap=0.0, time_limit_seconds=30)


def merit(problem: Problem, found: Allocation) -> Merit:
    """What is compared: shed by priority, what is not preferred, and the value."""
    services = {need.demand.name: need for need in needs_of(problem)}
    levels: dict[int, float] = {}
    value = 0
    for demand in problem.demands:
        replicas = found.replicas[demand.name]
        levels[-demand.priority] = levels.get(-demand.priority, 0.0) + left_over(demand, found)
        value += sum((demand.options[i].cost + demand.options[i].penalty) * n for i, n in replicas.items())
        value += demand.churn * sum(
            abs(replicas.get(i, 0) - demand.running.get(i, 0)) for i in range(len(demand.options))
        )
    assert services.keys() == found.replicas.keys()
    return tuple(levels[each] for each in sorted(levels)), 0.0, value


def left_over(demand: Demand, found: Allocation) -> float:
    """Of its rate and of the replicas that it asks for."""
    total, shares = sum(demand.rates), found.shares.get(demand.name, {})
    served = sum(rate * sum(each[b] for each in shares.values()) for b, rate in enumerate(demand.rates))
    wanted = demand.fewest_replicas if demand.replicas is None else demand.replicas
    missing = max(0, wanted - sum(found.replicas[demand.name].values()))
    return (1 - served / total if total else 0.0) + (missing / wanted if wanted else 0.0)


@given(some_problems())
@over_many
def test_nothing_is_broken(problem: Problem) -> None:
    assert violations(problem, exact(problem)) == ()


@given(some_problems(), st.randoms(use_true_random=False))
@over_many
def test_the_order_of_the_problem_changes_nothing(problem: Problem, random: Any) -> None:
    shuffled = Problem(
        tuple(random.sample(problem.demands, len(problem.demands))),
        tuple(
            replace(each, free=tuple(random.sample(each.free, len(each.free))))
            for each in random.sample(problem.supplies, len(problem.supplies))
        ),
        problem.budgets,
    )
    assert solve(shuffled) == solve(problem)


@given(some_problems(), st.sampled_from(POOLS))
@over_many
def test_another_node_never_hurts(problem: Problem, pool: str) -> None:
    problem = indifferent(problem)
    supplies = tuple(replace(each, free=(*each.free, 8)) if each.pool == pool else each for each in problem.supplies)
    before, after = (merit(each, exact(each)) for each in (problem, replace(problem, supplies=supplies)))
    assert not worse(after, before)


@given(some_problems(), st.sampled_from(POOLS))
@over_many
def test_another_option_never_hurts(problem: Problem, pool: str) -> None:
    problem = indifferent(problem)
    first = problem.demands[0]
    more = Option(pool, 1, 9, tuple(1.0 for _ in first.rates))
    demands = (replace(first, options=(*first.options, more)), *problem.demands[1:])
    before, after = (merit(each, exact(each)) for each in (problem, replace(problem, demands=demands)))
    assert not worse(after, before)


def indifferent(problem: Problem) -> Problem:
    """The problem without preferences, which come before money and may cost some."""
    return replace(
        problem,
        demands=tuple(
            replace(each, options=tuple(replace(option, rank=0) for option in each.options)) for each in problem.demands
        ),
    )


def worse(one: Merit, other: Merit) -> bool:
    """Whether more is shed, greater priorities first, or as much for more money."""
    for left, right in zip(one[0], other[0], strict=True):
        if abs(left - right) > 1e-5:
            return left > right
    return one[2] > other[2]


@given(some_problems())
@over_many
def test_greedy_holds_every_constraint(problem: Problem) -> None:
    greedy = solve(problem, time_limit_seconds=0.0)
    assert violations(problem, greedy) == ()
    assert not worse(merit(problem, exact(indifferent(problem))), merit(problem, greedy))


@given(some_problems())
@over_many
def test_nobody_is_shed_for_a_lower_priority(problem: Problem) -> None:
    found = exact(problem)
    first = replace(problem, demands=tuple(each for each in problem.demands if each.priority == 1))
    if first.demands:
        first = replace(first, budgets=tuple(b for b in first.budgets if b.demands <= {d.name for d in first.demands}))
        alone = merit(first, exact(first))[0][0]
        together = sum(left_over(each, found) for each in first.demands)
        assert together <= alone + 1e-5


@given(some_problems())
@over_many
def test_no_allocation_of_replicas_is_better(problem: Problem) -> None:
    """Against every allocation there is, where demands have one bucket at most."""
    problem = indifferent(problem)
    if any(len(demand.rates) > 1 for demand in problem.demands):
        return
    best = min(everything(problem))
    found = merit(problem, exact(problem))
    assert found[0] == pytest.approx(best[0], abs=1e-5)
    assert found[2] == best[1]


def everything(problem: Problem) -> Iterator[tuple[tuple[float, ...], int]]:
    """The merit of every allocation that breaks nothing."""
    rooms = rooms_of(problem)
    priorities = sorted({-demand.priority for demand in problem.demands})
    for chosen in product(*(list(ways(demand)) for demand in problem.demands)):
        stock = Stock(rooms, problem.budgets)
        levels, value = dict.fromkeys(priorities, 0.0), 0
        for demand, counts in zip(problem.demands, chosen, strict=True):
            for option, count in zip(demand.options, counts, strict=True):
                stock.take(demand.name, option, count)
                value += (option.cost + option.penalty) * count
            value += demand.churn * sum(abs(n - demand.running.get(i, 0)) for i, n in enumerate(counts))
            levels[-demand.priority] += unserved(demand, counts)
        if not stock.overdrawn():
            yield tuple(round(levels[each], 6) for each in priorities), value


def ways(demand: Demand) -> Iterator[tuple[int, ...]]:
    """Every number of replicas of each option that may make sense."""
    most = demand.most_replicas if demand.replicas is None else demand.replicas
    useful = [most_useful(demand, option) for option in demand.options]
    for counts in product(*(range(each + 1) for each in useful)):
        if (most is None or sum(counts) <= most) and not (demand.one_option and sum(map(bool, counts)) > 1):
            yield counts


def most_useful(demand: Demand, option: Option) -> int:
    if demand.replicas is not None:
        return demand.replicas
    serves = demand.rates and demand.rates[0] > 0 and option.throughput[0] > 0
    if demand.rates and demand.rates[0] > 0 and not serves:
        return 0
    needed = -int(-(demand.rates[0] / option.throughput[0] * (1 - 1e-9)) // 1) if serves else 0
    return max(needed, demand.fewest_replicas)


def unserved(demand: Demand, counts: tuple[int, ...]) -> float:
    wanted = demand.fewest_replicas if demand.replicas is None else demand.replicas
    missing = max(0, wanted - sum(counts)) / wanted if wanted else 0.0
    if not sum(demand.rates):
        return missing
    served = sum(option.throughput[0] * n for option, n in zip(demand.options, counts, strict=True))
    return missing + max(0.0, 1 - served / demand.rates[0])


@st.composite
def some_mixes(draw: Draw) -> Problem:
    """Demands that mix, with room for all of them, though not for each where it likes."""
    demands = []
    for index in range(draw(st.integers(2, 4))):
        buckets = draw(st.integers(1, 3))
        options = tuple(
            Option(pool, draw(st.sampled_from((1, 2, 4))), draw(st.integers(5, 40)), tuple(speeds))
            for pool in (*POOLS, "c")
            if (speeds := [draw(st.sampled_from((0.4, 0.9, 1.3, 2.2))) for _ in range(buckets)])
        )
        rates = tuple(draw(st.sampled_from((0.3, 1.0, 2.6))) for _ in range(buckets))
        running = draw(st.sampled_from(({}, {0: 2}, {1: 3})))
        demands.append(Demand(f"m{index}", options, rates, running=running, churn=draw(st.sampled_from((0, 6)))))
    supplies = tuple(Supply(pool, (8,) * draw(st.integers(1, 3))) for pool in POOLS)
    return Problem(tuple(demands), (*supplies, Supply("c", (8,) * 40)))


@given(some_mixes())
@over_many
def test_patterns_bound_and_serve_like_the_whole_model(problem: Problem) -> None:
    needs, rooms = needs_of(problem), rooms_of(problem)
    start = allocate(needs, Stock(rooms, ()))
    best = merit(problem, exact(problem))[2]
    found = mix(needs, rooms, (), start, seconds=20.0, gap=0.01)
    assert found.bound <= best * (1 + 1e-6) + 1
    assert found.services is not None
    before, value = (sum(each[need.demand.name].value(need) for need in needs) for each in (start, found.services))
    assert best - 1 <= value <= before
    stock = Stock(rooms, ())
    for need in needs:
        service = found.services[need.demand.name]
        assert service.shed(need) <= 1e-6
        for index, count in service.replicas.items():
            stock.take(need.demand.name, need.demand.options[index], count)
    assert stock.overdrawn() == ()
