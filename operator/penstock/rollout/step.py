"""The next step of a roll-out: what each revision should be scaled to, and which one serves.

Deciding only: the reconciler applies. Capacity that serves is removed only after its successor
serves, and the Service's selector has moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Phase", "RevisionState", "Step", "next_step"]


class Phase(StrEnum):
    """Where the roll-out stands; a reason in conditions and events."""

    SETTLED = "Settled"
    CREATING = "Creating"
    WAITING_FOR_TARGET = "WaitingForNewRevision"
    DRAINING = "Draining"
    STALLED = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class RevisionState:
    """A revision as it stands; `exists` is false for a target that was not created yet.

    `pods` counts every pod that is not gone, terminating ones too. `number` grows with each revision.
    """

    name: str
    number: int
    exists: bool
    replicas: int
    pods: int
    ready: int
    stalled: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What should be true next.

    `scales` names the replicas of every revision that stays, `remove` the drained ones whose children go,
    `serving` the revision that the Service selects (empty: none yet).
    """

    serving: str
    scales: dict[str, int]
    remove: tuple[str, ...]
    phase: Phase
    message: str = ""


def next_step(
    revisions: Sequence[RevisionState], *, target: str, serving: str, wanted: int, replace: bool = False
) -> Step:
    """Decide from the revisions' states; `target` is among `revisions`.

    `replace`: the old revision gives its GPUs up before the new one starts (surgePolicy Recreate).
    """
    by_name = {revision.name: revision for revision in revisions}
    goal = by_name[target]
    if serving not in by_name or _takes_over(goal, by_name[serving], wanted):
        serving = target
    scales, remove = _old_revisions(revisions, target=target, serving=serving, wanted=wanted, replace=replace)
    scales[target] = wanted
    phase = _phase(goal, scales=scales, remove=remove, serving=serving, wanted=wanted)
    return Step(serving=serving, scales=scales, remove=remove, phase=phase, message=goal.stalled)


def _takes_over(goal: RevisionState, serving: RevisionState, wanted: int) -> bool:
    """All of the new one is ready, or some of it while nothing of the old one is."""
    if not goal.exists:
        return False
    return goal.ready >= wanted or (goal.ready > 0 and serving.ready == 0)


def _old_revisions(
    revisions: Sequence[RevisionState], *, target: str, serving: str, wanted: int, replace: bool
) -> tuple[dict[str, int], tuple[str, ...]]:
    scales: dict[str, int] = {}
    remove: list[str] = []
    for revision in revisions:
        if revision.name == target:
            continue
        keeps = revision.name == serving and not replace
        if keeps:
            scales[revision.name] = min(revision.replicas, wanted) if wanted else 0
        elif revision.pods == 0 and revision.replicas == 0 and revision.name != serving:
            remove.append(revision.name)
        else:
            scales[revision.name] = 0
    return scales, tuple(remove)


def _phase(goal: RevisionState, *, scales: dict[str, int], remove: tuple[str, ...], serving: str, wanted: int) -> Phase:
    if not goal.exists:
        return Phase.CREATING
    if goal.ready >= wanted and serving == goal.name:
        return Phase.DRAINING if len(scales) > 1 or remove else Phase.SETTLED
    return Phase.STALLED if goal.stalled else Phase.WAITING_FOR_TARGET
