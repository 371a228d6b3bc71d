"""The player, assembled: controllers that hear every change, each with an inbox of its own; one TaskGroup."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from penstock.cluster.fake.player.deployments import DeploymentController
from penstock.cluster.fake.player.endpoints import EndpointController
from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.kubelets import Kubelets
from penstock.cluster.fake.player.nodes import NodeLife, NodeSettings
from penstock.cluster.fake.player.objects import Object
from penstock.cluster.fake.player.pod_worker import PodWorker
from penstock.cluster.fake.player.replicasets import ReplicaSetController
from penstock.cluster.fake.player.runtime import Runtime
from penstock.cluster.fake.player.scheduler import Scheduler
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["Player", "PlayerSettings"]

_WATCHED = ("nodes", "services", "deployments", "replicasets", "pods")
_LEASES = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """How the played cluster behaves."""

    nodes: NodeSettings = field(default_factory=NodeSettings)


@dataclass(slots=True)
class Player:
    """Plays while `run` runs; cancel it to stop everything, pods included."""

    surroundings: Surroundings
    runtime: Runtime
    settings: PlayerSettings = field(default_factory=PlayerSettings)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _kubelets: Kubelets | None = None
    _life: NodeLife | None = None

    async def run(self) -> None:
        """Play for ever."""
        server = self.surroundings.server
        if server.get("namespaces", "", _LEASES) is None:
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _LEASES}})
        async with asyncio.TaskGroup() as group:
            self._kubelets = Kubelets(self.surroundings, self.runtime, group)
            self._life = NodeLife(self.surroundings, self.settings.nodes, self._kubelets.dead)
            listeners = self._begin(group, self._kubelets)
            group.create_task(self._life.run(), name="nodes")
            unsubscribe = server.subscribe(lambda _type, live, _before: _tell(listeners, live))
            try:
                for plural in _WATCHED:
                    for live in server.objects(plural):
                        _tell(listeners, live)
                self.started.set()
                await asyncio.Event().wait()
            finally:
                unsubscribe()

    def kill_node(self, name: str) -> None:
        """Take its power away; the cluster learns it by its silence."""
        if self._kubelets is not None:
            self._kubelets.kill(name)

    def revive_node(self, name: str) -> None:
        """Give it back."""
        if self._kubelets is not None and self._life is not None:
            self._kubelets.revive(name)
            self._life.beat()

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """What runs a pod, None where nothing does."""
        return self._kubelets.worker(namespace, name) if self._kubelets else None

    def _begin(self, group: asyncio.TaskGroup, kubelets: Kubelets) -> list[Callable[[Object], None]]:
        """Start a task for each controller; what each of them is told of changes by."""
        deployments = DeploymentController(self.surroundings)
        others = (
            ReplicaSetController(self.surroundings),
            Scheduler(self.surroundings),
            kubelets,
            EndpointController(self.surroundings),
        )
        alarms = _Alarms(self.surroundings, group, deployments.inbox)
        group.create_task(_work_with_alarms(deployments, alarms), name="deployments")
        for each in others:
            group.create_task(_work(each.inbox, each.act), name=type(each).__name__)
        return [deployments.heard, *(each.heard for each in others)]


def _tell(listeners: list[Callable[[Object], None]], live: Object) -> None:
    for listener in listeners:
        listener(live)


async def _work(inbox: Inbox[Any], act: Callable[[Any], None]) -> None:
    while True:
        act(await inbox.take())
        # Inboxes that fill one another must not starve what talks to the network.
        await asyncio.sleep(0)


async def _work_with_alarms(deployments: DeploymentController, alarms: "_Alarms") -> None:
    while True:
        key = await deployments.inbox.take()
        alarms.set(key, deployments.act(key))
        await asyncio.sleep(0)


@dataclass(slots=True)
class _Alarms:
    """One timer a key, which puts it back into the inbox."""

    surroundings: Surroundings
    group: asyncio.TaskGroup
    inbox: Inbox[tuple[str, str]]
    _timers: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)

    def set(self, key: tuple[str, str], seconds: float | None) -> None:
        """Another time instead of the one before; None: no time."""
        before = self._timers.pop(key, None)
        if before is not None:
            before.cancel()
        if seconds is not None:
            self._timers[key] = self.group.create_task(self._ring(key, seconds), name=f"alarm {key}")

    async def _ring(self, key: tuple[str, str], seconds: float) -> None:
        await self.surroundings.clock.sleep(seconds)
        self.inbox.add(key)
