"""Deployments that compete for GPUs: who gives way to whom, and what is said of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from builders.fleet import NOW, fleet, nodes, pool, tenant
from penstock.api.quantities import Money
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Pool, Tenant
from penstock.planner.fleetwide import together
from penstock.planner.placement import place
from penstock.planner.plan import Decision
from penstock.planner.spending import SpendingLimit

LARGE = {"model": "org/large"}  # 4 x H100; no 2 x L40S hold it


def h100(gpus: int = 4, **spec: Any) -> Pool:
    return pool("h100", on=nodes("h100", 1, gpus=gpus), **{"price": "2.00", **spec})


def l40s(count: int = 1, **spec: Any) -> Pool:
    return pool("l40s", accelerator="L40S-48GB", on=nodes("l40s", count, gpus=2), **{"price": "2.50", **spec})


def pools_of(decisions: dict[DeploymentKey, Decision]) -> dict[str, str]:
    return {
        name: decision.assignment.plan.pool if decision.assignment else "" for (_, name), decision in decisions.items()
    }


def placed(pools: Sequence[Pool], *tenants: Tenant) -> dict[str, str]:
    return pools_of(place(fleet(pools, *tenants), NOW))


def test_who_has_a_choice_gives_way_to_whom_fits_nowhere_else() -> None:
    flexible, bound = tenant("flexible"), tenant("bound", age=9, spec=LARGE)
    decisions = place(fleet([h100(), l40s()], flexible, bound), NOW)
    assert pools_of(decisions) == {"flexible": "l40s", "bound": "h100"}
    lost = [each for each in decisions[flexible.key].rejections if each.pool == "h100"]
    assert lost[0].reason == "GivenToAnother"
    assert lost[0].message == "its free GPUs go to team/bound, which fits nowhere else"


def test_the_one_for_whom_the_other_pool_is_dearest_keeps_the_cheap_one() -> None:
    """One GPU is cheap; elsewhere the one pays twice as much as the other."""
    cheap, near, far = h100(1, price="1.00"), l40s(price="1.20"), pool("far", price="3.00", countries=("US",))
    abroad = tenant("abroad", spec={"placement": {"pools": []}})
    at_home = tenant("home", age=1, spec={"placement": {"jurisdictions": ["US"]}})
    us = pool("h100", on=nodes("h100", 1, gpus=1), price="1.00", countries=("US",))
    assert placed([us, near, far], abroad, at_home) == {"abroad": "l40s", "home": "h100"}
    assert placed([cheap, near, far], abroad, at_home) == {"abroad": "h100", "home": "far"}


SERVED_FIRST: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str]]] = {
    "the older": ({}, {}, ("one", "held by team/one (4)")),
    "the greater priority": ({}, {"priority": 5}, ("two", "held by team/two (4, priority 5)")),
    "the default, before a lower priority": ({"priority": -1}, {}, ("two", "held by team/two (4, priority 0)")),
}


@pytest.mark.parametrize(("first", "second", "want"), SERVED_FIRST.values(), ids=SERVED_FIRST)
def test_who_is_served_where_not_everything_fits(
    first: dict[str, Any], second: dict[str, Any], want: tuple[str, str]
) -> None:
    one = tenant("one", spec={**LARGE, "placement": first})
    two = tenant("two", age=1, spec={**LARGE, "placement": second})
    decisions = place(fleet([h100()], one, two), NOW)
    shed = next(each for key, each in decisions.items() if key[1] != want[0])
    assert pools_of(decisions)[want[0]] == "h100"
    assert (shed.assignment, shed.reason) == (None, "NoFreeGPUs")
    assert want[1] in shed.message


def test_the_oldest_is_served_though_two_younger_would_fit_in_its_place() -> None:
    old = tenant("old", replicas=4, spec={"placement": {"pools": ["h100"]}})
    young = [tenant(f"young-{index}", age=1 + index, replicas=2) for index in range(3)]
    assert placed([h100(), l40s()], old, *young) == {
        "old": "h100",
        "young-0": "l40s",
        "young-1": "",
        "young-2": "",
    }


def test_a_preferred_pool_is_not_given_up_for_money() -> None:
    """The user's order goes before the price that another pays."""
    chooser = tenant("chooser", spec={"placement": {"pools": ["h100", "l40s"]}})
    other = tenant("other", age=1)
    assert placed([h100(1), l40s(price="9.00")], chooser, other) == {"chooser": "h100", "other": "l40s"}


def test_one_alone_and_many_that_all_get_what_they_like_need_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        message = "nothing competes here"
        raise AssertionError(message)

    monkeypatch.setattr(together, "solve", never)
    assert placed([h100(1), l40s()], tenant("alone")) == {"alone": "h100"}
    many = [tenant(f"chat-{index}", age=index) for index in range(4)]
    assert set(placed([h100(), l40s()], *many).values()) == {"h100"}
    ten = [tenant(f"chat-{index}", age=index) for index in range(10)]
    assert sum(bool(each) for each in placed([h100()], *ten).values()) == 4, "one pool leaves nothing to choose"


def test_the_same_question_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    solve = together.solve
    monkeypatch.setattr(together, "solve", lambda problem, **limits: asked.append(1) or solve(problem, **limits))
    before = fleet([h100(), l40s()], tenant("asked-once"), tenant("bound", age=9, spec=LARGE))
    assert place(before, NOW) == place(before, NOW)
    assert len(asked) == 1


def test_a_budget_that_does_not_cover_all_serves_by_priority() -> None:
    limit = SpendingLimit("fleet", Money.parse("3.00", "USD"))
    one, two = tenant("one"), tenant("two", age=1, spec={"placement": {"priority": 1}})
    decisions = place(FleetSnapshot((h100(), l40s()), (one, two), limits=(limit,)), NOW)
    assert pools_of(decisions) == {"one": "", "two": "h100"}
    assert decisions[one.key].reason == "BudgetExceeded"
    assert "limit 'fleet' of 3.00 USD/h leaves 1.00 USD/h" in decisions[one.key].message


def test_a_pool_that_can_grow_is_nobodys_loss() -> None:
    """Who would have to wait for a node waits, and the other one has the GPUs that are there."""
    grows = h100(growth={"maxNodes": 2})
    one, two = tenant("one", spec=LARGE), tenant("two", age=1, spec=LARGE)
    decisions = place(fleet([grows, l40s(price="1.00")], one, two), NOW)
    assert pools_of(decisions) == {"one": "h100", "two": "h100"}
    assert decisions[two.key].reason == "WaitingForGrowth"


def test_a_price_that_no_solver_takes_keeps_nobody_from_a_place() -> None:
    absurd = h100(price="900000000000.00")
    want = {"one": "l40s", "two": "l40s", "bound": "h100"}
    asked = [tenant("one"), tenant("two", age=1), tenant("bound", age=9, spec=LARGE)]
    assert placed([absurd, l40s()], *asked) == want
