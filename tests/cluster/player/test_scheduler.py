"""Where pods go, and what is said of those that go nowhere."""

from typing import Any

import pytest

from builders.played import deployment, node, played, pod

PREFERS_SECOND = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "preference": {
                    "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]
                },
            }
        ]
    }
}


def requires(key: str, operator: str, *values: str) -> dict[str, Any]:
    """A required node affinity."""
    expression: dict[str, Any] = {"key": key, "operator": operator}
    if values:
        expression["values"] = list(values)
    terms = [{"matchExpressions": [expression]}]
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    }


def nodes() -> list[dict[str, Any]]:
    """Two nodes that differ in their pool."""
    return [
        node(name, labels={"kubernetes.io/hostname": name, "pool": pool}) for name, pool in (("n0", "a"), ("n1", "b"))
    ]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({"nodeSelector": {"pool": "b"}}, "n1", id="node-selector"),
        pytest.param({"nodeSelector": {"pool": "c"}}, "", id="selector-that-nothing-meets"),
        pytest.param(requires("pool", "In", "b"), "n1", id="required-in"),
        pytest.param(requires("pool", "NotIn", "b"), "n0", id="required-not-in"),
        pytest.param(requires("gone", "Exists"), "", id="required-exists"),
        pytest.param(
            requires(
                "gone",
                "DoesNotExist",
            ),
            "n1",
            id="does-not-exist-leaves-the-last-name",
        ),
        pytest.param({"affinity": PREFERS_SECOND}, "n1", id="preferred-hostname"),
    ],
)
async def test_selectors_and_affinity_decide(spec: dict[str, Any], want: str) -> None:
    async with played(*nodes()) as cluster:
        cluster.server.put(pod("p", gpus=1, **spec))
        await cluster.pass_time()
        assert cluster.pods()[0]["spec"].get("nodeName", "") == want


@pytest.mark.parametrize(
    ("tolerations", "bound"),
    [
        pytest.param([], False, id="none"),
        pytest.param([{"key": "nvidia.com/gpu", "operator": "Exists"}], True, id="exists"),
        pytest.param([{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}], True, id="equal"),
        pytest.param([{"key": "nvidia.com/gpu", "value": "other"}], False, id="another-value"),
        pytest.param([{"operator": "Exists"}], True, id="everything"),
        pytest.param([{"operator": "Exists", "effect": "NoExecute"}], False, id="another-effect"),
    ],
)
async def test_taints_need_tolerations(tolerations: list[dict[str, str]], bound: bool) -> None:  # noqa: FBT001 - a table
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    async with played(node("n0", taints=[taint])) as cluster:
        cluster.server.put(pod("p", tolerations=tolerations))
        await cluster.pass_time()
        assert bool(cluster.pods()[0]["spec"].get("nodeName")) is bound


async def test_gpus_are_never_given_twice() -> None:
    async with played(node("n0", gpus=8), node("n1", gpus=8)) as cluster:
        cluster.server.put(deployment("web", replicas=5, gpus=4))
        await cluster.pass_time()
        placed = [each["spec"]["nodeName"] for each in cluster.pods() if each["spec"].get("nodeName")]
        assert sorted(placed) == ["n0", "n0", "n1", "n1"]


async def test_a_pod_that_fits_nowhere_is_told_why_in_kubernetes_words() -> None:
    taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    fleet = (node("n0", gpus=1), node("n1", gpus=8, unschedulable=True), node("n2", taints=taints))
    async with played(*fleet) as cluster:
        cluster.server.put(pod("p", gpus=2))
        await cluster.pass_time()
        condition = cluster.condition("pods", "p", "PodScheduled")
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        assert condition["message"] == (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, "
            "1 node(s) had untolerated taint {sku: gpu}, 1 node(s) were unschedulable."
        )


async def test_a_waiting_pod_goes_where_room_appears() -> None:
    async with played(node("n0", gpus=2)) as cluster:
        cluster.server.put(pod("first", gpus=2))
        await cluster.pass_time()
        cluster.server.put(pod("second", gpus=2))
        await cluster.pass_time()
        assert not cluster.server.get("pods", "default", "second")["spec"].get("nodeName")  # type: ignore[index]
        cluster.server.delete("pods", "default", "first")
        await cluster.pass_time(1)
        assert cluster.condition("pods", "second", "PodScheduled")["status"] == "True"


async def test_cpu_counts_in_thousandths() -> None:
    async with played() as cluster:
        cluster.server.put(pod("fits", container={"resources": {"requests": {"cpu": "63500m"}}}))
        await cluster.pass_time()
        cluster.server.put(pod("waits", container={"resources": {"requests": {"cpu": "0.6"}}}))
        await cluster.pass_time()
        assert cluster.condition("pods", "fits", "PodScheduled")["status"] == "True"
        assert "Insufficient cpu" in cluster.condition("pods", "waits", "PodScheduled")["message"]
