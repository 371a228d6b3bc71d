"""Plans with the room that engines have shown."""

from dataclasses import replace
from typing import Any

import pytest

from builders.fleet import NOW, fleet, place_one, pool, settled, tenant
from penstock.planner.fleet import FailedPlan
from penstock.planner.learnt import Learnt, kv_key
from penstock.planner.placement import place
from penstock.planner.plan import Decision, RejectionReason

POOLS = [pool("h100")]


def key_of(**spec: Any) -> str:
    """The key of the plan that such a deployment gets while nothing was learnt."""
    assignment = place_one(POOLS, tenant(spec=spec)).assignment
    assert assignment is not None
    return kv_key(assignment.plan)


def placed(key: str, tokens: int, **spec: Any) -> Decision:
    """Where an engine of those settings has reported so much room."""
    return place_one(POOLS, tenant(spec=spec, learnt=Learnt(kv_tokens=((key, tokens),))))


@pytest.mark.parametrize("tokens", [50_000, 5_000_000])
def test_the_room_that_was_shown_is_planned_with(tokens: int) -> None:
    """Less, or more."""
    assignment = placed(key_of(), tokens).assignment
    assert assignment is not None
    assert assignment.plan.memory.kv_tokens == tokens


def test_a_context_that_nobody_asked_for_is_lowered() -> None:
    assignment = placed(key_of(), 20_000).assignment
    assert assignment is not None
    assert assignment.plan.max_context_tokens == 20_000


REFUSED: dict[str, tuple[dict[str, Any], int, RejectionReason]] = {
    "a longer context": ({"workload": {"maxContextTokens": 30_000}}, 29_999, RejectionReason.CONTEXT_TOO_LARGE),
    "a greater load": (
        {"workload": {"concurrency": 64, "promptTokens": 1000, "outputTokens": 500}},
        64 * 1500 - 1,
        RejectionReason.NO_ROOM_FOR_LOAD,
    ),
}


@pytest.mark.parametrize(("spec", "tokens", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_was_asked_for_and_does_not_fit_is_refused(
    spec: dict[str, Any], tokens: int, reason: RejectionReason
) -> None:
    """One token more is enough."""
    decision = placed(key_of(**spec), tokens, **spec)
    assert reason in {each.reason for each in decision.rejections if f"{tokens:,} tokens" in each.message}
    assert placed(key_of(**spec), tokens + 1, **spec).assignment is not None


def test_other_settings_teach_nothing() -> None:
    elsewhere = key_of(workload={"concurrency": 8, "promptTokens": 10, "outputTokens": 10})
    assert elsewhere != key_of()
    assert placed(elsewhere, 1).assignment == place_one(POOLS, tenant()).assignment


def failed(decision: Decision) -> FailedPlan:
    """The plan of the decision, as one that never started."""
    assert decision.assignment is not None
    plan = decision.assignment.plan
    name = (plan.pool, plan.engine, plan.engine_version, plan.checkpoint.precision, plan.gpus)
    return FailedPlan(*name, why=f"it was never ready in {plan.pool}")


def test_what_never_started_is_not_tried_again() -> None:
    """The next one is; where there is none it says so."""
    pools = [*POOLS, pool("h200", accelerator="H200-SXM-141GB", price="3.00")]
    first = place_one(pools, tenant())
    second = place_one(pools, tenant(failed=(failed(first),)))
    assert second.assignment is not None
    assert not failed(first).is_of(second.assignment.plan)
    lost = [each for each in second.rejections if each.reason is RejectionReason.FAILED_TO_START]
    assert {(each.pool, each.message) for each in lost} == {("h100", "it was never ready in h100")}


def test_where_everything_has_failed_nothing_is_placed() -> None:
    tried: tuple[FailedPlan, ...] = ()
    while (decision := place_one(POOLS, tenant(failed=tried))).assignment is not None:
        tried = (*tried, failed(decision))
        assert len(tried) < 9
    assert decision.reason == RejectionReason.FAILED_TO_START


def test_who_runs_what_has_failed_leaves_for_another_plan_only() -> None:
    """Its own pool is not left as a whole, and without another plan it stays as it is."""
    before = fleet(POOLS, tenant())
    stuck = settled(before, place(before, NOW))
    (one,) = stuck.tenants
    assert one.current is not None
    given_up = replace(one, failed=(failed(Decision(one.current, (), "", "")),))
    alone = place_one(stuck.pools, given_up)
    assert alone.assignment is not None
    others = [*stuck.pools, pool("h200", accelerator="H200-SXM-141GB", price="3.00")]
    decision = place_one(others, given_up)
    assert decision.assignment is not None
    assert decision.assignment.plan != one.current.plan
    assert decision.moved_because == "it was never ready in h100"
