"""A steady load: how requests are paced and told apart, against an endpoint whose answers the test decides."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from builders.clock import FakeClock
from penstock.simulation.load import Counts, LoadSettings, Outcome, Result, SteadyLoad

KEY = "sk-client"
MARKS = {
    "x-penstock-route": "team/chat",
    "x-penstock-rule": "all",
    "x-penstock-backend": "one",
    "x-penstock-attempts": "1",
    "x-penstock-why": "first choice",
    "x-penstock-generation": "7",
}
_PATIENCE_SECONDS = 60

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def whole(_: web.Request) -> web.StreamResponse:
    """An answer as it should be."""
    return web.json_response({"system_fingerprint": "pod-0", "choices": []}, headers=MARKS)


async def stream(request: web.Request, *lines: bytes) -> web.StreamResponse:
    """These lines, and nothing after them."""
    response = web.StreamResponse(headers={**MARKS, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    for line in lines:
        await response.write(line + b"\n\n")
    return response


async def good_stream(request: web.Request) -> web.StreamResponse:
    """A stream to its end."""
    return await stream(request, b'data: {"system_fingerprint": "pod-1"}', b"data: [DONE]")


async def stream_without_end(request: web.Request) -> web.StreamResponse:
    """It stops in the middle, politely."""
    return await stream(request, b'data: {"system_fingerprint": "pod-1"}')


async def stream_with_an_error(request: web.Request) -> web.StreamResponse:
    """It says that it broke."""
    return await stream(request, b'data: {"error": {"message": "backend gone"}}', b"data: [DONE]")


async def stream_that_is_cut(request: web.Request) -> web.StreamResponse:
    """The connection breaks."""
    response = await stream(request, b'data: {"system_fingerprint": "pod-1"}')
    assert request.transport is not None
    request.transport.abort()
    return response


async def refused(_: web.Request) -> web.StreamResponse:
    """No route for it."""
    return web.json_response({"error": {}}, status=429, headers={"x-penstock-route": "team/chat"})


async def cut(request: web.Request) -> web.StreamResponse:
    """Nothing at all comes."""
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def no_json(_: web.Request) -> web.StreamResponse:
    """An answer that is none."""
    return web.Response(body=b"<html>")


@dataclass
class Endpoint:
    """Answers as `handler` says; remembers what it was asked."""

    handler: Handler = whole
    url: str = ""
    bodies: list[dict[str, object]] | None = None
    keys: set[str] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Remember it, then do as told."""
        self.bodies = [*(self.bodies or []), await request.json()]
        self.keys = {*(self.keys or set()), request.headers.get("Authorization", "")}
        return await self.handler(request)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Listening."""
    made = Endpoint()
    application = web.Application()
    application.router.add_post("/v1/chat/completions", made.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def settings(endpoint: Endpoint, **more: float) -> LoadSettings:
    """Ten requests per second, none of them a stream."""
    base = LoadSettings(url=endpoint.url, model="chat", key=KEY, per_second=10, streams=0)
    return replace(base, **more)  # type: ignore[arg-type] # counts and shares alike


async def over(load: SteadyLoad, count: int) -> Counts:
    """Wait until so many requests are over."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while sum(load.counts.outcomes.values()) < count:
            await asyncio.sleep(0.005)
    return load.counts


async def test_answers_are_counted_by_what_the_edge_says(endpoint: Endpoint) -> None:
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint), clock=clock) as load:
        await clock.advance(0.45)
        counts = await over(load, 5)
    assert (counts.sent, counts.answered, counts.failed, counts.broken, counts.in_flight) == (5, 5, 0, 0, 0)
    assert counts.backends == {"one": 5}
    want = {name.removeprefix("x-penstock-"): {value: 5} for name, value in MARKS.items()}
    assert counts.marks == want
    assert (counts.fingerprints, counts.statuses) == ({"pod-0": 5}, {200: 5})
    assert endpoint.keys == {f"Bearer {KEY}"}


OUTCOMES: dict[str, tuple[Handler, float, Outcome, str]] = {
    "answer": (whole, 0, Outcome.ANSWERED, ""),
    "stream": (good_stream, 1, Outcome.ANSWERED, ""),
    "refusal": (refused, 0, Outcome.FAILED, "status 429"),
    "refusal of a stream": (refused, 1, Outcome.FAILED, "status 429"),
    "no answer": (cut, 0, Outcome.FAILED, "ServerDisconnectedError|ClientOSError"),
    "no JSON": (no_json, 0, Outcome.BROKEN, "JSONDecodeError"),
    "stream without end": (stream_without_end, 1, Outcome.BROKEN, "no end"),
    "stream with an error": (stream_with_an_error, 1, Outcome.BROKEN, "an error in the stream"),
    "stream that is cut": (stream_that_is_cut, 1, Outcome.BROKEN, "ClientPayloadError|ClientOSError"),
}


@pytest.mark.parametrize(("handler", "streams", "outcome", "problem"), OUTCOMES.values(), ids=OUTCOMES)
async def test_how_requests_end(
    handler: Handler, streams: float, outcome: Outcome, problem: str, endpoint: Endpoint
) -> None:
    endpoint.handler = handler
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint, streams=streams), clock=clock) as load:
        await clock.advance(0)
        counts = await over(load, 1)
    (result,) = load.latest
    assert (result.outcome, result.stream) == (outcome, bool(streams))
    assert re.fullmatch(problem, result.problem), result.problem
    assert counts.outcomes == {outcome: 1}


async def test_nobody_there_is_a_failure() -> None:
    clock = FakeClock()
    nowhere = LoadSettings(url="http://127.0.0.1:9", model="chat", per_second=1)
    async with SteadyLoad(nowhere, clock=clock) as load:
        await clock.advance(0)
        counts = await over(load, 1)
    assert (counts.failed, counts.problems) == (1, {"ClientConnectorError": 1})


async def test_a_share_of_them_are_streams(endpoint: Endpoint) -> None:
    clock = FakeClock()
    endpoint.handler = good_stream
    async with SteadyLoad(settings(endpoint, streams=0.25), clock=clock) as load:
        await clock.advance(0.75)
        await over(load, 8)
    assert [bool(body.get("stream")) for body in endpoint.bodies or []].count(True) == 2


async def test_counting_anew_leaves_what_is_under_way_with_the_old(endpoint: Endpoint) -> None:
    """So that after a change only what was sent after it is looked at."""
    gate = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await whole(request)

    endpoint.handler = held
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint), clock=clock) as load:
        await clock.advance(0.05)
        before = load.begin()
        assert (before.sent, before.in_flight) == (1, 1)
        await clock.advance(0.1)
        gate.set()
        counts = await over(load, 1)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while before.in_flight:
                await asyncio.sleep(0.005)
    assert (before.answered, counts.answered) == (1, 1)


async def test_too_many_under_way_are_not_sent(endpoint: Endpoint) -> None:
    gate = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await whole(request)

    endpoint.handler = held
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint, at_once=2), clock=clock) as load:
        await clock.advance(0.45)
        assert (load.counts.sent, load.counts.skipped) == (2, 3)
        gate.set()


async def test_only_the_latest_are_kept(endpoint: Endpoint) -> None:
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint, kept=3), clock=clock) as load:
        await clock.advance(0.45)
        await over(load, 5)
    assert len(load.latest) == 3


async def test_its_end_waits_for_what_is_under_way(endpoint: Endpoint) -> None:
    clock = FakeClock()
    async with SteadyLoad(settings(endpoint), clock=clock) as load:
        await clock.advance(0.05)
    assert (load.counts.sent, load.counts.answered) == (1, 1)


async def test_an_error_ends_it_at_once(endpoint: Endpoint) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def fail() -> None:
        async with load:
            await clock.advance(0.05)
            raise LookupError

    endpoint.handler = never
    clock = FakeClock()
    load = SteadyLoad(settings(endpoint), clock=clock)
    with pytest.raises(LookupError):
        await fail()
    assert load.counts.failed == 1


def test_values_of_a_header_are_bounded() -> None:
    counts = Counts()
    for number in range(300):
        counts.add(Result(Outcome.ANSWERED, stream=False, status=200, seconds=0, marks={"backend": str(number)}))
    assert len(counts.backends) == 257
    assert counts.backends["others"] == 44


def test_its_key_is_in_no_representation() -> None:
    assert KEY not in repr(LoadSettings(url="", model="m", key=KEY, per_second=1))
