"""Plans with the room that engines have shown."""

from typing import Any

import pytest

from builders.fleet import place_one, pool, tenant
from penstock.planner.learnt import Learnt, kv_key
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
