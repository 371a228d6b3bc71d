"""The ledger of a pass: what is free, what was promised, and taking promises back."""

from dataclasses import replace

import pytest

from builders.fleet import NOW, fleet, nodes, place_one, pool, settled, tenant
from penstock.planner.capacity import Ledger
from penstock.planner.fleet import Node
from penstock.planner.placement import place
from penstock.planner.plan import Plan


def plan_in(name: str) -> Plan:
    decision = place_one([pool(name, on=nodes(name, 1))], tenant(spec={"model": "org/large"}))
    assert decision.assignment is not None
    return decision.assignment.plan


def test_a_promise_takes_gpus_and_releasing_it_gives_them_back() -> None:
    ledger = Ledger.of(fleet([pool("p")]))
    hold = ledger.hold(("team", "chat"), "p-0", 5)
    assert ledger.free_in("p") == 3
    ledger.release([hold])
    assert ledger.free_in("p") == 8
    ledger.restore([hold])
    assert ledger.free_in("p") == 3


def test_own_gpus_are_promised_before_free_ones() -> None:
    ledger = Ledger.of(fleet([pool("p", on=nodes("p", 1, used=(6,)))]))
    assert ledger.fits("p-0", 4, own=2)
    assert not ledger.fits("p-0", 4, own=1)
    ledger.hold(("team", "chat"), "p-0", 4, own=3)
    assert ledger.free["p-0"] == 1


def test_nodes_that_take_no_pods_are_not_packed() -> None:
    shapes = (Node("cordoned", 8, 0, schedulable=False), Node("down", 8, 0, ready=False), Node("up", 8, 0))
    ledger = Ledger.of(fleet([pool("p", on=shapes)]))
    assert ledger.pack(plan_in("p"), 4) == ("up", "up")
    assert ledger.pack(plan_in("p"), 4, {"cordoned": 8, "down": 8}) == ("up", "up")
    assert ledger.stands_in("cordoned", "p")
    assert not ledger.stands_in("down", "p")


def test_the_strictest_reading_of_a_quota_counts() -> None:
    tenants = [
        tenant("a", gpu_quota={"nvidia.com/gpu": 12}),
        tenant("b", gpu_quota={"requests.nvidia.com/gpu": 9}),
    ]
    ledger, plan = Ledger.of(fleet([pool("p")], *tenants)), plan_in("p")
    assert ledger.quota_allows("team", plan) == 2
    ledger.spend_quota("team", plan, 2)
    assert ledger.quota_allows("team", plan) == 0
    assert ledger.quota_allows("other", plan) is None


def in_zones(name: str, *zones: str, used: tuple[int, ...] = ()) -> tuple[Node, ...]:
    return tuple(
        Node(f"{name}-{index}", gpus=8, used=used[index] if index < len(used) else 0, zone=zone)
        for index, zone in enumerate(zones)
    )


SPREAD = {
    "over the zones, the fullest node first": (("a", "a", "b"), (4, 0, 0), 2, (), ("p-0", "p-2")),
    "a third goes where there are as many": (("a", "a", "b"), (4, 0, 0), 3, (), ("p-0", "p-2", "p-2")),
    "a full zone is no reason to wait": (("a", "b", "b"), (8, 0, 0), 3, (), ("p-1", "p-1", "p-2")),
    "those that stand already count": (("a", "b"), (4, 0), 1, ("p-0",), ("p-1",)),
    "in one zone, nodes stay whole": (("a", "a", "a"), (4, 0, 0), 2, ("p-0",), ("p-0", "p-1")),
    "one alone takes the fullest node": (("a", "b"), (0, 4), 1, (), ("p-1",)),
    "no zone stated is one zone": (("", "", ""), (0, 4, 0), 3, (), ("p-1", "p-0", "p-0")),
}


@pytest.mark.parametrize(("zones", "used", "count", "beside", "want"), SPREAD.values(), ids=SPREAD)
def test_replicas_are_spread_over_zones(
    zones: tuple[str, ...], used: tuple[int, ...], count: int, beside: tuple[str, ...], want: tuple[str, ...]
) -> None:
    ledger = Ledger.of(fleet([pool("p", on=in_zones("p", *zones, used=used))]))
    assert ledger.pack(replace(plan_in("p"), tensor_parallel=4), count, beside=beside) == want


def test_a_lost_replica_comes_back_in_the_zone_that_it_was_lost_from() -> None:
    nodes_of = in_zones("p", "a", "a", "b", "b")
    before = fleet([pool("p", on=nodes_of)], tenant(replicas=2))
    running = settled(before, place(before, NOW))
    assert running.tenants[0].bound == {"p-0": 1, "p-2": 1}
    lost = tuple(replace(each, ready=each.name != "p-0") for each in running.pools[0].nodes)
    decision = place_one([replace(running.pools[0], nodes=lost)], running.tenants[0])
    assert decision.assignment is not None
    assert sorted(decision.assignment.nodes) == ["p-1", "p-2"]


def test_what_is_tried_on_a_copy_is_not_promised() -> None:
    ledger = Ledger.of(fleet([pool("p")], tenant(gpu_quota={"nvidia.com/gpu": 8})))
    trial = ledger.copy()
    trial.hold(("team", "chat"), "p-0", 5)
    trial.spend_quota("team", plan_in("p"), 1)
    assert (ledger.free_in("p"), ledger.promised, ledger.quota_allows("team", plan_in("p"))) == (8, {}, 2)
