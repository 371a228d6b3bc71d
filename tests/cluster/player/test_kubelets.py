"""A pod's life: images, init containers, probes, crashes, grace, and the death of its node."""

from typing import Any

from builders.clock import FakeClock
from builders.played import Played, deployment, node, played, pod
from penstock.cluster.fake.player.runtime import TimedRuntime


def probe(period: int, failures: int) -> dict[str, Any]:
    """An HTTP probe on port 8000."""
    get = {"path": "/health", "port": "http"}
    return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 1}


PROBED = {
    "ports": [{"name": "http", "containerPort": 8000}],
    "startupProbe": probe(10, 6),
    "readinessProbe": probe(2, 2),
}


def container(cluster: Played, name: str = "p") -> dict[str, Any]:
    """The status of a pod's container."""
    found: dict[str, Any] = cluster.status("pods", name)["containerStatuses"][0]
    return found


async def test_a_pod_is_ready_only_when_its_probes_pass() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=25), clock=clock) as cluster:
        cluster.server.put(pod("p", container=PROBED))
        await cluster.pass_slowly(29)
        assert (container(cluster)["started"], container(cluster)["ready"]) == (False, False)
        assert cluster.status("pods", "p")["phase"] == "Running"
        await cluster.pass_slowly(3)
        assert (container(cluster)["started"], container(cluster)["ready"]) == (True, True)
        assert cluster.condition("pods", "p", "Ready")["status"] == "True"


async def test_a_start_that_takes_too_long_is_killed_and_begun_again() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=10_000), clock=clock) as cluster:
        cluster.server.put(pod("p", container=PROBED))
        await cluster.pass_slowly(62)
        status = container(cluster)
        assert status["restartCount"] == 1
        assert not status["ready"]


async def test_crashes_back_off_for_longer_and_longer() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=1, crashes=3), clock=clock) as cluster:
        cluster.server.put(pod("p"))
        await cluster.pass_slowly(3)
        status = container(cluster)
        assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main")
        assert status["lastState"]["terminated"]["exitCode"] == 1
        await cluster.pass_slowly(10)
        assert container(cluster)["state"]["waiting"]["message"].startswith("back-off 20s")
        await cluster.pass_slowly(22)
        assert container(cluster)["ready"]
        assert container(cluster)["restartCount"] == 3


async def test_an_image_that_cannot_be_pulled_is_said_and_tried_again() -> None:
    clock = FakeClock()
    runtime = TimedRuntime(clock, missing=("image",))
    async with played(runtime=runtime, clock=clock) as cluster:
        cluster.server.put(pod("p"))
        await cluster.pass_time(1)
        assert container(cluster)["state"]["waiting"]["reason"] == "ImagePullBackOff"
        runtime.missing = ()
        await cluster.pass_slowly(10)
        assert container(cluster)["ready"]


async def test_init_containers_come_first() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=5), clock=clock) as cluster:
        cluster.server.put(pod("p", initContainers=[{"name": "fetch", "image": "image"}]))
        await cluster.pass_slowly(2)
        assert container(cluster)["state"]["waiting"]["reason"] == "PodInitializing"
        assert cluster.condition("pods", "p", "Initialized")["status"] == "False"
        await cluster.pass_slowly(4)
        assert "running" in container(cluster)["state"]
        assert cluster.condition("pods", "p", "Initialized")["status"] == "True"


async def test_the_end_of_a_pod_waits_for_its_pre_stop_hook() -> None:
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 15}}}}
    async with played() as cluster:
        cluster.server.put(pod("p", container=hook, terminationGracePeriodSeconds=60))
        await cluster.pass_time(1)
        cluster.server.delete("pods", "default", "p")
        await cluster.pass_time(14)
        assert [each["metadata"]["name"] for each in cluster.pods()] == ["p"]
        await cluster.pass_time(2)
        assert cluster.pods() == []


async def test_grace_is_the_longest_that_an_end_takes() -> None:
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 500}}}}
    async with played() as cluster:
        cluster.server.put(pod("p", container=hook, terminationGracePeriodSeconds=60))
        await cluster.pass_time(1)
        cluster.server.delete("pods", "default", "p")
        await cluster.pass_time(59)
        assert len(cluster.pods()) == 1
        await cluster.pass_time(2)
        assert cluster.pods() == []


async def test_a_pod_whose_restart_policy_is_never_ends_for_good() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=1, crashes=1), clock=clock) as cluster:
        cluster.server.put(pod("p", restartPolicy="Never"))
        await cluster.pass_slowly(30)
        assert cluster.status("pods", "p")["phase"] == "Failed"
        assert container(cluster)["restartCount"] == 0


async def test_a_dead_node_is_noticed_tainted_and_emptied() -> None:
    """Silence, Unknown, the taint, eviction after the default toleration; a replacement elsewhere meanwhile."""
    async with played(node("n0", gpus=1)) as cluster:
        cluster.server.put(deployment("web"))
        await cluster.pass_time(1)
        cluster.player.kill_node("n0")
        await cluster.pass_slowly(30)
        assert cluster.condition("nodes", "n0", "Ready", namespace="")["status"] == "True"
        await cluster.pass_slowly(25)
        assert cluster.condition("nodes", "n0", "Ready", namespace="")["status"] == "Unknown"
        live = cluster.server.get("nodes", "", "n0")
        assert live is not None
        assert {each["effect"] for each in live["spec"]["taints"]} == {"NoSchedule", "NoExecute"}
        assert cluster.condition("pods", cluster.pods()[0]["metadata"]["name"], "Ready")["status"] == "False"
        cluster.server.put(node("n1", gpus=1))
        await cluster.pass_slowly(305)
        places = {each["spec"]["nodeName"]: "deletionTimestamp" in each["metadata"] for each in cluster.pods()}
        assert places == {"n0": True, "n1": False}


async def test_pods_of_a_node_that_is_taken_away_go_with_it() -> None:
    async with played(node("n0")) as cluster:
        cluster.server.put(pod("p"))
        await cluster.pass_time(1)
        cluster.player.kill_node("n0")
        cluster.server.delete("nodes", "", "n0")
        await cluster.pass_time(11)
        assert cluster.pods() == []


async def test_a_node_that_comes_back_is_well_again_and_restarts_its_pods() -> None:
    async with played(node("n0")) as cluster:
        cluster.server.put(pod("p"))
        await cluster.pass_time(1)
        cluster.player.kill_node("n0")
        await cluster.pass_slowly(60)
        cluster.player.revive_node("n0")
        await cluster.pass_slowly(2)
        assert cluster.condition("nodes", "n0", "Ready", namespace="")["status"] == "True"
        assert cluster.condition("pods", "p", "Ready")["status"] == "True"
        live = cluster.server.get("nodes", "", "n0")
        assert live is not None
        assert live["spec"]["taints"] == []
