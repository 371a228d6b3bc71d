"""Invariant 8: what is refused teaches, and changes nothing that serves."""

from typing import Any

import pytest

from builders.rule_cases import minimal
from integration.stage import Stage, condition, deployment, node, pool

Object = dict[str, Any]


async def test_an_unknown_model_with_the_hub_off_says_what_to_give(cluster: Stage) -> None:
    """Which field, which value, what would work."""
    cluster.put(deployment(model="nobody/knows-this"))
    await cluster.until(lambda: condition(cluster.md(), "Placed").get("status") == "False")
    await cluster.rest()
    placed = condition(cluster.md(), "Placed")
    assert placed["reason"] == "ModelUnknown"
    for word in ("spec.model", "nobody/knows-this", "metadata.config"):
        assert word in placed["message"]
    assert cluster.picture() == {}


UNSUPPORTED: dict[str, tuple[Object, str]] = {
    "disaggregation": ({"disaggregation": {"mode": "Required"}}, "spec.disaggregation.mode"),
    "adapters": (
        {"adapters": [{"name": "law", "source": "org/law"}]},
        "spec.adapters",
    ),
    "a canary": ({"rollout": {"canaryPercent": 5}}, "spec.rollout.canaryPercent"),
}


@pytest.mark.parametrize(("spec", "field"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
async def test_what_is_not_acted_on_is_refused_and_what_serves_goes_on(
    cluster: Stage, spec: Object, field: str
) -> None:
    """The refusal names the field; no child is written."""
    cluster.put(deployment())
    await cluster.ready()
    picture, before = _pictured(cluster), cluster.md()["spec"]
    cluster.edit(**spec)
    await cluster.until(lambda: cluster.reason("Accepted") == "NotSupported")
    await cluster.rest()
    assert field in condition(cluster.md(), "Accepted")["message"]
    assert condition(cluster.md(), "Available")["status"] == "True"
    assert _pictured(cluster) == picture
    cluster.server.update("modeldeployments", "team", "chat", lambda live: {**live, "spec": before})
    await cluster.ready()
    assert _pictured(cluster) == picture


BAD: dict[str, Object] = {
    "a model that nobody knows": {"model": "nobody/knows-this"},
    "an engine argument that is not allowed": {"engineArgs": ["--host=0.0.0.0"]},
    "a border that nothing satisfies": {"placement": {"jurisdictions": ["JP"]}},
    "a price that nothing meets": {"placement": {"maxPricePerReplicaHour": {"amount": "0.01"}}},
    "a pool that does not exist": {"placement": {"pools": ["nowhere"]}},
    "a context that fits nowhere": {"workload": {"promptTokens": 5_000_000, "outputTokens": 1000}},
    "a priority class that does not exist": {"pod": {"priorityClassName": "nobody"}},
    "a Secret that does not exist": {"credentialsRef": {"name": "nobody", "key": "token"}},
}


@pytest.mark.parametrize("spec", BAD.values(), ids=BAD.keys())
async def test_a_bad_edit_changes_nothing_that_serves(cluster: Stage, spec: Object) -> None:
    """Whatever it breaks; taking it back leaves the same revision."""
    cluster.put(deployment(replicas=2))
    await cluster.ready()
    picture = _pictured(cluster)
    before = cluster.md()["spec"]
    cluster.edit(**spec)
    await cluster.until(lambda: cluster.md()["status"]["observedGeneration"] == cluster.md()["metadata"]["generation"])
    await cluster.until(lambda: condition(cluster.md(), "Ready").get("status") == "False")
    await cluster.rest()
    assert condition(cluster.md(), "Ready")["message"]
    assert condition(cluster.md(), "Available")["status"] == "True"
    assert _pictured(cluster) == picture
    cluster.server.update("modeldeployments", "team", "chat", lambda live: {**live, "spec": before})
    await cluster.ready()
    assert _pictured(cluster) == picture


@pytest.mark.parametrize("kind", ["Budget", "Evaluation"])
async def test_the_other_kinds_are_told_once_that_nothing_happens(cluster: Stage, kind: str) -> None:
    """`Accepted=False/NotSupported`, one write per generation."""
    plural = f"{kind.lower()}s"
    cluster.put(minimal(kind))
    await cluster.until(
        lambda: condition(cluster.server.get(plural, "default", "sample"), "Accepted").get("reason") == "NotSupported"
    )
    await cluster.rest()
    await cluster.sweep()
    await cluster.rest()
    assert cluster.server.requests["patch", plural] == 1


async def test_a_secret_that_comes_later_is_found(cluster: Stage) -> None:
    """Nothing is made before; the condition says what to create."""
    cluster.put(deployment(credentialsRef={"name": "hub", "key": "token"}))
    await cluster.until(lambda: cluster.reason("Ready") == "SecretNotFound")
    assert "token" in condition(cluster.md(), "Ready")["message"]
    assert cluster.picture() == {}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": "team"}}
    cluster.put({**secret, "data": {"token": "aGY="}})
    await cluster.ready()


async def test_a_priority_class_that_comes_later_is_found(cluster: Stage) -> None:
    """Pods without it would be refused one by one."""
    cluster.put(deployment(pod={"priorityClassName": "urgent"}))
    await cluster.until(lambda: cluster.reason("Ready") == "PriorityClassNotFound")
    assert cluster.picture() == {}
    cluster.put(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "urgent"},
            "value": 1000,
        }
    )
    await cluster.ready()


TROUBLE = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError")


@pytest.mark.parametrize("reason", TROUBLE)
async def test_what_a_pod_complains_of_is_shown(cluster: Stage, reason: str) -> None:
    """With the pod's name, so that its user knows where to look."""
    cluster.kubelet.trouble = lambda _pod: reason
    cluster.put(deployment())
    await cluster.until(lambda: cluster.reason("Available") == reason)
    await cluster.rest()
    (pod,) = cluster.children("pods")
    assert pod["metadata"]["name"] in condition(cluster.md(), "Ready")["message"]
    cluster.kubelet.trouble = lambda _pod: ""
    cluster.kubelet.poke()
    await cluster.ready()


async def test_an_engine_that_never_gets_ready_is_loading_and_nothing_churns(cluster: Stage) -> None:
    """One status, and then no write."""
    cluster.kubelet.ready = lambda _pod: False
    cluster.put(deployment())
    await cluster.until(lambda: cluster.reason("Available") == "Loading")
    await cluster.rest()
    writes = cluster.writes()
    await cluster.sweep()
    await cluster.rest()
    assert cluster.writes() == writes


async def test_a_name_at_the_length_limit(cluster: Stage) -> None:
    """Every child of 52 characters' parent has a name that fits a Service's 63."""
    name = "a" * 52
    cluster.put(deployment(name))
    await cluster.ready(name)
    assert max(len(child) for _, _, child in cluster.picture()) <= 63


async def test_a_large_object_beside_ours(cluster: Stage) -> None:
    """1 MiB on a pod that asks for GPUs is read and costs nothing."""
    note = {"example.com/note": "x" * (250 * 1024)}
    big = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "big", "namespace": "default", "annotations": note},
        "spec": {
            "nodeName": "h100-a",
            "containers": [
                {
                    "name": "train",
                    "args": ["y" * (800 * 1024)],
                    "resources": {"limits": {"nvidia.com/gpu": "1"}},
                }
            ],
        },
        "status": {"phase": "Running"},
    }
    cluster.put(big, deployment())
    await cluster.ready()
    status = (cluster.server.get("inferencepools", "", "h100") or {})["status"]
    assert status["gpus"]["free"] == 6


async def test_a_tensor_parallel_model_needs_a_whole_node(empty_cluster: Stage) -> None:
    """Node shapes, not sums: two half-free nodes are no place for eight GPUs."""
    cluster = empty_cluster
    cluster.put(pool("h100"), node("a", gpus=4), node("b", gpus=4))
    cluster.put(deployment(model="meta-llama/Llama-3.1-405B-Instruct-FP8"))
    await cluster.start()
    await cluster.until(lambda: condition(cluster.md(), "Placed").get("status") == "False")
    await cluster.rest()
    assert cluster.picture() == {}
    assert condition(cluster.md(), "Placed")["message"]


def _pictured(cluster: Stage) -> dict[tuple[str, str], Any]:
    """Children with their content, as far as it is not counted by others."""
    return {
        (plural, live["metadata"]["name"]): (live["metadata"]["uid"], live.get("spec"), live.get("data"))
        for plural in ("controllerrevisions", "deployments", "services", "poddisruptionbudgets", "networkpolicies")
        for live in cluster.server.objects(plural)
    }
