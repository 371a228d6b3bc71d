"""What runs costs what its pool costs today, for proposals, for limits and in decisions."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from builders.fleet import NOW, fleet, pool, settled, tenant
from penstock.api.quantities import Money
from penstock.planner.fleet import FleetSnapshot, Pool
from penstock.planner.fleetwide.proposal import propose
from penstock.planner.placement import place
from penstock.planner.plan import RejectionReason
from penstock.planner.prices import at_todays_prices
from penstock.planner.spending import SpendingLimit

KEY = ("team", "chat")
EUROS = {"perGPUHour": "9.00", "currency": "EUR"}


def placed_at(price: str | None) -> FleetSnapshot:
    """One replica on four GPUs of a pool that had this price then."""
    before = fleet([pool("p", price=price)], tenant(spec={"model": "org/large"}))
    return settled(before, place(before, NOW))


def dollars(amount: str) -> Money:
    return Money.parse(amount, "USD")


PRICES: dict[str, tuple[str | None, tuple[Pool, ...], Money | None]] = {
    "it rose": ("1.00", (pool("p", price="9.00"),), dollars("9.00")),
    "it fell to nothing": ("9.00", (pool("p", price="0"),), dollars("0")),
    "another currency": ("9.00", (pool("p", price=EUROS),), Money.parse("9.00", "EUR")),
    "nobody states it any more": ("9.00", (pool("p", price=None),), None),
    "somebody states it now": (None, (pool("p", price="9.00"),), dollars("9.00")),
    "the pool is gone": ("9.00", (), dollars("9.00")),
}


@pytest.mark.parametrize(("then", "pools", "per_gpu"), PRICES.values(), ids=PRICES)
def test_what_runs_costs_what_its_pool_costs_now(
    then: str | None, pools: tuple[Pool, ...], per_gpu: Money | None
) -> None:
    running = placed_at(then)
    (standing,) = running.tenants
    assert standing.current is not None
    gpus = standing.current.plan.gpus
    assert gpus == 4
    now = at_todays_prices(replace(running, pools=pools))
    assert now.tenants[0].current is not None
    found = now.tenants[0].current.plan.price_per_replica_hour
    assert found == (per_gpu * gpus if per_gpu else None)


def test_where_no_price_changed_nothing_is_made_anew() -> None:
    """A pass over thousands of settled deployments remembers them by their identity."""
    running = placed_at("2.00")
    assert at_todays_prices(running).tenants[0] is running.tenants[0]
    first, again = place(running, NOW)[KEY], place(running, NOW)[KEY]
    assert again is first
    dearer = replace(running, pools=(pool("p", price="9.00", on=running.pools[0].nodes),))
    decision = place(dearer, NOW)[KEY]
    now = replace(dearer, tenants=(replace(dearer.tenants[0], current=decision.assignment),))
    assert place(now, NOW)[KEY].assignment == decision.assignment
    assert place(now, NOW)[KEY] is place(now, NOW)[KEY]


SAVINGS: dict[str, tuple[str, str, Mapping[str, str]]] = {
    "it fell below the other one's": ("9.00", "1.00", {}),
    "it rose above the other one's": ("1.00", "9.00", {"q": "6.00 USD"}),
    "it rose and is the cheaper one still": ("1.00", "2.90", {}),
}


@pytest.mark.parametrize(("then", "now", "want"), SAVINGS.values(), ids=SAVINGS)
def test_proposals_save_what_is_saved_today(then: str, now: str, want: Mapping[str, str]) -> None:
    before = fleet([pool("p", price=then)], tenant())
    before = settled(before, place(before, NOW))
    after = replace(before, pools=(replace(before.pools[0], spec=pool("p", price=now).spec), pool("q", price="3.00")))
    found = propose(after, place(after, NOW)).values()
    assert {each.target.pool: str(each.saving) for each in found if each.target} == want


def test_limits_count_what_is_paid_today() -> None:
    running = placed_at("1.00")
    dearer = replace(running.pools[0], spec=pool("p", price="4.00").spec)
    two = tenant("two", age=1, spec={"placement": {"pools": ["q"]}})
    now = replace(running, pools=(dearer, pool("q", price="3.00")), tenants=(*running.tenants, two))
    # Four GPUs at 4.00 and one at 3.00.
    for most, reason in (("19.00", "Placed"), ("18.99", RejectionReason.BUDGET)):
        limited = replace(now, limits=(SpendingLimit("fleet", dollars(most)),))
        assert place(limited, NOW)["team", "two"].reason == reason
