"""The ledger of a pass: what is free, what was promised, and taking promises back."""

from builders.fleet import fleet, nodes, place_one, pool, tenant
from penstock.planner.capacity import Ledger
from penstock.planner.fleet import Node
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
