"""Engines of pretend GPU nodes: simulated ones in this process, told what to do by the pods' own command lines."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.simulation.command_line import engine_of, parse
from penstock.simulation.engine import EngineSeat, SimulatedEngine
from penstock.simulation.http_probe import http_probe
from penstock.simulation.serving import Timing
from penstock.workqueue.clock import SystemClock

__all__ = ["EngineRoom", "RunningEngine"]

Object = dict[str, Any]


class RunningEngine:
    """One life of an engine as a kubelet sees it; `asked` counts the completions that it was asked for."""

    def __init__(self, engine: SimulatedEngine, address: str, session: aiohttp.ClientSession) -> None:
        self.asked = 0
        self.message = ""
        self.engine = engine
        self._address = address
        self._session = session
        self._count()
        self._life = asyncio.create_task(engine.run(), name=f"engine at {address}")

    @property
    def under_way(self) -> int:
        """Completions that it is busy with."""
        return self.engine._serving._in_flight

    async def wait(self) -> int:
        """Its exit status; cancelling the wait does not end it."""
        return await asyncio.shield(self._life)

    async def probe(self, path: str, port: int, within: float) -> bool:
        """A real HTTP GET."""
        return await http_probe(self._session, (self._address, port), path, within)

    def terminate(self) -> None:
        """SIGTERM."""
        self.engine.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self.engine.kill()

    def _count(self) -> None:
        metrics = self.engine._serving.metrics
        started: Callable[[int], None] = metrics.started

        def counted(tokens: int) -> None:
            self.asked += 1
            started(tokens)

        metrics.started = counted  # type: ignore[method-assign] # the engine itself has no need to tell


@dataclass(slots=True)
class EngineRoom:
    """Where the engine of one pod runs."""

    pod: Object
    timing: Timing
    session: aiohttp.ClientSession
    container: RunningEngine | None = field(default=None)

    async def start(self) -> RunningEngine:
        """As its command line says, at the pod's address; UsageError where an engine would refuse it."""
        container = self.pod["spec"]["containers"][0]
        words = (*(container.get("command") or ()), *(container.get("args") or ()))
        settings = parse(words, version=DEFAULT_VERSIONS[engine_of(words)[0]])
        address = self.pod["status"]["podIP"]
        seat = EngineSeat(host=address, name=self.pod["metadata"]["name"])
        engine = SimulatedEngine(settings, seat=seat, timing=self.timing, clock=SystemClock())
        self.container = RunningEngine(engine, address, self.session)
        return self.container

    async def close(self) -> None:
        """Killed if it still runs."""
        if self.container is not None:
            self.container.kill()
            await self.container.wait()
