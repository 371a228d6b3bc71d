"""Probes and metrics over HTTP, and the lag of the loop."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from penstock.health import Health, serve_health, watch_loop
from penstock.metrics import ClientCollector, Metrics


def health(*, missing: list[str] | None = None, wrong: list[str] | None = None) -> Health:
    """With what is missing and what is wrong."""
    return Health(metrics=Metrics(), ready=lambda: missing or [], alive=lambda: wrong or [])


@asynccontextmanager
async def served(one: Health) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose base is where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    stop = asyncio.Event()
    task = asyncio.create_task(serve_health(one, host="127.0.0.1", port=port, stop=stop))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        while True:
            try:
                await (await session.get("/livez")).read()
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0)
        yield session
    stop.set()
    await task


PROBES = {
    "all is well": (health(), 0.0, {"/livez": (200, "ok"), "/readyz": (200, "ok")}),
    "a store is not full": (
        health(missing=["not synced: pods"]),
        0.0,
        {"/livez": (200, "ok"), "/readyz": (503, "not synced: pods")},
    ),
    "a watch is silent": (
        health(wrong=["silent: pods"]),
        0.0,
        {"/livez": (503, "silent: pods"), "/readyz": (200, "ok")},
    ),
    "the loop lags": (health(), 7.0, {"/livez": (503, "the event loop lags by 7.0 s"), "/readyz": (200, "ok")}),
}


@pytest.mark.parametrize(("one", "lag", "answers"), PROBES.values(), ids=PROBES.keys())
async def test_probes(one: Health, lag: float, answers: dict[str, tuple[int, str]]) -> None:
    """Each says what is wrong, in words."""
    one.lag = lag
    async with served(one) as session:
        for path, want in answers.items():
            async with session.get(path) as answer:
                assert (answer.status, await answer.text()) == want


async def test_metrics_have_the_names_that_dashboards_know() -> None:
    """In Prometheus' text form."""
    one = health()
    one.metrics.adds.labels(name="penstock").inc()
    async with served(one) as session, session.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        assert 'workqueue_adds_total{name="penstock"} 1.0' in await answer.text()


async def test_metrics_can_be_narrowed() -> None:
    """To series of the process; the fleet's are then not written down at all."""
    one = health()
    one.metrics.adds.labels(name="penstock").inc()
    one.metrics.depth.labels(name="penstock").set(3)
    one.metrics.fleet = lambda: "never"
    one.metrics.registry.register(ClientCollector({("patch", "pods"): 2}, lambda: 0))
    names = [("name[]", "workqueue_depth"), ("name[]", "penstock_api_requests_total")]
    async with served(one) as session, session.get("/metrics", params=names) as answer:
        lines = {line for line in (await answer.text()).splitlines() if not line.startswith("#")}
        assert lines == {
            'workqueue_depth{name="penstock"} 3.0',
            'penstock_api_requests_total{resource="pods",verb="patch"} 2.0',
        }


async def test_a_blocked_loop_is_seen() -> None:
    """The lag is what the loop woke late."""
    one, stop = health(), asyncio.Event()
    task = asyncio.create_task(watch_loop(one, stop=stop))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is what the test is about
    stop.set()
    await task
    assert 0.15 < one.lag < 5
