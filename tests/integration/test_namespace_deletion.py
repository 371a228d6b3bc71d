"""A namespace that goes, and children that go before their parent: nothing is drained, and nothing hangs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.gateways import GatewayStage, consumer, gateway, gateways, route
from integration.stage import Stage, deployment, node, pool
from penstock.cluster.resources import MODEL_DEPLOYMENTS

FAR = "deployment/other/chat"


@pytest.fixture
async def serving(empty_cluster: Stage, tmp_path: Path) -> AsyncIterator[GatewayStage]:
    """A gateway in one namespace, what it sends to in another."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    empty_cluster.put(pool("h100"), node("h100-a"), namespace)
    async with gateways(empty_cluster, tmp_path) as entry:
        await entry.start_server()
        await entry.start_operator()
        open_to_all = {"allowedRoutes": {"namespaces": {"from": "All"}}}
        empty_cluster.put(gateway(**open_to_all), deployment(namespace="other"))
        for far in (route(namespace="other"), consumer(namespace="other")):
            far["spec"]["gatewayRef"]["namespace"] = "team"
            empty_cluster.put(far)
        await entry.start_replicas()
        await empty_cluster.until(lambda: _sent_to(entry))
        yield entry


def _sent_to(entry: GatewayStage) -> bool:
    found = entry.everywhere(FAR)
    return len(found) == len(entry.replicas) and all(each.endpoints for each in found)


async def test_a_namespace_goes(serving: GatewayStage) -> None:
    """Kubernetes takes the pods at once; tables lose them, the finalizer goes, and so does the namespace."""
    stage = serving.cluster
    assert stage.md(namespace="other")["metadata"]["finalizers"] == ["penstock.dev/drain"]
    stage.server.delete("namespaces", "", "other")
    await stage.until(lambda: stage.server.get("namespaces", "", "other") is None, seconds=40)
    await stage.until(lambda: not serving.everywhere(FAR))
    await serving.calm()
    assert [live for plural in _LEFT for live in stage.server.objects(plural, "other")] == []
    assert serving.is_so("inferencegateways", "main", "Ready")


async def test_the_namespace_of_the_gateway_goes(serving: GatewayStage) -> None:
    """What it sent to stays, and is free again."""
    stage = serving.cluster
    stage.server.delete("namespaces", "", "team")
    await stage.until(lambda: stage.server.get("namespaces", "", "team") is None, seconds=40)
    for puppet in serving.replicas.values():
        await puppet.end()
    serving.replicas.clear()
    await stage.until(lambda: not stage.md(namespace="other")["metadata"].get("finalizers"), seconds=40)
    assert stage.is_ready(namespace="other")


async def test_children_that_are_deleted_first(serving: GatewayStage) -> None:
    """`--cascade=foreground`: the pods go under their requests, and the deployment when no table has them any more."""
    stage = serving.cluster
    client = stage.operators[0].operator.client
    await client.delete(MODEL_DEPLOYMENTS, "chat", "other", propagation="Foreground")
    await stage.until(lambda: stage.server.get("modeldeployments", "other", "chat") is None, seconds=40)
    await stage.until(lambda: not any(each.endpoints for each in serving.everywhere(FAR)))
    await serving.calm()
    assert {key for key in stage.picture() if key[1] == "other"} == set()


_LEFT = ("modeldeployments", "routes", "consumers", "secrets", "deployments", "services", "pods")
