"""What limits in money keep from coming: on nodes, in nodes that a pool is to get, and in place of what runs."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.fleet import NOW, nodes, pool, settled, tenant
from penstock.api.quantities import Money
from penstock.planner.fleet import FleetSnapshot, Pool, Tenant
from penstock.planner.placement import place
from penstock.planner.plan import Decision
from penstock.planner.spending import SpendingLimit

GROWS = {"growth": {"maxNodes": 5}}
FIRST = {"placement": {"pools": ["p"]}}
RECREATE = {"rollout": {"surgePolicy": "Recreate"}}


def placed(most: str, pools: tuple[Pool, ...], *tenants: Tenant) -> list[Decision]:
    limit = SpendingLimit("fleet", Money.parse(most, "USD"))
    decisions = place(FleetSnapshot(pools, tenants, limits=(limit,)), NOW)
    return [decisions[each.key] for each in tenants]


def seen(decision: Decision) -> tuple[str, int | None, int | None]:
    """The reason, how many have a node, and how many there is money for."""
    assignment = decision.assignment
    return decision.reason, len(assignment.nodes) if assignment else None, decision.most_replicas


EMPTY, ONE_FREE = pool("p", on=0, **GROWS), pool("p", on=nodes("p", 1, used=[7]), **GROWS)

NEW: dict[str, tuple[str, Pool, dict[str, Any], tuple[str, int | None, int | None]]] = {
    "for all on nodes": ("8.00", pool("p"), {}, ("Placed", 4, None)),
    "for some on nodes": ("7.99", pool("p"), {}, ("PartlyPlaced", 3, 3)),
    "for none": ("1.99", pool("p"), {}, ("BudgetExceeded", None, None)),
    "for all in new nodes": ("8.00", EMPTY, {}, ("WaitingForGrowth", 0, None)),
    "for some in new nodes": ("5.00", EMPTY, {}, ("WaitingForGrowth", 0, 2)),
    "for none in new nodes": ("1.00", EMPTY, {}, ("BudgetExceeded", None, None)),
    "for more than there is room in a pool that is waited for": ("5.00", ONE_FREE, FIRST, ("WaitingForGrowth", 1, 2)),
    "for those on nodes in a pool that is waited for": ("3.00", ONE_FREE, FIRST, ("PartlyPlaced", 1, 1)),
    "for fewer than wait in a full pool": ("5.00", pool("p", on=nodes("p", 1, used=[7])), {}, ("PartlyPlaced", 1, 2)),
}


@pytest.mark.parametrize(("most", "given_pool", "spec", "want"), NEW.values(), ids=NEW)
def test_no_more_replicas_come_than_there_is_money_for(
    most: str, given_pool: Pool, spec: dict[str, Any], want: tuple[str, int | None, int | None]
) -> None:
    (decision,) = placed(most, (given_pool,), tenant(replicas=4, spec=spec))
    assert seen(decision) == want
    assert ("limit 'fleet' of" in decision.message) == (most != "8.00")


def test_what_waits_for_new_nodes_is_counted_before_it_has_pods() -> None:
    """In the pass in which it is decided, and in the next, in which its pods are not there yet."""
    first, second = tenant("first"), tenant("second", age=5)
    decisions = placed("3.00", (EMPTY,), first, second)
    assert [seen(each) for each in decisions] == [("WaitingForGrowth", 0, None), ("BudgetExceeded", None, None)]
    rendered = replace(first, current=decisions[0].assignment)
    again = placed("3.00", (EMPTY,), rendered, second)
    assert [each.reason for each in again] == ["WaitingForGrowth", "BudgetExceeded"]
    coming = replace(rendered, pending=1, waiting_since=NOW)
    assert [each.reason for each in placed("3.00", (EMPTY,), coming, second)] == ["WaitingForGrowth", "BudgetExceeded"]


def running(count: int, spec: dict[str, Any]) -> FleetSnapshot:
    before = FleetSnapshot((pool("cheap"),), (tenant(replicas=count, spec=spec),))
    return settled(before, place(before, NOW))


def test_scaling_up_stops_where_the_money_ends_and_takes_nothing_away() -> None:
    before = running(2, {})
    for most, want in (("7.00", ("BudgetExceeded", 3, 3)), ("1.00", ("BudgetExceeded", 2, 2))):
        (decision,) = placed(most, before.pools, replace(before.tenants[0], replicas=4))
        assert seen(decision) == want
    (kept,) = placed("1.00", before.pools, before.tenants[0])
    assert seen(kept) == ("Kept", 2, None)


def test_both_revisions_cost_money_until_the_old_one_is_gone() -> None:
    before = running(2, {})
    other = tenant("other", age=5, replicas=2)
    decided, refused = placed("8.00", before.pools, replace(before.tenants[0], outdated=True), other)
    assert (decided.reason, refused.reason) == ("Placed", "BudgetExceeded")
    pending = replace(before.tenants[0], current=decided.assignment, bound={}, pending=2)
    assert [each.reason for each in placed("8.00", before.pools, pending, other)] == ["Kept", "BudgetExceeded"]
    alone = replace(pending, held={})
    assert [each.reason for each in placed("8.00", before.pools, alone, other)] == ["Kept", "Placed"]


INSTEAD = {
    "nothing else may cost as much": ("8.00", ("Recreate", 2, None)),
    "fewer of the dearer": ("7.00", ("Recreate", 1, 1)),
    "none of the dearer": ("3.99", ("WaitingForRoom", 2, None)),
}


@pytest.mark.parametrize(("most", "want"), INSTEAD.values(), ids=INSTEAD)
def test_a_new_revision_in_place_of_the_old_one_has_its_money_and_no_more(
    most: str, want: tuple[str, int, int | None]
) -> None:
    before = running(2, RECREATE)
    dear = pool("dear", price="4.00")
    spec = tenant(spec={**RECREATE, "placement": {"pools": ["dear"]}}).spec
    (decision,) = placed(most, (*before.pools, dear), replace(before.tenants[0], spec=spec, outdated=True))
    assert seen(decision) == want


@pytest.mark.property
@given(
    wanted=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    free=st.integers(0, 8),
    grows=st.booleans(),
    most=st.integers(0, 30),
)
def test_what_comes_is_never_over_the_limit(wanted: list[int], free: int, most: int, *, grows: bool) -> None:
    where = pool("p", on=nodes("p", 1, used=[8 - free]), **(GROWS if grows else {}))
    tenants = tuple(tenant(f"t{age}", age=age, replicas=count) for age, count in enumerate(wanted))
    decisions = placed(str(most), (where,), *tenants)
    coming = [
        min(count, count if each.most_replicas is None else each.most_replicas) if each.assignment else 0
        for count, each in zip(wanted, decisions, strict=True)
    ]
    assert 2 * sum(coming) <= most
    on_nodes = [len(each.assignment.nodes) if each.assignment else 0 for each in decisions]
    assert all(here <= count for here, count in zip(on_nodes, coming, strict=True))
