"""What engines do against what was planned."""

from dataclasses import replace

import pytest

from builders.fleet import facts
from builders.plans import checkpoint, plan
from penstock.planner.accuracy import Measured, Verdict, compared, facts_of, is_uniform, judge, modelled_seconds

FACTS = facts("org/small", 8.2)
PLAN = plan(checkpoint=checkpoint(model="org/small"))
PLANNED = PLAN.memory.kv_tokens
CASES: dict[str, tuple[int | None, int | None, Verdict | None]] = {
    "nothing is known": (None, None, None),
    "exactly as planned": (PLANNED, 100, Verdict.AS_PLANNED),
    "more room": (2 * PLANNED, None, Verdict.AS_PLANNED),
    "a tenth less room": (PLANNED * 9 // 10, None, Verdict.AS_PLANNED),
    "more than a tenth less": (PLANNED * 9 // 10 - 1, None, Verdict.LESS_ROOM),
    "less room than one request": (PLAN.max_context_tokens - 1, 300, Verdict.CONTEXT_BEYOND_ROOM),
    "a quarter slower": (None, 125, Verdict.AS_PLANNED),
    "slower than that": (PLANNED, 126, Verdict.SLOWER),
    "faster": (PLANNED, 40, Verdict.AS_PLANNED),
    "room is worse than pace": (PLANNED // 2, 300, Verdict.LESS_ROOM),
}


@pytest.mark.parametrize(("tokens", "percent", "want"), CASES.values(), ids=CASES)
def test_the_verdict(tokens: int | None, percent: int | None, want: Verdict | None) -> None:
    found = judge(PLAN, tokens, percent)
    assert (found.verdict if found else None) == want


def test_the_message_has_the_numbers() -> None:
    found = judge(PLAN, 100_000, 140)
    assert found is not None
    assert all(word in found.message for word in ("100,000", f"{PLANNED:,}", "30 %", "140 %"))


def test_what_was_known_when_it_was_planned_is_no_surprise() -> None:
    """The model is off by a half, and the plan was made with that."""
    corrected = replace(PLAN, speed_correction=1.5)
    found = [judge(each, None, 150) for each in (PLAN, corrected)]
    assert [each.verdict for each in found if each] == [Verdict.SLOWER, Verdict.AS_PLANNED]


def load(seconds: float, *, concurrency: float = 8) -> Measured:
    return Measured(concurrency, 1000, 200, 0.0, 0.2, seconds, 500.0)


def test_the_ratio_is_taken_at_the_measured_load() -> None:
    """What the model says for that load is 1.0; the same time at a higher load is less than that."""
    modelled = modelled_seconds(PLAN, FACTS, load(1.0))
    found, busier = (compared(PLAN, FACTS, load(modelled, concurrency=requests)) for requests in (8, 64))
    assert found is not None
    assert found.ratio == pytest.approx(1.0)
    assert busier is not None
    assert busier.ratio < 1.0


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 100.0])
def test_what_is_absurd_is_no_ratio(seconds: float) -> None:
    assert compared(PLAN, FACTS, load(seconds)) is None


def test_facts_are_those_of_the_planned_checkpoint() -> None:
    assert facts_of(PLAN, {"a@1": facts("org/other", 8.2), "b@2": FACTS}) is FACTS
    assert facts_of(PLAN, {}) is None


def test_blocks_are_believed_only_where_all_layers_keep_the_same() -> None:
    assert is_uniform(FACTS)
    assert not is_uniform(facts("org/hybrid", 8.2, full_attention_layers=9))
