"""The assembled cluster: Deployments of engines answer through their Services, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp

from builders.simulated import PATIENCE_SECONDS, until
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings

ENGINE = ("vllm", "serve", "Qwen/Qwen3-8B", "--served-model-name", "chat", "--shutdown-timeout", "60")


def workload(*more: str, image: str = "vllm/vllm-openai:v0.33.0", replicas: int = 1) -> dict[str, Any]:
    """A Deployment of vLLM."""
    probe = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 5}
    container = {
        "name": "engine",
        "image": image,
        "command": list(ENGINE[:2]),
        "args": [*ENGINE[2:], *more],
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 100},
        "readinessProbe": {**probe, "periodSeconds": 2, "failureThreshold": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
    }
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 90,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    labels = {"app": "chat"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat", "namespace": "default"},
    "spec": {"selector": {"app": "chat"}, "ports": [{"name": "http", "port": 8000, "targetPort": "http"}]},
}


@asynccontextmanager
async def simulated(manifest: dict[str, Any]) -> AsyncIterator[tuple[SimulatedCluster, aiohttp.ClientSession]]:
    """A cluster of one node, 500 times faster, with that Deployment and its Service."""
    settings = SimulationSettings(nodes={"h100": 1}, speed=500)
    async with SimulatedCluster(settings, random=Random(5)) as cluster, aiohttp.ClientSession() as session:
        cluster.server.put(manifest)
        cluster.server.put(SERVICE)
        yield cluster, session


def ready(cluster: SimulatedCluster, replicas: int = 1) -> Callable[[], bool]:
    """So many replicas serve, and the Service knows them."""

    def claim() -> bool:
        live = cluster.server.get("endpointslices", "default", "chat")
        return live is not None and sum(each["conditions"]["ready"] for each in live["endpoints"]) == replicas

    return claim


async def ask(cluster: SimulatedCluster, session: aiohttp.ClientSession, **more: Any) -> tuple[int, dict[str, Any]]:
    """A completion through the Service."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], **more}
    url = cluster.service_url("default", "chat") + "/v1/chat/completions"
    async with session.post(url, json=body) as response:
        return response.status, await response.json()


async def under_way(cluster: SimulatedCluster, session: aiohttp.ClientSession) -> None:
    """Wait until the engine has a request in hand."""
    load = 0
    while not load:
        async with session.get(cluster.service_url("default", "chat") + "/load") as response:
            load = (await response.json())["server_load"]


async def test_a_completion_through_its_service() -> None:
    async with simulated(workload()) as (cluster, session):
        await until(cluster, ready(cluster))
        status, answer = await ask(cluster, session)
        assert status == 200
        (pod,) = cluster.server.objects("pods")
        assert answer["system_fingerprint"] == pod["metadata"]["name"]
        assert pod["status"]["podIP"].startswith("127.")


async def test_connections_are_spread_over_the_replicas() -> None:
    async with simulated(workload(replicas=3)) as (cluster, _):
        await until(cluster, ready(cluster, 3))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            answers = [await ask(cluster, session) for _ in range(6)]
        assert len({answer["system_fingerprint"] for _, answer in answers}) == 3


async def test_a_service_without_endpoints_refuses() -> None:
    async with simulated(workload(replicas=0)) as (cluster, session):
        await until(cluster, lambda: cluster.server.get("endpointslices", "default", "chat") is not None)
        try:
            await ask(cluster, session)
        except aiohttp.ClientError:
            return
        raise AssertionError


async def test_scaling_down_drains_what_is_in_flight() -> None:
    """The request that runs when the pod is deleted is answered; the pod goes after."""
    async with simulated(workload()) as (cluster, session):
        await until(cluster, ready(cluster))
        (pod,) = cluster.server.objects("pods")
        engine = cluster.engine("default", pod["metadata"]["name"])
        assert engine is not None
        engine.faults.slow = 200
        asking = asyncio.create_task(ask(cluster, session, max_tokens=3))
        await under_way(cluster, session)
        cluster.server.delete("pods", "default", pod["metadata"]["name"])
        status, answer = await asking
        assert (status, answer["usage"]["completion_tokens"]) == (200, 3)
        await until(cluster, lambda: cluster.server.get("pods", "default", pod["metadata"]["name"]) is None)


async def test_flags_that_the_release_does_not_have_crash_it_with_2() -> None:
    async with simulated(workload("--swap-space", "4")) as (cluster, _):
        await until(cluster, lambda: _terminated(cluster) != {})
        assert _terminated(cluster)["exitCode"] == 2
        assert "unrecognized arguments: --swap-space" in _terminated(cluster)["message"]


def _terminated(cluster: SimulatedCluster) -> dict[str, Any]:
    for pod in cluster.server.objects("pods"):
        for container in pod["status"].get("containerStatuses", []):
            found: dict[str, Any] = container["lastState"].get("terminated", {})
            return found
    return {}


async def test_more_gpus_than_the_pod_has_crash_it() -> None:
    async with simulated(workload("--tensor-parallel-size", "2")) as (cluster, _):
        await until(cluster, lambda: _terminated(cluster) != {})
        assert "2 GPUs are wanted, the pod has 1" in _terminated(cluster)["message"]


async def test_an_engine_that_crashes_is_started_again() -> None:
    async with simulated(workload()) as (cluster, session):
        await until(cluster, ready(cluster))
        (pod,) = cluster.server.objects("pods")
        engine = cluster.engine("default", pod["metadata"]["name"])
        assert engine is not None
        engine.kill(1)
        await until(cluster, lambda: not ready(cluster)())
        await until(cluster, ready(cluster))
        assert (await ask(cluster, session))[0] == 200
        (again,) = cluster.server.objects("pods")
        assert again["metadata"]["uid"] == pod["metadata"]["uid"]
        assert again["status"]["containerStatuses"][0]["restartCount"] == 1


async def test_a_removed_node_takes_its_engines_along() -> None:
    async with simulated(workload()) as (cluster, _):
        await until(cluster, ready(cluster))
        cluster.remove_node("h100-0")
        await until(cluster, lambda: not ready(cluster)())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while cluster.runtime.engines:
                await asyncio.sleep(0)


async def test_an_image_that_is_missing_is_said() -> None:
    async with simulated(workload(image="nobody/has:v1", replicas=0)) as (cluster, _):
        cluster.runtime.missing.add("nobody/has:v1")
        cluster.server.update(
            "deployments", "default", "chat", lambda live: {**live, "spec": {**live["spec"], "replicas": 1}}
        )

        def said() -> bool:
            statuses = [s for pod in cluster.server.objects("pods") for s in pod["status"].get("containerStatuses", [])]
            return any(s["state"].get("waiting", {}).get("reason") == "ImagePullBackOff" for s in statuses)

        await until(cluster, said)
