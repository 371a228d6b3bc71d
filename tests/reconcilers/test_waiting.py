"""How long a deployment has waited for room: what goes on with a wait, what begins one, what ends it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.fleet import place_one, pool, tenant
from builders.live import live
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.plan_status import WaitingStatus
from penstock.planner.plan import Decision, DecisionReason, RejectionReason
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.waiting import known_wait, next_wait
from penstock.reconcilers.world import Decided

NOW = datetime(2026, 11, 21, 12, 0, 0, 123, tzinfo=UTC)
THEN = datetime(2026, 11, 21, 11, 58, tzinfo=UTC)
LONG_PLACED = {
    "type": "Placed",
    "status": "True",
    "reason": "WaitingForNode",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def custom(status: dict[str, Any] | None = None, **spec: Any) -> Custom[ModelDeployment]:
    """A deployment as the store has it."""
    content = {"model": "org/small", **spec}
    found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=content)
    return Custom.of({**found, "status": status or {}}, ModelDeployment)


def wait(pool_name: str = "p", digest: str = "") -> WaitingStatus:
    """For two minutes, by the spec of `custom()`."""
    return WaitingStatus(pool=pool_name, since_time=THEN, spec_digest=digest or custom().digest)


def told(waiting: WaitingStatus) -> dict[str, Any]:
    """As a live status holds it."""
    return {"waiting": waiting.model_dump(mode="json", by_alias=True)}


def decision(reason: str, pool_name: str = "p") -> Decision:
    """With a plan in that pool."""
    return Decision(place_one([pool(pool_name)], tenant()).assignment, (), reason, "")


def decided(waiting: WaitingStatus | None, uid: str) -> Decided:
    """By this operator."""
    return Decided(uid, 1, decision(DecisionReason.WAITING_FOR_NODE), custom().digest, waiting)


GOES_ON = {
    "as it was": DecisionReason.WAITING_FOR_NODE,
    "for a node that is to come": DecisionReason.WAITING_FOR_GROWTH,
    "while some replicas have a node": DecisionReason.PARTLY_PLACED,
    "the quota is what is missing": RejectionReason.QUOTA,
    "money is what is missing": RejectionReason.BUDGET,
}


@pytest.mark.parametrize("reason", GOES_ON.values(), ids=GOES_ON)
def test_one_wait_in_one_pool(reason: str) -> None:
    assert next_wait(wait(), decision(reason), custom().digest, NOW) == wait()


@pytest.mark.parametrize("reason", GOES_ON.values(), ids=GOES_ON)
def test_another_pool_is_waited_for_anew(reason: str) -> None:
    begun = next_wait(wait(), decision(reason, "q"), custom().digest, NOW)
    assert begun == WaitingStatus(pool="q", since_time=NOW.replace(microsecond=0), spec_digest=custom().digest)


ENDS = {
    "it has its place": DecisionReason.PLACED,
    "it kept its place": DecisionReason.KEPT,
    "its older pods give up theirs": DecisionReason.RECREATE,
    "the older revision serves": DecisionReason.WAITING_FOR_ROOM,
}


@pytest.mark.parametrize("reason", ENDS.values(), ids=ENDS)
def test_a_wait_ends(reason: str) -> None:
    assert next_wait(wait(), decision(reason), custom().digest, NOW) is None


def test_what_fits_nowhere_waits_for_no_pool() -> None:
    assert next_wait(wait(), Decision(None, (), RejectionReason.NO_FREE_GPUS, ""), custom().digest, NOW) is None


def test_the_next_operator_reads_the_status() -> None:
    assert known_wait(custom(told(wait())), None) == wait()
    assert known_wait(custom(told(wait())), decided(None, uid="another life")) == wait()


def test_what_was_decided_goes_before_a_status_that_could_not_be_written() -> None:
    silent, outdated = custom(), custom(told(wait()))
    assert known_wait(silent, decided(wait(), silent.uid)) == wait()
    assert known_wait(outdated, decided(None, outdated.uid)) is None


def test_a_placement_of_long_ago_is_no_wait() -> None:
    """The time of `Placed` is that of the first placement, and all that a status of an older release says."""
    assert known_wait(custom({"conditions": [LONG_PLACED]}), None) is None


EDITS: dict[str, tuple[dict[str, Any], bool]] = {
    "another engine": ({"engine": "SGLang"}, False),
    "other pools": ({"placement": {"pools": ["p", "q"]}}, False),
    "more replicas": ({"replicas": 4}, True),
    "more patience": ({"placement": {"fallbackAfterSeconds": 900}}, True),
}


@pytest.mark.parametrize(("spec", "goes_on"), EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("restarted", [True, False])
def test_a_wait_is_for_room_for_this_spec(spec: dict[str, Any], *, goes_on: bool, restarted: bool) -> None:
    """What runs would be another thing, or else the same one is waited for longer or with more replicas."""
    edited = custom(told(wait()), **spec)
    known = known_wait(edited, None if restarted else decided(wait(), edited.uid))
    assert (known == wait()) is goes_on


def test_a_wait_that_begins_is_told_in_whole_seconds_and_read_again_as_it_was() -> None:
    begun = next_wait(None, decision(DecisionReason.WAITING_FOR_NODE), custom().digest, NOW)
    assert begun is not None
    assert known_wait(custom(told(begun)), None) == begun
    assert next_wait(begun, decision(DecisionReason.WAITING_FOR_NODE), custom().digest, NOW + timedelta(9)) == begun
