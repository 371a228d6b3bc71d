"""What holds for every fleet in which all is decided at once, and for every proposal.

The allocation problem of a fleet is small here, so that many are solved in a second; `make soak` asks for 100,000.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.fleet import NOW, fleet, nodes, pool, settled, tenant
from penstock.catalogue.blocs import contains
from penstock.planner.allocation.problem import Allocation
from penstock.planner.allocation.solve import solve
from penstock.planner.candidates import enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.fleet import FleetSnapshot, Pool, Tenant
from penstock.planner.fleetwide.asks import Ask, room_of
from penstock.planner.fleetwide.hysteresis import RIPE_AFTER, Offered, due
from penstock.planner.fleetwide.problem_of import Statement, state
from penstock.planner.fleetwide.proposal import propose
from penstock.planner.offers import market_of
from penstock.planner.placement import place
from penstock.planner.requirements import requirements_of

pytestmark = pytest.mark.property
_MANY = settings.default.max_examples if settings.default else 100
over_some = settings(
    max_examples=_MANY if _MANY > 100 else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Draw = Callable[[st.SearchStrategy[Any]], Any]

KINDS = (("h100", "H100-SXM-80GB", "2.00"), ("l40s", "L40S-48GB", "1.20"), ("a100", "A100-SXM-80GB", "1.50"))


@st.composite
def tight_pools(draw: Draw) -> tuple[Pool, ...]:
    """Two or three pools with a few GPUs each: nearly everything is in dispute."""
    return tuple(
        pool(
            name,
            accelerator=accelerator,
            price=draw(st.sampled_from((price, "3.00", price))),
            on=nodes(name, draw(st.sampled_from((1, 2))), gpus=draw(st.sampled_from((2, 4, 8)))),
            countries=draw(st.sampled_from((("DE",), ("DE",), ("US",)))),
        )
        for name, accelerator, price in KINDS[: draw(st.sampled_from((2, 3)))]
    )


@st.composite
def crowds(draw: Draw) -> tuple[Tenant, ...]:
    """Two to six deployments that ask at once."""
    return tuple(
        tenant(
            f"chat-{index}",
            age=draw(st.integers(0, 3)),
            replicas=draw(st.sampled_from((1, 1, 2))),
            spec={
                "model": draw(st.sampled_from(("org/small", "org/small", "org/large"))),
                "placement": {
                    "priority": draw(st.sampled_from((0, 0, 5))),
                    "pools": draw(st.sampled_from(((), (), ("l40s", "h100")))),
                    "jurisdictions": draw(st.sampled_from(((), (), ("EU",)))),
                    "movePolicy": draw(st.sampled_from(("Propose", "Automatic"))),
                },
            },
        )
        for index in range(draw(st.integers(2, 6)))
    )


@st.composite
def crowded_fleets(draw: Draw) -> FleetSnapshot:
    return fleet(draw(tight_pools()), *draw(crowds()))


def stated(before: FleetSnapshot) -> Statement:
    """The problem of the whole fleet from nothing."""
    ledger, market = Ledger.of(before), market_of(before.pools)
    asks = [
        Ask(
            key=each.key,
            created=each.created,
            replicas=each.replicas,
            candidates=enumerate_candidates(requirements_of(each), market).candidates,
            priority=each.spec.placement.priority,
            pools=each.spec.placement.pools,
        )
        for each in before.tenants
    ]
    return state(asks, {each.name: room_of(each, ledger) for each in before.pools}, ledger.purse)


def merit(measure: Statement, statement: Statement, allocation: Allocation) -> tuple[Any, ...]:
    """Less is better, by the first statement's measure: who goes first is served; then preferences; then money."""
    shed, rank, money = [], 0.0, 0
    for demand in sorted(measure.problem.demands, key=lambda each: -each.priority):
        options = dict(zip(measure.ways[demand.name], demand.options, strict=True))
        shed.append(round(allocation.shed.get(demand.name, 0.0), 6))
        for index, count in allocation.replicas.get(demand.name, {}).items():
            option = options[statement.ways[demand.name][index]]
            rank += option.rank * count / (demand.replicas or 1)
            money += (option.cost + option.penalty) * count
    return shed, round(rank, 6), money


@given(crowded_fleets())
@over_some
def test_deciding_together_serves_no_worse_than_one_after_the_other(before: FleetSnapshot) -> None:
    """In order of priority and age, nobody is worse off for somebody who comes after."""
    together = place(before, NOW)
    alone = in_turn(before)
    order = sorted(before.tenants, key=lambda each: (-each.spec.placement.priority, each.created, each.key))
    assert [together.get(each.key, 0) and count(together, each) for each in order] >= [
        alone[each.key] for each in order
    ]


def count(decisions: dict[Any, Any], each: Tenant) -> int:
    assignment = decisions[each.key].assignment
    return len(assignment.nodes) if assignment else 0


def in_turn(before: FleetSnapshot) -> dict[Any, int]:
    """Each deployment alone, after those that go before it have settled."""
    order = sorted(before.tenants, key=lambda each: (-each.spec.placement.priority, each.created, each.key))
    now, found = replace(before, tenants=()), {}
    for each in order:
        now = replace(now, tenants=(*now.tenants, each))
        decisions = place(now, NOW)
        found[each.key] = count(decisions, each)
        now = settled(now, decisions)
    return found


@given(crowded_fleets(), st.randoms(use_true_random=False))
@over_some
def test_order_does_not_matter_and_the_same_fleet_gives_the_same_answer(before: FleetSnapshot, random: Any) -> None:
    shuffled = FleetSnapshot(
        pools=tuple(random.sample(before.pools, len(before.pools))),
        tenants=tuple(random.sample(before.tenants, len(before.tenants))),
    )
    assert place(shuffled, NOW) == place(before, NOW)
    assert stated(shuffled).problem == stated(before).problem


@given(crowded_fleets())
@over_some
def test_no_constraint_is_broken(before: FleetSnapshot) -> None:
    decisions = place(before, NOW)
    pools, used = {each.name: each for each in before.pools}, Counter[str]()
    for each in before.tenants:
        assignment = decisions[each.key].assignment
        if assignment is None:
            continue
        inside = each.spec.placement.jurisdictions
        assert not inside or contains(inside, pools[assignment.plan.pool].spec.location.countries)
        for node in assignment.nodes:
            used[node] += assignment.plan.gpus
    free = {node.name: node.free for each in before.pools for node in each.nodes}
    assert all(gpus <= free[node] for node, gpus in used.items())


@given(crowded_fleets(), st.integers(0, 2))
@over_some
def test_a_node_more_never_makes_the_plan_of_a_fleet_worse(before: FleetSnapshot, index: int) -> None:
    """Decided from nothing, to the end: who goes first is served, then what is liked, then what is cheap."""
    grown = before.pools[index % len(before.pools)]
    larger = replace(grown, nodes=(*grown.nodes, replace(grown.nodes[0], name=f"{grown.name}-more")))
    after = replace(before, pools=tuple(larger if each is grown else each for each in before.pools))
    first, second = stated(before), stated(after)
    lesser, greater = solve(first.problem, gap=0.0), solve(second.problem, gap=0.0)
    if [each.name for each in first.problem.demands] == [each.name for each in second.problem.demands]:
        assert merit(second, second, greater) <= merit(second, first, lesser)
    else:
        assert len(second.problem.demands) > len(first.problem.demands), "somebody has a way who had none"


@given(crowded_fleets())
@over_some
def test_a_proposal_keeps_every_constraint_and_leads_somewhere_else(before: FleetSnapshot) -> None:
    running = settled(before, place(before, NOW))
    pools = {each.name: each for each in running.pools}
    tenants = {each.key: each for each in running.tenants}
    for key, found in propose(running, place(running, NOW)).items():
        assert found.reason
        assert key in found.together
        if found.target is None:
            assert any(
                each.spec.placement.priority > tenants[key].spec.placement.priority
                for each in running.tenants
                if each.current is None
            )
            continue
        assert found.target != found.current
        inside = tenants[key].spec.placement.jurisdictions
        assert not inside or contains(inside, pools[found.target.pool].spec.location.countries)


@given(crowded_fleets())
@over_some
def test_what_was_decided_well_is_not_proposed_to_move(before: FleetSnapshot) -> None:
    """Nothing moves for pennies: a move makes room, saves a tenth, or leads to a preferred pool."""
    running = settled(before, place(before, NOW))
    waits = any(each.current is None for each in running.tenants)
    for found in propose(running, place(running, NOW)).values():
        if found.target is None or waits or len(found.together) > 1 or found.saving is None:
            continue
        price = found.current.price_per_replica_hour
        preferred = "is preferred" in found.reason
        assert preferred or (price is not None and found.saving.micro * 10 > price.micro * found.replicas)


PAID = ("2.00", "2.00", "1.00", "0", None, {"perGPUHour": "1.00", "currency": "EUR"})
ORDERS = ((), ("h100", "a100"), ("a100", "h100"), ("l40s", "h100"), ("h100",))


@st.composite
def scattered_fleets(draw: Draw) -> FleetSnapshot:
    """Everybody runs wherever there was room, or waits, and moves by itself.

    Prices are what nobody states, nothing, or what cannot be compared, too.
    """
    now = fleet(
        [
            pool(
                name,
                accelerator=accelerator,
                price=draw(st.sampled_from(PAID)),
                on=nodes(name, draw(st.sampled_from((1, 1, 2))), gpus=draw(st.sampled_from((2, 4, 8)))),
                **draw(st.sampled_from(({}, {"growth": {"maxNodes": 3}}))),
            )
            for name, accelerator, _ in KINDS
        ]
    )
    for index in range(draw(st.integers(2, 5))):
        priority, order = draw(st.sampled_from((0, 0, 5))), draw(st.sampled_from(ORDERS))
        one = tenant(
            f"chat-{index}",
            age=index,
            replicas=draw(st.sampled_from((1, 1, 2))),
            spec={
                "model": draw(st.sampled_from(("org/small", "org/small", "org/large"))),
                "placement": {"priority": priority, "pools": order, "movePolicy": "Automatic"},
            },
        )
        somewhere = draw(st.sampled_from(order or tuple(each.name for each in now.pools)))
        now = placed_in(now, one, somewhere)
    return now


def placed_in(now: FleetSnapshot, one: Tenant, name: str) -> FleetSnapshot:
    """The fleet with one more, in that pool if all of it has room there."""
    alone = fleet([each for each in now.pools if each.name == name], one)
    decisions = place(alone, NOW)
    if count(decisions, one) < one.replicas:
        return replace(now, tenants=(*now.tenants, one))
    alone = settled(alone, decisions)
    pools = {each.name: each for each in (*now.pools, *alone.pools)}
    return replace(now, pools=tuple(pools.values()), tenants=(*now.tenants, *alone.tenants))


@given(scattered_fleets())
@over_some
def test_moves_that_are_carried_out_come_to_an_end(before: FleetSnapshot) -> None:
    """No fleet comes back to where it was, however often what is proposed is done."""
    now = settled(before, place(before, NOW))
    seen = [where(now)]
    while True:
        decisions = place(now, NOW)
        offered = {key: Offered(each, NOW) for key, each in propose(now, decisions).items()}
        moves = due(offered, NOW + RIPE_AFTER, offered.keys())
        now = settled(now, place(replace(now, moves=moves), NOW))
        if where(now) == seen[-1]:
            break
        assert where(now) not in seen
        seen.append(where(now))


def where(now: FleetSnapshot) -> dict[Any, Any]:
    return {each.key: each.current for each in now.tenants}
