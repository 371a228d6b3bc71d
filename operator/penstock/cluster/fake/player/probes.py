"""Startup, readiness and liveness probes of one container, at the periods that its pod states."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from penstock.cluster.fake.player.objects import Object
from penstock.cluster.fake.player.runtime import Container
from penstock.workqueue.clock import Clock

__all__ = ["Probe", "Prober", "port_of"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One httpGet probe; other kinds are taken to pass."""

    path: str
    port: int
    period: float
    timeout: float
    failures: int
    successes: int
    delay: float

    @classmethod
    def read(cls, container: Object, field: str) -> Self | None:
        """The probe in that field, None where there is none."""
        probe = container.get(field) or {}
        get = probe.get("httpGet")
        if get is None:
            return None
        return cls(
            path=get.get("path", "/"),
            port=port_of(container, get["port"]),
            period=probe.get("periodSeconds", 10),
            timeout=probe.get("timeoutSeconds", 1),
            failures=probe.get("failureThreshold", 3),
            successes=probe.get("successThreshold", 1),
            delay=probe.get("initialDelaySeconds", 0),
        )


def port_of(container: Object, port: int | str) -> int:
    """A port by number or by the name that the container gives it; KeyError where it names none."""
    if isinstance(port, int):
        return port
    named: dict[str, Any] = {each.get("name", ""): each["containerPort"] for each in container.get("ports") or ()}
    return int(named[port])


@dataclass(frozen=True, slots=True)
class Prober:
    """Probes one life of a container; `started` and `ready` are told of each change."""

    clock: Clock
    container: Container
    spec: Object
    started: Callable[[], None]
    ready: Callable[[bool], None]

    async def run(self) -> str:
        """Until the container must be killed; the reason. Endless while it is well."""
        startup = Probe.read(self.spec, "startupProbe")
        if startup is not None and not await self._begins(startup):
            return f"Container {self.spec['name']} failed startup probe, will be restarted"
        self.started()
        readiness = asyncio.create_task(self._watch_readiness(Probe.read(self.spec, "readinessProbe")))
        try:
            await self._dies(Probe.read(self.spec, "livenessProbe"))
        finally:
            readiness.cancel()
            await asyncio.gather(readiness, return_exceptions=True)
        return f"Container {self.spec['name']} failed liveness probe, will be restarted"

    async def _begins(self, probe: Probe) -> bool:
        """True with the first success, False after too many failures."""
        await self.clock.sleep(probe.delay)
        for _ in range(probe.failures):
            if await self._passes(probe):
                return True
            await self.clock.sleep(probe.period)
        return False

    async def _watch_readiness(self, probe: Probe | None) -> None:
        if probe is None:
            self.ready(True)
            return
        await self.clock.sleep(probe.delay)
        run, verdict = 0, False
        while True:
            passed = await self._passes(probe)
            run = 0 if passed is verdict else run + 1
            if run >= (probe.successes if passed else probe.failures):
                verdict, run = passed, 0
                self.ready(verdict)
            await self.clock.sleep(probe.period)

    async def _dies(self, probe: Probe | None) -> None:
        """Return after too many failures in a row."""
        if probe is None:
            await asyncio.Event().wait()
            return
        await self.clock.sleep(probe.delay)
        failed = 0
        while failed < probe.failures:
            failed = 0 if await self._passes(probe) else failed + 1
            await self.clock.sleep(probe.period)

    async def _passes(self, probe: Probe) -> bool:
        return await self.container.probe(probe.path, probe.port, probe.timeout)
