"""Column generation: what it starts from stands where rounding comes out dearer; what is cheaper replaces it."""

import pytest

from builders.allocations import demand, option, problem, supply
from penstock.planner.allocation.greedy import allocate
from penstock.planner.allocation.master import mix
from penstock.planner.allocation.needs import Need, Service, needs_of
from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Problem

ELSEWHERE = supply("c", *(8,) * 40)
# The relaxation halves what needs all of pool a; rounded, both go where it is dearer.
CROWDED = problem(
    [
        demand("large", option("a", 4, 5, 1.3), option("b", 1, 5, 0.4), option("c", 1, 6, 0.4), rates=(2.6,), churn=6),
        demand("small", *(option(pool, 1, 5, 0.4) for pool in "abc"), rates=(0.3,)),
        demand(
            "mixed",
            option("a", 1, 5, 0.4, 1.3, 0.4),
            *(option(pool, 1, 5, 0.4, 0.4, 0.4) for pool in "bc"),
            rates=(0.3, 2.6, 0.3),
        ),
    ],
    [supply("a", 8), supply("b", 8), ELSEWHERE],
)
# Greedy fills the cheap pool with the first need, though the second saves more there.
CROSSED = problem(
    [
        demand("first", option("a", 4, 10, 1.0), option("c", 4, 11, 1.0), rates=(2.0,)),
        demand("second", option("a", 4, 10, 1.0), option("c", 4, 40, 1.0), rates=(2.0,)),
    ],
    [supply("a", 8), ELSEWHERE],
)


def _value(needs: tuple[Need, ...], services: dict[str, Service]) -> int:
    return sum(services[need.demand.name].value(need) for need in needs)


@pytest.mark.parametrize(
    ("stated", "greedy", "least"),
    [pytest.param(CROWDED, 67, 67, id="nothing cheaper"), pytest.param(CROSSED, 100, 42, id="cheaper")],
)
def test_it_ends_no_dearer_than_it_started(stated: Problem, greedy: int, least: int) -> None:
    needs, rooms = needs_of(stated), rooms_of(stated)
    start = allocate(needs, Stock(rooms, ()))
    found = mix(needs, rooms, (), start, seconds=20.0, gap=0.01)
    assert found.services is not None
    assert (_value(needs, start), _value(needs, dict(found.services))) == (greedy, least)
    assert found.bound <= least
