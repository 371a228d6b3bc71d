"""A simulated vLLM or SGLang as a process: it reads its command line, loads, listens, drains at SIGTERM and exits.

In-process by `SimulatedEngine`, or for itself: `python -m penstock.simulation.engine -- vllm serve MODEL ...`.
"""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from typing import Never

import click
from aiohttp import web

from penstock.api.formats import EngineName
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.cluster.fake.player.racing import first_of
from penstock.simulation.command_line import EngineSettings, UsageError, engine_of, parse
from penstock.simulation.exposition import EngineMetrics
from penstock.simulation.faults import Faults
from penstock.simulation.serving import Serving, Timing
from penstock.workqueue.clock import Clock, SystemClock

__all__ = ["EXIT_CRASHED", "EXIT_KILLED", "EXIT_TERMINATED", "EXIT_USAGE", "EngineSeat", "SimulatedEngine"]

_log = logging.getLogger(__name__)

EXIT_CRASHED = 1
EXIT_USAGE = 2
EXIT_KILLED = 137
EXIT_TERMINATED = 143

_TOKENS_PER_SEQUENCE = 4096
# aiohttp takes zero for "no limit"; what still runs then is to be cut at once.
_CUT_SECONDS = 0.001
_BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSeat:
    """Where an engine listens, and how it is told apart: address and port of this machine, its pod's name."""

    host: str
    port: int | None = None
    name: str = "simulated"


class SimulatedEngine:
    """One life of an engine, from load to exit; `run` ends with the exit status."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        seat: EngineSeat,
        timing: Timing,
        clock: Clock,
        kv_tokens: int | None = None,
    ) -> None:
        self.settings = settings
        self.faults = Faults()
        self.kv_tokens = kv_tokens or settings.max_sequences * _TOKENS_PER_SEQUENCE
        self.listening = asyncio.Event()
        self._seat = seat
        self._timing = timing
        self._clock = clock
        self._terminated = asyncio.Event()
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._serving = Serving(
            settings=settings,
            timing=timing,
            clock=clock,
            faults=self.faults,
            metrics=EngineMetrics(settings, kv_tokens=self.kv_tokens),
            fingerprint=seat.name,
        )

    @property
    def port(self) -> int:
        """Where it listens on this machine."""
        return self.settings.port if self._seat.port is None else self._seat.port

    def terminate(self) -> None:
        """SIGTERM."""
        self._terminated.set()

    def kill(self, status: int = EXIT_KILLED) -> None:
        """SIGKILL, or a crash with another status: connections break."""
        if not self._exit.done():
            self._exit.set_result(status)

    async def run(self) -> int:
        """Load, serve, drain; the exit status. Cancelling it is SIGKILL."""
        async with asyncio.TaskGroup() as group:
            life = group.create_task(self._live())
            try:
                return await self._exit
            finally:
                life.cancel()

    async def _live(self) -> None:
        await self._load()
        runner = web.AppRunner(
            self._serving.application(), access_log=None, handle_signals=False, shutdown_timeout=_CUT_SECONDS
        )
        await runner.setup()
        try:
            await self._listen(runner)
            await self._warm_up()
            await self._terminated.wait()
            await self._drain()
            await self._end(0)
        finally:
            self.listening.clear()
            # Cancelled or not, the socket and its connections are closed before the life ends.
            await runner.cleanup()

    async def _load(self) -> None:
        """Weights into memory; nobody listens yet. SIGTERM ends it at once."""
        await first_of(self._loaded(), self._terminated.wait())
        if self._terminated.is_set():
            await self._end(EXIT_TERMINATED)
        if self.faults.fails_to_load:
            await self._end(EXIT_CRASHED)

    async def _end(self, status: int) -> Never:
        """Exit; whoever awaits `run` cancels this life."""
        self.kill(status)
        await asyncio.Event().wait()
        raise AssertionError

    async def _listen(self, runner: web.AppRunner) -> None:
        if self.settings.reachable:
            try:
                await web.TCPSite(runner, self._seat.host, self.port, backlog=_BACKLOG).start()
            except OSError as error:
                _log.warning("%s: listening on %s:%s: %s", self._seat.name, self._seat.host, self.port, error)
                await self._end(EXIT_CRASHED)
        self.listening.set()

    async def _loaded(self) -> None:
        await self._clock.sleep(self._timing.load * self.faults.slow)
        if self.faults.never_ready:
            await asyncio.Event().wait()

    async def _warm_up(self) -> None:
        """SGLang listens while it warms up, and says 503."""
        if self.settings.engine is EngineName.SGLANG:
            await self._clock.sleep(self._timing.warm_up)
        self._serving.warm = True

    async def _drain(self) -> None:
        """Wait: vLLM for its --shutdown-timeout, SGLang until nothing is in flight."""
        self._serving.draining = True
        if self.settings.shutdown_seconds is None:
            await self._serving.idle.wait()
        else:
            await first_of(self._serving.idle.wait(), self._clock.sleep(self.settings.shutdown_seconds))


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--listen", default="127.0.0.1", show_default=True, help="The pod's address.")
@click.option("--name", default="simulated", show_default=True, help="The pod's name, by which answers are told apart.")
@click.option("--load-seconds", default=1.0, show_default=True, envvar="PENSTOCK_SIMULATED_LOAD_SECONDS")
@click.option("--release", default="", help="The engine's version; left out: the catalogue's default.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(*, listen: str, name: str, load_seconds: float, release: str, command: tuple[str, ...]) -> None:
    """Run one simulated engine: `python -m penstock.simulation.engine -- vllm serve MODEL --port 8000`."""
    try:
        engine, _ = engine_of(command)
        settings = parse(command, version=release or DEFAULT_VERSIONS[engine])
    except UsageError as problem:
        click.echo(f"error: {problem}", err=True)
        sys.exit(EXIT_USAGE)
    sys.exit(asyncio.run(_run(settings, EngineSeat(host=listen, name=name), Timing(load=load_seconds))))


async def _run(settings: EngineSettings, seat: EngineSeat, timing: Timing) -> int:
    engine = SimulatedEngine(settings, seat=seat, timing=timing, clock=SystemClock())
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, engine.terminate)
    return await engine.run()


if __name__ == "__main__":
    main()
