"""A played cluster on a clock that tests move, and the objects that they put into it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from builders.clock import FakeClock, settle
from builders.live import gpu_node
from penstock.cluster.fake.player import Player
from penstock.cluster.fake.player.runtime import TimedRuntime
from penstock.cluster.fake.player.surroundings import Surroundings
from penstock.cluster.fake.server import FakeAPIServer

__all__ = ["Played", "deployment", "node", "played", "pod", "service"]

_TURNS = 200

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Played:
    """A running player and what it was given."""

    server: FakeAPIServer
    clock: FakeClock
    player: Player

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let the controllers work, and time pass; twice, so that what woke last has its effect."""
        await settle(_TURNS)
        await self.clock.advance(seconds)
        await settle(_TURNS)

    async def pass_slowly(self, seconds: int) -> None:
        """Second by second, for chains of waits that begin within that time."""
        for _ in range(seconds):
            await self.pass_time(1)

    def pods(self, namespace: str = "default") -> list[Object]:
        """All pods there."""
        return self.server.objects("pods", namespace)

    def status(self, plural: str, name: str) -> Object:
        """The status of an object in the default namespace."""
        live = self.server.get(plural, "default", name)
        assert live is not None
        found: Object = live.get("status", {})
        return found

    def condition(self, plural: str, name: str, kind: str, namespace: str = "default") -> Object:
        """A condition of an object."""
        live = self.server.get(plural, namespace, name)
        assert live is not None
        return next((each for each in live.get("status", {}).get("conditions", []) if each["type"] == kind), {})


@asynccontextmanager
async def played(
    *nodes: Object, runtime: TimedRuntime | None = None, clock: FakeClock | None = None
) -> AsyncIterator[Played]:
    """Play on the nodes (one of eight GPUs unless given) until the block ends."""
    clock = clock or FakeClock()
    server = FakeAPIServer()
    for each in nodes or (node("n0"),):
        server.put(each)
    player = Player(Surroundings(server, clock, Random(7)), runtime or TimedRuntime(clock))
    running = asyncio.create_task(player.run())
    await player.started.wait()
    try:
        yield Played(server, clock, player)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def node(name: str, **given: Any) -> Object:
    """A node of H100s that takes 110 pods; `given` as for `gpu_node`."""
    live = gpu_node(name, **given)
    metadata = {key: live["metadata"][key] for key in ("name", "labels")}
    offered = {**live["status"]["allocatable"], "pods": "110", "memory": "1Ti"}
    return {**live, "metadata": metadata, "status": {**live["status"], "allocatable": offered, "capacity": offered}}


def pod(name: str, *, gpus: int = 0, namespace: str = "default", **spec: Any) -> Object:
    """A pod with one container; `spec` goes into its spec."""
    container: Object = {"name": "main", "image": "image"}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    container |= spec.pop("container", {})
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def deployment(name: str, *, replicas: int = 1, image: str = "image:1", gpus: int = 1, **spec: Any) -> Object:
    """A Deployment of pods labelled `app: NAME`; `container` and other fields of the spec go in as they are."""
    template = pod(name, gpus=gpus, container={"image": image, **spec.pop("container", {})})
    template["metadata"] = {"labels": {"app": name}}
    content = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": template["metadata"], "spec": template["spec"]},
        **spec,
    }
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": content}


def service(name: str, app: str, *, port: int = 8000, target: int | str = 8000) -> Object:
    """A Service of the pods labelled `app: APP`."""
    spec = {"selector": {"app": app}, "ports": [{"name": "http", "port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
