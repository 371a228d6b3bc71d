"""Gateways in the assembled cluster: Deployments of real processes, behind their Service."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from builders.gateway_pods import gateway_template, pretended_gateway, secret
from builders.simulated import until
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.pod_process import ProcessSettings

LABELS = {"app": "main"}


def workload(*more: str, replicas: int = 1) -> dict[str, Any]:
    """A Deployment of gateways."""
    template = {"metadata": {"labels": LABELS}, "spec": gateway_template(*more)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "main", "namespace": "team"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template},
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "main", "namespace": "team"},
    "spec": {"selector": LABELS, "ports": [{"name": "internal", "port": 8001, "targetPort": "internal"}]},
}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SimulatedCluster]:
    """One node, 500 times faster; its gateways are pretended."""
    processes = ProcessSettings(
        folder=tmp_path / "pods",
        python=Path(sys.executable),
        source_root=pretended_gateway(tmp_path / "source"),
        refresh_seconds=0.02,
    )
    settings = SimulationSettings(nodes={"h100": 1}, speed=500, processes=processes)
    async with SimulatedCluster(settings, random=Random(11)) as made:
        made.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
        made.server.put(SERVICE)
        yield made


def ready(cluster: SimulatedCluster, replicas: int) -> Callable[[], bool]:
    """So many replicas serve, and the Service knows them."""

    def claim() -> bool:
        live = cluster.server.get("endpointslices", "team", "main")
        return live is not None and sum(each["conditions"]["ready"] for each in live["endpoints"]) == replicas

    return claim


async def told(cluster: SimulatedCluster) -> dict[str, Any]:
    """What a replica behind the Service says that it was given."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(cluster.service_url("team", "main", 8001) + "/told") as response,
    ):
        found: dict[str, Any] = json.loads(await response.read())
        return found


async def test_replicas_answer_through_their_service(cluster: SimulatedCluster) -> None:
    """Each with its own identity and the Secret's content."""
    cluster.server.put(secret("main-credentials", mistral="sk-1"))
    cluster.server.put(workload(replicas=2))
    await until(cluster, ready(cluster, 2))
    answers = [await told(cluster) for _ in range(2)]
    uids = {pod["metadata"]["uid"] for pod in cluster.server.objects("pods")}
    assert {answer["env"]["POD_UID"] for answer in answers} == uids
    assert [answer["files"] for answer in answers] == [{"mistral": "sk-1"}] * 2


async def test_a_pod_starts_when_its_secret_comes(cluster: SimulatedCluster) -> None:
    cluster.server.put(workload())
    await until(cluster, lambda: any(event["reason"] == "FailedMount" for event in cluster.server.objects("events")))
    (event,) = (each for each in cluster.server.objects("events") if each["reason"] == "FailedMount")
    assert 'secret "team/main-credentials" not found' in event["message"]
    (pod,) = cluster.server.objects("pods")
    assert pod["status"]["phase"] == "Pending"
    cluster.server.put(secret("main-credentials", mistral="sk-1"))
    await until(cluster, ready(cluster, 1))


async def test_a_killed_gateway_is_started_again(cluster: SimulatedCluster) -> None:
    cluster.server.put(secret("main-credentials"))
    cluster.server.put(workload())
    await until(cluster, ready(cluster, 1))
    (pod,) = cluster.server.objects("pods")
    process = cluster.gateway("team", pod["metadata"]["name"])
    assert process is not None
    process.kill()
    await until(cluster, lambda: not ready(cluster, 1)())
    await until(cluster, ready(cluster, 1))
    (again,) = cluster.server.objects("pods")
    status = again["status"]["containerStatuses"][0]
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 137)


async def test_one_that_fails_says_its_last_words_in_its_status(cluster: SimulatedCluster) -> None:
    cluster.server.put(secret("main-credentials"))
    cluster.server.put(workload("--say", "no table", "--exit", "4"))

    def ended() -> dict[str, Any]:
        statuses = [
            each for pod in cluster.server.objects("pods") for each in pod["status"].get("containerStatuses", [])
        ]
        found: dict[str, Any] = statuses[0]["lastState"].get("terminated", {}) if statuses else {}
        return found

    await until(cluster, lambda: ended() != {})
    assert (ended()["exitCode"], ended()["message"]) == (4, "no table")


async def test_a_deleted_deployment_leaves_no_process(cluster: SimulatedCluster) -> None:
    cluster.server.put(secret("main-credentials"))
    cluster.server.put(workload())
    await until(cluster, ready(cluster, 1))
    cluster.server.delete("deployments", "team", "main")
    await until(cluster, lambda: not cluster.server.objects("pods"))
    assert cluster.runtime.gateways is not None
    assert cluster.runtime.gateways.running == {}
