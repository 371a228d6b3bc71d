"""Replicas on nodes that are about to go: how many are started elsewhere, and when the old ones are withdrawn."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from builders.live import gpu_node, gpu_pod, live
from penstock.api.modeldeployment import ModelDeployment
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.leaving import surplus
from penstock.reconcilers.replacing import with_replacements, withdrawn
from penstock.reconcilers.stored import PodRecord, slim_node, slim_pod
from penstock.reconcilers.view import View
from penstock.rollout.step import Phase, Step

TAINTS = {
    "karpenter.sh/disrupted": True,
    "karpenter.sh/disruption": True,
    "ToBeDeletedByClusterAutoscaler": True,
    "aws-node-termination-handler/spot-itn": True,
    "aws-node-termination-handler/rebalance-recommendation": True,
    "cloud.google.com/impending-node-termination": True,
    "remediator.aks.microsoft.com/unschedulable": True,
    "nvidia.com/gpu": False,
    "node.kubernetes.io/unschedulable": False,
    "DeletionCandidateOfClusterAutoscaler": False,
}


def pod(name: str, node: str, *, ready: bool = True, terminating: bool = False) -> PodRecord:
    made = slim_pod(gpu_pod(name, node=node, labels={"penstock.dev/revision": "abc"}))
    return replace(made, ready=ready, terminating=terminating, created=datetime(2026, 11, 1, tzinfo=UTC))


def view(*pods: PodRecord, wanted: int) -> View:
    """Of a deployment whose pods on nodes called `spot...` are to go."""
    spec = {"model": "Qwen/Qwen3-8B", "replicas": wanted}
    found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=spec)
    nodes = {each.node: "taint" for each in pods if each.node.startswith("spot")}
    return View(Custom.of(found, ModelDeployment), None, {}, {}, {}, pods, nodes)


def step(wanted: int, **others: int) -> Step:
    return Step(serving="abc", scales={"abc": wanted, **others}, remove=(), phase=Phase.SETTLED)


CASES: dict[str, tuple[View, int]] = {
    "nothing goes": (view(pod("a", "n1"), wanted=1), 1),
    "one more for the one that goes": (view(pod("a", "spot1"), wanted=1), 2),
    "as many as go": (view(pod("a", "spot1"), pod("b", "spot1"), pod("c", "n1"), wanted=3), 5),
    "the new one loads": (view(pod("a", "spot1"), pod("b", "n1", ready=False), wanted=1), 2),
    "the new one is ready": (view(pod("a", "spot1"), pod("b", "n1"), wanted=1), 1),
    "the old one ends already": (view(pod("a", "spot1", terminating=True), wanted=1), 1),
    "to be scaled to nothing": (view(pod("a", "spot1"), wanted=0), 0),
}


@pytest.mark.parametrize(("seen", "want"), CASES.values(), ids=CASES)
def test_how_many_there_are_to_be(seen: View, want: int) -> None:
    assert with_replacements(seen, step(seen.wanted)).scales == {"abc": want}


def test_a_roll_out_is_not_disturbed() -> None:
    """Its new revision takes other nodes by itself."""
    seen = view(pod("a", "spot1"), wanted=1)
    assert with_replacements(seen, step(1, next=1)).scales == {"abc": 1, "next": 1}


WITHDRAWN: dict[str, tuple[View, list[str]]] = {
    "the only one serves on": (view(pod("a", "spot1"), wanted=1), []),
    "half of what is wanted stands elsewhere": (view(pod("a", "spot1"), pod("b", "n1"), wanted=2), ["a"]),
    "too few stand elsewhere": (view(pod("a", "spot1"), pod("b", "spot1"), pod("c", "n1"), wanted=3), []),
    "what is not ready takes no requests": (view(pod("a", "spot1"), pod("b", "n1", ready=False), wanted=2), []),
}


@pytest.mark.parametrize(("seen", "want"), WITHDRAWN.values(), ids=WITHDRAWN)
def test_who_gets_no_new_requests(seen: View, want: list[str]) -> None:
    assert [each.name for each in withdrawn(seen, "abc")] == want


def test_those_go_first_whatever_their_age() -> None:
    pods = (pod("a", "spot1"), pod("b", "n1"))
    assert [each.name for each in surplus(pods, 1, {"spot1"})] == ["a"]
    assert [each.name for each in surplus(pods, 1, {"n1"})] == ["b"]


@pytest.mark.parametrize(("taint", "goes"), TAINTS.items())
def test_the_taints_that_announce_it(taint: str, goes: bool) -> None:  # noqa: FBT001 - a table
    node = slim_node(gpu_node("a", taints=[{"key": taint, "effect": "NoSchedule"}]))
    assert bool(node.leaving) is goes
