"""Asking one engine for its metrics: bounded in time and size, over plain HTTP inside the cluster, never followed away.

The engine's pod may run foreign code: what it answers is read as numbers and never shown.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from penstock.api.formats import EngineName
from penstock.engine_readings.errors import EngineUnreachable, MalformedMetrics
from penstock.engine_readings.reading import EngineReading, read_metrics

__all__ = ["EngineClient", "Limits"]

_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect and for one answer in all, and the most bytes of it."""

    connect_seconds: float = 2.0
    total_seconds: float = 10.0
    most_bytes: int = 4 * 2**20


class EngineClient:
    """Keeps no connection between two questions: an engine is asked every few minutes."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None, limits: Limits | None = None) -> None:
        self._transport = transport
        self._limits = limits or Limits()

    async def read(self, url: str, engine: EngineName) -> EngineReading:
        """What the engine at `url` (without a path) says; raises the leaves of engine_readings/errors.py."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                body = await self._body(f"{url}/metrics")
        except TimeoutError as error:
            message = f"it took more than {self._limits.total_seconds:g} s"
            raise EngineUnreachable(message) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"it cannot be reached ({type(error).__name__})"
            raise EngineUnreachable(message) from error
        return read_metrics(engine, body.decode(errors="replace"))

    async def _body(self, url: str) -> bytes:
        timeout = httpx.Timeout(self._limits.total_seconds, connect=self._limits.connect_seconds)
        # No certificate is checked, as none is asked for: the address is a pod's, over plain HTTP.
        client = httpx.AsyncClient(
            transport=self._transport or httpx.AsyncHTTPTransport(verify=False), timeout=timeout, trust_env=False
        )
        async with client, client.stream("GET", url) as response:
            if response.status_code != HTTPStatus.OK:
                message = f"it answered {response.status_code}"
                raise EngineUnreachable(message)
            return await self._bounded(response)

    async def _bounded(self, response: httpx.Response) -> bytes:
        """Stops at the limit whatever the headers promise; compressed bodies count unpacked."""
        received = bytearray()
        async for chunk in response.aiter_bytes(chunk_size=_CHUNK_BYTES):
            received += chunk
            if len(received) > self._limits.most_bytes:
                message = f"its /metrics is larger than {self._limits.most_bytes} bytes"
                raise MalformedMetrics(message)
        return bytes(received)
