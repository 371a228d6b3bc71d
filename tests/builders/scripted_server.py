"""An HTTP server that answers what a test wrote down, and remembers what it was asked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from builders.clock import InstantClock
from penstock.cluster.client import Client

__all__ = ["Asked", "Scripted", "answer", "scripted", "status"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Scripted:
    """The client under test, its clock, and what the server saw."""

    client: Client
    clock: InstantClock
    asked: list[Asked] = field(default_factory=list)


def answer(body: Any, *, code: int = 200, headers: dict[str, str] | None = None) -> Handler:
    """A JSON answer."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return handle


def status(code: int, reason: str = "", message: str = "", *, headers: dict[str, str] | None = None) -> Handler:
    """A Status object, as the API server refuses."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return answer({**body, "code": code, "details": {"kind": "x"}}, code=code, headers=headers)


@asynccontextmanager
async def scripted(folder: Path, *handlers: Handler) -> AsyncIterator[Scripted]:
    """A client against a server that gives these answers in turn; the last one for ever."""
    asked: list[Asked] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        return await handlers[min(len(asked), len(handlers)) - 1](request)

    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(application)
    await server.start_server()
    kubeconfig = _write_kubeconfig(folder, str(server.make_url("")))
    clock = InstantClock()
    client = await Client.connect(kubeconfig=str(kubeconfig), clock=clock, random=Random(1))
    try:
        yield Scripted(client, clock, asked)
    finally:
        await client.close()
        await server.close()


def _write_kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": {"server": url.rstrip("/")}}],
                "users": [{"name": "test", "user": {"token": "secret-token"}}],
            }
        )
    )
    return path
