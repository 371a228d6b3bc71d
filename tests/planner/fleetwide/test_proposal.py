"""Plans of the whole fleet anew: which moves would pay, whom they would serve, and what is no reason to move."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from builders.fleet import NOW, fleet, nodes, pool, settled, tenant, variants
from penstock.api.formats import Precision
from penstock.api.quantities import Money
from penstock.planner.exchange import Rates
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Pool, Tenant
from penstock.planner.fleetwide.proposal import Proposal, propose
from penstock.planner.placement import place
from penstock.planner.spending import SpendingLimit

LARGE = {"model": "org/large"}


def running(pools: Sequence[Pool], *tenants: Tenant) -> FleetSnapshot:
    before = fleet(pools, *tenants)
    return settled(before, place(before, NOW))


def proposals(before: FleetSnapshot) -> dict[DeploymentKey, Proposal]:
    return propose(before, place(before, NOW))


def with_pools(before: FleetSnapshot, *more: Pool, **changes: Any) -> FleetSnapshot:
    return replace(before, pools=(*before.pools, *more), **changes)


def lead_to(before: FleetSnapshot) -> dict[str, str | None]:
    return {key[1]: each.target.pool if each.target else None for key, each in proposals(before).items()}


def test_a_cheaper_pool_is_proposed_with_what_it_saves() -> None:
    before = with_pools(running([pool("dear", price="3.00")], tenant(replicas=2)), pool("cheap", price="1.00"))
    (found,) = proposals(before).values()
    assert (found.current.pool, found.target and found.target.pool) == ("dear", "cheap")
    assert found.saving == Money.parse("4.00", "USD")
    assert found.reason == "pool cheap serves the same and saves 4.00 USD/h"


NO_REASON: dict[str, Pool] = {
    "it saves a tenth": pool("other", price="2.70"),
    "it has no room": pool("other", price="1.00", on=nodes("other", 1, used=(8,))),
    "nobody states its price": pool("other", price=None),
    "its price is in another currency": pool("other", price={"perGPUHour": "0.10", "currency": "EUR"}),
    "it can only run the model in four bits to fit": pool(
        "other", accelerator="L40S-48GB", price="0.10", on=nodes("other", 1, gpus=2)
    ),
    "it is spot, and interruptions eat most of what it saves": pool(
        "other", price={"perGPUHour": "2.65", "capacityType": "Spot"}
    ),
}


@pytest.mark.parametrize("other", NO_REASON.values(), ids=NO_REASON)
def test_what_is_no_reason_to_move(other: Pool) -> None:
    asked = tenant(spec={**LARGE, "variants": variants(Precision.INT4)}, replicas=1)
    before = running([pool("here", price="3.00")], asked)
    assert lead_to(with_pools(before, other)) == {}


def test_with_a_rate_prices_of_another_currency_are_compared() -> None:
    before = running([pool("here", price="3.00")], tenant())
    euros = pool("euros", price={"perGPUHour": "1.00", "currency": "EUR"})
    rates = Rates.parse("USD", {"EUR": "1.10"})
    (found,) = proposals(with_pools(before, euros, rates=rates)).values()
    assert found.saving == Money.parse("1.90", "USD")


def test_back_to_the_preferred_pool_though_it_costs_more() -> None:
    spec = {"placement": {"pools": ["first", "second"]}}
    full = pool("first", price="9.00", on=nodes("first", 1, used=(8,)))
    before = running([full, pool("second", price="1.00")], tenant(spec=spec))
    assert lead_to(before) == {}
    (found,) = proposals(replace(before, pools=(pool("first", price="9.00"), before.pools[1]))).values()
    assert found.reason == "pool first is preferred and has room again"
    assert found.saving == Money("USD", -8_000_000)


def test_one_that_runs_makes_room_for_one_that_waits() -> None:
    h100, l40s = nodes("h100", 1, gpus=4), nodes("l40s", 1, gpus=2)
    before = running([pool("h100", on=h100)], tenant("flexible"))
    big = tenant("big", age=5, spec={**LARGE, "placement": {"pools": ["h100"]}})
    other = pool("l40s", accelerator="L40S-48GB", on=l40s, price="2.20")
    (found,) = proposals(with_pools(before, other, tenants=(*before.tenants, big))).values()
    assert (found.key, found.target and found.target.pool) == (("team", "flexible"), "l40s")
    assert found.reason == "it makes room for team/big and costs 0.20 USD/h more"


GIVES_WAY = {"to nobody of its own priority": (0, {}), "to a greater priority": (10, {"small": None})}


@pytest.mark.parametrize(("priority", "want"), GIVES_WAY.values(), ids=GIVES_WAY)
def test_who_has_no_other_place_gives_way_only_to_a_greater_priority(
    priority: int, want: dict[str, str | None]
) -> None:
    before = running([pool("h100", on=nodes("h100", 1, gpus=4))], tenant("small", age=9))
    big = tenant("big", spec={**LARGE, "placement": {"priority": priority}})
    now = replace(before, tenants=(*before.tenants, big))
    assert lead_to(now) == want
    for found in proposals(now).values():
        assert found.reason == "its GPUs would go to team/big of priority 10 against 0, and it has no other place"


def test_two_that_stand_in_each_others_way_pay_only_together() -> None:
    """One may leave only when the other one has left; a group is one proposal in two parts."""
    cheap = pool("cheap", on=nodes("cheap", 1, gpus=4), price="1.00")
    home = pool("home", accelerator="L40S-48GB", on=nodes("home", 1, gpus=2), price="1.05")
    before = running([cheap, pool("dear", price="4.00")], tenant("small"))
    both = replace(before, tenants=(*before.tenants, tenant("large", age=1, spec=LARGE)))
    before = settled(both, place(both, NOW))
    assert {each.key[1]: each.current.plan.pool for each in before.tenants if each.current} == {
        "small": "cheap",
        "large": "dear",
    }
    found = proposals(with_pools(before, home))
    assert {key[1]: each.target and each.target.pool for key, each in found.items()} == {
        "small": "home",
        "large": "cheap",
    }
    assert all(each.together == frozenset(found) for each in found.values())


PRICES: dict[str, str | dict[str, str] | None] = {
    "all the same": "2.00",
    "nothing": "0",
    "stated by nobody": None,
    "not compared": {"perGPUHour": "1.00", "currency": "EUR"},
}


@pytest.mark.parametrize("price", PRICES.values(), ids=PRICES)
@pytest.mark.parametrize("priority", [5, 0])
def test_nobody_is_pushed_from_a_preferred_pool_for_an_equal_or_lesser_priority(price: Any, priority: int) -> None:
    """To the solver, which adds preferences up, the one's gain is the other's loss; a third still comes nearer."""
    away = pool("away", accelerator="A100-SXM-80GB", on=1, price=price, growth={"maxNodes": 3})
    liked, free = pool("liked", on=nodes("liked", 1, gpus=2), price="0"), pool("free", price="2.00")
    before = fleet([away, liked])
    for age, (name, asked, first) in enumerate(
        (("there", {"priority": priority}, "liked"), ("big", {}, "liked"), ("third", {}, "free"))
    ):
        spec: dict[str, Any] = {"placement": {"pools": [first, "away"], **asked}} | (LARGE if name == "big" else {})
        one = tenant(name, age=age, spec=spec, replicas=2 if name == "there" else 1)
        before = replace(before, tenants=(*before.tenants, one))
        before = settled(before, place(before, NOW))
    assert [each.current and each.current.plan.pool for each in before.tenants] == ["liked", "away", "away"]
    assert lead_to(before) == {}
    assert lead_to(with_pools(before, free)) == {"third": "free"}


def test_what_was_changed_a_moment_ago_is_left_alone() -> None:
    before = with_pools(running([pool("dear", price="3.00")], tenant()), pool("cheap", price="1.00"))
    for change in ({"outdated": True}, {"bound": {}, "pending": 1}, {"replicas": 2}):
        shaken = replace(before, tenants=(replace(before.tenants[0], **change),))
        assert lead_to(shaken) == {}, change


def test_what_runs_over_a_new_limit_is_not_told_to_go() -> None:
    before = running([pool("here", price="3.00")], tenant("one"), tenant("two", age=1))
    limited = replace(before, limits=(SpendingLimit("fleet", Money.parse("4.00", "USD")),))
    assert lead_to(limited) == {}
    assert lead_to(with_pools(limited, pool("cheap", price="1.00"))) == {"one": "cheap", "two": "cheap"}


def test_a_cordoned_node_is_left_to_whoever_cordoned_it() -> None:
    before = running([pool("dear", price="3.00")], tenant())
    cordoned = replace(before.pools[0], nodes=tuple(replace(node, schedulable=False) for node in before.pools[0].nodes))
    assert lead_to(replace(before, pools=(cordoned, pool("cheap", price="1.00")))) == {}
