"""`/livez`, `/readyz` and `/metrics` on a port of their own, and the lag of the event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from penstock.metrics import Metrics

__all__ = ["Health", "serve_health", "watch_loop"]

_LONGEST_LAG_SECONDS = 5.0
_LAG_PERIOD_SECONDS = 0.1


@dataclass(slots=True)
class Health:
    """`ready` names what is still missing (empty: ready); `alive` names what is wrong."""

    metrics: Metrics
    ready: Callable[[], list[str]]
    alive: Callable[[], list[str]]
    lag: float = 0.0

    async def livez(self, _: web.Request) -> web.Response:
        """500 where the loop lags or a watch is silent for too long."""
        problems = self.alive()
        if self.lag > _LONGEST_LAG_SECONDS:
            problems = [*problems, f"the event loop lags by {self.lag:.1f} s"]
        return _answer(problems)

    async def readyz(self, _: web.Request) -> web.Response:
        """503 until every store is filled; a standby is ready too, so that roll-outs go on."""
        return _answer(self.ready())

    async def expose(self, request: web.Request) -> web.Response:
        """The metrics in Prometheus' text form; `?name[]=` narrows them, as in Prometheus' client libraries."""
        # In a thread: a fleet of thousands takes a while to write down.
        text = await asyncio.to_thread(self.metrics.text, request.query.getall("name[]", []))
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(problems: list[str]) -> web.Response:
    return web.Response(status=503 if problems else 200, text="\n".join(problems) or "ok")


async def serve_health(health: Health, *, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop`; port 0 takes any free one."""
    application = web.Application()
    application.add_routes(
        [
            web.get("/livez", health.livez),
            web.get("/readyz", health.readyz),
            web.get("/metrics", health.expose),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


async def watch_loop(health: Health, *, stop: asyncio.Event) -> None:
    """Measure how late the loop wakes; feeds `/livez` and a histogram."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        before = loop.time()
        await asyncio.sleep(_LAG_PERIOD_SECONDS)
        health.lag = max(0.0, loop.time() - before - _LAG_PERIOD_SECONDS)
        health.metrics.loop_lag.observe(health.lag)
