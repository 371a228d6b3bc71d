"""Deployments and their ReplicaSets on a played cluster."""

from typing import Any

from builders.clock import FakeClock
from builders.played import deployment, node, played
from penstock.cluster.fake.player.runtime import TimedRuntime

PROBED = {"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1}}


def retemplate(image: str) -> Any:
    """Another image in the template."""

    def change(live: dict[str, Any]) -> dict[str, Any]:
        template = live["spec"]["template"]
        container = {**template["spec"]["containers"][0], "image": image}
        spec = {**template["spec"], "containers": [container]}
        return {**live, "spec": {**live["spec"], "template": {**template, "spec": spec}}}

    return change


def rescale(replicas: int) -> Any:
    """Another number of replicas."""
    return lambda live: {**live, "spec": {**live["spec"], "replicas": replicas}}


async def test_replicas_become_pods_and_the_status_says_so() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web", replicas=3))
        await cluster.pass_time(1)
        status = cluster.status("deployments", "web")
        counts = {key: status[key] for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
        assert counts == dict.fromkeys(counts, 3)
        assert "unavailableReplicas" not in status
        assert status["observedGeneration"] == 1
        assert cluster.condition("deployments", "web", "Available")["status"] == "True"
        assert cluster.condition("deployments", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_pods_are_named_labelled_and_owned_through_a_replica_set() -> None:
    async with played() as cluster:
        made = cluster.server.put(deployment("web"))
        await cluster.pass_time(1)
        (replica_set,) = cluster.server.objects("replicasets")
        (pod,) = cluster.pods()
        assert replica_set["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
        assert pod["metadata"]["name"].startswith(replica_set["metadata"]["name"] + "-")
        mark = pod["metadata"]["labels"]["pod-template-hash"]
        assert replica_set["metadata"]["name"] == f"web-{mark}"
        assert pod["metadata"]["labels"]["app"] == "web"


async def test_a_pod_that_is_deleted_is_replaced() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web"))
        await cluster.pass_time(1)
        (first,) = cluster.pods()
        cluster.server.delete("pods", "default", first["metadata"]["name"])
        await cluster.pass_time(1)
        (second,) = cluster.pods()
        assert second["metadata"]["name"] != first["metadata"]["name"]


async def test_what_costs_least_to_delete_goes_first() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web", replicas=3))
        await cluster.pass_time(1)
        last = cluster.pods()[-1]["metadata"]["name"]
        cost = {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1000"}}
        place = ("pods", cluster.pods()[-1]["metadata"]["namespace"], last)
        cluster.server.update(*place, lambda live: {**live, "metadata": {**live["metadata"], **cost}})
        cluster.server.update("deployments", place[1], "web", rescale(2))
        await cluster.pass_time(60)
        assert len(cluster.pods()) == 2
        assert last not in [pod["metadata"]["name"] for pod in cluster.pods()]


async def test_scaling_to_zero_ends_all_pods() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web", replicas=2))
        await cluster.pass_time(1)
        cluster.server.update("deployments", "default", "web", rescale(0))
        await cluster.pass_time(1)
        assert cluster.pods() == []
        assert "replicas" not in cluster.status("deployments", "web")


async def test_deleting_takes_sets_and_pods_along() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web", replicas=2))
        await cluster.pass_time(1)
        cluster.server.delete("deployments", "default", "web")
        await cluster.pass_time(1)
        assert cluster.server.objects("replicasets") == []
        assert cluster.pods() == []


async def test_a_new_template_without_surge_never_holds_more_pods_than_wanted() -> None:
    """A full node: the new pods only fit one by one, in the place of the old ones."""
    clock = FakeClock()
    async with played(node("n0", gpus=2), runtime=TimedRuntime(clock, seconds=5), clock=clock) as cluster:
        bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        cluster.server.put(deployment("web", replicas=2, strategy=bounds, container=PROBED))
        await cluster.pass_slowly(15)
        assert cluster.status("deployments", "web")["readyReplicas"] == 2
        cluster.server.update("deployments", "default", "web", retemplate("image:2"))
        most, least = 0, 2
        for _ in range(40):
            await cluster.pass_time(1)
            most = max(most, len(cluster.pods()))
            least = min(least, cluster.status("deployments", "web").get("readyReplicas", 0))
        images = {each["spec"]["containers"][0]["image"] for each in cluster.pods()}
        assert (most, least, images) == (2, 1, {"image:2"})


async def test_the_default_strategy_surges_first() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=5), clock=clock) as cluster:
        cluster.server.put(deployment("web", container=PROBED))
        await cluster.pass_slowly(8)
        cluster.server.update("deployments", "default", "web", retemplate("image:2"))
        await cluster.pass_time()
        assert len(cluster.pods()) == 2
        await cluster.pass_slowly(10)
        assert [each["spec"]["containers"][0]["image"] for each in cluster.pods()] == ["image:2"]


async def test_recreate_ends_the_old_pods_before_it_makes_new_ones() -> None:
    clock = FakeClock()
    async with played(runtime=TimedRuntime(clock, seconds=5), clock=clock) as cluster:
        cluster.server.put(deployment("web", strategy={"type": "Recreate"}))
        await cluster.pass_slowly(8)
        cluster.server.update("deployments", "default", "web", retemplate("image:2"))
        await cluster.pass_slowly(1)
        assert [each["spec"]["containers"][0]["image"] for each in cluster.pods()] == ["image:2"]


async def test_old_sets_are_kept_up_to_the_limit() -> None:
    async with played() as cluster:
        cluster.server.put(deployment("web", revisionHistoryLimit=1))
        for number in range(2, 5):
            await cluster.pass_slowly(2)
            cluster.server.update("deployments", "default", "web", retemplate(f"image:{number}"))
        await cluster.pass_slowly(4)
        assert len(cluster.server.objects("replicasets")) == 2


async def test_a_roll_out_that_makes_no_progress_says_so_and_recovers() -> None:
    async with played(node("n0", gpus=1)) as cluster:
        cluster.server.put(deployment("web", gpus=2, progressDeadlineSeconds=60))
        await cluster.pass_time(59)
        assert cluster.condition("deployments", "web", "Progressing")["status"] == "True"
        await cluster.pass_time(2)
        late = cluster.condition("deployments", "web", "Progressing")
        assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")
        cluster.server.put(node("n1", gpus=2))
        await cluster.pass_time(1)
        assert cluster.condition("deployments", "web", "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_nothing_is_written_when_nothing_changes() -> None:
    """An idle cluster is quiet, heartbeats apart."""
    async with played() as cluster:
        cluster.server.put(deployment("web", replicas=2))
        await cluster.pass_time(5)
        seen: list[str] = []
        cluster.server.subscribe(lambda _type, live, _before: seen.append(live["kind"]))
        await cluster.pass_time(300)
        assert set(seen) <= {"Lease"}
