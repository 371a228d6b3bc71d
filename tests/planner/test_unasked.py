"""What lost to a choice that stands is worked out for those who ask, and reads like a tuple."""

from builders.fleet import NOW, fleet, pool, settled, tenant
from penstock.planner.candidates import enumerate_candidates
from penstock.planner.fleet import FleetSnapshot
from penstock.planner.placement import place
from penstock.planner.plan import Rejection, RejectionReason
from penstock.planner.unasked import UnaskedRejections

LOST = (Rejection(RejectionReason.COSTS_MORE, "1 more", "a"), Rejection(RejectionReason.NO_NODES, "none", "b"))


def _running() -> FleetSnapshot:
    before = fleet([pool("dear", price="3.00"), pool("cheap", price="1.00")], tenant("one"), tenant("two"))
    return settled(before, place(before, NOW))


def test_a_restart_compares_nothing_for_what_runs_as_it_was_meant_to() -> None:
    running = _running()
    enumerate_candidates.cache_clear()
    decisions = place(running, NOW)
    assert {decision.reason for decision in decisions.values()} == {"Kept"}
    assert enumerate_candidates.cache_info().misses == 0
    assert [each.pool for each in decisions["team", "one"].rejections if each.reason == "CostsMore"] == ["dear"]
    assert enumerate_candidates.cache_info().misses == 1


def test_rejections_are_worked_out_once_and_read_like_a_tuple() -> None:
    asked: list[int] = []

    def work_out() -> tuple[Rejection, ...]:
        asked.append(1)
        return LOST

    unasked = UnaskedRejections(work_out)
    assert not asked
    assert (len(unasked), unasked[0], unasked[1:], tuple(unasked)) == (2, LOST[0], LOST[1:], LOST)
    assert unasked == LOST
    assert unasked == UnaskedRejections(lambda: LOST)
    assert unasked != UnaskedRejections(tuple)
    assert (hash(unasked), repr(unasked)) == (hash(LOST), repr(LOST))
    assert asked == [1]
