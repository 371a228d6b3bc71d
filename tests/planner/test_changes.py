"""What becomes of deployments between two plans: the kind, the reason, the order."""

from dataclasses import replace

import pytest

from builders.plans import plan as plan_of
from penstock.api.quantities import Money
from penstock.planner.changes import Change, ChangeKind, Footprint, compare, footprint_of
from penstock.planner.plan import Assignment, Decision, DecisionReason, Plan, Rejection, RejectionReason

KEY = ("team", "chat")


def dollars(amount: str) -> Money:
    return Money.parse(amount, "USD")


def decided(
    plan: Plan | None, *, nodes: int = 1, rejections: tuple[Rejection, ...] = (), message: str = ""
) -> Decision:
    assignment = Assignment(plan, ("one",) * nodes) if plan else None
    return Decision(assignment, rejections, DecisionReason.PLACED if plan else "LoadDoesNotFit", message)


def one(before: Footprint | None, decision: Decision) -> Change:
    (change,) = compare({KEY: before} if before else {}, {KEY: decision})
    return change


AFTER = decided(plan_of(), nodes=2, rejections=(Rejection(RejectionReason.COSTS_MORE, "dearer", pool="old"),))
NOW = footprint_of(AFTER)
assert NOW is not None

KINDS: dict[str, tuple[Footprint | None, ChangeKind, str]] = {
    "new": (None, ChangeKind.NEW, ""),
    "another pool, with what the old one lost by": (
        replace(NOW, pool="old"),
        ChangeKind.MOVED,
        "old: CostsMore: dearer",
    ),
    "a pool that nobody speaks of": (replace(NOW, pool="gone"), ChangeKind.MOVED, "no candidate any more"),
    "another format": (replace(NOW, precision="BF16"), ChangeKind.CHANGED, "precision BF16 -> FP8"),
    "another size": (
        replace(NOW, tensor_parallel=4, gpus_per_replica=4),
        ChangeKind.CHANGED,
        f"TP 4 -> {NOW.tensor_parallel}, GPUs per replica 4 -> {NOW.gpus_per_replica}",
    ),
    "more replicas": (replace(NOW, replicas=1), ChangeKind.SCALED, "1 -> 2 replicas"),
    "another price": (replace(NOW, price_per_hour=dollars("1")), ChangeKind.REPRICED, "another price"),
    "nothing": (NOW, ChangeKind.SAME, ""),
}


@pytest.mark.parametrize(("before", "kind", "why"), KINDS.values(), ids=KINDS)
def test_each_change_has_its_kind_and_reason(before: Footprint | None, kind: ChangeKind, why: str) -> None:
    change = one(before, AFTER)
    assert change.kind is kind
    assert why in change.why
    assert change.after == NOW


def test_the_reason_is_that_of_the_same_layout_where_there_is_one() -> None:
    other = Rejection(RejectionReason.NO_FREE_GPUS, "full", pool="old", precision="FP8", tensor_parallel=8)
    same = Rejection(RejectionReason.COSTS_MORE, "dearer", pool="old", precision="FP8", tensor_parallel=2)
    change = one(replace(NOW, pool="old"), decided(plan_of(), nodes=2, rejections=(other, same)))
    assert change.why == "old FP8 TP2: CostsMore: dearer"


def test_what_lost_its_place_says_why() -> None:
    change = one(NOW, decided(None, message="it fits nowhere"))
    assert (change.kind, change.after, change.why) == (ChangeKind.UNPLACED, None, "it fits nowhere")


def test_what_is_in_no_file_is_gone_and_comes_last() -> None:
    changes = compare({("a", "gone"): NOW, KEY: NOW}, {KEY: AFTER, ("z", "bad"): decided(None)})
    assert [each.kind for each in changes] == [ChangeKind.UNPLACED, ChangeKind.GONE, ChangeKind.SAME]


def test_a_footprint_counts_the_replicas_that_have_a_node() -> None:
    priced = replace(plan_of(), price_per_replica_hour=dollars("2.50"))
    found = footprint_of(decided(priced, nodes=3))
    assert found is not None
    assert (found.replicas, found.gpus, found.price_per_hour) == (3, 3 * priced.gpus, dollars("7.50"))
    assert footprint_of(decided(priced, nodes=0)) is None
