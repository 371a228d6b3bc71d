"""Engines that crash again and again and were never ready: when a plan is given up, and what is remembered; pure.

The memory of it is the status itself, so that a restart of the operator neither forgets nor begins anew. A plan that
has served once is never given up here: what breaks later is no fault of the plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api.plan_status import FailedStart, ModelDeploymentStatus, PlanStatus
from penstock.planner.fleet import FailedPlan
from penstock.planner.plan import Plan
from penstock.reconcilers.revisions import RevisionRecord, newest
from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.view import View

__all__ = ["Failures", "failed_plans", "failures", "first_ready_time"]

_MOST_FAILED = 8
_FEWEST_CRASHES = 3
_FEWEST_OUT_OF_MEMORY = 2
"""Memory that was short twice is short the third time, too."""
_OUT_OF_MEMORY = (
    "OOMKilled",
    "out of memory",
    "OutOfMemoryError",
    "No available memory for the cache blocks",
    "larger than the available KV cache memory",
    "Not enough memory",
)
"""The kubelet's word, and those of CUDA, HIP, vLLM and SGLang."""
_LACKED_MEMORY = "OutOfMemory"
_MESSAGE_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Failures:
    """All that are remembered, the one among them that is `new`, and when to look again where a clock still runs."""

    all: tuple[FailedStart, ...]
    new: FailedStart | None = None
    look_again_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Crashing:
    pod: PodRecord
    out_of_memory: bool

    @property
    def is_enough(self) -> bool:
        return self.pod.restarts >= (_FEWEST_OUT_OF_MEMORY if self.out_of_memory else _FEWEST_CRASHES)

    @property
    def since(self) -> datetime | None:
        return self.pod.initialized or self.pod.created


def failures(view: View, old: ModelDeploymentStatus, now: datetime) -> Failures:
    """What is remembered from now on: of this very spec, without what has started after all."""
    known = tuple(
        each for each in old.failed if each.spec_digest == view.custom.digest and not _started(view, old, each)
    )
    record = newest(view.revisions.values())
    if record is None or record.spec_digest != view.custom.digest or view.custom.parsed is None:
        return Failures(known)
    plan = record.assignment.plan
    crashing = _crashing(view.pods_of(record.revision))
    if crashing is None or first_ready_time(view, old, record, now) or any(_is_of(each, plan) for each in known):
        return Failures(known)
    patience = timedelta(seconds=view.custom.parsed.spec.placement.fallback_after_seconds)
    left = ((crashing.since or now) + patience - now).total_seconds()
    if left > 0:
        return Failures(known, look_again_seconds=left)
    new = _failed_start(plan, crashing, view.custom.digest, now)
    return Failures((*known, new)[-_MOST_FAILED:], new)


def first_ready_time(view: View, old: ModelDeploymentStatus, record: RevisionRecord, now: datetime) -> datetime | None:
    """When a replica of the revision was first ready, as far as anybody saw; None: never yet."""
    for told in _told(old):
        if told.revision == record.revision and told.first_ready_time is not None:
            return told.first_ready_time
    ready = any(pod.ready for pod in view.pods_of(record.revision))
    return now.replace(microsecond=0) if ready else None


def failed_plans(failed: Iterable[FailedStart], digest: str) -> tuple[FailedPlan, ...]:
    """As the planner reads them: those of this spec."""
    return tuple(
        FailedPlan(
            pool=each.pool,
            engine=each.engine,
            engine_version=each.engine_version,
            precision=each.precision,
            gpus=each.gpus_per_replica,
            why=each.message,
            lacked_memory=each.reason == _LACKED_MEMORY,
        )
        for each in failed
        if each.spec_digest == digest
    )


def _told(old: ModelDeploymentStatus) -> tuple[PlanStatus, ...]:
    return tuple(told for told in (old.plan, old.next_plan) if told is not None)


def _started(view: View, old: ModelDeploymentStatus, failed: FailedStart) -> bool:
    """It became ready after all, while nothing better had been found: then it is as good as any."""
    for record in view.revisions.values():
        plan, same_spec = record.assignment.plan, record.spec_digest == failed.spec_digest
        if same_spec and plan.layout == failed.layout and _is_of(failed, plan):
            return any(pod.ready for pod in view.pods_of(record.revision)) or any(
                told.revision == record.revision and told.first_ready_time is not None for told in _told(old)
            )
    return False


def _crashing(pods: Sequence[PodRecord]) -> _Crashing | None:
    """The pod that crashed most, where that is often enough and none of the others does better."""
    living = [pod for pod in pods if not pod.terminating]
    if not living or any(pod.ready for pod in living):
        return None
    pod = max(living, key=lambda each: (each.restarts, each.name))
    crashing = _Crashing(pod, any(word.lower() in pod.last_exit.lower() for word in _OUT_OF_MEMORY))
    return crashing if crashing.is_enough else None


def _is_of(failed: FailedStart, plan: Plan) -> bool:
    return failed_plans((failed,), failed.spec_digest)[0].is_of(plan)


def _failed_start(plan: Plan, crashing: _Crashing, digest: str, now: datetime) -> FailedStart:
    pod, precision = crashing.pod, plan.checkpoint.precision
    what = "ran out of memory" if crashing.out_of_memory else "crashed"
    message = (
        f"{plan.engine} {precision} {plan.layout} in pool {plan.pool} was never ready: pod {pod.name}"
        f" {what} {pod.restarts} times; its engine's last end: {pod.last_exit or 'nobody knows why'}"
    )
    return FailedStart(
        pool=plan.pool,
        accelerator=plan.accelerator,
        engine=plan.engine,
        engine_version=plan.engine_version,
        precision=precision,
        layout=plan.layout,
        gpus_per_replica=plan.gpus,
        reason=_LACKED_MEMORY if crashing.out_of_memory else "CrashLoop",
        message=message[:_MESSAGE_LENGTH],
        given_up_time=now.replace(microsecond=0),
        spec_digest=digest,
    )
