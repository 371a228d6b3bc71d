"""A world with one of everything that is watched: a deployment that drains, a pool, a gateway with a late replica."""

from typing import Any

from builders.live import gpu_pod, live
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.inferencepool import InferencePool
from penstock.api.meta import Resource
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelprovider import ModelProvider
from penstock.api.route import Route
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.stored import slim_pod, slim_workload
from penstock.reconcilers.traffic import GatewayTraffic
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica
from penstock_policy.table import Table

__all__ = ["add_deployment", "add_gateway", "add_pool", "condition", "empty_world", "one_of_everything"]

PLAN = {
    "pool": "h100",
    "accelerator": "H100-SXM-80GB",
    "engine": "vLLM",
    "engineVersion": "0.33.0",
    "precision": "fp8",
    "model": "org/small",
    "tensorParallel": 2,
    "revision": "abc",
    "kvTokens": 120_000,
    "costPerHour": "11.80 USD",
}


def condition(kind: str, status: str = "True", reason: str = "", since: str = "2026-11-21T12:00:00Z") -> dict[str, str]:
    """As a status holds it."""
    return {"type": kind, "status": status, "reason": reason or kind, "lastTransitionTime": since}


def empty_world() -> World:
    """One that enqueues nothing."""
    return World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)


def custom(
    kind: type[Resource], name: str, namespace: str, spec: dict[str, Any], status: dict[str, Any]
) -> Custom[Any]:
    """One of our resources as a store holds it."""
    found = live(
        kind.kind_name, name, namespace=namespace, api_version="penstock.dev/v1alpha1", spec=spec, status=status
    )
    return Custom.of(found, kind)


def add_deployment(world: World, name: str = "chat", *conditions: dict[str, str], ready: int = 1, **spec: Any) -> None:
    """`team/<name>` with two pods of two GPUs each, of which `ready` serve."""
    said = list(conditions or (condition("Ready"),))
    status = {"conditions": said, "plan": PLAN}
    made = custom(ModelDeployment, name, "team", {"model": "org/small", "replicas": 2, **spec}, status)
    world.deployments.put(made)
    counts = {"replicas": 2, "readyReplicas": ready, "availableReplicas": ready}
    workload = live("Deployment", f"{name}-abc", namespace="team", owner=made.uid, spec={"replicas": 2}, status=counts)
    world.workloads.put(slim_workload(workload))
    for number in range(2):
        labels = {"penstock.dev/deployment": name}
        world.pods.put(
            slim_pod(gpu_pod(f"{name}-{number}", node=f"n{number}", gpus=2, namespace="team", labels=labels))
        )


def add_pool(world: World, *conditions: dict[str, str], **gpus: int) -> None:
    """`h100`."""
    status = {"conditions": list(conditions or (condition("Ready"),)), "gpus": gpus, "costPerHour": "47.20 USD"}
    world.pools.put(custom(InferencePool, "h100", "", {"nodeSelector": {"pool": "h100"}}, status))


def add_gateway(world: World, *, published: int = 7, replicas: dict[str, int] | None) -> None:
    """`ai/main` that wants three replicas; `replicas` are the generations that they have, None: the server is away."""
    spec = {"sensitivityLevels": ["low"], "replicas": 3}
    status = {"conditions": [condition("Ready"), condition("Programmed", "False", "NotAcknowledged")]}
    world.gateways.put(custom(InferenceGateway, "main", "ai", spec, status))
    traffic = world.traffic.gateways[("ai", "main")] = GatewayTraffic()
    if published:
        traffic.published(Table("ai/main", published, ("low",), backends=(), routes=()), f"hash-{published}")
    traffic.said = None if replicas is None else tuple(Replica(name, applied) for name, applied in replicas.items())
    traffic.pods = frozenset(replicas or ())
    for name in replicas or {}:
        pod = live("Pod", name, namespace="ai", labels={"penstock.dev/gateway": "main"}, spec={"containers": []})
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        world.pods.put(slim_pod(pod))


def one_of_everything() -> World:
    """So that every family has a sample, with all its labels."""
    world = empty_world()
    add_deployment(world, "chat", condition("Ready", "False", "Loading"), condition("Drained", "Unknown", "ServerAway"))
    (chat,) = world.deployments
    chat.status["reported"] = {"revision": "abc", "kvTokens": 90_000, "stepTimePercent": 130}
    add_pool(world, total=8, allocatable=8, allocated=4, free=4)
    add_gateway(world, replicas={"main-a": 7, "main-b": 6})
    status = {"conditions": [condition("Ready")]}
    for store, kind in ((world.providers, ModelProvider), (world.routes, Route)):
        store.put(custom(kind, "one", "team", {}, status))
    return world
