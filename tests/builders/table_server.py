"""The server as a gateway sees it: long poll, acknowledgements, and faults on demand; scripted, on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from penstock_policy.table import Table
from penstock_policy.wire import encode

__all__ = ["TableServer", "table_server"]


@dataclass
class TableServer:
    """What it publishes, what it heard. `fails` is a status that every call gets; `token` the only one it takes.

    `replicas` is how many it says are live; 0: it says nothing of them.
    """

    url: str = ""
    document: bytes = b""
    fails: int = 0
    token: str = ""
    replicas: int = 0
    polls: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def publish(self, table: Table | bytes) -> None:
        """From now on it has this."""
        async with self.changed:
            self.document = table if isinstance(table, bytes) else encode(table)
            self.changed.notify_all()

    async def heard(self, **wanted: Any) -> dict[str, Any]:
        """A report that says this, as soon as there is one."""
        async with asyncio.timeout(10), self.changed:
            while True:
                for report in self.reports:
                    if all(report[name] == value for name, value in wanted.items()):
                        return report
                await self.changed.wait()

    async def table(self, request: web.Request) -> web.StreamResponse:
        """The long poll, which is a short one here."""
        self.polls += 1
        self._check(request)
        if not self.document:
            raise web.HTTPNotFound
        for _ in range(20):
            if self._hash() != request.query["have"]:
                return web.Response(body=self.document, headers={"ETag": f'"{self._hash()}"'})
            await asyncio.sleep(0.01)
        return web.Response(status=304)

    async def replica(self, request: web.Request) -> web.StreamResponse:
        """An acknowledgement."""
        self._check(request)
        report = await request.json()
        self.paths.append(request.path)
        async with self.changed:
            self.reports.append(report)
            self.changed.notify_all()
        return web.json_response({"replicas": self.replicas}) if self.replicas else web.Response(status=204)

    def _hash(self) -> str:
        try:
            return str(json.loads(self.document)["hash"])
        except ValueError:
            return "broken"

    def _check(self, request: web.Request) -> None:
        if self.fails:
            raise web.HTTPServiceUnavailable
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized


@asynccontextmanager
async def table_server() -> AsyncIterator[TableServer]:
    """Serve until the test is through."""
    plane = TableServer()
    application = web.Application()
    application.router.add_get("/v1/gateways/{namespace}/{name}/table", plane.table)
    application.router.add_put("/v1/gateways/{namespace}/{name}/replicas/{uid}", plane.replica)
    server = TestServer(application)
    await server.start_server(shutdown_timeout=0.01)
    plane.url = str(server.make_url("")).rstrip("/")
    try:
        yield plane
    finally:
        await server.close()
