"""Engines that never start, and nodes that are about to go: the next choice is taken in time, and it is remembered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from integration.stage import Stage, deployment, node, pool
from penstock.api.plan_status import ProposalStatus
from penstock.reconcilers.proposals import OFFERED

Object = dict[str, Any]

CRASHED = {"reason": "Error", "exitCode": 1, "message": "RuntimeError: unsupported card"}
OUT_OF_MEMORY = {"reason": "Error", "exitCode": 1, "message": "torch.OutOfMemoryError: CUDA out of memory."}
SPOT = {"key": "aws-node-termination-handler/spot-itn", "value": "1", "effect": "NoSchedule"}


def on(pod: Object, prefix: str) -> bool:
    """Whether the pod stands on such a node."""
    return str(pod["spec"].get("nodeName", "")).startswith(prefix)


def crash(cluster: Stage, *pools: str, last: Object = CRASHED, times: int = 3) -> None:
    """From now on, engines in these pools crash."""

    def crashes(pod: Object) -> bool:
        return any(on(pod, name) for name in pools)

    cluster.kubelet.trouble = lambda pod: "CrashLoopBackOff" if crashes(pod) else ""
    cluster.kubelet.ended = lambda pod: (times, last) if crashes(pod) else (0, {})
    cluster.kubelet.poke()


def failed(cluster: Stage) -> list[tuple[str, str]]:
    """Pool and reason of what the status remembers."""
    return [(each["pool"], each["reason"]) for each in cluster.md()["status"].get("failed", ())]


@pytest.fixture
async def two_pools(cluster: Stage) -> Stage:
    """H100 first, A100 second."""
    cluster.put(pool("a100", price="3.00"), node("a100-a", pool="a100", accelerator="A100"))
    return cluster


async def test_an_engine_that_never_starts_means_the_next_pool(two_pools: Stage) -> None:
    cluster = two_pools
    crash(cluster, "h100")
    cluster.put(deployment(placement={"fallbackAfterSeconds": 5}))
    await cluster.ready()
    assert cluster.nodes_of() == ["a100-a"]
    assert failed(cluster) == [("h100", "CrashLoop")]
    (told,) = cluster.events("FailedToStart")
    assert "unsupported card" in told
    assert any("never ready" in message for message in cluster.events("Moved"))
    (lost,) = [each for each in cluster.md()["status"]["rejected"] if each["reason"] == "FailedToStart"]
    assert lost["pool"] == "h100"


async def test_no_memory_twice_is_enough(two_pools: Stage) -> None:
    """The counter-check: a plain crash has to come three times."""
    cluster = two_pools
    crash(cluster, "h100", times=2)
    cluster.put(deployment(placement={"fallbackAfterSeconds": 1}))
    began = cluster.clock.monotonic()
    await cluster.until(lambda: cluster.nodes_of() == ["h100-a"] and cluster.clock.monotonic() > began + 4)
    assert failed(cluster) == []
    crash(cluster, "h100", last=OUT_OF_MEMORY, times=2)
    await cluster.ready()
    assert failed(cluster) == [("h100", "OutOfMemory")]
    assert cluster.nodes_of() == ["a100-a"]


async def test_what_failed_is_remembered_by_the_next_operator(two_pools: Stage) -> None:
    """Both fail, a restart in the middle: the first is not tried again, until the spec changes."""
    cluster = two_pools
    crash(cluster, "h100", "a100")
    cluster.put(deployment(engine="vLLM", placement={"fallbackAfterSeconds": 1}))
    await cluster.until(lambda: ("h100", "CrashLoop") in failed(cluster))
    await cluster.restart()
    await cluster.until(lambda: len(failed(cluster)) == 2)
    await cluster.rest()
    assert [name for name, _ in failed(cluster)] == ["h100", "a100"]
    assert cluster.md()["status"]["nextPlan"]["pool"] == "a100"
    crash(cluster)
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: cluster.is_ready() and not failed(cluster))
    await cluster.rest()
    assert cluster.md()["status"]["plan"]["pool"] == "h100"


async def test_an_engine_that_has_served_is_not_given_up(two_pools: Stage) -> None:
    """It crashes later: no fault of the plan, and a restart of the operator makes it none."""
    cluster = two_pools
    cluster.put(deployment(placement={"fallbackAfterSeconds": 1}))
    await cluster.ready()
    crash(cluster, "h100", times=9)
    await cluster.until(lambda: cluster.reason("Available") == "CrashLoopBackOff")
    await cluster.restart()
    await cluster.rest()
    began = cluster.clock.monotonic()
    await cluster.until(lambda: cluster.clock.monotonic() > began + 3)
    assert failed(cluster) == []
    assert cluster.nodes_of() == ["h100-a"]


async def test_a_node_that_is_about_to_go_is_left_without_a_gap(cluster: Stage) -> None:
    """A second replica is ready elsewhere before the first goes; the revision stays what it is."""
    cluster.put(deployment())
    await cluster.ready()
    (revision,) = cluster.revisions()
    cluster.put(node("h100-b"))
    gaps: list[str] = []

    def look(_type: str, live: Object, _before: Object | None) -> None:
        if live["kind"] == "Deployment" and not live.get("status", {}).get("readyReplicas", 1):
            gaps.append(live["metadata"]["name"])

    end = cluster.server.subscribe(look)
    cluster.server.update("nodes", "", "h100-a", lambda live: {**live, "spec": {"taints": [SPOT]}})
    await cluster.until(lambda: cluster.nodes_of() == ["h100-b"])
    await cluster.ready()
    end()
    assert gaps == []
    assert cluster.revisions() == [revision]
    (told,) = cluster.events("NodeLeaving")
    assert "h100-a (aws-node-termination-handler/spot-itn)" in told


async def test_a_notice_that_is_taken_back_leaves_everything_as_it_was(cluster: Stage) -> None:
    """There was no room elsewhere meanwhile."""
    cluster.put(deployment())
    await cluster.ready()
    cluster.server.update("nodes", "", "h100-a", lambda live: {**live, "spec": {"taints": [SPOT]}})
    await cluster.until(lambda: cluster.nodes_of() == ["", "h100-a"])
    assert cluster.reason("Available") == "Serving"
    cluster.server.update("nodes", "", "h100-a", lambda live: {**live, "spec": {}})
    cluster.kubelet.poke()
    await cluster.until(lambda: cluster.nodes_of() == ["h100-a"])
    await cluster.ready()
    (pod,) = cluster.children("pods")
    assert "penstock.dev/leaving" not in (pod["metadata"].get("annotations") or {})


async def test_a_better_plan_is_shown_and_not_taken(two_pools: Stage) -> None:
    """What the planner proposes is in the status, over a restart, until it proposes something else."""
    cluster = two_pools
    cluster.put(deployment())
    await cluster.ready()
    found = {("team", "chat"): proposal()}
    cluster.operators[0].operator.world.propose(found)
    await cluster.until(lambda: cluster.md()["status"].get("proposal"))
    await cluster.until(lambda: cluster.events("BetterPlan"))
    await cluster.restart()
    await cluster.rest()
    assert cluster.md()["status"]["proposal"]["savingPerHour"] == "1.20 USD"
    assert cluster.md()["status"]["plan"]["pool"] == "h100"
    cluster.operators[0].operator.world.propose({})
    await cluster.until(lambda: cluster.events("BetterPlanGone"))
    assert "proposal" not in cluster.md()["status"]


def proposal() -> ProposalStatus:
    return ProposalStatus(
        pool="a100",
        accelerator="A100-SXM-80GB",
        engine="vLLM",
        precision="bf16",
        layout="TP1",
        saving_per_hour="1.20 USD",
        better_since_time=datetime(2026, 11, 1, tzinfo=UTC),
        state=OFFERED,
        message="pool a100 serves the same",
    )
