"""From records to pools: membership, GPUs in use, accelerators, taints."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders.live import gpu_node, gpu_pod
from penstock.api.inferencepool import InferencePool
from penstock.planner.fleet import Pool
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.fleet import build_pools, gpus_by_node, membership
from penstock.reconcilers.stored import NodeRecord, slim_node, slim_pod


def pool(name: str, *, day: int = 1, selector: dict[str, str] | None = None, **spec: Any) -> Custom[InferencePool]:
    """A pool made on that day of November."""
    content = {"nodeSelector": selector or {"pool": "h100"}, **spec}
    parsed = InferencePool.model_validate({"metadata": {"name": name}, "spec": content})
    return Custom(
        namespace="",
        name=name,
        uid=name,
        resource_version="1",
        owner_uid="",
        generation=1,
        created=datetime(2026, 11, day, tzinfo=UTC),
        deleting=False,
        parsed=parsed,
        refusals=(),
        status={},
    )


def records(*nodes: dict[str, Any]) -> dict[str, NodeRecord]:
    """Slim nodes by name."""
    return {node["metadata"]["name"]: slim_node(node) for node in nodes}


def build(custom: Custom[InferencePool], *nodes: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> Pool:
    """The one pool as the planner reads it."""
    found = records(*nodes)
    members = membership([custom], tuple(found.values()))
    (built,) = build_pools([custom], found, members, gpus_by_node([slim_pod(pod) for pod in pods]))
    return built


def test_a_node_belongs_to_the_oldest_pool_that_selects_it() -> None:
    """The younger pool learns which nodes it lost, and to whom."""
    nodes = records(gpu_node("a"), gpu_node("b"))
    members = membership([pool("young", day=2), pool("old", day=1)], tuple(nodes.values()))
    assert members["old"].nodes == ("a", "b")
    assert members["young"].nodes == ()
    assert members["young"].contested == {"a": "old", "b": "old"}


def test_gpus_of_finished_and_unbound_pods_are_free() -> None:
    """Only what the scheduler counts is counted."""
    pods = [
        gpu_pod("runs", node="a", gpus=2),
        gpu_pod("done", node="a", gpus=4, phase="Succeeded"),
        gpu_pod("waits", gpus=8, phase="Pending"),
    ]
    assert gpus_by_node([slim_pod(pod) for pod in pods]) == {("a", "nvidia.com/gpu"): 2}


TAINTS: dict[str, tuple[dict[str, Any], list[dict[str, str]], int]] = {
    "the GPU operator's own taint keeps nobody away": (
        {},
        [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
        8,
    ),
    "a foreign taint that the pool does not tolerate": ({}, [{"key": "batch", "effect": "NoSchedule"}], 0),
    "the same, tolerated": (
        {"tolerations": [{"key": "batch", "operator": "Exists"}]},
        [{"key": "batch", "effect": "NoSchedule"}],
        8,
    ),
    "tolerated with another value": (
        {"tolerations": [{"key": "batch", "operator": "Equal", "value": "night"}]},
        [{"key": "batch", "value": "day", "effect": "NoSchedule"}],
        0,
    ),
    "a mere preference": ({}, [{"key": "batch", "effect": "PreferNoSchedule"}], 8),
}


@pytest.mark.parametrize(("spec", "taints", "free"), TAINTS.values(), ids=TAINTS.keys())
def test_taints(spec: dict[str, Any], taints: list[dict[str, str]], free: int) -> None:
    """A node that our pods could not enter has no free GPUs."""
    assert build(pool("h100", **spec), gpu_node("a", taints=taints)).nodes[0].free == free


def test_a_node_that_is_not_ready_has_no_free_gpus() -> None:
    """It still counts among the pool's."""
    node = build(pool("h100"), gpu_node("a", ready=False)).nodes[0]
    assert (node.gpus, node.free) == (8, 0)


def test_the_accelerator_comes_from_the_labels() -> None:
    """Nobody needs to state what every node says."""
    built = build(pool("h100"), gpu_node("a"))
    assert built.accelerator is not None
    assert built.accelerator.name == "H100-SXM-80GB"


def test_a_stated_accelerator_that_the_labels_deny_is_unknown() -> None:
    """Labels or spec lie; nothing is placed until somebody mends it."""
    built = build(pool("h100", accelerator="A100-SXM-80GB"), gpu_node("a"))
    assert built.accelerator is None
    assert "H100-SXM-80GB" in built.accelerator_problem


def test_a_pool_without_nodes_says_so() -> None:
    """The cure is part of the message."""
    built = build(pool("h100"))
    assert built.accelerator is None
    assert "spec.accelerator" in built.accelerator_problem


def test_a_node_knows_its_zone() -> None:
    """By the well-known label; without it, no zone is as good as one."""
    zoned = gpu_node("a")
    zoned["metadata"]["labels"]["topology.kubernetes.io/zone"] = "eu-1a"
    assert [node.zone for node in build(pool("h100"), zoned, gpu_node("b")).nodes] == ["eu-1a", ""]
