"""A whole cluster in one process: API server, CRDs, GPU nodes, controllers, kubelets, engines, Services."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

import aiohttp

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.api.crd import custom_resource_definition
from penstock.api.kinds import KINDS
from penstock.cluster.fake.player import Player, PlayerSettings
from penstock.cluster.fake.player.events import Reporter
from penstock.cluster.fake.player.surroundings import Surroundings
from penstock.cluster.fake.server import FakeAPIServer
from penstock.simulation.clock import FastClock
from penstock.simulation.engine import SimulatedEngine
from penstock.simulation.network import AddressBook
from penstock.simulation.nodes import plain_nodes, sample_fleet
from penstock.simulation.pod_process import PodProcess, ProcessPods, ProcessSettings
from penstock.simulation.runtime import EngineRuntime
from penstock.simulation.service_proxy import ServiceProxies
from penstock.workqueue.clock import SystemClock

__all__ = ["SAMPLE_NODES", "SimulatedCluster", "SimulationSettings"]

Object = dict[str, Any]

SAMPLE_NODES: Mapping[str, int] = {"h100": 2, "b200": 1, "a100": 2, "mi300x": 1}
"""Nodes of eight GPUs for the pools of the samples."""

_PROBES_AT_ONCE = 64
_PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps"}


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How many nodes of each kind and `plain` ones there are, and how much faster than real time passes.

    Gateways are real processes and take real time to start: `process_speed` is how fast it passes for their pods.
    Without `processes` their files are in a temporary folder that goes with the cluster.
    """

    nodes: Mapping[str, int] = field(default_factory=lambda: dict(SAMPLE_NODES))
    plain: int = 2
    speed: float = 20.0
    player: PlayerSettings = field(default_factory=PlayerSettings)
    port: int = 0
    processes: ProcessSettings | None = None
    process_speed: float = 1.0


class SimulatedCluster:
    """`async with` starts it and stops it; nothing of it is left then."""

    def __init__(self, settings: SimulationSettings, *, random: Random) -> None:
        self.clock = FastClock(SystemClock(), settings.speed)
        self.server = FakeAPIServer(port=settings.port)
        self.book = AddressBook()
        self.proxies = ServiceProxies(self.server, self.book)
        self._settings = settings
        self._random = random
        self._stack = contextlib.AsyncExitStack()
        self._runtime: EngineRuntime | None = None
        self._player: Player | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self.server)
        connector = aiohttp.TCPConnector(limit=_PROBES_AT_ONCE, force_close=True)
        session = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        self._install()
        surroundings = Surroundings(self.server, self.clock, self._random)
        gateways = self._gateways(session, Reporter(surroundings, "kubelet"))
        self._runtime = EngineRuntime(self.server, self.book, self.clock, session, gateways=gateways)
        self._player = Player(surroundings, self._runtime, self._settings.player)
        self._running = asyncio.create_task(self._run(self._player), name="simulated cluster")
        self._stack.push_async_callback(_end, self._running)
        await self._player.started.wait()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def player(self) -> Player:
        """The controllers and kubelets; only within `async with`."""
        if self._player is None:
            message = "the cluster was not started"
            raise RuntimeError(message)
        return self._player

    @property
    def runtime(self) -> EngineRuntime:
        """What runs the engines; only within `async with`."""
        if self._runtime is None:
            message = "the cluster was not started"
            raise RuntimeError(message)
        return self._runtime

    def trouble(self) -> str:
        """Empty while it plays, else what ended it."""
        if self._running is None or not self._running.done():
            return ""
        error = None if self._running.cancelled() else self._running.exception()
        return f"the simulated cluster ended: {error!r}"

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for kubectl and the operator."""
        return self.server.kubeconfig(path)

    def engine(self, namespace: str, pod: str) -> SimulatedEngine | None:
        """The engine of a pod, None where none runs."""
        return self.runtime.engines.get((namespace, pod))

    def gateway(self, namespace: str, pod: str) -> PodProcess | None:
        """The process of a gateway's pod, None where none was started."""
        gateways = self.runtime.gateways
        sandbox = gateways.running.get((namespace, pod)) if gateways else None
        return sandbox.process if sandbox else None

    def service_url(self, namespace: str, name: str, port: int = 8000) -> str:
        """Where clients on this machine reach a Service; KeyError where there is none."""
        host, real_port = self.proxies.address(namespace, name, port)
        return f"http://{host}:{real_port}"

    def kill_node(self, name: str) -> None:
        """Take a node's power away: engines end, heartbeats stop."""
        self.player.kill_node(name)

    def revive_node(self, name: str) -> None:
        """Give it back; its pods start anew."""
        self.player.revive_node(name)

    def remove_node(self, name: str) -> None:
        """Take it away for good, as a cloud does with a dead machine: its pods go with it."""
        self.player.kill_node(name)
        self.server.delete("nodes", "", name)

    def add_nodes(self, nodes: Iterable[Object]) -> None:
        """More machines."""
        for node in nodes:
            self.server.put(node)

    def _gateways(self, session: aiohttp.ClientSession, reporter: Reporter) -> ProcessPods:
        settings = self._settings.processes
        if settings is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-pods-"))
            settings = ProcessSettings(folder=Path(folder))
        clock = FastClock(SystemClock(), self._settings.process_speed)

        def waits(pod: Object, message: str) -> None:
            reporter.say(pod, "FailedMount", message, warning=True)

        return ProcessPods(settings, self.book, session, self._look_up, clock, waits)

    async def _look_up(self, kind: str, namespace: str, name: str) -> Object | None:
        return self.server.get(_PLURALS[kind], namespace, name)

    def _install(self) -> None:
        for kind in KINDS:
            self.server.put(custom_resource_definition(kind))
        self.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
        self.add_nodes((*sample_fleet(self._settings.nodes), *plain_nodes(self._settings.plain)))

    async def _run(self, player: Player) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(player.run(), name="player")
            group.create_task(self.proxies.run(), name="services")


async def _end(running: asyncio.Task[None]) -> None:
    """Cancel it; an error that ended it before is raised."""
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
