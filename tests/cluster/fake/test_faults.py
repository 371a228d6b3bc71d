"""Each switch for faults: what a client meets, how often, and that it is over afterwards."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from penstock.cluster.errors import Gone, NotFound, TooManyRequests, Unavailable
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.resources import CONFIG_MAPS

from .conftest import Connected

Object = dict[str, Any]

_PATH = "/api/v1/namespaces/default/configmaps"
_PATIENCE_SECONDS = 30.0


def config_map(name: str = "one", **data: str) -> Object:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Lines:
    """The lines of a watch, as they come."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def line(self) -> bytes:
        """The next one; empty at the end."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await self._reply.content.readline()

    async def events(self, count: int) -> list[tuple[str, str]]:
        """Types and names of the next so many events."""
        found = [json.loads(await self.line()) for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in found]


@asynccontextmanager
async def watching(server: FakeAPIServer) -> AsyncGenerator[Lines, None]:
    """A watch of ConfigMaps from now on."""
    query = {"watch": "true", "resourceVersion": str(server.version)}
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{_PATH}", params=query) as reply:
        yield Lines(reply)


async def test_too_many_requests(server: FakeAPIServer, connected: Connected) -> None:
    """429 with Retry-After, so many times; the client waits as long as it is told and gets through."""
    server.faults.fail(429, count=2, retry_after=7)
    await connected.client.list(CONFIG_MAPS)
    assert [int(pause) for pause in connected.clock.pauses] == [7, 7]
    assert server.faults.injected["429"] == 2


async def test_a_client_gives_up_in_the_end(server: FakeAPIServer, connected: Connected) -> None:
    """With what the server said."""
    server.faults.fail(429, count=100, retry_after=9)
    with pytest.raises(TooManyRequests) as caught:
        await connected.client.list(CONFIG_MAPS)
    assert caught.value.retry_after == 9


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_server_errors(server: FakeAPIServer, connected: Connected, code: int) -> None:
    """As asked for, then no more."""
    server.faults.fail(code)
    assert (await connected.client.raw("GET", _PATH))[0] == code
    assert (await connected.client.raw("GET", _PATH))[0] == 200


async def test_a_fault_for_some_verbs_and_kinds(server: FakeAPIServer, connected: Connected) -> None:
    """Others go on undisturbed, and do not use it up."""
    server.faults.fail(503, verbs="create patch", kinds="configmaps secrets")
    assert (await connected.client.raw("GET", _PATH))[0] == 200
    assert (await connected.client.raw("GET", "/api/v1/pods"))[0] == 200
    assert (await connected.client.raw("POST", _PATH, body=config_map()))[0] == 503
    assert (await connected.client.raw("POST", _PATH, body=config_map()))[0] == 201


async def test_a_failed_write_changes_nothing(server: FakeAPIServer, connected: Connected) -> None:
    """The fault comes before the write."""
    before = server.version
    server.faults.fail(503, verbs="create")
    await connected.client.raw("POST", _PATH, body=config_map())
    assert (server.version, server.get("configmaps", "default", "one")) == (before, None)


async def test_latency(server: FakeAPIServer, connected: Connected) -> None:
    """Each request takes that much longer; one that is too short of time meets no answer."""
    server.faults.latency_seconds = 5.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connected.client.raw("GET", _PATH)
    server.faults.latency_seconds = 0.0
    assert (await connected.client.raw("GET", _PATH))[0] == 200


async def test_blackout(server: FakeAPIServer, connected: Connected) -> None:
    """No answer at all, until it is over."""
    server.faults.blackout = True
    with pytest.raises(Unavailable):
        await connected.client.list(CONFIG_MAPS)
    assert server.faults.injected["blackout"] > 1
    server.faults.blackout = False
    assert (await connected.client.list(CONFIG_MAPS)).items == ()


async def test_writes_are_counted_before_they_happen(server: FakeAPIServer, connected: Connected) -> None:
    """A test may look, or interrupt, at each of them."""
    seen: list[tuple[int, bool]] = []

    def look(number: int) -> None:
        seen.append((number, server.get("configmaps", "default", "one") is not None))

    server.faults.before_write = look
    await connected.client.create(config_map())
    await connected.client.get(CONFIG_MAPS, "one", "default")
    await connected.client.delete(CONFIG_MAPS, "one", "default")
    assert seen == [(1, False), (2, True)]


async def test_a_cut(server: FakeAPIServer) -> None:
    """The watch ends in order; a new one takes its place."""
    async with watching(server) as lines:
        server.put(config_map())
        assert await lines.events(1) == [("ADDED", "one")]
        server.cut_watches()
        assert await lines.line() == b""
    async with watching(server) as lines:
        server.put(config_map("two"))
        assert await lines.events(1) == [("ADDED", "two")]


async def test_a_cut_within_a_line(server: FakeAPIServer, connected: Connected) -> None:
    """What came before is whole, the rest cannot be read; the client calls it Unavailable."""
    version = str(server.version)
    server.put(config_map())
    stream = connected.client.watch(CONFIG_MAPS, resource_version=version, namespace="default")
    async with aclosing(stream) as events:
        assert (await anext(events)).type == "ADDED"
        server.cut_watches(middle=True)
        with pytest.raises(Unavailable):
            await anext(events)


async def test_duplicates(server: FakeAPIServer) -> None:
    """So many events come twice."""
    server.faults.duplicate_events = 1
    async with watching(server) as lines:
        server.put(config_map("a"))
        server.put(config_map("b"))
        assert await lines.events(3) == [("ADDED", "a"), ("ADDED", "a"), ("ADDED", "b")]


async def test_reordered(server: FakeAPIServer) -> None:
    """An event comes after its successor."""
    server.faults.reordered_events = 1
    async with watching(server) as lines:
        for name in "abc":
            server.put(config_map(name))
        assert await lines.events(3) == [("ADDED", "b"), ("ADDED", "a"), ("ADDED", "c")]


async def test_a_dropped_delete(server: FakeAPIServer) -> None:
    """It happened, and no watch tells."""
    server.put(config_map("a"))
    server.put(config_map("b"))
    server.faults.dropped_deletes = 1
    async with watching(server) as lines:
        server.delete("configmaps", "default", "a")
        server.delete("configmaps", "default", "b")
        assert await lines.events(1) == [("DELETED", "b")]
    assert server.objects("configmaps") == []


async def test_a_name_is_used_again(server: FakeAPIServer, connected: Connected) -> None:
    """Another uid under the same name: gone and there again."""
    before = server.put(config_map(key="a"))
    async with watching(server) as lines:
        after = server.reuse_name("configmaps", "default", "one")
        assert await lines.events(2) == [("DELETED", "one"), ("ADDED", "one")]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert (await connected.client.get(CONFIG_MAPS, "one", "default"))["data"] == {"key": "a"}


async def test_compaction_ends_old_watches(server: FakeAPIServer, connected: Connected) -> None:
    """410 for a version from before, be it the last one; the newest one is good."""
    server.put(config_map())
    old = str(server.version)
    server.compact()
    stream = connected.client.watch(CONFIG_MAPS, resource_version=old, namespace="default")
    async with aclosing(stream) as events:
        with pytest.raises(Gone):
            await anext(events)
    async with watching(server) as lines:
        server.put(config_map("two"))
        assert await lines.events(1) == [("ADDED", "two")]


async def test_compaction_ends_old_lists(server: FakeAPIServer, connected: Connected) -> None:
    """A list that was begun cannot be gone on with."""
    for name in "abc":
        server.put(config_map(name))
    page = await connected.client.list(CONFIG_MAPS, limit=2)
    server.compact()
    with pytest.raises(Gone):
        await connected.client.list(CONFIG_MAPS, limit=2, continue_token=page.continue_token)


async def test_requests_are_counted(server: FakeAPIServer, connected: Connected) -> None:
    """By verb and plural, as the client counts its own."""
    await connected.client.create(config_map())
    await connected.client.list(CONFIG_MAPS)
    with pytest.raises(NotFound):
        await connected.client.get(CONFIG_MAPS, "none", "default")
    wanted = {("create", "configmaps"): 1, ("list", "configmaps"): 1, ("get", "configmaps"): 1}
    assert server.requests == wanted == connected.client.requests


async def test_what_it_does_not_do_is_refused(connected: Connected) -> None:
    """501, and the client knows that as an error of its own; never a success that is none."""
    code, body = await connected.client.raw("POST", "/api/v1/namespaces/default/pods/one/eviction", body={})
    assert (code, json.loads(body)["reason"]) == (501, "NotImplemented")
