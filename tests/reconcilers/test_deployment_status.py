"""The status of a deployment, condition by condition."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.fleet import place_one, pool, tenant
from builders.live import gpu_pod, live
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal
from penstock.cluster.store import Store
from penstock.planner.plan import DecisionReason, Expectation
from penstock.planner.requirements import Load
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.deployment_status import (
    Outcome,
    build_status,
    plan_status,
    rejected_alternatives,
    status_while_deleted,
)
from penstock.reconcilers.removal import Removal
from penstock.reconcilers.stored import slim_child, slim_pod, slim_workload
from penstock.reconcilers.view import View, gather
from penstock.reconcilers.world import Decided, World
from penstock.rollout.drain import Drained, Routed
from penstock.rollout.step import Phase, Step

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LABELS = {"penstock.dev/deployment": "chat", "penstock.dev/revision": "abc"}
REFUSAL = Refusal("spec.adapters", "law", "is not acted on", "Remove them")
ABSENT = Refusal("spec.credentialsRef.name", "hub", "this Secret does not exist", "Create it")


@dataclass(frozen=True)
class Scene:
    """What stands; `ready` of `pods` pods, `complaint` is the reason why one waits."""

    pods: int = 1
    ready: int = 1
    complaint: str = ""
    unschedulable: str = ""
    late: str = ""
    decided: bool = True
    outcome: Outcome = field(default_factory=Outcome)
    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    def view(self) -> View:
        """Gathered from stores, as the reconciler does it."""
        world = World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)
        custom = self._custom()
        if self.pods:
            world.workloads.put(slim_workload(self._workload()))
            world.pods.put(slim_pod(self._pod()))
        world.children = {kind: Store() for kind in _kinds()}
        selector = {"selector": {"penstock.dev/revision": "abc"}}
        world.children["Service"].put(slim_child(live("Service", "chat", namespace="team", owner="c", spec=selector)))
        if self.decided:
            decision = place_one([pool("h100")], tenant())
            world.decisions["team", "chat"] = Decided("c", 1, decision, custom.digest)
        return gather(world, custom)

    def _custom(self) -> Custom[ModelDeployment]:
        content = {"model": "Qwen/Qwen3-8B", **self.spec}
        found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=content)
        found["metadata"]["uid"] = "c"
        return Custom.of({**found, "status": self.status}, ModelDeployment)

    def _workload(self) -> dict[str, Any]:
        status: dict[str, Any] = {"replicas": self.pods, "readyReplicas": self.ready}
        if self.late:
            status["conditions"] = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": self.late}]
        return live("Deployment", "chat-abc", namespace="team", owner="c", labels=LABELS, spec={}, status=status)

    def _pod(self) -> dict[str, Any]:
        status: dict[str, Any] = {}
        if self.complaint:
            waiting = {"waiting": {"reason": self.complaint, "message": "because"}}
            status["containerStatuses"] = [{"name": "engine", "state": waiting}]
        if self.unschedulable:
            refused = {"type": "PodScheduled", "reason": "Unschedulable", "message": self.unschedulable}
            status["conditions"] = [refused]
        node = "" if self.unschedulable else "a"
        return gpu_pod("chat-abc-1", namespace="team", node=node, labels=LABELS, status=status)

    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason by type."""
        status = build_status(self.view(), self.outcome, now=NOW)
        return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def _kinds() -> tuple[str, ...]:
    return ("Service", "PodDisruptionBudget", "NetworkPolicy", "PersistentVolumeClaim", "Job")


def _step(phase: Phase) -> Outcome:
    return Outcome(step=Step(serving="abc", scales={}, remove=(), phase=phase, message="why"))


def _routed(reason: Routed | None, *, before: str = "") -> Scene:
    condition = {"type": "Routable", "status": before, "reason": "Before", "message": ""}
    status = {"conditions": [condition]} if before else {}
    return Scene(outcome=Outcome(routed=(reason, "") if reason else None), status=status)


def _removal(verdict: Drained) -> Scene:
    return Scene(outcome=Outcome(removal=Removal("Revision old", verdict, "because")))


SCENES: dict[str, tuple[Scene, dict[str, tuple[str, str]]]] = {
    "it serves": (
        Scene(),
        {"Accepted": ("True", "Accepted"), "Available": ("True", "Serving"), "Ready": ("True", "Ready")},
    ),
    "the engine loads": (Scene(ready=0), {"Available": ("False", "Loading"), "Ready": ("False", "Loading")}),
    "it crashes": (
        Scene(ready=0, complaint="CrashLoopBackOff"),
        {"Available": ("False", "CrashLoopBackOff"), "Ready": ("False", "CrashLoopBackOff")},
    ),
    "a crash is worse than a deadline": (
        Scene(ready=0, complaint="ImagePullBackOff", late="too late"),
        {"Available": ("False", "ImagePullBackOff")},
    ),
    "the deadline has passed": (
        Scene(ready=0, late="too late"),
        {"Available": ("False", "ProgressDeadlineExceeded")},
    ),
    "no node takes the pod": (Scene(ready=0, unschedulable="0/3 nodes"), {"Available": ("False", "Unschedulable")}),
    "nothing was made": (Scene(pods=0), {"Available": ("False", "NotServing")}),
    "scaled to zero": (Scene(pods=0, spec={"replicas": 0}), {"Available": ("False", "ScaledToZero")}),
    "placement has not answered": (Scene(decided=False), {"Placed": ("Unknown", "Pending")}),
    "a field that is not acted on, while it serves": (
        Scene(decided=False, outcome=Outcome(refusals=(REFUSAL,))),
        {"Accepted": ("False", "NotSupported"), "Placed": ("False", "NotAccepted"), "Available": ("True", "Serving")},
    ),
    "an engine argument that is refused after placement": (
        Scene(outcome=Outcome(refusals=(REFUSAL,))),
        {"Accepted": ("False", "Invalid"), "Available": ("True", "Serving")},
    ),
    "a Secret that is not there": (
        Scene(outcome=Outcome(waits_for=ABSENT, waits_reason="SecretNotFound")),
        {"Available": ("True", "Serving"), "Ready": ("False", "SecretNotFound")},
    ),
    "the new revision is waited for": (
        Scene(outcome=_step(Phase.WAITING_FOR_TARGET)),
        {"Available": ("True", "Serving"), "Ready": ("False", "WaitingForNewRevision")},
    ),
    "the old revision drains": (Scene(outcome=_step(Phase.DRAINING)), {"Ready": ("True", "Ready")}),
    "no Route names it": (
        _routed(Routed.NOT_ROUTED),
        {"Routable": ("False", "NotRouted"), "Ready": ("True", "Ready")},
    ),
    "every replica has it": (_routed(Routed.ROUTABLE), {"Routable": ("True", "Routable")}),
    "not every replica has it yet": (_routed(Routed.NOT_ACKNOWLEDGED), {"Routable": ("False", "NotAcknowledged")}),
    "replicas take over another table": (
        _routed(Routed.NOT_ACKNOWLEDGED, before="True"),
        {"Routable": ("True", "Before")},
    ),
    "a table is being published": (_routed(Routed.NOT_PUBLISHED, before="True"), {"Routable": ("True", "Before")}),
    "nobody knows better": (_routed(Routed.SERVER_AWAY, before="True"), {"Routable": ("True", "Before")}),
    "nobody knew before": (_routed(Routed.SERVER_AWAY, before="False"), {"Routable": ("False", "ServerAway")}),
    "no replica is left": (_routed(Routed.NO_REPLICA, before="True"), {"Routable": ("False", "NoReplica")}),
    "nothing of it serves": (_routed(Routed.NOT_SERVING, before="True"), {"Routable": ("False", "NotServing")}),
    "right after the start": (_routed(None, before="False"), {"Routable": ("False", "Before")}),
    "nobody knows who still sends": (_removal(Drained.NOT_ACKNOWLEDGED), {"Drained": ("Unknown", "NotAcknowledged")}),
    "only requests in flight are left": (
        _removal(Drained.IN_FLIGHT),
        {"Drained": ("False", "InFlight"), "Ready": ("True", "Ready")},
    ),
}


@pytest.mark.parametrize(("scene", "want"), SCENES.values(), ids=SCENES.keys())
def test_conditions(scene: Scene, want: dict[str, tuple[str, str]]) -> None:
    """Each case by name; conditions that it does not name are not its point."""
    found = scene.conditions()
    assert {kind: found[kind] for kind in want} == want


def test_a_status_that_says_the_same_keeps_its_times() -> None:
    """Nothing in it moves while nothing changes."""
    first = build_status(Scene().view(), Outcome(), now=NOW)
    later = build_status(Scene(status=first).view(), Outcome(), now=NOW.replace(hour=13))
    assert later == first


def _said(reason: str, *, generation: int = 1, status: str = "True") -> dict[str, Any]:
    condition = {
        "type": "Placed",
        "status": status,
        "reason": reason,
        "message": "said before",
        "lastTransitionTime": None,
    }
    lost = {"pool": "b200", "reason": "Dearer", "message": "said before"}
    told = [{**condition, "observedGeneration": generation}] if reason else []
    return {"observedGeneration": generation, "conditions": told, "rejected": [lost]}


@pytest.mark.parametrize(
    ("status", "reason", "stands"),
    [
        pytest.param(_said("Placed"), "Placed", True, id="as it was"),
        pytest.param(_said("Placed", generation=0), "Placed", False, id="said of an older spec"),
        pytest.param(_said("PartlyPlaced"), "Placed", False, id="some replicas had no place"),
        pytest.param(_said("Recreate"), "Placed", False, id="its older pods had to go first"),
        pytest.param(_said("Pending", status="Unknown"), "Placed", False, id="placement had not answered"),
        pytest.param(_said(""), "Placed", False, id="nothing was said"),
    ],
)
def test_of_a_kept_choice_stands_what_was_said_of_it(status: dict[str, Any], reason: str, *, stands: bool) -> None:
    """Of this spec, and of all replicas; what is said instead is what the next operator would say."""
    view = Scene(status=status).view()
    assert view.decided is not None
    decided = replace(view.decided, decision=replace(view.decided.decision, reason=DecisionReason.KEPT))
    found = build_status(replace(view, decided=decided), Outcome(), now=NOW)
    placed = next(each for each in found["conditions"] if each["type"] == "Placed")
    assert (placed["reason"], placed["message"] == "said before") == (reason, stands)
    assert placed["observedGeneration"] == 1
    of_this_spec = status["observedGeneration"] == 1
    assert any(each["message"] == "said before" for each in found["rejected"]) == of_this_spec


def test_a_refusal_is_said_in_full() -> None:
    """Field, value, reason and cure."""
    status = build_status(Scene(outcome=Outcome(refusals=(REFUSAL,))).view(), Outcome(refusals=(REFUSAL,)), now=NOW)
    accepted = next(each for each in status["conditions"] if each["type"] == "Accepted")
    assert all(word in accepted["message"] for word in ("spec.adapters", "law", "Remove them"))


def test_a_decision_for_another_life_or_an_older_spec_is_not_read() -> None:
    """The view leaves it out until placement has answered this one."""
    view = Scene().view()
    assert view.decided is not None
    world = World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)
    world.children = {kind: Store() for kind in _kinds()}
    for stale in (Decided("another", 1, view.decided.decision), Decided("c", 0, view.decided.decision)):
        world.decisions["team", "chat"] = stale
        assert gather(world, view.custom).decided is None


def test_without_gateways_nothing_is_routable() -> None:
    """Also what was said while there were some is gone."""
    before = {"type": "Routable", "status": "True", "reason": "Routable", "message": ""}
    outcome = Outcome(has_gateways=False, routed=(Routed.NOT_ROUTED, ""))
    assert "Routable" not in Scene(outcome=outcome, status={"conditions": [before]}).conditions()


@pytest.mark.parametrize("outcome", [Outcome(), Outcome(removal=Removal("Revision old", Drained.FORCED))])
def test_nothing_is_taken_away(outcome: Outcome) -> None:
    """The condition is there only while something waits."""
    before = {"type": "Drained", "status": "False", "reason": "InFlight", "message": ""}
    assert "Drained" not in Scene(outcome=outcome, status={"conditions": [before]}).conditions()


def test_the_time_of_the_wait_begins_when_all_have_acknowledged() -> None:
    """And is kept from then on: what is waited for is read from it."""
    late, busy = (
        Outcome(removal=Removal("Revision old", verdict)) for verdict in (Drained.NOT_ACKNOWLEDGED, Drained.IN_FLIGHT)
    )
    status: dict[str, Any] = {}
    times = []
    for hour, outcome in enumerate((late, late, busy, busy), start=12):
        status = build_status(Scene(status=status).view(), outcome, now=NOW.replace(hour=hour))
        times += [each["lastTransitionTime"][11:13] for each in status["conditions"] if each["type"] == "Drained"]
    assert times == ["12", "12", "14", "14"]


def test_a_deletion_says_only_what_it_waits_for() -> None:
    """Nothing else in the status moves any more."""
    first = build_status(Scene().view(), Outcome(), now=NOW)
    custom = Scene(status=first, decided=False).view().custom
    removal = Removal("The deployment", Drained.NOT_PUBLISHED, "why")
    status = status_while_deleted(custom, removal, now=NOW.replace(hour=13))
    *others, drained = status["conditions"]
    assert {**status, "conditions": others} == first
    assert (drained["type"], drained["status"], drained["message"]) == ("Drained", "Unknown", "The deployment: why")


def test_a_status_names_the_layout_of_the_plan_and_of_what_lost() -> None:
    decision = place_one([pool("h100")], tenant(spec={"model": "org/large"}))
    alternatives = rejected_alternatives(decision)
    assert {each.layout for each in alternatives if each.tensor_parallel} == {
        each.layout for each in decision.rejections if each.tensor_parallel
    }
    assert all(each.layout.startswith(f"TP{each.tensor_parallel}") for each in alternatives if each.tensor_parallel)
    assert decision.assignment is not None
    assert plan_status(decision.assignment, 1, None).layout == decision.assignment.plan.layout


def test_a_status_prices_replicas_by_the_hour_and_tokens_by_the_load() -> None:
    assignment = place_one([pool("h100", price="3.60")], tenant()).assignment
    assert assignment is not None
    expected = Expectation(8, 100.0, 20.0, requests_per_second=4.0, output_tokens_per_second=100.0)
    known = replace(assignment, plan=replace(assignment.plan, expected=expected))
    load = Load(None, prompt_tokens=900, output_tokens=100, stated=True)
    told = plan_status(known, 2, load)
    assert (told.cost_per_replica_hour, told.cost_per_hour) == ("3.60 USD", "7.20 USD")
    assert told.cost_per_million_tokens == "1.00 USD", "1,000 tokens a second are 3.6 million an hour"
    assert plan_status(known, 2, None).cost_per_million_tokens == ""
    assert plan_status(replace(assignment, plan=replace(assignment.plan, expected=None)), 2, load).cost_per_hour
