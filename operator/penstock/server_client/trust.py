"""Whom the operator trusts to be the server: a bundle of authorities that may change at any time, without a restart."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from penstock.server_client.errors import ServerAway

__all__ = ["BundleFile", "IssuedBundle", "Trust", "TrustingTransport", "context_of"]

_LARGEST_FILE = 1024 * 1024
_OPTION = "check `--server-ca-file`"

Trust = Callable[[], str]
"""The bundle as it is now, in PEM; ServerAway where there is none."""


@dataclass(slots=True)
class IssuedBundle:
    """What this operator signs by; empty until it leads and has made it."""

    pem: str = ""

    def __call__(self) -> str:
        """In PEM; ServerAway as long as there is none."""
        if not self.pem:
            message = "the server is not asked before its certificates are made (`--issue-certificates`)"
            raise ServerAway(message)
        return self.pem


@dataclass(slots=True)
class BundleFile:
    """A file of at most 1 MiB that is read anew when it changes; one that becomes unusable leaves what was read."""

    path: Path
    _seen: tuple[int, int, int] | None = None
    _pem: str = field(default="", repr=False)

    def __call__(self) -> str:
        """In PEM; ServerAway where there never was one that could be used."""
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._pem, self._seen = self._read(), seen
        except (OSError, ValueError) as error:
            if not self._pem:
                why = (error.strerror if isinstance(error, OSError) else "") or "it holds no certificate in PEM"
                message = f"reading the server's authorities from {self.path}: {why}; {_OPTION}"
                raise ServerAway(message) from error
        return self._pem

    def _read(self) -> str:
        """ValueError where it is no bundle (ssl.SSLError is an OSError); it may be half written at this moment."""
        with self.path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ValueError
        pem = content.decode("ascii", errors="ignore")
        context_of(pem)
        return pem


def context_of(pem: str) -> ssl.SSLContext:
    """Verifies names and chains against this bundle alone, TLS 1.2 or newer; ssl.SSLError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pem)
    if not context.cert_store_stats()["x509"]:
        raise ValueError
    return context


@dataclass(slots=True)
class _Pool:
    """Connections under one bundle; `busy` counts answers that are not read to their end."""

    bundle: str = field(repr=False)
    transport: httpx.AsyncHTTPTransport
    busy: int = 0


class TrustingTransport(httpx.AsyncBaseTransport):
    """New connections are made under the bundle as it is now; old ones end when their last answer is read."""

    def __init__(self, trust: Callable[[], str], *, connections: int) -> None:
        self._trust = trust
        self._limits = httpx.Limits(max_connections=connections)
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Over the newest pool; ServerAway where nobody is trusted yet."""
        pool = self._current()
        pool.busy += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            await self._release(pool)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the types; httpx always gives one
        response.stream = _Counted(response.stream, lambda: self._release(pool))
        return response

    async def aclose(self) -> None:
        """Close all of them."""
        while self._pools:
            await self._pools.pop().transport.aclose()

    def _current(self) -> _Pool:
        bundle = self._trust()
        if not self._pools or self._pools[-1].bundle != bundle:
            transport = httpx.AsyncHTTPTransport(verify=context_of(bundle), limits=self._limits)
            self._pools.append(_Pool(bundle, transport))
        return self._pools[-1]

    async def _release(self, pool: _Pool) -> None:
        pool.busy -= 1
        for old in [each for each in self._pools[:-1] if not each.busy]:
            self._pools.remove(old)
            await old.transport.aclose()


class _Counted(httpx.AsyncByteStream):
    """Says when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, released: Callable[[], Awaitable[None]]) -> None:
        self._stream, self._released = stream, released
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        """Once, however often it is called."""
        if self._open:
            self._open = False
            try:
                await self._stream.aclose()
            finally:
                await self._released()
