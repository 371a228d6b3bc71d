"""An edge behind a real uvicorn on loopback, with a client, for tests."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from builders.tables import KEY
from penstock_gateway.asgi import Application
from penstock_gateway.forwarding import Forwarder
from penstock_gateway.process import Parts, Settings, assemble, listener
from penstock_gateway.upstream import Upstream
from penstock_policy.table import Table
from penstock_policy.wire import encode

__all__ = ["Stage", "edge"]


@dataclass
class Stage:
    """The edge's parts, its address, and a client."""

    parts: Parts
    url: str
    client: aiohttp.ClientSession
    folder: Path
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})

    async def ask(self, path: str = "/v1/chat/completions", **more: Any) -> aiohttp.ClientResponse:
        """POST; the answer is read. `body` are more fields, `raw` are bytes instead of all of them."""
        headers = {**self.headers, **more.pop("headers", {})}
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], **more.pop("body", {})}
        data = more.pop("raw", None) or json.dumps(body).encode()
        response = await self.client.post(self.url + path, data=io.BytesIO(data), headers=headers, **more)
        await response.read()
        return response

    async def records(self) -> list[dict[str, Any]]:
        """What the spool holds."""
        await self.parts.spool.flush()
        files = sorted(self.folder.glob("spool/*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def value(self, name: str, **labels: str) -> float:
        """Of a metric."""
        return self.parts.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def edge(
    folder: Path, table: Table | None, *, translator: Upstream | None = None, downstream: Application | None = None
) -> AsyncIterator[Stage]:
    """Serve until the test is through."""
    settings = Settings("ai/main", "uid-1", folder / "table.json", folder / "spool", host="127.0.0.1", drain_seconds=1)
    forwarder = Forwarder()
    parts = assemble(settings, forwarder, translator, downstream)
    if table is not None:
        assert await parts.live.offer(encode(table))
    server = listener(settings, parts.edge, 0)
    # Without the loop of `serve`, which looks ten times a second whether it is to end.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession() as client:
            yield Stage(parts, f"http://127.0.0.1:{port}", client, folder)
    finally:
        await server.shutdown()
        await forwarder.close()
