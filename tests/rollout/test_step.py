"""The next step of a roll-out, case by case and by property."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rollout.step import Phase, RevisionState, Step, next_step


def revision(name: str, number: int = 1) -> RevisionState:
    """A revision that exists with nothing running."""
    return RevisionState(name=name, number=number, exists=True, replicas=0, pods=0, ready=0)


def serving(name: str, *, replicas: int = 2, ready: int | None = None, number: int = 1) -> RevisionState:
    """A revision with pods."""
    count = replicas if ready is None else ready
    return replace(revision(name, number), replicas=replicas, pods=replicas, ready=count)


@dataclass(frozen=True)
class Case:
    revisions: tuple[RevisionState, ...]
    want: Step
    serving: str = ""
    wanted: int = 2
    replace: bool = False


CASES = {
    "the first revision serves from its first pass": Case(
        revisions=(replace(revision("new"), exists=False),),
        want=Step(serving="new", scales={"new": 2}, remove=(), phase=Phase.CREATING),
    ),
    "all ready is settled": Case(
        revisions=(serving("new"),),
        serving="new",
        want=Step(serving="new", scales={"new": 2}, remove=(), phase=Phase.SETTLED),
    ),
    "the old one keeps its replicas while the new one loads": Case(
        revisions=(serving("old"), serving("new", ready=1, number=2)),
        serving="old",
        want=Step(serving="old", scales={"old": 2, "new": 2}, remove=(), phase=Phase.WAITING_FOR_TARGET),
    ),
    "the Service moves when all of the new one is ready, and the old one drains": Case(
        revisions=(serving("old"), serving("new", number=2)),
        serving="old",
        want=Step(serving="new", scales={"old": 0, "new": 2}, remove=(), phase=Phase.DRAINING),
    ),
    "a drained revision goes": Case(
        revisions=(revision("old"), serving("new", number=2)),
        serving="new",
        want=Step(serving="new", scales={"new": 2}, remove=("old",), phase=Phase.DRAINING),
    ),
    "part of the new one takes over from an old one that serves nothing": Case(
        revisions=(serving("old", ready=0), serving("new", ready=1, number=2)),
        serving="old",
        want=Step(serving="new", scales={"old": 0, "new": 2}, remove=(), phase=Phase.WAITING_FOR_TARGET),
    ),
    "a stalled new one leaves the old one alone": Case(
        revisions=(serving("old"), replace(serving("new", ready=0, number=2), stalled="no progress")),
        serving="old",
        want=Step(serving="old", scales={"old": 2, "new": 2}, remove=(), phase=Phase.STALLED, message="no progress"),
    ),
    "replacing gives the old one's GPUs up first": Case(
        revisions=(serving("old"), replace(revision("new", 2), exists=False)),
        serving="old",
        replace=True,
        want=Step(serving="old", scales={"old": 0, "new": 2}, remove=(), phase=Phase.CREATING),
    ),
    "scaled to zero": Case(
        revisions=(serving("new"),),
        serving="new",
        wanted=0,
        want=Step(serving="new", scales={"new": 0}, remove=(), phase=Phase.SETTLED),
    ),
    "a scale-down reaches the old one too": Case(
        revisions=(serving("old", replicas=3), serving("new", replicas=3, ready=0, number=2)),
        serving="old",
        wanted=1,
        want=Step(serving="old", scales={"old": 1, "new": 1}, remove=(), phase=Phase.WAITING_FOR_TARGET),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_next_step(case: Case) -> None:
    """Each case by name."""
    target = case.revisions[-1].name
    step = next_step(case.revisions, target=target, serving=case.serving, wanted=case.wanted, replace=case.replace)
    assert step == case.want


states = st.builds(
    RevisionState,
    name=st.just("any"),
    number=st.integers(1, 9),
    exists=st.just(True),
    replicas=st.integers(0, 3),
    pods=st.integers(0, 3),
    ready=st.integers(0, 3),
)


@pytest.mark.property
@given(old=states, new=states, wanted=st.integers(1, 3))
def test_capacity_that_serves_is_never_taken_away(old: RevisionState, new: RevisionState, wanted: int) -> None:
    """The serving revision is neither scaled to zero nor removed before another one with a ready replica serves."""
    revisions = (replace(old, name="old"), replace(new, name="new"))
    step = next_step(revisions, target="new", serving="old", wanted=wanted)
    if step.serving == "old":
        assert "old" not in step.remove
        assert step.scales["old"] == min(old.replicas, wanted)
    else:
        assert new.ready > 0
