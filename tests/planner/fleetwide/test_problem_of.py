"""What becomes of asks, rooms and limits as an allocation problem."""

from dataclasses import replace
from typing import Any

import pytest

from builders.fleet import fleet, nodes, pool, tenant, variants
from penstock.api.formats import Precision
from penstock.api.quantities import Money
from penstock.planner.allocation.problem import Demand, Option, Problem, Supply
from penstock.planner.allocation.solve import solve
from penstock.planner.candidates import enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fleet import Pool, Tenant
from penstock.planner.fleetwide.asks import Ask, linked, room_of
from penstock.planner.fleetwide.costs import cold_start_seconds, move_cost
from penstock.planner.fleetwide.problem_of import Statement, state
from penstock.planner.offers import market_of
from penstock.planner.requirements import requirements_of
from penstock.planner.spending import Purse, SpendingLimit


def stated(pools: list[Pool], *tenants: Tenant, purse: Purse | None = None, **changes: Any) -> Statement:
    ledger, market = Ledger.of(fleet(pools, *tenants)), market_of(pools)
    asks = [
        Ask(
            key=each.key,
            created=each.created,
            replicas=each.replicas,
            candidates=enumerate_candidates(requirements_of(each), market).candidates,
            priority=each.spec.placement.priority,
            pools=each.spec.placement.pools,
            **changes,
        )
        for each in tenants
    ]
    return state(asks, {each.name: room_of(each, ledger) for each in pools}, purse or Purse())


def only_demand(pools: list[Pool], one: Tenant, **changes: Any) -> Demand:
    (demand,) = stated(pools, one, **changes).problem.demands
    return demand


def test_an_option_for_each_way_that_has_room_with_its_price_for_a_replica() -> None:
    pools = [pool("a", on=nodes("a", 2, used=(8, 3)), price="2.00"), pool("b", price="3.00"), pool("full", on=0)]
    statement = stated(pools, tenant(spec={"model": "org/large"}, replicas=2))
    (demand,) = statement.problem.demands
    assert (demand.replicas, demand.one_option, demand.churn) == (2, True, 0)
    assert {option.pool for option in demand.options} == {"a", "b"}
    assert {(option.gpus, option.cost) for option in demand.options if option.pool == "b"} >= {(4, 12_000_000)}
    assert {supply.pool: supply.free for supply in statement.problem.supplies} == {"a": (5,), "b": (8,)}


def test_a_candidate_that_is_liked_less_is_never_taken_for_money() -> None:
    """Four bits need fewer GPUs and are cheaper: they count as dearer, and stand for room alone."""
    spec = {"model": "org/large", "variants": variants(Precision.INT4)}
    demand = only_demand([pool("p")], tenant(spec=spec))
    first, *others = demand.options
    assert any(option.cost < first.cost for option in others)
    assert all(option.cost + option.penalty > first.cost + first.penalty for option in others)
    assert all(option.gpus < first.gpus for option in others), "one that is no smaller has no room either"


RANKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, int]]] = {
    "no order": ({}, {}, {"a": 0, "b": 0}),
    "the user's order": ({"pools": ["b", "a"]}, {}, {"b": 0, "a": 1}),
    "growth is waited for where it is preferred": (
        {"pools": ["grows", "a"]},
        {"patient": True},
        {"grows (growth)": 0, "a": 1},
    ),
    "and not for longer than the patience lasts": ({"pools": ["grows", "a"]}, {}, {"a": 0, "grows (growth)": 1}),
    "what is there goes before what has to grow": ({}, {}, {"a": 0, "b": 0, "grows (growth)": 1}),
}


@pytest.mark.parametrize(("placement", "changes", "want"), RANKS.values(), ids=RANKS)
def test_ranks(placement: dict[str, Any], changes: dict[str, Any], want: dict[str, int]) -> None:
    pools = [pool("a"), pool("b")]
    if any("grows" in name for name in want):
        pools.append(pool("grows", on=nodes("grows", 1, used=(8,)), price="0.50", growth={"maxNodes": 2}))
    demand = only_demand(pools, tenant(spec={"placement": placement}), **changes)
    assert {option.pool: option.rank for option in demand.options} == want


CURRENCIES: dict[str, tuple[Rates, dict[str, tuple[int, int]], frozenset[str]]] = {
    "without rates each is compared with itself": (
        NO_RATES,
        {"a": (2_000_000, 0), "b": (3_000_000, 0), "euros": (0, 1), "unpriced": (0, 1)},
        frozenset({"EUR"}),
    ),
    "with a rate all are": (
        Rates.parse("USD", {"EUR": "1.50"}),
        {"a": (2_000_000, 0), "b": (3_000_000, 0), "euros": (1_500_000, 0), "unpriced": (0, 1)},
        frozenset(),
    ),
}


@pytest.mark.parametrize(("rates", "want", "uncompared"), CURRENCIES.values(), ids=CURRENCIES)
def test_currencies(rates: Rates, want: dict[str, tuple[int, int]], uncompared: frozenset[str]) -> None:
    euros = pool("euros", price={"perGPUHour": "1.00", "currency": "EUR"})
    pools = [pool("a"), pool("b", price="3.00"), euros, pool("unpriced", price=None)]
    statement = stated(pools, tenant(), purse=Purse.of((), rates))
    (demand,) = statement.problem.demands
    assert {each.pool: (each.cost, each.rank) for each in demand.options if each.gpus == 1} == want
    assert (statement.currency, statement.uncompared) == ("USD", uncompared)


def test_bought_otherwise_at_the_same_price() -> None:
    pools = [
        pool(kind, price={"perGPUHour": "2.00", "capacityType": kind}) for kind in ("Spot", "OnDemand", "Reserved")
    ]
    demand = only_demand(pools, tenant())
    worth = {each.pool: each.cost + each.penalty for each in demand.options if each.gpus == 1}
    assert worth["Reserved"] < worth["OnDemand"] < worth["Spot"]


def test_limits_bound_what_they_cover_and_a_spent_one_leaves_no_way() -> None:
    limits = [
        SpendingLimit("fleet", Money.parse("9.00", "USD")),
        SpendingLimit("team", Money.parse("1.00", "USD"), frozenset({"other"})),
        SpendingLimit("crowns", Money.parse("1.00", "SEK"), frozenset({"nobody"})),
    ]
    two = (tenant("one"), tenant("two", namespace="other"))
    statement = stated([pool("p")], *two, purse=Purse.of(limits, NO_RATES))
    (demand,) = statement.problem.demands
    assert demand.name.endswith("team/one")
    assert [(each.name, each.limit, each.demands) for each in statement.problem.budgets] == [
        ("fleet", 9_000_000, frozenset({demand.name}))
    ]


def test_who_serves_goes_before_who_waits_with_the_same_priority() -> None:
    market, asked = market_of([pool("p")]), tenant("old")
    candidates = enumerate_candidates(requirements_of(asked), market).candidates
    old = Ask(asked.key, asked.created, 1, candidates)
    serving = Ask(("team", "young"), tenant(age=9).created, 1, candidates, running=candidates[0].plan, standing=1)
    greater = Ask(("team", "greater"), tenant(age=99).created, 1, candidates, priority=1)
    rooms = {"p": room_of(pool("p"), Ledger.of(fleet([pool("p")])))}
    problem = state([old, serving, greater], rooms, Purse()).problem
    ranked = [each.name.split("/")[1] for each in sorted(problem.demands, key=lambda each: -each.priority)]
    assert ranked == ["greater", "young", "old"]
    (young,) = (each for each in problem.demands if each.running)
    assert young.running == {0: 1}
    assert 2 * young.churn >= move_cost(candidates[0].plan, 2_000_000) > 0


COLD_STARTS = {
    "8 billion parameters: 294 s measured": (16, 240, 360),
    "70 billion": (140, 300, 900),
    "685 billion: 15 to 35 minutes": (690, 900, 2100),
}


@pytest.mark.parametrize(("gigabytes", "least", "most"), COLD_STARTS.values(), ids=COLD_STARTS)
def test_cold_starts_are_those_of_the_field(gigabytes: int, least: int, most: int) -> None:
    market = market_of([pool("p")])
    plan = enumerate_candidates(requirements_of(tenant()), market).candidates[0].plan
    heavy = replace(plan, checkpoint=replace(plan.checkpoint, weights_bytes=gigabytes * 10**9))
    assert least <= cold_start_seconds(heavy) <= most


def test_groups_that_share_a_member_are_linked() -> None:
    groups = [frozenset("ab"), frozenset("c"), frozenset("bd"), frozenset("e"), frozenset("de")]
    assert linked(groups) == ((0, 2, 3, 4), (1,))
    assert linked([]) == ()


def test_what_goes_before_is_served_though_a_quick_start_would_serve_what_comes_after() -> None:
    """The largest replicas are of the last but one; a start that leaves them out is no answer for the last."""
    h100, l40s = Supply("h100", (2, 2, 2), node_gpus=2), Supply("l40s", (4,), node_gpus=4)
    small = (Option("h100", 1, 2_000_000), Option("l40s", 1, 3_000_000))
    large = (Option("h100", 2, 4_000_000), Option("l40s", 4, 12_000_000))
    asked = [("a", large, 1), ("b", small, 1), ("c", small[::-1], 1), ("d", small, 2), ("e", large, 2), ("f", small, 1)]
    demands = tuple(
        Demand(name, options, replicas=replicas, one_option=True, priority=-index)
        for index, (name, options, replicas) in enumerate(asked)
    )
    answer = solve(Problem(demands, (h100, l40s)), gap=0.0)
    assert answer.shed == {"f": 1.0}
    assert answer.replicas["e"] == {0: 2}
    assert answer.proved
