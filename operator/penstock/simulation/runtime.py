"""The container runtime of the simulated cluster: engines are simulated, gateways are processes, others only wait."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator, detect
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.cluster.fake.player.runtime import Container, PullFailed, Sandbox
from penstock.cluster.fake.server import FakeAPIServer
from penstock.simulation.command_line import EngineSettings, UsageError, engine_of, parse
from penstock.simulation.engine import EXIT_USAGE, EngineSeat, SimulatedEngine
from penstock.simulation.http_probe import http_probe
from penstock.simulation.idle_container import IdleContainer
from penstock.simulation.loading import Machine, kv_tokens_of, timing_of
from penstock.simulation.network import AddressBook
from penstock.simulation.pod_process import ProcessPods
from penstock.simulation.pod_words import runs_gateway
from penstock.workqueue.clock import Clock

__all__ = ["EngineRuntime"]

Object = dict[str, Any]

_GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")
_RELEASE = re.compile(r"v?([0-9]+(?:\.[0-9]+)+)")
_ANY_PORT = 8000


@dataclass(slots=True)
class EngineRuntime:
    """Starts engines; `missing` images cannot be pulled. `prepare` sees every engine before it loads, for faults."""

    server: FakeAPIServer
    book: AddressBook
    clock: Clock
    session: aiohttp.ClientSession
    missing: set[str] = field(default_factory=set)
    prepare: Callable[[Object, SimulatedEngine], None] | None = None
    pull_seconds: float = 2.0
    initialise_seconds: float = 10.0
    engines: dict[tuple[str, str], SimulatedEngine] = field(default_factory=dict)
    gateways: ProcessPods | None = None

    async def pull(self, image: str) -> None:
        """As long as a warm registry takes."""
        await self.clock.sleep(self.pull_seconds)
        if image in self.missing:
            message = f'failed to pull and unpack image "{image}": not found'
            raise PullFailed(message)

    async def initialise(self, pod: Object, container: Object) -> None:
        """Init containers fetch and copy; here only their time passes."""
        del pod, container
        await self.clock.sleep(self.initialise_seconds)

    def clock_of(self, pod: Object) -> Clock:
        """Processes live in the machine's time, so that their probes and their grace are not over too soon."""
        return self.gateways.clock if self.gateways is not None and runs_gateway(pod) else self.clock

    async def sandbox(self, pod: Object) -> Sandbox:
        """An address of its own."""
        if self.gateways is not None and runs_gateway(pod):
            return self.gateways.sandbox(pod)
        return _PodSandbox(self, pod, self.book.new_pod(_port(pod)))

    def machine(self, pod: Object) -> Machine | None:
        """The GPUs that the pod asks for on its node, None for a pod without."""
        limits = pod["spec"]["containers"][0].get("resources", {}).get("limits") or {}
        count = sum(int(limits.get(resource, 0)) for resource in _GPU_RESOURCES)
        node = self.server.get("nodes", "", pod["spec"]["nodeName"])
        accelerator: Accelerator | None = detect(node["metadata"].get("labels") or {}).accelerator if node else None
        return Machine(accelerator, count) if accelerator and count else None


@dataclass(slots=True)
class _PodSandbox:
    runtime: EngineRuntime
    pod: Object
    address: str
    lives: set[asyncio.Task[int]] = field(default_factory=set)

    async def start(self) -> Container:
        container = self.pod["spec"]["containers"][0]
        words = (*(container.get("command") or ()), *(container.get("args") or ()))
        try:
            engine, _ = engine_of(words)
        except UsageError:
            return IdleContainer()
        try:
            settings = parse(words, version=_version(container["image"], engine))
        except UsageError as problem:
            return IdleContainer(status=EXIT_USAGE, message=f"{engine}: error: {problem}")
        return self._engine(settings)

    async def close(self) -> None:
        """Wait for the engine, which was told to end, so that its address is free."""
        await asyncio.gather(*self.lives)
        self.runtime.book.release_pod(self.address)
        self.runtime.engines.pop(_place(self.pod), None)

    def _engine(self, settings: EngineSettings) -> Container:
        runtime = self.runtime
        machine = runtime.machine(self.pod)
        if machine is None:
            return IdleContainer(status=1, message="RuntimeError: no GPU was found")
        if machine.gpus < settings.tensor_parallel:
            message = f"ValueError: {settings.tensor_parallel} GPUs are wanted, the pod has {machine.gpus}"
            return IdleContainer(status=1, message=message)
        host, port = runtime.book.listen_at(self.address, settings.port)
        engine = SimulatedEngine(
            settings,
            seat=EngineSeat(host=host, port=port, name=self.pod["metadata"]["name"]),
            timing=timing_of(settings, machine),
            clock=runtime.clock,
            kv_tokens=kv_tokens_of(settings, machine),
        )
        if runtime.prepare is not None:
            runtime.prepare(self.pod, engine)
        runtime.engines[_place(self.pod)] = engine
        life = asyncio.create_task(engine.run(), name=f"engine {engine.settings.model}")
        self.lives.add(life)
        life.add_done_callback(self.lives.discard)
        return _EngineContainer(runtime, self.address, engine, life)


class _EngineContainer:
    """An engine as the kubelet sees it."""

    def __init__(self, runtime: EngineRuntime, address: str, engine: SimulatedEngine, life: asyncio.Task[int]) -> None:
        self._runtime = runtime
        self._address = address
        self._engine = engine
        self._life = life
        self.message = ""

    async def wait(self) -> int:
        """Its exit status; cancelling the wait does not end it."""
        status = await asyncio.shield(self._life)
        self.message = "" if status == 0 else f"the engine exited with {status}"
        return status

    async def probe(self, path: str, port: int, within: float) -> bool:
        """A real HTTP GET."""
        return await http_probe(self._runtime.session, self._runtime.book.find(self._address, port), path, within)

    def terminate(self) -> None:
        """SIGTERM."""
        self._engine.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._engine.kill()


def _place(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _port(pod: Object) -> int:
    ports = pod["spec"]["containers"][0].get("ports") or ()
    return int(ports[0]["containerPort"]) if ports else _ANY_PORT


def _version(image: str, engine: EngineName) -> str:
    """From the tag: `vllm/vllm-openai:v0.33.0` runs 0.33.0; a tag without a release runs the default one."""
    found = _RELEASE.match(image.partition("@")[0].rpartition(":")[2])
    return found[1] if found else DEFAULT_VERSIONS[engine]
