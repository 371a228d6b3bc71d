"""A gateway as the story sees it: what clients are answered, what replicas have, and what their disks say."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock.server_client.answers import LiveReplica, LiveReplicas
from penstock.server_client.client import ServerClient
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.entry import Entry, NotAnswered

BOT = ("team", "bot")
MARKS = {"x-penstock-backend": "deployment/team/chat", "X-Penstock-Attempts": "2"}
USAGE = {"backend": "deployment/team/chat", "tokensIn": 4}


class Told:
    """What the control-plane server says; `generations` are those of the replicas that it hears."""

    def __init__(self) -> None:
        self.generations: dict[str, int] = {}
        self.document: bytes | None = None

    async def replicas(self, gateway: str) -> LiveReplicas:
        assert gateway == "team/main"
        heard = (
            LiveReplica(f"uid-{pod}", pod, generation, "", "", "Serving", "", {}, {})
            for pod, generation in self.generations.items()
        )
        return LiveReplicas(tuple(heard), "")

    async def table(self, gateway: str) -> bytes | None:
        assert gateway == "team/main"
        return self.document


@pytest.fixture
def told() -> Told:
    """Nothing yet."""
    return Told()


@pytest.fixture
def cluster() -> SimulatedCluster:
    """One that was not started: objects can be put into it, and that is all."""
    made = SimulatedCluster(SimulationSettings(nodes={}), random=Random(1))
    made._install()
    made.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    return made


@pytest.fixture
async def entry(cluster: SimulatedCluster, told: Told) -> AsyncIterator[Entry]:
    """The gateway team/main."""
    async with aiohttp.ClientSession() as session:
        yield Entry(("team", "main"), cluster, session, cast("ServerClient", told), translates=False)


@pytest.fixture
async def answering(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., None]]:
    """Has the gateway's Service answered by a handler."""
    handlers: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        response: web.StreamResponse = await handlers[-1](request)
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as server:
        monkeypatch.setattr(entry.cluster, "service_url", lambda *_: str(server.make_url("")).rstrip("/"))
        yield handlers.append


def pod(name: str, **labels: str) -> dict[str, Any]:
    """A pod with the labels that the operator gives to replicas, and with others."""
    own = {"penstock.dev/role": "gateway", "penstock.dev/gateway": "main", **labels}
    metadata = {"name": name, "namespace": "team", "labels": own}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "gateway"}]}}


def published(generation: int) -> bytes:
    """A table, as far as it is read here."""
    return json.dumps({"generation": generation, "routes": []}).encode()


async def test_an_answer_and_the_headers_that_explain_it(entry: Entry, answering: Callable[..., None]) -> None:
    async def whole(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer pk-1"
        body = await request.json()
        assert (body["model"], body["max_tokens"]) == ("chat", 7)
        return web.json_response({"system_fingerprint": "chat-0"}, headers=MARKS)

    answering(whole)
    reply = await entry.ask("chat", "pk-1", tokens=7)
    assert (reply.status, reply.pod, reply.refusal) == (200, "chat-0", "")
    assert reply.marks == {"backend": "deployment/team/chat", "attempts": "2"}


async def test_a_refusal_is_an_answer_too(entry: Entry, answering: Callable[..., None]) -> None:
    """And without a key none is sent."""

    async def refuse(request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.json_response({"error": {"message": "An API key is required"}}, status=401)

    answering(refuse)
    reply = await entry.ask("chat", "")
    assert (reply.status, reply.refusal) == (401, "An API key is required")


async def test_a_stream(entry: Entry, answering: Callable[..., None]) -> None:
    answering(_stream(b'data: {"a": 1}\n\ndata: {"a": 2}\n\ndata: [DONE]\n\n'))
    reply = await entry.ask("chat", "pk-1", stream=True)
    assert (reply.chunks, reply.content) == (2, {"a": 2})


async def test_a_stream_that_breaks_is_no_answer(entry: Entry, answering: Callable[..., None]) -> None:
    answering(_stream(b'data: {"a": 1}\n\n'))
    with pytest.raises(NotAnswered, match="team/main at /v1/chat/completions: the stream broke"):
        await entry.ask("chat", "pk-1", stream=True)


async def test_the_models_of_a_key(entry: Entry, answering: Callable[..., None]) -> None:
    async def models(request: web.Request) -> web.Response:
        assert request.path == "/v1/models"
        return web.json_response({"data": [{"id": "chat"}, {"id": "team/chat"}]})

    answering(models)
    assert await entry.models("pk-1") == ["chat", "team/chat"]


def test_a_key_is_read_where_its_consumer_says(entry: Entry) -> None:
    server = entry.cluster.server
    assert entry.key(BOT) == ""
    spec = {"gatewayRef": {"name": "main"}, "keySecretRef": {"name": "bot-key", "key": "api-key"}}
    metadata = {"name": "bot", "namespace": "team"}
    server.put({"apiVersion": "penstock.dev/v1alpha1", "kind": "Consumer", "metadata": metadata, "spec": spec})
    assert entry.key(BOT) == ""
    data = {"api-key": base64.b64encode(b"pk-1").decode()}
    named = {"name": "bot-key", "namespace": "team"}
    server.put({"apiVersion": "v1", "kind": "Secret", "metadata": named, "data": data})
    assert entry.key(BOT) == "pk-1"


class TestBehind:
    """Whether every replica decides by the published table."""

    async def test_nothing_is_published(self, entry: Entry) -> None:
        assert await entry.behind() == "the published table is still generation 0"

    async def test_nobody_is_heard(self, entry: Entry, told: Told) -> None:
        told.document = published(3)
        assert await entry.behind() == "the server hears no replica"

    async def test_one_lags_behind(self, entry: Entry, told: Told) -> None:
        told.document, told.generations = published(3), {"main-a": 3, "main-b": 2}
        assert await entry.behind() == "generation 3 is not applied by main-b"

    async def test_a_pod_is_not_heard_yet(self, entry: Entry, told: Told) -> None:
        """It may have any table, or none."""
        for name in ("main-a", "main-b"):
            entry.cluster.server.put(pod(name))
        entry.cluster.server.put(pod("other", **{"penstock.dev/gateway": "other"}))
        told.document, told.generations = published(3), {"main-a": 3}
        assert await entry.behind() == "generation 3 is not applied by all of them"
        told.generations["main-b"] = 3
        assert await entry.behind() == ""

    async def test_the_table_is_not_the_wanted_one(self, entry: Entry, told: Told) -> None:
        told.document, told.generations = published(3), {"main-a": 3}
        assert await entry.behind(lambda table: table["generation"] > 3) == "the published table is still generation 3"


def test_usage_records_of_one_backend(entry: Entry, tmp_path: Path) -> None:
    """Of every replica that runs; a line that is just being written is left for the next look."""
    spool = tmp_path / "spool"
    spool.mkdir()
    lines = [json.dumps(each) + "\n" for each in (USAGE, {**USAGE, "backend": "provider/team/hosted/large"})]
    (spool / "usage-1.jsonl").write_text("".join(lines))
    (spool / "usage-2.jsonl").write_text(lines[0] + lines[0][:-1])
    entry.cluster.server.put(pod("main-a"))
    entry.cluster.server.put(pod("main-b"))
    sandbox = SimpleNamespace(volumes=SimpleNamespace(folder=tmp_path))
    gateways = SimpleNamespace(running={("team", "main-a"): sandbox})
    entry.cluster._runtime = cast("Any", SimpleNamespace(gateways=gateways))
    assert entry.records("deployment/team/chat") == [USAGE, USAGE]


def _stream(events: bytes) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=events, content_type="text/event-stream")

    return answer
