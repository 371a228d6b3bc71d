"""Conditions: times move only when a status does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.conditions import STALLED, Condition, ConditionStatus, find_condition, merge_conditions

_START = datetime(2026, 11, 1, 12, 0, 0, 999_999, tzinfo=UTC)
_LATER = _START + timedelta(hours=1)
_TYPES = ("Accepted", "Placed", "Available", "Ready")
_condition = st.builds(
    Condition,
    type=st.sampled_from(_TYPES),
    status=st.sampled_from(ConditionStatus),
    reason=st.sampled_from(("Good", "Bad")),
    message=st.text(max_size=5),
)
_conditions = st.lists(_condition, max_size=4, unique_by=lambda condition: condition.type)


def _ready(status: ConditionStatus, reason: str = "Why") -> Condition:
    return Condition(type="Ready", status=status, reason=reason)


def test_a_new_condition_begins_now_to_the_second() -> None:
    """Kubernetes' times have no fractions; one that had would differ when read back."""
    (merged,) = merge_conditions((), [_ready(ConditionStatus.TRUE)], _START)
    assert merged.last_transition_time == _START.replace(microsecond=0)


def test_another_reason_keeps_the_time() -> None:
    """Only the status counts."""
    old = merge_conditions((), [_ready(ConditionStatus.FALSE, "Loading")], _START)
    (merged,) = merge_conditions(old, [_ready(ConditionStatus.FALSE, "CrashLoop")], _LATER)
    assert merged.reason == "CrashLoop"
    assert merged.last_transition_time == old[0].last_transition_time


def test_a_flip_moves_the_time() -> None:
    """From False to True is a transition."""
    old = merge_conditions((), [_ready(ConditionStatus.FALSE)], _START)
    (merged,) = merge_conditions(old, [_ready(ConditionStatus.TRUE)], _LATER)
    assert merged.last_transition_time == _LATER.replace(microsecond=0)


@given(_conditions, _conditions)
def test_merging_again_changes_nothing(old: list[Condition], new: list[Condition]) -> None:
    """Quiet when nothing changes, whatever the clock says."""
    first = merge_conditions(merge_conditions((), old, _START), new, _START)
    assert merge_conditions(first, new, _LATER) == first


@given(_conditions, _conditions)
def test_the_new_list_decides_what_there_is(old: list[Condition], new: list[Condition]) -> None:
    """In its order; a type that is not said any more is gone."""
    merged = merge_conditions(merge_conditions((), old, _START), new, _LATER)
    assert [condition.type for condition in merged] == [condition.type for condition in new]


def test_finding() -> None:
    """By type, or None."""
    ready = _ready(ConditionStatus.TRUE)
    assert find_condition([ready], "Ready") is ready
    assert find_condition([ready], "Placed") is None


def test_a_condition_survives_the_api_server() -> None:
    """What is applied and what is read back are equal, to the byte."""
    (merged,) = merge_conditions((), [_ready(ConditionStatus.TRUE)], _START)
    applied = merged.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert applied["lastTransitionTime"] == "2026-11-01T12:00:00Z"
    assert Condition.model_validate(applied).model_dump(mode="json", by_alias=True, exclude_none=True) == applied


@pytest.mark.parametrize(
    ("kind", "status", "reason", "stalls"),
    [
        ("Accepted", ConditionStatus.FALSE, "Invalid", True),
        ("Accepted", ConditionStatus.FALSE, "NotSupported", True),
        ("Accepted", ConditionStatus.FALSE, "URLInvalid", True),
        ("Ready", ConditionStatus.FALSE, "ProgressDeadlineExceeded", True),
        ("Accepted", ConditionStatus.FALSE, "GatewayNotFound", False),
        ("Accepted", ConditionStatus.UNKNOWN, "Invalid", False),
        ("Accepted", ConditionStatus.TRUE, "NotSupported", False),
        ("Available", ConditionStatus.FALSE, "Invalid", False),
        ("Ready", ConditionStatus.FALSE, "Loading", False),
    ],
)
def test_what_time_alone_does_not_mend_is_stalled(
    kind: str, status: ConditionStatus, reason: str, *, stalls: bool
) -> None:
    """By it kstatus fails at once, and waits otherwise."""
    told = Condition(type=kind, status=status, reason=reason, message="why", observed_generation=3)
    stalled = find_condition(merge_conditions((), [told], _START), STALLED)
    assert (stalled is not None) is stalls
    if stalled is not None:
        assert (stalled.status, stalled.reason, stalled.message) == (ConditionStatus.TRUE, reason, "why")
        assert stalled.observed_generation == 3


def test_stalled_goes_with_its_reason() -> None:
    """A corrected spec leaves nothing of it, even where the old conditions are handed in as new ones."""
    refused = Condition(type="Accepted", status=ConditionStatus.FALSE, reason="Invalid")
    old = merge_conditions((), [refused], _START)
    assert [each.type for each in merge_conditions(old, old, _LATER)] == ["Accepted", STALLED]
    mended = refused.model_copy(update={"status": ConditionStatus.TRUE, "reason": "Accepted"})
    assert [each.type for each in merge_conditions(old, [mended, old[1]], _LATER)] == ["Accepted"]
