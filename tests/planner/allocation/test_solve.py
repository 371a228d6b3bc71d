"""What the solver decides, case by case."""

from dataclasses import replace
from typing import Any

import pytest

from builders.allocations import budget, demand, option, problem, supply
from penstock.planner.allocation import exact
from penstock.planner.allocation import solve as door
from penstock.planner.allocation.problem import Allocation, Problem
from penstock.planner.allocation.solve import solve
from penstock.planner.allocation.verify import violations

CHEAP, DEAR = option("cheap", 1, 10), option("dear", 1, 30)


def exactly(stated: Problem) -> Allocation:
    found = solve(stated, gap=0.0, time_limit_seconds=20)
    assert violations(stated, found) == ()
    assert found.proved
    return found


CASES: dict[str, tuple[Problem, dict[str, dict[int, int]]]] = {
    "the cheapest option serves": (
        problem([demand("m", DEAR, CHEAP, replicas=2)], [supply("cheap", 8), supply("dear", 8)]),
        {"m": {1: 2}},
    ),
    "a lower rank wins at any price": (
        problem(
            [demand("m", replace(CHEAP, rank=1), replace(DEAR, rank=0), replicas=2)],
            [supply("cheap", 8), supply("dear", 8)],
        ),
        {"m": {1: 2}},
    ),
    "what does not fit the cheapest pool goes to the next": (
        problem([demand("m", CHEAP, DEAR, replicas=3)], [supply("cheap", 2), supply("dear", 8)]),
        {"m": {0: 2, 1: 1}},
    ),
    "one option serves all where that is asked": (
        problem([demand("m", CHEAP, DEAR, replicas=3, one_option=True)], [supply("cheap", 2), supply("dear", 8)]),
        {"m": {1: 3}},
    ),
    "a penalty is compared like money and is none": (
        problem(
            [demand("m", replace(CHEAP, penalty=25), DEAR)],
            [supply("cheap", 8), supply("dear", 8)],
        ),
        {"m": {1: 1}},
    ),
    "replicas follow from the rate": (
        problem([demand("m", option("a", 1, 10, 2.0), rates=(5.0,))], [supply("a", 8)]),
        {"m": {0: 3}},
    ),
    "a mix is cheaper than one option": (
        problem(
            [demand("m", option("a", 1, 10, 1.0), option("b", 1, 34, 5.0), rates=(6.0,))],
            [supply("a", 8), supply("b", 8)],
        ),
        {"m": {0: 1, 1: 1}},
    ),
    "each bucket goes to who serves it best": (
        problem(
            [demand("m", option("a", 1, 10, 4.0, 0.0), option("b", 1, 10, 0.0, 4.0), rates=(4.0, 4.0))],
            [supply("a", 8), supply("b", 8)],
        ),
        {"m": {0: 1, 1: 1}},
    ),
    "slices do not split": (
        problem([demand("m", option("a", 1, 10, 2.0), rates=(3.0,), slices=1)], [supply("a", 8)]),
        {"m": {0: 2}},
    ),
    "fewest replicas stand even without a rate": (
        problem([demand("m", DEAR, CHEAP, fewest_replicas=2)], [supply("cheap", 8), supply("dear", 8)]),
        {"m": {1: 2}},
    ),
    "what runs stays where moving costs more than it saves": (
        problem(
            [demand("m", CHEAP, DEAR, replicas=2, running={1: 2}, churn=15)],
            [supply("cheap", 8), supply("dear", 8)],
        ),
        {"m": {1: 2}},
    ),
    "what runs moves where that saves more": (
        problem(
            [demand("m", CHEAP, DEAR, replicas=2, running={1: 2}, churn=9)],
            [supply("cheap", 8), supply("dear", 8)],
        ),
        {"m": {0: 2}},
    ),
    "a whole node is kept for who needs it": (
        problem(
            [
                demand("small", option("a", 1, 1), option("b", 1, 5)),
                demand("whole", option("a", 8, 8)),
            ],
            [supply("a", 8, 3), supply("b", 8)],
        ),
        {"small": {0: 1}, "whole": {0: 1}},
    ),
    "a replica of two nodes takes whole ones": (
        problem(
            [demand("large", option("a", 16, 8), option("b", 16, 90)), demand("small", option("a", 2, 1), replicas=3)],
            [supply("a", 8, 8, 6), supply("b", 8, 8)],
        ),
        {"large": {0: 1}, "small": {0: 3}},
    ),
    "nodes do not matter to an unpacked supply": (
        problem([demand("m", option("a", 3, 1), replicas=3)], [supply("a", 9, unpacked=True)]),
        {"m": {0: 3}},
    ),
    "a node that lost GPUs has none free": (
        problem([demand("m", CHEAP, DEAR)], [supply("cheap", -2), supply("dear", 8)]),
        {"m": {1: 1}},
    ),
    "two share what one would take": (
        problem(
            [demand("first", CHEAP, DEAR), demand("second", CHEAP, option("dear", 1, 90))],
            [supply("cheap", 1), supply("dear", 8)],
        ),
        {"first": {1: 1}, "second": {0: 1}},
    ),
    "a budget sends who can to what is cheaper": (
        problem(
            [demand("m", replace(DEAR, rank=0), replace(CHEAP, rank=1))],
            [supply("cheap", 8), supply("dear", 8)],
            budget("team", 29, "m"),
        ),
        {"m": {1: 1}},
    ),
    "nothing is asked for": (problem([demand("m", CHEAP, replicas=0)], [supply("cheap", 8)]), {"m": {}}),
}


@pytest.mark.parametrize("case", CASES)
def test_replicas(case: str) -> None:
    stated, wanted = CASES[case]
    found = exactly(stated)
    assert found.replicas == wanted
    assert found.shed == {}
    assert found.gap == 0


SHED: dict[str, tuple[Problem, dict[str, float], dict[str, tuple[str, ...]]]] = {
    "the lower priority is shed, and its pool is named": (
        problem(
            [demand("first", CHEAP, priority=1), demand("second", CHEAP)],
            [supply("cheap", 1), supply("dear", 8)],
        ),
        {"second": 1.0},
        {"second": ("cheap",)},
    ),
    "a large one of high priority comes before many small ones": (
        problem(
            [demand("large", option("a", 8), priority=1), *(demand(f"small-{n}", option("a", 1)) for n in range(8))],
            [supply("a", 8)],
        ),
        {f"small-{n}": 1.0 for n in range(8)},
        {f"small-{n}": ("a",) for n in range(8)},
    ),
    "part of a rate is served": (
        problem([demand("m", option("a", 1, 10, 1.0), rates=(4.0,))], [supply("a", 3)]),
        {"m": 0.25},
        {"m": ("a",)},
    ),
    "a budget binds": (
        problem([demand("m", CHEAP, replicas=4)], [supply("cheap", 8)], budget("team", 30, "m")),
        {"m": 0.25},
        {"m": ("team",)},
    ),
    "its own bound binds": (
        problem([demand("m", option("a", 1, 10, 1.0), rates=(4.0,), most_replicas=2)], [supply("a", 8)]),
        {"m": 0.5},
        {"m": ("mostReplicas",)},
    ),
    "no option can serve it": (
        problem([demand("m", option("a", 1, 10, 0.0), rates=(4.0,))], [supply("a", 8)]),
        {"m": 1.0},
        {"m": ("options",)},
    ),
    "no single option can serve it whole": (
        problem([demand("m", option("a", 4, 0, 0.5, 1.0), rates=(0.4, 2.1), one_option=True)], [supply("a", 8)]),
        {"m": 0.2},
        {"m": ("a",)},
    ),
    "it has no options": (problem([demand("m")], [supply("a", 8)]), {"m": 1.0}, {"m": ("options",)}),
}


@pytest.mark.parametrize("case", SHED)
def test_shed(case: str) -> None:
    stated, shed, binding = SHED[case]
    found = exactly(stated)
    assert found.shed == pytest.approx(shed, abs=1e-5)
    assert found.binding == binding


def test_cost_is_money_alone() -> None:
    stated = problem(
        [demand("m", replace(CHEAP, penalty=5), replicas=2, running={0: 1}, churn=3)], [supply("cheap", 8)]
    )
    found = exactly(stated)
    assert (found.cost, found.bound) == (20, 20 + 2 * 5 + 3)


def test_shares_say_who_serves_what() -> None:
    stated = problem(
        [demand("m", option("a", 1, 10, 4.0, 0.0, 1.0), option("b", 1, 10, 0.0, 4.0, 0.0), rates=(4.0, 4.0, 0.0))],
        [supply("a", 8), supply("b", 8)],
    )
    assert exactly(stated).shares == {"m": {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0)}}


def test_without_the_library_the_greedy_answer_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        message = "No module named 'highspy'"
        raise ImportError(message)

    stated, _ = CASES["two share what one would take"]
    monkeypatch.setattr(door, "improve", missing)
    found = solve(stated)
    assert violations(stated, found) == ()
    assert found.shed == {}
    assert not found.proved
    assert found.bound < found.cost


def test_without_time_the_greedy_answer_stands() -> None:
    stated, _ = CASES["two share what one would take"]
    found = solve(stated, time_limit_seconds=0.0)
    assert violations(stated, found) == ()
    assert found.shed == {}


def test_an_answer_that_breaks_something_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    stated, _ = CASES["what does not fit the cheapest pool goes to the next"]
    true = exact.improve

    def overdrawn(part: Any, start: Any, **limits: Any) -> Any:
        found = true(part, start, **limits)
        return replace(found, services={"m": replace(start["m"], replicas={0: 3})})

    monkeypatch.setattr(door, "improve", overdrawn)
    found = solve(stated)
    assert violations(stated, found) == ()
    assert found.replicas == {"m": {0: 2, 1: 1}}
