"""What runs the containers of pods: the protocol that the kubelet speaks, and a runtime that only lets time pass."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from penstock.cluster.fake.player.objects import Object
from penstock.workqueue.clock import Clock

__all__ = ["Container", "PullFailed", "Runtime", "Sandbox", "TimedRuntime"]


class PullFailed(Exception):
    """The image cannot be had; the message says why."""


class Container(Protocol):
    """One life of a pod's main container."""

    @property
    def message(self) -> str:
        """Its last words, once it has exited."""
        ...

    async def wait(self) -> int:
        """Until it exits; the exit status."""
        ...

    async def probe(self, path: str, port: int, within: float) -> bool:
        """One HTTP GET, true for a success; `within` is in real seconds."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


class Sandbox(Protocol):
    """A pod's place on its node; the address stays when containers come and go."""

    @property
    def address(self) -> str:
        """The pod's IP."""
        ...

    async def start(self) -> Container:
        """Start the main container."""
        ...

    async def close(self) -> None:
        """Give the address back."""
        ...


class Runtime(Protocol):
    """A node's container runtime."""

    def clock_of(self, pod: Object) -> Clock:
        """The time that the pod lives in: its probes, its grace and its back-off go by it."""
        ...

    async def pull(self, image: str) -> None:
        """Bring the image; `PullFailed` where it cannot."""
        ...

    async def initialise(self, pod: Object, container: Object) -> None:
        """Run an init container to its end."""
        ...

    async def sandbox(self, pod: Object) -> Sandbox:
        """Make room for a pod."""
        ...


@dataclass(slots=True)
class TimedRuntime:
    """Containers that get well after `seconds` and live until they are told to end; nothing listens.

    `missing` images cannot be pulled; `crashes` is how many starts of each container exit with 1 after `seconds`.
    """

    clock: Clock
    seconds: float = 0.0
    missing: Sequence[str] = ()
    crashes: int = 0
    _sandboxes: int = 0

    def clock_of(self, pod: Object) -> Clock:
        """The same for all."""
        del pod
        return self.clock

    async def pull(self, image: str) -> None:
        """Instant, or never."""
        if image in self.missing:
            message = f'failed to pull image "{image}": not found'
            raise PullFailed(message)

    async def initialise(self, pod: Object, container: Object) -> None:
        """As long as starting takes."""
        del pod, container
        await self.clock.sleep(self.seconds)

    async def sandbox(self, pod: Object) -> Sandbox:
        """An address that nobody can reach."""
        del pod
        self._sandboxes += 1
        address = f"192.0.2.{self._sandboxes % 250 + 1}"
        return _TimedSandbox(address, self.clock, self.seconds, self.crashes)


@dataclass(slots=True)
class _TimedSandbox:
    address: str
    clock: Clock
    seconds: float
    crashes: int

    async def start(self) -> Container:
        self.crashes -= 1
        return _TimedContainer(self.clock, self.seconds, crashes=self.crashes >= 0)

    async def close(self) -> None:
        """Nothing to give back."""


@dataclass(slots=True)
class _TimedContainer:
    clock: Clock
    seconds: float
    crashes: bool
    message: str = ""
    began: float = field(init=False)
    ended: asyncio.Future[int] = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()
        self.ended = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        if self.crashes:
            await self.clock.sleep(self.seconds)
            return 1
        return await asyncio.shield(self.ended)

    async def probe(self, path: str, port: int, within: float) -> bool:
        del path, port, within
        return self.clock.monotonic() - self.began >= self.seconds

    def terminate(self) -> None:
        self._end(0)

    def kill(self) -> None:
        self._end(137)

    def _end(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)
