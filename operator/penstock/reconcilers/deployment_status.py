"""The status of a ModelDeployment, from what was seen and decided; pure.

Nothing in it moves while nothing changes: what lost is kept as it was when the choice was made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.conditions import Condition, ConditionStatus, find_condition, merge_conditions
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, PlanStatus, RejectedAlternative
from penstock.api.plan_status import FailedStart, ProposalStatus, ReportedStatus
from penstock.api.quantities import format_size
from penstock.api.refusals import Refusal
from penstock.planner.accuracy import Verdict, judge
from penstock.planner.explain import is_kept
from penstock.planner.outlook import outlook
from penstock.planner.plan import Assignment, Decision, DecisionReason, Rejection
from penstock.planner.requirements import Load, load_of
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.failing import first_ready_time
from penstock.reconcilers.readings import PodReading, reported_status
from penstock.reconcilers.removal import Removal
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.view import View
from penstock.reconcilers.waiting import known_wait
from penstock.render.names import DEPLOYMENT_LABEL, ROLE_LABEL
from penstock.render.services import SERVICE_PORT
from penstock.rollout.drain import Drained, Routed
from penstock.rollout.step import Phase, Step

__all__ = ["Outcome", "build_status", "status_while_deleted"]

_MOST_REJECTED = 32
_MESSAGE_LENGTH = 2048
_PASSING = frozenset({Routed.SERVER_AWAY, Routed.NOT_PUBLISHED, Routed.NOT_ACKNOWLEDGED})
"""Reasons that come with every pod that comes or goes: what was routable before stays so."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pass came to; all empty: placement has not answered yet, or has no place.

    `routed` is None while nobody knows; without a server there are no gateways that it could be routed by.
    """

    target: str = ""
    step: Step | None = None
    refusals: tuple[Refusal, ...] = ()
    waits_for: Refusal | None = None
    waits_reason: str = ""
    look_again_seconds: float | None = None
    has_gateways: bool = True
    routed: tuple[Routed, str] | None = None
    removal: Removal | None = None
    failed: tuple[FailedStart, ...] = ()
    readings: tuple[PodReading, ...] = ()
    proposal: ProposalStatus | None = None


def build_status(view: View, outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    """The whole status as it is to be applied."""
    old = ModelDeploymentStatus.model_validate(view.custom.status)
    serving = view.revisions.get(view.serving)
    target = view.revisions.get(outcome.target)
    reported = reported_status(view.serving, outcome.readings, old.reported) if serving else None
    accuracy = _accuracy(view.custom, serving, reported)
    status = ModelDeploymentStatus(
        conditions=merge_conditions(old.conditions, (*_conditions(view, outcome, old), *accuracy), now),
        observed_generation=view.custom.generation,
        replicas=sum(workload.pods for workload in view.workloads.values()),
        ready_replicas=sum(workload.ready for workload in view.workloads.values()),
        selector=f"{DEPLOYMENT_LABEL}={view.custom.name},{ROLE_LABEL}=engine",
        plan=_plan(view, old, serving, now) if serving else None,
        next_plan=_plan(view, old, target, now) if target and target is not serving else None,
        rejected=_rejected(view, old),
        failed=outcome.failed,
        waiting=known_wait(view.custom, view.decided),
        reported=reported,
        proposal=outcome.proposal,
        address=_address(view) if serving else "",
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _conditions(view: View, outcome: Outcome, old: ModelDeploymentStatus) -> tuple[Condition, ...]:
    accepted, placed = _accepted(view, outcome), _placed(view, outcome, old)
    available = _available(view)
    verdicts = {
        "Accepted": accepted,
        "Placed": placed,
        "Available": available,
        "Routable": _routable(outcome, old),
        "Ready": _ready((accepted, placed, available), view, outcome),
        "Drained": _drained(outcome.removal),
    }
    return tuple(_condition(kind, verdict, view.custom) for kind, verdict in verdicts.items() if verdict is not None)


def _accuracy(
    custom: Custom[ModelDeployment], serving: RevisionRecord | None, reported: ReportedStatus | None
) -> tuple[Condition, ...]:
    """Whether the engines do what was planned; absent while nobody knows."""
    if serving is None or reported is None:
        return ()
    found = judge(serving.assignment.plan, reported.kv_tokens, reported.step_time_percent)
    if found is None:
        return ()
    status = ConditionStatus.TRUE if found.verdict is Verdict.AS_PLANNED else ConditionStatus.FALSE
    return (_condition("PlanAccuracy", _Verdict(status, found.verdict, found.message), custom),)


def _condition(kind: str, verdict: "_Verdict", custom: Custom[ModelDeployment]) -> Condition:
    return Condition(
        type=kind,
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message[:_MESSAGE_LENGTH],
        observed_generation=custom.generation,
    )


def status_while_deleted(custom: Custom[ModelDeployment], removal: Removal, *, now: datetime) -> dict[str, Any]:
    """As it was, and what the deletion waits for."""
    old = ModelDeploymentStatus.model_validate(custom.status)
    others = [condition for condition in old.conditions if condition.type != "Drained"]
    waiting = _drained(removal)
    new = [*others, _condition("Drained", waiting, custom)] if waiting else others
    status = old.model_copy(update={"conditions": merge_conditions(old.conditions, new, now)})
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: ConditionStatus
    reason: str
    message: str = ""


def _accepted(view: View, outcome: Outcome) -> _Verdict:
    if not outcome.refusals:
        return _Verdict(ConditionStatus.TRUE, "Accepted")
    reason = "NotSupported" if view.custom.parsed is not None and not view.custom.refusals else "Invalid"
    if reason == "NotSupported" and view.decided is not None:
        reason = "Invalid"
    return _Verdict(ConditionStatus.FALSE, reason, " ".join(str(refusal) for refusal in outcome.refusals))


def _placed(view: View, outcome: Outcome, old: ModelDeploymentStatus) -> _Verdict:
    if outcome.refusals:
        return _Verdict(ConditionStatus.FALSE, "NotAccepted", "The spec is refused; what serves stays as it is")
    if view.decided is None:
        return _Verdict(ConditionStatus.UNKNOWN, "Pending", "Placement has not answered yet")
    decision = view.decided.decision
    if decision.assignment is None or not view.decided.final_digest:
        return _Verdict(ConditionStatus.FALSE, decision.reason, decision.message)
    said = find_condition(old.conditions, "Placed")
    if is_kept(decision) and said is not None and _still_holds(said, view):
        return _Verdict(said.status, said.reason, said.message)
    # Whether a choice is made or kept may differ between an operator and the next one: it reads the same.
    reason = DecisionReason.PLACED if decision.reason == DecisionReason.KEPT else decision.reason
    return _Verdict(ConditionStatus.TRUE, reason, decision.message)


def _still_holds(said: Condition, view: View) -> bool:
    """Whether it was said of this spec, and of all replicas: a write that failed, or a restart, may leave an older."""
    placed = said.status is ConditionStatus.TRUE and said.reason == DecisionReason.PLACED
    return placed and said.observed_generation == view.custom.generation


def _available(view: View) -> _Verdict:
    workload = view.workloads.get(view.serving)
    if workload is not None and workload.ready > 0:
        return _Verdict(ConditionStatus.TRUE, "Serving")
    if view.wanted == 0 and view.decided is not None and view.decided.decision.most_replicas == 0:
        return _Verdict(ConditionStatus.FALSE, "NotServing", view.decided.decision.message)
    if view.wanted == 0:
        return _Verdict(ConditionStatus.FALSE, "ScaledToZero", "`spec.replicas` is 0")
    trouble = _trouble(view)
    if trouble is not None:
        return trouble
    return _Verdict(ConditionStatus.FALSE, "NotServing", "No replica is ready")


def _trouble(view: View) -> _Verdict | None:
    """What the pods complain of, the worst first."""
    for pod in sorted(view.pods, key=lambda pod: pod.name):
        if pod.trouble:
            return _Verdict(ConditionStatus.FALSE, pod.trouble.split(": ")[1], f"Pod {pod.name}: {pod.trouble}")
    for workload in view.workloads.values():
        if workload.deadline_exceeded:
            return _Verdict(ConditionStatus.FALSE, Phase.STALLED, workload.deadline_exceeded)
    for pod in sorted(view.pods, key=lambda pod: pod.name):
        if pod.unschedulable and not pod.node:
            return _Verdict(ConditionStatus.FALSE, "Unschedulable", f"Pod {pod.name}: {pod.unschedulable}")
    if view.pods:
        return _Verdict(ConditionStatus.FALSE, "Loading", "The engine is starting")
    return None


def _routable(outcome: Outcome, old: ModelDeploymentStatus) -> _Verdict | None:
    """What was routable stays so while replicas take over a table: they have the pods of one or of the other."""
    if not outcome.has_gateways:
        return None
    found = find_condition(old.conditions, "Routable")
    kept = _Verdict(found.status, found.reason, found.message) if found else None
    if outcome.routed is None:
        return kept
    reason, message = outcome.routed
    if reason is Routed.ROUTABLE:
        return _Verdict(ConditionStatus.TRUE, reason)
    if reason in _PASSING and kept is not None and kept.status is ConditionStatus.TRUE:
        return kept
    return _Verdict(ConditionStatus.FALSE, reason, message)


def _drained(removal: Removal | None) -> _Verdict | None:
    """Unknown while a replica may still send there, False from when only requests in flight are waited for.

    So its `lastTransitionTime` says since when those are waited for.
    """
    if removal is None or removal.may_go:
        return None
    status = ConditionStatus.FALSE if removal.verdict is Drained.IN_FLIGHT else ConditionStatus.UNKNOWN
    return _Verdict(status, removal.verdict, f"{removal.what}: {removal.message}")


def _ready(parts: Iterable[_Verdict], view: View, outcome: Outcome) -> _Verdict:
    if outcome.waits_for is not None:
        return _Verdict(ConditionStatus.FALSE, outcome.waits_reason, str(outcome.waits_for))
    for verdict in parts:
        if verdict.status is not ConditionStatus.TRUE:
            return _Verdict(ConditionStatus.FALSE, verdict.reason, verdict.message)
    if outcome.step is not None and outcome.step.phase not in {Phase.SETTLED, Phase.DRAINING}:
        trouble = _trouble(view)
        message = outcome.step.message or (trouble.message if trouble else "")
        return _Verdict(ConditionStatus.FALSE, outcome.step.phase, message)
    return _Verdict(ConditionStatus.TRUE, "Ready")


def _plan(view: View, old: ModelDeploymentStatus, record: RevisionRecord, now: datetime) -> PlanStatus:
    load = load_of(view.custom.parsed.spec, replicas=view.wanted) if view.custom.parsed else None
    plan = plan_status(record.assignment, view.wanted, load, revision=record.revision)
    return plan.model_copy(update={"first_ready_time": first_ready_time(view, old, record, now)})


def plan_status(assignment: Assignment, replicas: int, load: Load | None, *, revision: str = "") -> PlanStatus:
    """A plan as status shows it; `load` says what requests are like, and so what their tokens cost."""
    plan = assignment.plan
    price = plan.price_per_replica_hour
    token_price = outlook(plan, load).price if load else None
    return PlanStatus(
        revision=revision,
        pool=plan.pool,
        accelerator=plan.accelerator,
        engine=plan.engine,
        engine_version=plan.engine_version,
        precision=plan.checkpoint.precision,
        model=plan.checkpoint.model,
        model_revision=plan.checkpoint.revision or "",
        tensor_parallel=plan.tensor_parallel,
        layout=plan.layout,
        gpus_per_replica=plan.gpus,
        max_context_tokens=plan.max_context_tokens,
        kv_tokens=plan.memory.kv_tokens,
        weights_size=format_size(plan.checkpoint.weights_bytes),
        cost_per_replica_hour=str(price) if price else "",
        cost_per_hour=str(price * replicas) if price else "",
        cost_per_million_tokens=str(token_price.all_tokens) if token_price else "",
    )


def _rejected(view: View, old: ModelDeploymentStatus) -> tuple[RejectedAlternative, ...]:
    """What lost when the choice was made; a kept choice of the same spec keeps its list."""
    same_spec = old.observed_generation == view.custom.generation
    if view.decided is None or (is_kept(view.decided.decision) and same_spec and old.rejected):
        return old.rejected
    return rejected_alternatives(view.decided.decision)


def rejected_alternatives(decision: Decision) -> tuple[RejectedAlternative, ...]:
    """Bounded, in the planner's order."""
    return tuple(_alternative(rejection) for rejection in _most(decision.rejections))


def _most(rejections: Sequence[Rejection]) -> Sequence[Rejection]:
    return rejections[:_MOST_REJECTED]


def _alternative(rejection: Rejection) -> RejectedAlternative:
    return RejectedAlternative(
        pool=rejection.pool,
        engine=rejection.engine,
        precision=rejection.precision,
        tensor_parallel=rejection.tensor_parallel,
        layout=rejection.layout,
        reason=rejection.reason,
        message=rejection.message[:512],
    )


def _address(view: View) -> str:
    return f"http://{view.custom.name}.{view.custom.namespace}.svc:{SERVICE_PORT}/v1"
