"""Ripe proposals carried out: who moves, when, how many at once, and who never does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders.fleet import NOW, fleet, nodes, pool, settled, tenant
from builders.plans import checkpoint, plan
from penstock.api.formats import EngineName, Precision
from penstock.planner.fleet import Destination, FleetSnapshot, Move, Pool, Tenant, destination_of
from penstock.planner.fleetwide.hysteresis import RIPE_AFTER, Offered, carry_on, due, ripe
from penstock.planner.fleetwide.moves import leads_to
from penstock.planner.fleetwide.proposal import Proposal, propose
from penstock.planner.placement import place
from penstock.planner.plan import Decision

CHEAP = Destination("cheap", "vLLM", "BF16", "TP1")
AUTOMATIC: dict[str, Any] = {"placement": {"movePolicy": "Automatic"}}
TO_CHEAP = Move(CHEAP, "a better place: pool cheap serves the same and saves 2.00 USD/h")
SECOND = timedelta(seconds=1)


def standing(*tenants: Tenant, more: Sequence[Pool] = (), on: int = 1) -> FleetSnapshot:
    """Everybody runs in a dear pool; a cheap one came."""
    before = fleet([pool("dear", price="3.00", on=on)], *tenants)
    before = settled(before, place(before, NOW))
    return replace(before, pools=(*before.pools, *(more or (pool("cheap", price="1.00"),))))


def moved(before: FleetSnapshot, *names: str) -> dict[str, Decision]:
    moves = {("team", name): TO_CHEAP for name in names or ("chat",)}
    return {key[1]: each for key, each in place(replace(before, moves=moves), NOW).items()}


def pool_of(decision: Decision) -> str:
    assert decision.assignment is not None, decision.message
    return decision.assignment.plan.pool


def test_a_ripe_move_is_a_new_place_beside_the_old_one_and_says_why() -> None:
    decision = moved(standing(tenant(spec=AUTOMATIC)))["chat"]
    assert (pool_of(decision), decision.reason) == ("cheap", "Placed")
    assert decision.moved_because == TO_CHEAP.why


OTHERS = {
    "another pool": {"pool": "b200"},
    "another precision": {"checkpoint": checkpoint(Precision.BF16)},
    "other ranks": {"attention_ranks": 2},
    "whole experts": {"expert_parallel": True},
    "a pipeline": {"pipeline_parallel": 2},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS.keys())
def test_a_move_leads_to_one_plan_and_to_none_that_is_cut_otherwise(changes: dict[str, Any]) -> None:
    move = Move(destination_of(plan()), "it is better")
    assert leads_to(move, plan(max_sequences=1)), "numbers make no other plan of it"
    assert not leads_to(move, plan(**changes))
    assert not leads_to(move, plan(EngineName.SGLANG))


STAYS: dict[str, tuple[dict[str, Any], dict[str, Any], Pool]] = {
    "it is only proposed": ({}, {}, pool("cheap", price="1.00")),
    "no free room beside what runs there": (
        AUTOMATIC,
        {},
        pool("cheap", price="1.00", on=nodes("cheap", 1, used=(8,))),
    ),
    "room for some replicas": (
        AUTOMATIC,
        {"replicas": 3},
        pool("cheap", price="1.00", on=nodes("cheap", 1, used=(6,))),
    ),
    "only in nodes that would have to grow": (AUTOMATIC, {}, pool("cheap", on=0, growth={"maxNodes": 2})),
    "the plan is no candidate any more": (AUTOMATIC, {}, pool("cheap", price="1.00", accelerator=None)),
}


@pytest.mark.parametrize(("spec", "more", "cheap"), STAYS.values(), ids=STAYS)
def test_who_stays(spec: dict[str, Any], more: dict[str, Any], cheap: Pool) -> None:
    decision = moved(standing(tenant(spec=spec, **more), more=[cheap]))["chat"]
    assert (pool_of(decision), decision.reason) == ("dear", "Kept")


def test_one_deployment_at_a_time_leaves_a_pool() -> None:
    one, two = tenant("one", spec=AUTOMATIC), tenant("two", age=1, spec=AUTOMATIC)
    before = standing(one, two)
    decisions = moved(before, "one", "two")
    assert [pool_of(decisions[name]) for name in ("one", "two")] == ["cheap", "dear"]
    # The pods of the first are still where they were, and the second waits for them.
    leaving = replace(before.tenants[0], current=decisions["one"].assignment, bound={})
    decisions = moved(replace(before, tenants=(leaving, before.tenants[1])), "one", "two")
    assert [pool_of(decisions[name]) for name in ("one", "two")] == ["cheap", "dear"]


def test_a_move_that_is_done_is_not_done_again() -> None:
    before = standing(tenant(spec=AUTOMATIC))
    after = settled(before, place(replace(before, moves={("team", "chat"): TO_CHEAP}), NOW))
    decision = moved(after)["chat"]
    assert (pool_of(decision), decision.reason, decision.moved_because) == ("cheap", "Kept", "")


def test_who_is_about_to_scale_or_to_roll_out_does_not_move_as_well() -> None:
    before = standing(tenant(spec=AUTOMATIC))
    for change in ({"replicas": 2}, {"bound": {}, "pending": 1}):
        shaken = replace(before, tenants=(replace(before.tenants[0], **change),))
        assert pool_of(moved(shaken)["chat"]) == "dear", change


def proposals_of(before: FleetSnapshot) -> dict[tuple[str, str], Proposal]:
    return propose(before, place(before, NOW))


def test_a_proposal_is_ripe_after_it_stood_for_fifteen_minutes() -> None:
    found = proposals_of(standing(tenant(spec=AUTOMATIC)))
    key = ("team", "chat")
    first = carry_on({}, found, NOW)
    assert first[key].since == NOW
    known = {key: (destination_of(first[key].proposal.target), NOW)}
    later = carry_on(known, found, NOW + RIPE_AFTER)
    assert later[key].since == NOW
    assert not ripe(later[key], NOW + RIPE_AFTER - SECOND)
    assert ripe(later[key], NOW + RIPE_AFTER)
    assert due(later, NOW + RIPE_AFTER - SECOND, {key}) == {}
    assert due(later, NOW + RIPE_AFTER, {key}) == {key: TO_CHEAP}
    assert due(later, NOW + RIPE_AFTER, set()) == {}, "it is only proposed"


def test_a_break_or_another_destination_starts_the_clock_anew() -> None:
    found, key = proposals_of(standing(tenant(spec=AUTOMATIC))), ("team", "chat")
    assert carry_on({key: (replace(CHEAP, pool="other"), NOW)}, found, NOW + RIPE_AFTER)[key].since == NOW + RIPE_AFTER
    assert carry_on({}, {}, NOW) == {}
    ahead = carry_on({key: (CHEAP, NOW + RIPE_AFTER)}, found, NOW)
    assert ahead[key].since == NOW, "a clock that was set back is no reason to wait for longer"


def test_moves_that_pay_together_are_carried_out_together_or_not_at_all() -> None:
    found = next(iter(proposals_of(standing(tenant(spec=AUTOMATIC))).values()))
    keys = {("team", "chat"), ("team", "other")}
    pair = {key: Offered(replace(found, key=key, together=frozenset(keys)), NOW) for key in keys}
    later = NOW + RIPE_AFTER
    assert due(pair, later, keys).keys() == keys
    assert due(pair, later, {("team", "chat")}) == {}, "the other one is only proposed"
    young = pair | {("team", "other"): replace(pair["team", "other"], since=later)}
    assert due(young, later, keys) == {}
    giving_way = pair | {("team", "other"): Offered(replace(pair["team", "other"].proposal, target=None), NOW)}
    assert due(giving_way, later, keys) == {}, "nobody's place is taken without people"


ROOM: dict[str, tuple[int, dict[str, str]]] = {
    "all have room": (8, {"one": "cheap", "two": "cheap"}),
    "one has room": (1, {"one": "dear", "two": "dear"}),
}


@pytest.mark.parametrize(("gpus", "want"), ROOM.values(), ids=ROOM)
def test_of_those_that_move_together_all_have_room_or_none_moves(gpus: int, want: dict[str, str]) -> None:
    cheap = pool("cheap", price="1.00", on=nodes("cheap", 1, gpus=gpus))
    before = standing(tenant("one", spec=AUTOMATIC), tenant("two", age=1, spec=AUTOMATIC), more=[cheap])
    keys = frozenset(each.key for each in before.tenants)
    moves = {key: replace(TO_CHEAP, others=keys - {key}) for key in keys}
    decisions = place(replace(before, moves=moves), NOW)
    assert {key[1]: pool_of(each) for key, each in decisions.items()} == want


def test_who_moves_only_together_does_not_move_while_another_one_may_not() -> None:
    before = standing(tenant("one", spec=AUTOMATIC), tenant("two", age=1, spec=AUTOMATIC))
    keys = frozenset(each.key for each in before.tenants)
    moves = {key: replace(TO_CHEAP, others=keys - {key}) for key in keys}
    shaken = replace(before, tenants=(before.tenants[0], replace(before.tenants[1], replicas=2)), moves=moves)
    assert {pool_of(each) for each in place(shaken, NOW).values()} == {"dear"}


def test_what_ripened_together_is_due_with_the_others() -> None:
    found = next(iter(proposals_of(standing(tenant(spec=AUTOMATIC))).values()))
    keys = frozenset({("team", "chat"), ("team", "other")})
    pair = {key: Offered(replace(found, key=key, together=keys), NOW) for key in keys}
    assert {key: each.others for key, each in due(pair, NOW + RIPE_AFTER, keys).items()} == {
        key: keys - {key} for key in keys
    }
