"""Upstreams of a gateway that do what a test wrote down: real HTTP servers on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

__all__ = ["Upstream", "answers", "cuts", "hangs", "nowhere", "resets", "says", "streams", "trickles", "upstream"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 40}}
CHUNKS = tuple({"id": "c", "choices": [{"index": 0, "delta": {"content": word}}]} for word in ("one", "two", "three"))
_LONG = 60.0


@dataclass
class Upstream:
    """Where it is, and what it saw."""

    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    aborted: int = 0
    busy: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> int:
        """How many requests came."""
        return len(self.bodies)


def says(status: int, body: Any = None, **headers: str) -> Handler:
    """This status, with JSON."""

    async def handle(_: web.Request) -> web.StreamResponse:
        content = {"error": {"message": f"says {status}"}} if body is None else body
        return web.json_response(content, status=status, headers=headers)

    return handle


def answers(text: str = "hello") -> Handler:
    """A whole answer with usage."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    return says(200, {"id": text, "choices": [choice], "usage": USAGE, "vendor": {"kept": True}})


def streams(*, wait: float = 0.0, gap: float = 0.0, usage: bool = True, cut: bool = False) -> Handler:
    """Chunks, then one of usage where it is asked for; `wait` s before the first, `gap` s after it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(wait)
        for chunk in CHUNKS:
            await response.write(_event(chunk))
            await asyncio.sleep(gap)
            if cut and request.transport is not None:
                request.transport.abort()
                return response
        if usage and asked.get("stream_options", {}).get("include_usage"):
            await response.write(_event({"id": "c", "choices": [], "usage": USAGE}))
        await response.write(b"data: [DONE]\n\n")
        return response

    return handle


def cuts() -> Handler:
    """A stream that is reset after its first chunk."""
    return streams(cut=True)


def resets() -> Handler:
    """The connection is reset before an answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return handle


def hangs() -> Handler:
    """No answer for a minute."""

    async def handle(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(_LONG)
        return web.Response()

    return handle


def trickles() -> Handler:
    """The beginning of a whole answer, and no end for a minute."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b" ")
        await asyncio.sleep(_LONG)
        return response

    return handle


@asynccontextmanager
async def upstream(*handlers: Handler) -> AsyncIterator[Upstream]:
    """A server that gives these answers in turn; the last one for ever."""
    seen = Upstream()

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        seen.raw.append(raw)
        seen.bodies.append(json.loads(raw))
        seen.headers.append({name.lower(): value for name, value in request.headers.items()})
        seen.paths.append(request.path)
        seen.busy.set()
        try:
            return await handlers[min(seen.asked, len(handlers)) - 1](request)
        except asyncio.CancelledError:
            seen.aborted += 1
            raise
        finally:
            seen.free.set()

    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(application)
    await server.start_server(shutdown_timeout=0.01)
    seen.url = str(server.make_url("")).rstrip("/")
    try:
        yield seen
    finally:
        await server.close()


async def nowhere() -> str:
    """An address where nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


def _event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
