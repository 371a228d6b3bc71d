"""What comes instead of the server's answer: each ends in one of our errors, soon, and shows no token."""

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from penstock.errors import ServerError
from penstock.server_client.client import ServerClient
from penstock.server_client.errors import ServerAway, ServerRefused, StaleTerm
from penstock.server_client.transport import Limits

TOKEN = "operator-" + "t" * 32
GATEWAY = "serving/entry"
MEBIBYTE = 2**20
SOON = Limits(connect_seconds=0.05, request_seconds=0.05, mebibyte_seconds=0.0)

Answer = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]
Ask = Callable[[ServerClient], Awaitable[Any]]

EVERY_REQUEST = [
    pytest.param(lambda client: client.publish(GATEWAY, b"{}", term=1, expected_hash=""), id="publish"),
    pytest.param(lambda client: client.table(GATEWAY), id="table"),
    pytest.param(lambda client: client.replicas(GATEWAY), id="replicas"),
    pytest.param(lambda client: client.replicas(GATEWAY, since="a", wait_seconds=0.01), id="long poll"),
    pytest.param(lambda client: client.make_token(GATEWAY), id="token"),
    pytest.param(lambda client: client.forget(GATEWAY, term=1), id="forget"),
]


class Scripted:
    """Gives the same answer to every request, and remembers them."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, httpx.Response) else await self.answer(request)

    def client(self, *, token: str = TOKEN, limits: Limits | None = None, url: str = "http://server") -> ServerClient:
        return ServerClient(url, lambda: token, transport=httpx.MockTransport(self.handle), limits=limits)


def problem(status: int, reason: str, message: str = "no", **more: Any) -> httpx.Response:
    """In the server's own shape."""
    return httpx.Response(status, json={"error": {"reason": reason, "message": message, **more}})


async def never(_: httpx.Request) -> httpx.Response:
    """Takes the request, and says nothing."""
    await asyncio.Event().wait()
    raise AssertionError


async def stalling(_: httpx.Request) -> httpx.Response:
    """Says that all is well, and nothing more."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"replicas": ['
        await asyncio.Event().wait()

    return httpx.Response(200, headers={"penstock-generation": "1"}, content=body())


async def cut(_: httpx.Request) -> httpx.Response:
    """The connection is lost in the middle."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"replicas": ['
        message = "peer closed connection"
        raise httpx.RemoteProtocolError(message)

    return httpx.Response(200, headers={"penstock-generation": "1"}, content=body())


@pytest.mark.parametrize("ask", EVERY_REQUEST)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(httpx.ConnectError("refused"), "ConnectError", id="nobody listens"),
        pytest.param(httpx.ConnectTimeout("slow"), "ConnectTimeout", id="no connection in time"),
        pytest.param(httpx.PoolTimeout("busy"), "PoolTimeout", id="no connection free"),
        pytest.param(httpx.ReadError("reset"), "ReadError", id="reset"),
        pytest.param(cut, "RemoteProtocolError", id="cut"),
        pytest.param(never, "within 0.0[56]", id="silent"),
        pytest.param(stalling, "within 0.0[56]", id="stalls"),
        pytest.param(httpx.Response(502, html="<html>Bad Gateway</html>"), ": 502, and not in the", id="proxy"),
        pytest.param(httpx.Response(429), ": 429, and not in the", id="too many requests"),
        pytest.param(problem(507, "Full", "the database is full", cure="make room"), "full; make room", id="full"),
    ],
)
async def test_a_server_that_does_not_answer_is_away(ask: Ask, answer: Answer, said: str) -> None:
    """And the message says what was tried, of whom, and what came."""
    with pytest.raises(ServerAway, match=said) as caught:
        await ask(Scripted(answer).client(limits=SOON))
    assert "serving/entry at http://server: " in str(caught.value)
    assert "html" not in str(caught.value)


@pytest.mark.parametrize("ask", EVERY_REQUEST)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx.Response(400, html="<html>"), id="400 with HTML"),
        pytest.param(httpx.Response(404, html="<html>not here</html>"), id="404 of a proxy"),
        pytest.param(httpx.Response(404, json={"detail": "Not Found"}), id="404 of another server"),
        pytest.param(httpx.Response(409), id="409 without a word"),
        pytest.param(problem(409, "TooManyReplicas"), id="409 for something else"),
        pytest.param(problem(403, "StaleTerm"), id="a reason that is not its status's"),
        pytest.param(httpx.Response(301, headers={"location": "http://elsewhere/"}), id="redirect"),
    ],
)
async def test_any_other_answer_is_a_refusal(ask: Ask, answer: httpx.Response) -> None:
    """Above all: a proxy's 404 is neither an empty server nor a gateway that was forgotten."""
    scripted = Scripted(answer)
    with pytest.raises(ServerRefused) as caught:
        await ask(scripted.client())
    assert caught.value.status == answer.status_code
    assert "html" not in str(caught.value)
    assert [request.url.host for request in scripted.requests] == ["server"]


@pytest.mark.parametrize("ask", EVERY_REQUEST[:5])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>welcome</html>", id="HTML"),
        pytest.param(b"[]", id="another type"),
        pytest.param(b"{}", id="no field"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(json.dumps({"term": "x", "replicas": [{"uid": 1}], "token": "a b"}).encode(), id="wrong types"),
        pytest.param(json.dumps({"term": 1, "generation": -1, "hash": "zz", "token": ""}).encode(), id="out of range"),
    ],
)
async def test_an_answer_that_is_not_the_servers_is_none(ask: Ask, body: bytes) -> None:
    """Another service at that address answers 200 to everything; nothing of it is taken for the truth."""
    with pytest.raises(ServerAway, match="--server-url"):
        await ask(Scripted(httpx.Response(200, content=body)).client())


async def test_a_304_that_was_not_asked_for_is_no_table() -> None:
    """A cache's, between here and there."""
    with pytest.raises(ServerRefused, match=": 304, and not in"):
        await Scripted(httpx.Response(304)).client().table(GATEWAY)


@pytest.mark.parametrize(
    ("ask", "bound"),
    [
        pytest.param(EVERY_REQUEST[0].values[0], MEBIBYTE, id="publish"),
        pytest.param(EVERY_REQUEST[1].values[0], 40 * MEBIBYTE, id="table"),
        pytest.param(EVERY_REQUEST[2].values[0], 16 * MEBIBYTE, id="replicas"),
        pytest.param(EVERY_REQUEST[4].values[0], MEBIBYTE, id="token"),
    ],
)
async def test_reading_stops_at_the_bound(ask: Ask, bound: int) -> None:
    """Whatever comes after it is never taken."""
    sent = 0

    async def endless(_: httpx.Request) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += MEBIBYTE // 2
                yield b" " * (MEBIBYTE // 2)

        return httpx.Response(200, headers={"penstock-generation": "1"}, content=body())

    with pytest.raises(ServerAway, match=f"more than {bound} bytes"):
        await ask(Scripted(endless).client())
    assert sent <= bound + MEBIBYTE


async def test_an_endless_error_is_not_read() -> None:
    """64 KiB are more than any of the server's."""
    with pytest.raises(ServerAway, match="500, with more than 65536 bytes"):
        await Scripted(httpx.Response(500, content=b"x" * 70_000)).client().table(GATEWAY)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """It was not asked for, and a small one may hold gigabytes."""

    async def packed(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"

        async def body() -> AsyncIterator[bytes]:
            yield b"\x1f\x8b"

        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=body())

    with pytest.raises(ServerAway, match="compressed"):
        await Scripted(packed).client().table(GATEWAY)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("99999999", 3600.0, id="at most an hour"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date"),
        pytest.param("", None, id="nothing"),
    ],
)
async def test_when_to_come_again(stated: str, seconds: float | None) -> None:
    """As the server says it."""
    with pytest.raises(ServerAway) as caught:
        await Scripted(httpx.Response(503, headers={"retry-after": stated})).client().table(GATEWAY)
    assert caught.value.retry_after == seconds


async def test_a_conflict_without_what_is_current() -> None:
    """An older server's: the reason alone is acted on."""
    with pytest.raises(StaleTerm) as caught:
        await Scripted(problem(409, "StaleTerm")).client().forget(GATEWAY, term=1)
    assert caught.value.current is None


@pytest.mark.parametrize("ask", EVERY_REQUEST)
@pytest.mark.parametrize("status", [401, 409, 500])
async def test_a_token_that_comes_back_is_not_shown(ask: Ask, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the message, the traceback, the log at its most talkative, nor the client's repr."""
    caplog.set_level(logging.DEBUG)
    client = Scripted(problem(status, "Odd", f"you sent\n{TOKEN}", cure=TOKEN, field=TOKEN)).client()
    with pytest.raises(ServerError) as caught:
        await ask(client)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client) + repr(vars(client))
    assert TOKEN not in shown
    assert "\n" not in str(caught.value)
    assert "***" in str(caught.value)


async def test_an_answer_that_cannot_be_read_shows_no_token_that_was_made() -> None:
    """Neither in the message nor in what caused it."""
    made = "pgw_" + "s" * 5000
    with pytest.raises(ServerAway) as caught:
        await Scripted(httpx.Response(201, json={"token": made})).client().make_token(GATEWAY)
    assert "sss" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("  \n", id="blank"),
        pytest.param(f"{TOKEN}\nx", id="two lines"),
        pytest.param(f"{TOKEN} x", id="a space"),
        pytest.param(f"{TOKEN}é", id="not ASCII"),
        pytest.param(TOKEN * 1000, id="too long"),
    ],
)
async def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    """Nor shown."""
    scripted = Scripted(httpx.Response(200))
    with pytest.raises(ServerRefused, match="--server-token-file") as caught:
        await scripted.client(token=token).table(GATEWAY)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert not scripted.requests


async def test_the_token_is_sent_trimmed_and_nowhere_else() -> None:
    """In one header; a path of the server's address is kept."""
    scripted = Scripted(httpx.Response(200, headers={"penstock-generation": "1"}, content=b"{}"))
    assert await scripted.client(token=f"{TOKEN}\n", url="https://server/penstock/").table(GATEWAY) == b"{}"
    (request,) = scripted.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert str(request.url) == "https://server/penstock/v1/gateways/serving/entry/table"


@pytest.mark.parametrize(
    "url",
    ["", "server:8090", "ftp://server", "http://", "http://a:b", "http://user:secret@server", "http://server?a=secret"],
)
def test_an_address_that_is_none(url: str) -> None:
    """Names the option; what could be a password is not shown."""
    with pytest.raises(ServerRefused, match="--server-url") as caught:
        Scripted(httpx.Response(200)).client(url=url)
    assert "secret" not in str(caught.value)


async def test_an_older_replica_says_nothing_of_what_leaves() -> None:
    """Which is no fault; what a newer one says beyond is passed over."""
    older = {"uid": "uid-1", "state": "Serving", "hash": "", "generation": 0, "moods": ["new"]}
    answer = httpx.Response(200, json={"replicas": [older], "since": "x", "seconds": 15})
    live = await Scripted(answer).client().replicas(GATEWAY)
    assert live is not None
    assert (live.replicas[0].leaving, live.replicas[0].in_flight, live.replicas[0].pod) == ({}, {}, "")


@pytest.mark.parametrize(
    ("ask", "silent"),
    [
        pytest.param(EVERY_REQUEST[0].values[0], 10.0, id="publish"),
        pytest.param(EVERY_REQUEST[2].values[0], 10.0, id="replicas"),
        pytest.param(lambda client: client.replicas(GATEWAY, since="a", wait_seconds=25), 35.0, id="long poll"),
        pytest.param(lambda client: client.replicas(GATEWAY, since="a", wait_seconds=900), 65.0, id="longest poll"),
    ],
)
async def test_how_long_a_request_may_take(ask: Ask, silent: float) -> None:
    """3 s for the connection; a long poll as long as it asks the server to be silent, and 10 s."""
    scripted = Scripted(httpx.Response(503))
    with pytest.raises(ServerAway):
        await ask(scripted.client())
    timeout = scripted.requests[0].extensions["timeout"]
    assert (timeout["connect"], timeout["read"]) == (3.0, silent)
