"""The client against a server of a few lines: what it sends, what it makes of answers, when it tries again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from builders.scripted_server import Handler, answer, scripted, status
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    NotImplementedByServer,
    TooManyRequests,
    Unavailable,
)
from penstock.cluster.resources import DEPLOYMENTS, NODES, PODS, SERVICES
from penstock.errors import ClusterError

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "ns", "uid": "1", "resourceVersion": "5"},
}


async def test_get_asks_for_one_object(tmp_path: Path) -> None:
    """The path, the token and our name; the answer as it is."""
    async with scripted(tmp_path, answer(POD)) as run:
        assert await run.client.get(PODS, "a", "ns") == POD
    asked = run.asked[0]
    assert (asked.method, asked.path) == ("GET", "/api/v1/namespaces/ns/pods/a")
    assert asked.headers["Authorization"] == "Bearer secret-token"
    assert asked.headers["User-Agent"].startswith("penstock/")


async def test_apply_sends_json_under_the_apply_content_type(tmp_path: Path) -> None:
    """With our field manager, forced unless asked otherwise, strict where asked."""
    async with scripted(tmp_path, answer(POD)) as run:
        await run.client.apply(POD, strict=True)
        await run.client.apply(POD, force=False, subresource="status", dry_run=True)
    first, second = run.asked
    assert first.headers["Content-Type"] == "application/apply-patch+yaml"
    assert first.body == POD
    assert first.query == {"fieldManager": "penstock", "force": "true", "fieldValidation": "Strict"}
    assert second.path == "/api/v1/namespaces/ns/pods/a/status"
    assert second.query == {"fieldManager": "penstock", "force": "false", "dryRun": "All"}


async def test_delete_names_the_very_object(tmp_path: Path) -> None:
    """By uid and version, in the background."""
    async with scripted(tmp_path, answer({"kind": "Status"})) as run:
        await run.client.delete(DEPLOYMENTS, "a", "ns", uid="1", resource_version="5")
    assert run.asked[0].path == "/apis/apps/v1/namespaces/ns/deployments/a"
    assert run.asked[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "1", "resourceVersion": "5"},
    }


async def test_create_replace_and_patch_go_where_they_belong(tmp_path: Path) -> None:
    """The collection for a new object, the object itself for the others."""
    async with scripted(tmp_path, answer(POD)) as run:
        await run.client.create(POD)
        await run.client.replace(POD, subresource="status")
        await run.client.patch(PODS, "a", "ns", {"x": 1}, content_type=PatchType.MERGE)
        await run.client.patch(PODS, "a", "ns", [{"op": "add"}], content_type=PatchType.JSON)
    assert [(asked.method, asked.path.removeprefix("/api/v1/namespaces/ns/")) for asked in run.asked] == [
        ("POST", "pods"),
        ("PUT", "pods/a/status"),
        ("PATCH", "pods/a"),
        ("PATCH", "pods/a"),
    ]
    assert [asked.headers["Content-Type"] for asked in run.asked] == [
        "application/json",
        "application/json",
        "application/merge-patch+json",
        "application/json-patch+json",
    ]
    assert run.client.writes == 4


async def test_pages_follow_the_continue_token(tmp_path: Path) -> None:
    """Items come typed, though lists leave that out."""
    item = {"metadata": POD["metadata"]}
    first = answer({"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [item]})
    last = answer({"metadata": {"resourceVersion": "9"}, "items": None})
    async with scripted(tmp_path, first, last) as run:
        pages = [page async for page in run.client.pages(PODS, labels="app=x", limit=1)]
    assert [len(page.items) for page in pages] == [1, 0]
    assert pages[0].items[0]["kind"] == "Pod"
    assert [asked.query.get("continue") for asked in run.asked] == [None, "more"]
    assert run.asked[0].query == {"limit": "1", "labelSelector": "app=x"}
    assert run.client.requests["list", "pods"] == 2
    assert run.client.writes == 0


ERRORS: dict[str, tuple[Handler, type[ClusterError]]] = {
    "no such object": (status(404, "NotFound"), NotFound),
    "somebody was first": (status(409, "Conflict"), Conflict),
    "taken": (status(409, "AlreadyExists"), AlreadyExists),
    "too old": (status(410, "Expired"), Gone),
    "bad request": (status(400), Invalid),
    "refused": (status(422, "Invalid"), Invalid),
    "too large": (status(413), Invalid),
    "a status that nobody expects": (status(418), Invalid),
    "not logged in": (status(401), Forbidden),
    "not allowed": (status(403), Forbidden),
    "no such method": (status(405), NotImplementedByServer),
    "not done here": (status(501), NotImplementedByServer),
}


@pytest.mark.parametrize(("handler", "error"), ERRORS.values(), ids=ERRORS.keys())
async def test_an_answer_becomes_a_typed_error(handler: Handler, error: type[ClusterError], tmp_path: Path) -> None:
    """At once, after one request: none of these passes by itself."""
    async with scripted(tmp_path, handler) as run:
        with pytest.raises(error) as caught:
            await run.client.get(PODS, "a", "ns")
    assert len(run.asked) == 1
    assert type(caught.value) is error
    assert "getting Pod ns/a" in str(caught.value)
    assert "secret-token" not in str(caught.value)


async def test_an_error_carries_the_status_of_the_server(tmp_path: Path) -> None:
    """Reason, message and details, for whoever explains it to a user."""
    async with scripted(tmp_path, status(422, "Invalid", "spec.x: must be set")) as run:
        with pytest.raises(Invalid) as caught:
            await run.client.get(PODS, "a", "ns")
    assert caught.value.status == 422
    assert caught.value.reason == "Invalid"
    assert caught.value.details == {"kind": "x"}
    assert "spec.x: must be set" in str(caught.value)


async def test_a_proxy_that_answers_with_a_page_is_no_surprise(tmp_path: Path) -> None:
    """Text where JSON was due, with a good and with a bad status."""

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    async with scripted(tmp_path, page) as run:
        with pytest.raises(Unavailable, match="welcome"):
            await run.client.get(PODS, "a", "ns")


async def test_patience_is_taken_as_long_as_the_server_asks(tmp_path: Path) -> None:
    """429 with Retry-After, then 503 with the same, then the answer."""
    busy = status(429, headers={"Retry-After": "7"})
    starting = status(503, headers={"Retry-After": "3"})
    async with scripted(tmp_path, busy, starting, answer(POD)) as run:
        assert await run.client.get(PODS, "a", "ns") == POD
    assert [round(pause) for pause in run.clock.pauses] == [7, 3]


async def test_pauses_grow_and_end_with_the_deadline(tmp_path: Path) -> None:
    """A server that stays ill is given up within thirty seconds."""
    async with scripted(tmp_path, status(500)) as run:
        with pytest.raises(Unavailable):
            await run.client.get(PODS, "a", "ns")
    assert run.clock.monotonic() < 30
    assert run.clock.pauses[0] <= 0.1
    assert run.clock.pauses[-1] >= 2.5
    assert len(run.asked) == len(run.clock.pauses) + 1


async def test_a_wait_beyond_the_deadline_is_the_callers(tmp_path: Path) -> None:
    """The error says how long."""
    async with scripted(tmp_path, status(429, headers={"Retry-After": "120"})) as run:
        with pytest.raises(TooManyRequests) as caught:
            await run.client.get(PODS, "a", "ns")
    assert caught.value.retry_after == 120
    assert len(run.asked) == 1


NOT_REPEATED: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "create": lambda client: client.create(POD),
    "JSON patch": lambda client: client.patch(PODS, "a", "ns", [], content_type=PatchType.JSON),
}


@pytest.mark.parametrize("call", NOT_REPEATED.values(), ids=NOT_REPEATED.keys())
async def test_what_may_have_happened_is_not_repeated(call: Callable[[Client], Awaitable[Any]], tmp_path: Path) -> None:
    """But what was turned away is."""
    async with scripted(tmp_path, status(429), status(500)) as run:
        with pytest.raises(Unavailable):
            await call(run.client)
    assert len(run.asked) == 2


async def test_a_server_that_is_not_there_is_asked_again(tmp_path: Path) -> None:
    """Even to create something: nothing was sent."""
    async with scripted(tmp_path, answer(POD)) as run:
        run.client._api.configuration.host = "http://127.0.0.1:9"
        statuses: list[tuple[str, int]] = []
        run.client.observe = lambda method, code: statuses.append((method, code))
        with pytest.raises(Unavailable, match="creating Pod ns/a"):
            await run.client.create(POD)
    assert len(statuses) > 3
    assert set(statuses) == {("POST", 0)}


async def test_a_refused_token_is_read_again(tmp_path: Path) -> None:
    """The kubeconfig has a newer one; not looked at more often than once a minute."""
    async with scripted(tmp_path, status(401), answer(POD), status(401)) as run:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(kubeconfig.read_text().replace("secret-token", "newer-token"))
        await run.clock.sleep(61)
        assert await run.client.get(PODS, "a", "ns") == POD
        with pytest.raises(Forbidden):
            await run.client.get(PODS, "a", "ns")
    assert [asked.headers["Authorization"] for asked in run.asked] == [
        "Bearer secret-token",
        "Bearer newer-token",
        "Bearer newer-token",
    ]


BAD_NAMES: dict[str, tuple[str, str | None]] = {
    "a path": ("../secrets", "ns"),
    "dots": ("..", "ns"),
    "one dot": (".", "ns"),
    "a slash": ("a/b", "ns"),
    "a query": ("a?b", "ns"),
    "an escape": ("a%2fb", "ns"),
    "nothing": ("", "ns"),
    "too long": ("a" * 254, "ns"),
    "a line break": ("a\n", "ns"),
    "a namespace that climbs": ("a", ".."),
    "no namespace": ("a", None),
}


@pytest.mark.parametrize(("name", "namespace"), BAD_NAMES.values(), ids=BAD_NAMES.keys())
async def test_a_name_that_is_none_never_enters_a_path(name: str, namespace: str | None, tmp_path: Path) -> None:
    """It is refused before anything is sent."""
    async with scripted(tmp_path, answer(POD)) as run:
        with pytest.raises(Invalid):
            await run.client.get(SERVICES, name, namespace)
    assert not run.asked


async def test_a_node_needs_no_namespace(tmp_path: Path) -> None:
    """Nor does a list over all namespaces."""
    async with scripted(tmp_path, answer({"metadata": {}, "items": []})) as run:
        await run.client.list(PODS)
        await run.client.get(NODES, "gpu-1.example.com")
    assert [asked.path for asked in run.asked] == ["/api/v1/pods", "/api/v1/nodes/gpu-1.example.com"]


async def test_raw_gives_the_answer_as_it_is(tmp_path: Path) -> None:
    """One attempt, whatever the status."""
    async with scripted(tmp_path, status(503)) as run:
        code, body = await run.client.raw("POST", "/api", query={"a": "b"}, body={"c": 1}, headers={"X-Test": "y"})
    assert code == 503
    assert json.loads(body)["code"] == 503
    assert run.asked[0].query == {"a": "b"}
    assert run.asked[0].headers["X-Test"] == "y"
    assert len(run.asked) == 1


def stream(*chunks: bytes, hang: asyncio.Event | None = None, cut: bool = False) -> Handler:
    """A watch that says these bytes."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if hang is not None:
            await hang.wait()
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return handle


def line(kind: str, live: dict[str, Any]) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": live}).encode() + b"\n"


BOOKMARK = line("BOOKMARK", {"metadata": {"resourceVersion": "12"}})


async def test_watch_gives_events_and_ends_with_the_stream(tmp_path: Path) -> None:
    """Bookmarks too; an empty line is nothing."""
    handler = stream(line("ADDED", POD)[:20], line("ADDED", POD)[20:], b"\n", BOOKMARK, line("DELETED", POD))
    async with scripted(tmp_path, handler) as run:
        events = [event async for event in run.client.watch(PODS, resource_version="5", labels="a=b")]
    assert [event.type for event in events] == ["ADDED", "BOOKMARK", "DELETED"]
    assert events[0].object == POD
    assert run.asked[0].query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "labelSelector": "a=b",
    }


BROKEN: dict[str, tuple[Handler, type[ClusterError]]] = {
    "an ERROR event": (stream(line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})), Gone),
    "an ERROR event without a code": (stream(line("ERROR", {})), Unavailable),
    "410 at once": (status(410), Gone),
    "429": (status(429, headers={"Retry-After": "5"}), TooManyRequests),
    "no JSON": (stream(BOOKMARK, b"{nonsense\n"), Unavailable),
    "no object": (stream(BOOKMARK, b'{"type": "ADDED"}\n'), Unavailable),
    "an object without a name": (stream(line("ADDED", {"metadata": {}})), Unavailable),
    "an empty line's worth of a list": (stream(b"[]\n"), Unavailable),
    "cut in the middle of a line": (stream(BOOKMARK, b'{"type": "ADD', cut=True), Unavailable),
    "ended in the middle of a line": (stream(BOOKMARK, b'{"type": "ADD'), Unavailable),
    "a line without an end": (stream(*[b"x" * 2**20] * 9), Unavailable),
}


@pytest.mark.parametrize(("handler", "error"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_watch_is_a_typed_error(handler: Handler, error: type[ClusterError], tmp_path: Path) -> None:
    """Whatever comes over the line."""
    async with scripted(tmp_path, handler) as run:
        with pytest.raises(error) as caught:
            async for _ in run.client.watch(PODS, resource_version="5"):
                pass
    assert type(caught.value) is error


async def test_an_object_of_almost_two_megabytes_passes(tmp_path: Path) -> None:
    """The largest that etcd takes, and its markup."""
    large = {**POD, "data": {"x": "y" * 1_900_000}}
    async with scripted(tmp_path, stream(line("ADDED", large))) as run:
        events = [event async for event in run.client.watch(PODS, resource_version="5")]
    assert events[0].object == large


async def test_a_silent_watch_is_cut(tmp_path: Path) -> None:
    """After the given time without a byte."""
    hang = asyncio.Event()
    async with scripted(tmp_path, stream(BOOKMARK, hang=hang)) as run:
        events = run.client.watch(PODS, resource_version="5", inactivity=0.05)
        assert (await anext(events)).type == "BOOKMARK"
        with pytest.raises(Unavailable):
            await anext(events)
        hang.set()


async def test_a_watch_that_is_left_frees_its_connection(tmp_path: Path) -> None:
    """Or the pool would run dry after some relists."""
    hang = asyncio.Event()
    async with scripted(tmp_path, stream(BOOKMARK, hang=hang)) as run:
        async with aclosing(run.client.watch(PODS, resource_version="5")) as events:
            await anext(events)
        connector = run.client._api.rest_client.pool_manager.connector
        assert not connector._acquired
        hang.set()


async def test_a_kubeconfig_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(ClusterError, match="nowhere"):
        await Client.connect(kubeconfig=str(tmp_path / "nowhere"))


async def test_outside_a_cluster_without_a_kubeconfig_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error says so."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="inside the cluster"):
        await Client.connect()
