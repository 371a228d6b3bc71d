"""A control-plane server for tests: in process behind ASGI, or a real one on loopback; its clients, and tables."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from penstock.server.access import Access, Authenticator, Verb, Verdict
from penstock.server.application import application
from penstock.server.database import Database
from penstock.server.listening import listening
from penstock.server.parts import Parts
from penstock.server.process import serve
from penstock.server.tls import CertificateFiles
from penstock.workqueue.clock import Clock, SystemClock

__all__ = [
    "GATEWAY",
    "OPERATOR",
    "PERSON",
    "Allowing",
    "Caller",
    "hash_of",
    "in_process",
    "on_loopback",
    "report",
    "sqlite_url",
    "table",
]

GATEWAY = "/v1/gateways/serving/entry"
OPERATOR = "operator-" + "o" * 32
PERSON = "person-" + "p" * 32


@dataclass(slots=True)
class Allowing:
    """The operator may do everything, a person may read."""

    asked: list[Access] = field(default_factory=list)

    async def judge(self, token: str, access: Access) -> Verdict:
        """By the two tokens that tests use."""
        self.asked.append(access)
        if token == OPERATOR:
            return Verdict("operator", allowed=True)
        return Verdict("ada", allowed=access.verb is Verb.GET) if token == PERSON else Verdict("", allowed=False)


def hash_of(number: int) -> str:
    """A hash as tables have them."""
    return f"{number:064x}"


def table(generation: int, *, gateway: str = "serving/entry", number: int | None = None, padding: int = 0) -> bytes:
    """A table as the server sees it; `number` makes the hash, else the generation does."""
    digest = hash_of(generation if number is None else number)
    content = {"gateway": gateway, "hash": digest, "generation": generation, "routes": ["é" * padding]}
    return json.dumps(content, ensure_ascii=False).encode()


def report(generation: int = 1, **more: Any) -> dict[str, Any]:
    """What a replica says that applied that generation."""
    said = {
        "hash": hash_of(generation) if generation else "",
        "generation": generation,
        "credentialVersion": "7",
        "state": "Serving",
        "pod": "entry-0",
        "version": "0.1.0",
        "inFlight": {"a": 1},
    }
    return {**said, **more}


@dataclass(slots=True)
class Caller:
    """Requests to one server, about one gateway."""

    client: httpx.AsyncClient
    parts: Parts
    gateway: str = GATEWAY

    async def publish(
        self,
        generation: int,
        *,
        expected: int | str = "",
        term: int = 1,
        token: str = OPERATOR,
        body: bytes | None = None,
    ) -> httpx.Response:
        """As the operator does."""
        headers = {
            "Penstock-Term": str(term),
            "Penstock-Expected-Hash": hash_of(expected) if isinstance(expected, int) else expected,
            **bearer(token),
        }
        content = table(generation) if body is None else body
        return await self.client.put(f"{self.gateway}/table", headers=headers, content=content)

    async def pull(self, token: str, *, have: str = "", wait: float = 0, generation: int = 0) -> httpx.Response:
        """As a replica does."""
        query = {"have": have, "wait": str(wait), "generation": str(generation)}
        return await self.client.get(f"{self.gateway}/table", params=query, headers=bearer(token))

    async def report(self, token: str, said: Mapping[str, Any], *, uid: str = "uid-1") -> httpx.Response:
        """As a replica does."""
        return await self.client.put(f"{self.gateway}/replicas/{uid}", json=said, headers=bearer(token))

    async def replicas(self, *, since: str = "", wait: float = 0, token: str = OPERATOR) -> httpx.Response:
        """As the operator does."""
        query = {"since": since, "wait": str(wait)}
        return await self.client.get(f"{self.gateway}/replicas", params=query, headers=bearer(token))

    async def token(self) -> str:
        """A new one for the gateway."""
        answer = await self.client.post(f"{self.gateway}/tokens", headers=bearer(OPERATOR))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


def bearer(token: str) -> dict[str, str]:
    """The header; none for an empty token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def sqlite_url(folder: Path) -> str:
    """A database in a file."""
    return f"sqlite:///{folder / 'penstock.db'}"


@asynccontextmanager
async def in_process(
    url: str, *, clock: Clock | None = None, authenticator: Authenticator | None = None, most_waiters: int = 4000
) -> AsyncIterator[Caller]:
    """The application without sockets; its watcher runs, on that clock."""
    database = Database(url)
    try:
        await database.migrate()
        parts = Parts.build(database, authenticator or Allowing(), clock or SystemClock(), most_waiters=most_waiters)
        watching = asyncio.create_task(parts.watcher.run())
        transport = httpx.ASGITransport(application(parts), raise_app_exceptions=False)
        async with AsyncExitStack() as stack:
            client = httpx.AsyncClient(transport=transport, base_url="http://server", timeout=30)
            yield Caller(await stack.enter_async_context(client), parts)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    finally:
        await database.close()


@asynccontextmanager
async def on_loopback(
    url: str,
    *,
    stop: asyncio.Event | None = None,
    port: int = 0,
    tls: CertificateFiles | None = None,
    verify: ssl.SSLContext | bool = True,
    clock: Clock | None = None,
) -> AsyncIterator[Caller]:
    """A real server, from migrations to the last request, until the block or `stop` ends it.

    `verify` is the client's.
    """
    ended, database = stop or asyncio.Event(), Database(url)
    parts = Parts.build(database, Allowing(), clock or SystemClock())
    with listening("127.0.0.1", port) as listener:
        serving = asyncio.create_task(serve(parts, listener, ended, tls))
        address = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False, verify=verify) as client:
                await _ready(client)
                yield Caller(client, parts)
        finally:
            ended.set()
            await serving
            await database.close()


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
