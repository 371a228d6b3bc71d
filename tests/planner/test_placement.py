"""Placing a fleet: who gets which nodes, who stays, who waits, who moves, and what is said of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders.fleet import NOW, fleet, nodes, place_one, pool, settled, tenant, variants
from penstock.api.formats import Precision
from penstock.planner.explain import answers_spec, is_kept
from penstock.planner.fleet import FleetSnapshot, Node, Pool, Tenant
from penstock.planner.placement import place
from penstock.planner.plan import Decision

LARGE = {"model": "org/large"}  # 4 x H100
MINUTE = timedelta(minutes=1)


def running(pools: Sequence[Pool], one: Tenant, *others: Tenant) -> FleetSnapshot:
    """A fleet in which everything runs where it was placed."""
    before = fleet(pools, one, *others)
    return settled(before, place(before, NOW))


def changed(before: FleetSnapshot, index: int = 0, **changes: Any) -> Tenant:
    return replace(before.tenants[index], **changes)


def with_nodes(before: FleetSnapshot, name: str, **changes: Any) -> tuple[Pool, ...]:
    """The pools with one node changed."""
    return tuple(
        replace(each, nodes=tuple(replace(node, **changes) if node.name == name else node for node in each.nodes))
        for each in before.pools
    )


def nodes_of(decision: Decision) -> tuple[str, ...]:
    assert decision.assignment is not None, decision.message
    return decision.assignment.nodes


def pool_of(decision: Decision) -> str:
    assert decision.assignment is not None, decision.message
    return decision.assignment.plan.pool


def test_small_replicas_fill_up_the_fullest_node() -> None:
    decision = place_one([pool("p", on=nodes("p", 3, used=(0, 6, 4)))], tenant(replicas=3))
    assert nodes_of(decision) == ("p-1", "p-1", "p-2")


def test_a_node_in_use_goes_before_a_whole_one_with_as_many_free() -> None:
    shapes = (Node("a-whole", gpus=4, used=0), Node("b-used", gpus=8, used=4))
    assert nodes_of(place_one([pool("p", on=shapes)], tenant())) == ("b-used",)


def test_gpus_on_different_nodes_do_not_add_up() -> None:
    decision = place_one([pool("p", on=nodes("p", 4, used=(6, 6, 6, 6)))], tenant(spec=LARGE))
    assert decision.assignment is None
    assert decision.reason == "NoFreeGPUs"
    assert "of 32 there are 8 free, 2 at most on one node" in decision.message


def test_two_deployments_never_get_the_same_gpus() -> None:
    first, second = tenant("first", spec=LARGE), tenant("second", age=1, spec=LARGE)
    decisions = place(fleet([pool("p", on=nodes("p", 1, used=(1,)))], second, first), NOW)
    assert nodes_of(decisions[first.key]) == ("p-0",)
    assert decisions[second.key].assignment is None
    assert "team/first (4)" in decisions[second.key].message
    assert "pods that are not Penstock's (1)" in decisions[second.key].message


def test_a_full_pool_leads_to_the_next_preference_at_once() -> None:
    spec = {"placement": {"pools": ["first", "second"]}}
    decision = place_one([pool("first", on=nodes("first", 1, used=(8,))), pool("second")], tenant(spec=spec))
    assert pool_of(decision) == "second"
    assert next(each.reason for each in decision.rejections if each.pool == "first") == "NoFreeGPUs"


def test_bound_to_a_border_it_is_refused_rather_than_placed_elsewhere() -> None:
    pools = [pool("eu", on=nodes("eu", 1, used=(8,))), pool("us", countries=("US",))]
    decision = place_one(pools, tenant(spec={"placement": {"jurisdictions": ["EU"]}}))
    assert decision.assignment is None
    assert decision.reason == "NoFreeGPUs"
    assert "us: all of its countries must lie inside EU; its countries are US" in decision.message


def test_some_replicas_are_better_than_none() -> None:
    decision = place_one([pool("p", on=nodes("p", 1, used=(6,)))], tenant(replicas=3))
    assert nodes_of(decision) == ("p-0", "p-0")
    assert decision.reason == "PartlyPlaced"
    assert "1 of 3 have no room" in decision.message


def test_no_replicas_still_have_a_plan() -> None:
    decision = place_one([pool("p")], tenant(replicas=0))
    assert pool_of(decision) == "p"
    assert nodes_of(decision) == ()


def test_no_pools_at_all() -> None:
    decision = place_one([], tenant())
    assert (decision.assignment, decision.reason) == (None, "NoPools")


def test_what_serves_stays_though_a_cheaper_pool_came() -> None:
    before = running([pool("dear", price="3.00")], tenant())
    decision = place_one([*before.pools, pool("cheap", price="1.00")], before.tenants[0])
    assert pool_of(decision) == "dear"
    assert is_kept(decision)
    assert answers_spec(decision)


def test_pods_that_run_elsewhere_in_the_pool_stay_there() -> None:
    before = running([pool("p", on=2)], tenant())
    stray = changed(before, bound={"p-1": 1}, held={"p-1": 1})
    pools = [pool("p", on=nodes("p", 2, used=(0, 1)))]
    assert nodes_of(place_one(pools, stray)) == ("p-1",)


def test_scaling_up_adds_nodes_in_the_same_pool_and_down_removes_the_last() -> None:
    before = running([pool("p", on=nodes("p", 2, used=(0, 7)))], tenant(replicas=2))
    assert nodes_of(place_one(before.pools, before.tenants[0])) == ("p-1", "p-0")
    assert nodes_of(place_one(before.pools, changed(before, replicas=3))) == ("p-1", "p-0", "p-0")
    assert nodes_of(place_one(before.pools, changed(before, replicas=1))) == ("p-1",)


def test_a_lost_node_is_replaced_in_the_same_pool() -> None:
    before = running([pool("p", on=nodes("p", 2, used=(0, 4)), price="9.00"), pool("q", price="9.50")], tenant())
    decision = place_one(with_nodes(before, "p-1", ready=False), before.tenants[0])
    assert nodes_of(decision) == ("p-0",)
    assert decision.moved_because == "node p-1 is lost, p-0 takes its place"


def test_a_replica_that_kubernetes_started_elsewhere_has_moved_too() -> None:
    """Its scheduler may be quicker than a placement: what moved and why is told all the same."""
    before = running([pool("p", on=nodes("p", 2, used=(0, 4)), price="9.00")], tenant())
    restarted = changed(before, bound={"p-0": 1}, held={"p-0": 1})
    decision = place_one(with_nodes(before, "p-1", ready=False), restarted)
    assert nodes_of(decision) == ("p-0",)
    assert decision.moved_because == "node p-1 is lost, p-0 takes its place"


LOST = {
    "it waits for its pool": (MINUTE, 300, "p", "WaitingForNode", 240.0),
    "after the fall-back time it moves": (MINUTE * 6, 300, "q", "Placed", None),
    "with no fall-back time it moves at once": (timedelta(0), 0, "q", "Placed", None),
}


@pytest.mark.parametrize(("waited", "patience", "want", "reason", "again"), LOST.values(), ids=LOST)
def test_a_lost_node_without_another(
    waited: timedelta, patience: int, want: str, reason: str, again: float | None
) -> None:
    spec = {"placement": {"fallbackAfterSeconds": patience}}
    before = running([pool("p", price="1.00"), pool("q", price="9.00")], tenant(spec=spec))
    lost = changed(before, bound={}, held={}, pending=1, waiting_since=NOW - waited)
    decision = place_one(with_nodes(before, "p-0", ready=False, used=0), lost)
    assert (pool_of(decision), decision.reason, decision.retry_after_seconds) == (want, reason, again)
    assert bool(decision.moved_because) == (want == "q")


def test_it_does_not_move_for_a_place_that_holds_fewer() -> None:
    before = running([pool("p", on=nodes("p", 1, gpus=4), price="1.00"), pool("q", on=0)], tenant(replicas=4))
    asked = changed(before, replicas=6, pending=2, waiting_since=NOW - MINUTE * 60)
    decision = place_one([*before.pools, pool("r", on=nodes("r", 1, gpus=2))], asked)
    assert (pool_of(decision), len(nodes_of(decision)), decision.reason) == ("p", 4, "PartlyPlaced")


def test_a_place_across_a_border_is_left_even_by_what_serves() -> None:
    before = running([pool("p"), pool("q", price="9.00")], tenant(spec={"placement": {"jurisdictions": ["EU"]}}))
    moved_away = replace(before.pools[0], spec=pool("p", countries=("US",)).spec)
    decision = place_one([moved_away, before.pools[1]], before.tenants[0])
    assert pool_of(decision) == "q"
    assert "does not lie inside EU any more" in decision.moved_because
    assert place_one([moved_away], before.tenants[0]).assignment is None


IN_EUROPE: dict[str, Any] = {"placement": {"jurisdictions": ["EU"]}}
FULL = pool("full", on=nodes("full", 1, used=(8,)))
OUTSIDE: dict[str, tuple[tuple[Pool, ...], tuple[str | None, str]]] = {
    "no other pool": ((), (None, "OutsideJurisdiction")),
    "another one that is full": ((FULL,), (None, "NoFreeGPUs")),
    "another one that can grow": ((pool("full", on=FULL.nodes, growth={"maxNodes": 2}),), ("full", "WaitingForGrowth")),
    "another one with room": ((pool("free"),), ("free", "Placed")),
}


@pytest.mark.parametrize("who", ["the pool moved", "and the spec was edited", "the border was tightened"])
@pytest.mark.parametrize(("others", "want"), OUTSIDE.values(), ids=OUTSIDE)
def test_whoever_moved_it_a_border_is_left(others: tuple[Pool, ...], want: tuple[str | None, str], who: str) -> None:
    """An edit of the spec lifts no border for what serves."""
    tightened = who == "the border was tightened"
    home, away = pool("p"), pool("p", countries=("US",))
    before = running([away if tightened else home], tenant(spec={} if tightened else IN_EUROPE))
    asked = tenant(spec=IN_EUROPE | ({"engineArgs": ["--seed=1"]} if "edited" in who else {})).spec
    serves = changed(before, spec=asked, outdated=who != "the pool moved")
    decision = place_one([replace(before.pools[0], spec=away.spec), *others], serves)
    assert (decision.assignment and pool_of(decision), decision.reason) == want
    if decision.assignment is None:
        assert decision.most_replicas == 0, "what serves goes on, and no replica more"
    else:
        assert "does not lie inside EU any more" in decision.moved_because


def outdated_in_a_full_pool(policy: str, *, spare: int = 0) -> Decision:
    spec = {"model": "org/large", "rollout": {"surgePolicy": policy}}
    before = running([pool("p", on=nodes("p", 1, gpus=4 + spare))], tenant(spec=spec))
    return place_one(before.pools, changed(before, outdated=True))


def test_a_new_revision_stands_beside_the_old_where_there_is_room() -> None:
    decision = outdated_in_a_full_pool("Wait", spare=4)
    assert (decision.reason, nodes_of(decision)) == ("Placed", ("p-0",))


def test_a_new_revision_waits_for_room_and_the_old_one_stays() -> None:
    decision = outdated_in_a_full_pool("Wait")
    assert decision.reason == "WaitingForRoom"
    assert not answers_spec(decision)
    assert "itself (4)" in decision.message
    assert "surgePolicy: Recreate" in decision.message


def test_recreate_counts_the_gpus_of_the_old_revision_until_they_are_given_up() -> None:
    spec = {"model": "org/large", "rollout": {"surgePolicy": "Recreate"}}
    before = running([pool("p", on=nodes("p", 1, gpus=4))], tenant(spec=spec))
    decision = place_one(before.pools, changed(before, outdated=True))
    assert (decision.reason, nodes_of(decision)) == ("Recreate", ("p-0",))
    assert "give up their GPUs first" in decision.message
    draining = changed(before, current=decision.assignment, bound={}, held={"p-0": 4})
    rival = tenant("rival", age=9, spec=LARGE)
    decisions = place(fleet(before.pools, draining, rival), NOW)
    assert decisions[draining.key].reason == "Recreate"
    assert is_kept(decisions[draining.key])
    assert decisions[rival.key].assignment is None
    drained = replace(draining, held={})
    decisions = place(fleet([pool("p", on=nodes("p", 1, gpus=4))], drained, rival), NOW)
    assert nodes_of(decisions[drained.key]) == ("p-0",)
    assert decisions[rival.key].assignment is None


@pytest.mark.parametrize("policy", ["Wait", "Recreate"])
def test_beside_the_old_revision_stays_beside_it(policy: str) -> None:
    """Its pods are pending: an operator that starts now must not take the old ones for the price of the new."""
    before = running([pool("p", on=nodes("p", 1, gpus=8))], tenant(spec={**LARGE, "rollout": {"surgePolicy": policy}}))
    decision = place_one(before.pools, changed(before, outdated=True))
    assert decision.reason == "Placed"
    pending = changed(before, current=decision.assignment, bound={}, pending=1)
    rival = tenant("rival", age=9, spec=LARGE)
    decisions = place(fleet(before.pools, pending, rival), NOW)
    assert decisions[pending.key].reason == "Kept"
    assert decisions[rival.key].assignment is None


def test_under_wait_no_gpu_of_the_old_revision_is_promised() -> None:
    """The room beside it was taken by another: the new one waits for it, and falls back in time."""
    spec = {**LARGE, "rollout": {"surgePolicy": "Wait"}}
    before = running([pool("p", on=nodes("p", 1, gpus=8))], tenant(spec=spec))
    decision = place_one(before.pools, changed(before, outdated=True))
    (full,) = (replace(each, nodes=tuple(replace(node, used=8) for node in each.nodes)) for each in before.pools)
    pending = changed(before, current=decision.assignment, bound={}, pending=1, waiting_since=NOW - MINUTE * 60)
    assert nodes_of(place_one([full], pending)) == ()
    assert pool_of(place_one([full, pool("q", price="9.00")], pending)) == "q"


def test_bad_input_leaves_what_serves_its_promises() -> None:
    """A change to something that fits nowhere frees nothing of the old revision for others."""
    before = running([pool("p", on=nodes("p", 1, gpus=4))], tenant(spec=LARGE))
    pending = changed(before, spec=tenant(spec={"model": "org/huge"}).spec, outdated=True, bound={}, held={}, pending=1)
    rival = tenant("rival", age=9, spec=LARGE)
    decisions = place(fleet([pool("p", on=nodes("p", 1, gpus=4))], pending, rival), NOW)
    assert decisions[pending.key].assignment is None
    assert decisions[rival.key].assignment is None


GROWING: dict[str, Any] = {"growth": {"maxNodes": 4}}


def test_a_preferred_pool_that_can_grow_is_waited_for_then_not() -> None:
    pools = [pool("grows", on=nodes("grows", 1, used=(8,)), **GROWING), pool("stands")]
    asked = tenant(spec={"placement": {"pools": ["grows", "stands"], "fallbackAfterSeconds": 300}})
    first = place_one(pools, asked)
    assert (pool_of(first), nodes_of(first), first.reason) == ("grows", (), "WaitingForGrowth")
    assert first.retry_after_seconds == 300
    assert answers_spec(first), "its pending pods are what makes the autoscaler act"
    waiting = replace(asked, current=first.assignment, pending=1, waiting_since=NOW - MINUTE * 2)
    assert place_one(pools, waiting).retry_after_seconds == 180
    tired = replace(waiting, waiting_since=NOW - MINUTE * 6)
    decision = place_one(pools, tired)
    assert pool_of(decision) == "stands"
    assert "waited 360 s" in decision.moved_because
    assert any(each.reason == "WaitedInVain" for each in decision.rejections)


def test_a_node_that_grew_ends_the_wait() -> None:
    pools = [pool("grows", on=nodes("grows", 1, used=(8,)), **GROWING)]
    asked = tenant()
    waiting = replace(asked, current=place_one(pools, asked).assignment, pending=1, waiting_since=NOW - MINUTE)
    grown = [pool("grows", on=nodes("grows", 2, used=(8,)), **GROWING)]
    decision = place_one(grown, waiting)
    assert (nodes_of(decision), decision.reason) == (("grows-1",), "Placed")


def test_an_empty_pool_that_can_grow_is_a_place() -> None:
    decision = place_one([pool("grows", on=0, **GROWING)], tenant())
    assert (nodes_of(decision), decision.reason) == ((), "WaitingForGrowth")


@pytest.mark.parametrize("most_nodes", [1, 4])
@pytest.mark.parametrize("rivals", [0, 1])
def test_a_new_node_that_shows_no_gpus_yet_is_still_to_come(most_nodes: int, rivals: int) -> None:
    """It joins before its device plugin has registered: no reason to refuse its pool, or to take a dearer one."""
    spec = {"placement": {"pools": ["grows", "dear"]}}
    others = [tenant(f"rival-{index}", age=1, spec=spec) for index in range(rivals)]
    bare = pool("grows", on=nodes("grows", 1, gpus=0), growth={"maxNodes": most_nodes})
    decision = place_one([bare, pool("dear", price="9.00")], tenant(spec=spec), *others)
    assert (pool_of(decision), decision.reason) == ("grows", "WaitingForGrowth")
    without = pool("grows", on=nodes("grows", 1, gpus=0))
    assert place_one([without], tenant()).reason == "NoNodes"


def test_without_a_preference_room_now_goes_before_growth() -> None:
    pools = [pool("grows", on=nodes("grows", 1, used=(8,)), price="1.00", **GROWING), pool("stands", price="2.00")]
    assert pool_of(place_one(pools, tenant())) == "stands"


def test_a_quota_is_shared_by_the_namespace_and_explained() -> None:
    first = tenant("first", replicas=3, gpu_quota={"requests.nvidia.com/gpu": 4})
    second = tenant("second", age=1, replicas=3, gpu_quota={"requests.nvidia.com/gpu": 4})
    decisions = place(fleet([pool("p")], first, second), NOW)
    assert len(nodes_of(decisions[first.key])) == 3
    assert len(nodes_of(decisions[second.key])) == 1
    assert "ResourceQuota of namespace 'team' leaves 0 nvidia.com/gpu" in decisions[second.key].message
    elsewhere = tenant("third", namespace="other", age=2, replicas=3)
    assert len(nodes_of(place_one([pool("p")], elsewhere, first, second))) == 3


FORBIDDEN: dict[str, tuple[int, dict[str, Any], str]] = {
    "nothing allowed, it cannot grow": (0, {}, "amd"),
    "nothing allowed, it can grow": (0, GROWING, "amd"),
    "fewer than wanted": (1, GROWING, "nv"),
    "all that are wanted": (2, GROWING, "nv"),
}


@pytest.mark.parametrize(("left", "growth", "want"), FORBIDDEN.values(), ids=FORBIDDEN)
@pytest.mark.parametrize("rivals", [0, 1])
def test_growth_is_waited_for_only_where_the_quota_allows_it(
    left: int, growth: dict[str, Any], want: str, rivals: int
) -> None:
    pools = [pool("nv", on=nodes("nv", 1, used=(8,)), **growth), pool("amd", accelerator="MI300X", price="5.00")]
    spec = {"placement": {"pools": ["nv", "amd"]}}
    asked = tenant(spec=spec, replicas=2, gpu_quota={"requests.nvidia.com/gpu": left})
    others = [tenant(f"rival-{index}", namespace="other", age=1, spec=spec) for index in range(rivals)]
    assert pool_of(place_one(pools, asked, *others)) == want


QUOTA_GONE = {
    "it waits for the quota": (MINUTE, {}, ("nv", "QuotaExceeded", 240.0)),
    "then it moves": (MINUTE * 6, {}, ("amd", "Placed", None)),
    "what runs stays": (MINUTE * 6, {"bound": {"nv-0": 1}, "held": {"nv-0": 1}}, ("nv", "QuotaExceeded", None)),
}


@pytest.mark.parametrize(("waited", "runs", "want"), QUOTA_GONE.values(), ids=QUOTA_GONE)
def test_a_quota_that_others_used_up_is_waited_for_then_not(
    waited: timedelta, runs: dict[str, Any], want: tuple[str, str, float | None]
) -> None:
    """While any replica runs it stays: a quota takes nobody's place."""
    pools = [pool("nv", on=nodes("nv", 1, used=(8,)), **GROWING), pool("amd", accelerator="MI300X", price="5.00")]
    asked = tenant(spec={"placement": {"pools": ["nv", "amd"], "fallbackAfterSeconds": 300}}, replicas=2)
    hoped = place_one(pools, asked).assignment
    late = replace(asked, current=hoped, waiting_since=NOW - waited, gpu_quota={"requests.nvidia.com/gpu": 0}, **runs)
    decision = place_one(pools, late)
    assert (pool_of(decision), decision.reason, decision.retry_after_seconds) == want
    if want[0] == "amd":
        assert decision.moved_because == "waited 360 s to be allowed room in pool nv"


def test_a_quota_that_counts_pods_before_they_are_seen_moves_nobody() -> None:
    pools = [pool("nv", on=nodes("nv", 1, used=(8,)), **GROWING), pool("amd", accelerator="MI300X", price="5.00")]
    asked = tenant(spec={"placement": {"pools": ["nv", "amd"]}}, gpu_quota={"requests.nvidia.com/gpu": 1})
    created = replace(asked, current=place_one(pools, asked).assignment, gpu_quota={"requests.nvidia.com/gpu": 0})
    assert pool_of(place_one(pools, created)) == "nv"


def test_pods_that_exist_are_in_the_quota_already() -> None:
    before = running([pool("p")], tenant(replicas=2, gpu_quota={"nvidia.com/gpu": 0}, spec={"placement": {}}))
    assert before.tenants[0].current is None, "no quota, no place"
    before = running([pool("p")], tenant(replicas=2))
    kept = changed(before, gpu_quota={"nvidia.com/gpu": 0})
    assert is_kept(place_one(before.pools, kept))
    more = place_one(before.pools, replace(kept, replicas=3))
    assert (len(nodes_of(more)), more.reason) == (2, "QuotaExceeded")


def test_a_decision_is_the_same_said_again() -> None:
    """What is remembered of a settled deployment is what would be computed anew."""
    pools = [pool("p"), pool("q", price="5.00"), pool("us", countries=("US",))]
    asked = tenant(
        spec={"model": "org/large", "variants": variants(Precision.FP8), "placement": {"jurisdictions": ["EU"]}}
    )
    before = running(pools, asked)
    first = place(before, NOW)
    again = place(before, NOW)
    rebuilt = place(FleetSnapshot(before.pools, (replace(before.tenants[0]),)), NOW)
    assert first == again == rebuilt
    assert {each.pool for each in first[asked.key].rejections} >= {"q", "us"}


def test_the_losers_say_what_they_cost() -> None:
    decision = place_one([pool("cheap", price="1.00"), pool("dear", price="3.50")], tenant())
    lost = next(each for each in decision.rejections if each.pool == "dear")
    assert (lost.reason, lost.message) == ("CostsMore", "3.50 USD/h per replica, 2.50 USD/h more than cheap")


def test_a_new_revision_is_not_begun_with_fewer_replicas_than_wanted() -> None:
    """It would never take over: the old one stays until all of the new one is ready."""
    before = running([pool("p", on=nodes("p", 1, gpus=3))], tenant(replicas=2))
    assert place_one(before.pools, changed(before, outdated=True)).reason == "WaitingForRoom"


def test_the_older_of_two_that_choose_goes_first() -> None:
    before = running([pool("p", on=nodes("p", 1, gpus=2))], tenant("young", age=60))
    newcomer, young = tenant("old", age=0), changed(before, outdated=True)
    decisions = place(fleet(before.pools, young, newcomer), NOW)
    assert nodes_of(decisions[newcomer.key]) == ("p-0",)
    assert decisions[young.key].reason == "WaitingForRoom"


def test_scaling_from_zero_takes_another_pool_at_once_where_its_own_is_full() -> None:
    before = running([pool("p", price="1.00"), pool("q")], tenant(replicas=0))
    full = [pool("p", on=nodes("p", 1, used=(8,)), price="1.00"), pool("q")]
    decision = place_one(full, changed(before, replicas=1))
    assert pool_of(decision) == "q"
    assert "has no room for it any more" in decision.moved_because


def test_a_pool_that_is_gone_is_left_after_the_fall_back_time() -> None:
    before = running([pool("p", price="1.00"), pool("q")], tenant())
    gone = changed(before, bound={}, held={}, pending=1, waiting_since=NOW - MINUTE * 10)
    decision = place_one([pool("q")], gone)
    assert pool_of(decision) == "q"
    assert "which is gone" in decision.moved_because


def drained(before: FleetSnapshot, **changes: Any) -> tuple[tuple[Pool, ...], Tenant]:
    """Node p-0 is cordoned, and a pod that stood there was evicted and waits."""
    one = before.tenants[0]
    bound = Counter(one.bound) - Counter({"p-0": 1})
    gpus = one.current.plan.gpus if one.current else 0
    held = {node: count * gpus for node, count in bound.items()}
    pools = with_nodes(before, "p-0", schedulable=False, used=held.get("p-0", 0))
    return pools, replace(one, bound=bound, held=held, pending=1, **changes)


Other = tuple[int, int]

DRAINED: dict[str, tuple[int, Other, timedelta, tuple[str, int, str]]] = {
    "its only replica waits for the node": (1, (1, 8), MINUTE, ("p", 0, "WaitingForNode")),
    "and falls back in time": (1, (1, 8), MINUTE * 6, ("q", 1, "Placed")),
    "with a second one, which the disruption budget keeps there": (2, (1, 8), MINUTE, ("p", 1, "PartlyPlaced")),
    "both fall back in time, and the budget lets the second go": (2, (1, 8), MINUTE * 6, ("q", 2, "Placed")),
    "elsewhere there is room for no more than still run": (3, (2, 1), MINUTE * 6, ("p", 2, "PartlyPlaced")),
}


@pytest.mark.parametrize(("replicas", "other", "waited", "want"), DRAINED.values(), ids=DRAINED)
def test_the_only_node_of_a_pool_is_drained(
    replicas: int, other: Other, waited: timedelta, want: tuple[str, int, str]
) -> None:
    q = pool("q", price="9.00", on=nodes("q", other[0], gpus=other[1]))
    before = running([pool("p"), q], tenant(replicas=replicas))
    pools, waiting = drained(before, waiting_since=NOW - waited)
    decision = place_one(pools, waiting)
    assert (pool_of(decision), len(nodes_of(decision)), decision.reason) == want


def test_a_node_that_is_drained_gives_its_replica_to_another_of_the_pool() -> None:
    before = running([pool("p", on=2, price="1.00"), pool("q")], tenant(replicas=2))
    assert before.tenants[0].bound == {"p-0": 2}
    pools, waiting = drained(before, waiting_since=NOW)
    decision = place_one(pools, waiting)
    assert sorted(nodes_of(decision)) == ["p-0", "p-1"]
    assert decision.reason == "Placed"


def test_what_runs_on_a_cordoned_node_goes_on_running_there() -> None:
    before = running([pool("p"), pool("q", price="9.00")], tenant())
    assert is_kept(place_one(with_nodes(before, "p-0", schedulable=False), before.tenants[0]))
