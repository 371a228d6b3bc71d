"""kopf as a watcher: what it hands on, what ends it, and what it must not end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import aiohttp
import kopf
import pytest

from builders.clock import InstantClock
from builders.rule_cases import minimal
from integration.stage import crds
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.fake.authorizer import Access
from penstock.cluster.resources import INFERENCE_POOLS, MODEL_DEPLOYMENTS
from penstock.front import Front, Watched, run_front

Object = dict[str, Any]


@dataclass(slots=True)
class Heard:
    """What came, and a bell that rings with each."""

    seen: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    lists: int = 0
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def on_seen(self, live: Object) -> None:
        """An object as it is now."""
        self.seen.append(live["metadata"]["name"])
        self.bell.set()

    def on_gone(self, live: Object) -> None:
        """The last state of one that is gone."""
        self.gone.append(live["metadata"]["name"])
        self.bell.set()

    def on_listed(self) -> None:
        """Everything that is there had time to come."""
        self.lists += 1

    async def until(self, count: int) -> None:
        """Wait for so many events."""
        async with asyncio.timeout(20):
            while len(self.seen) + len(self.gone) < count:
                self.bell.clear()
                await self.bell.wait()


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    """A server with our kinds and one pool."""
    async with FakeAPIServer() as running:
        for manifest in crds():
            running.put(manifest)
        running.put(_pool("first"))
        yield running


def _pool(name: str) -> Object:
    return {**minimal("InferencePool"), "metadata": {"name": name}}


def _front(server: FakeAPIServer, heard: Heard) -> Front:
    return Front(
        server=server.url,
        session=aiohttp.ClientSession,
        watched=(Watched(INFERENCE_POOLS, heard.on_seen, heard.on_gone),),
        listed=heard.on_listed,
        stop=asyncio.Event(),
    )


def _run(front: Front) -> "asyncio.Task[None]":
    return asyncio.create_task(run_front(front, clock=InstantClock(), random=Random(1)))


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_there_and_what_changes_is_handed_on(server: FakeAPIServer) -> None:
    """Objects as they are, changes, and the end; nothing is written to any of them."""
    heard = Heard()
    task = _run(_front(server, heard))
    await heard.until(1)
    server.put(_pool("second"))
    await heard.until(2)
    server.delete("inferencepools", "", "second")
    await heard.until(3)
    await _cancelled(task)
    assert (heard.seen, heard.gone) == (["first", "second"], ["second"])
    assert {verb for verb, _ in server.requests} <= {"list", "watch"}


async def test_each_life_says_when_it_had_time_to_list(server: FakeAPIServer) -> None:
    """What went between two lives is reported by nobody: a sweep then looks for it."""
    heard = Heard()
    task = _run(_front(server, heard))
    await heard.until(1)
    before = heard.lists
    assert before == 1
    server.cut_watches(middle=True)
    await heard.until(2)
    await _cancelled(task)
    assert heard.lists > before


async def test_its_end_leaves_the_other_tasks_of_the_process_alone(server: FakeAPIServer) -> None:
    """kopf, left to itself, would end every task that began after it."""
    heard = Heard()
    task = _run(_front(server, heard))
    await heard.until(1)
    other = asyncio.create_task(asyncio.Event().wait())
    await _cancelled(task)
    assert not other.done()
    other.cancel()


async def test_a_signal_that_kopf_took_stops_the_process(server: FakeAPIServer) -> None:
    """Its handlers stand in the place of ours; SIGTERM must still reach `stop`."""
    heard = Heard()
    front = _front(server, heard)
    task = _run(front)
    await heard.until(1)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        await task
    assert front.stop.is_set()


async def test_a_line_that_cannot_be_read_ends_nothing(server: FakeAPIServer) -> None:
    """A watch that is cut in the middle of a line kills kopf; it is started again and hears what comes."""
    heard = Heard()
    task = _run(_front(server, heard))
    await heard.until(1)
    server.cut_watches(middle=True)
    await heard.until(2)
    server.put(_pool("second"))
    await heard.until(3)
    await _cancelled(task)
    assert heard.seen[-1] == "second"


async def test_what_fails_time_and_again_is_raised(server: FakeAPIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends, and Kubernetes starts it anew."""
    tried = []

    async def broken(**_: Any) -> None:
        tried.append(1)
        message = "no way out"
        raise ConnectionError(message)

    monkeypatch.setattr(kopf, "spawn_tasks", broken)
    front = _front(server, Heard())
    with pytest.raises(ConnectionError, match="no way out"):
        await _run(front)
    assert 2 < len(tried) < 10
    assert not front.stop.is_set()


def _deployment(namespace: str, name: str) -> Object:
    return {**minimal("ModelDeployment"), "metadata": {"name": name, "namespace": namespace}}


async def test_only_named_namespaces_are_watched(server: FakeAPIServer) -> None:
    """And what has no namespace, once; one of them that refuses us holds up no other."""
    for namespace in ("team", "other", "closed"):
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        server.put(_deployment(namespace, f"in-{namespace}"))
    asked: list[Access] = []

    def may(access: Access) -> bool:
        asked.append(access)
        return access.namespace != "closed"

    server.authorizer, heard = may, Heard()
    front = replace(
        _front(server, heard),
        watched=tuple(Watched(kind, heard.on_seen, heard.on_gone) for kind in (INFERENCE_POOLS, MODEL_DEPLOYMENTS)),
        namespaces=("team", "closed"),
    )
    task = _run(front)
    await heard.until(2)
    server.put(_deployment("team", "later"))
    await heard.until(3)
    await _cancelled(task)
    assert sorted(heard.seen) == ["first", "in-team", "later"]
    assert {(each.resource, each.namespace) for each in asked} == {
        ("inferencepools", ""),
        ("modeldeployments", "team"),
        ("modeldeployments", "closed"),
    }
