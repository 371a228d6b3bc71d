"""Forwards bytes to a backend that speaks the client's protocol; one session of aiohttp, connections kept alive."""

import io
from dataclasses import dataclass, field

import aiohttp

from penstock_gateway.asgi import Headers
from penstock_gateway.dialects import Dialect
from penstock_gateway.errors import Fault, FaultKind
from penstock_gateway.upstream import Call

__all__ = ["Forwarder"]

_CONNECT_SECONDS = 1.0
# Engines close an idle connection after 5 s; a request must not meet that.
_KEEP_ALIVE_SECONDS = 4.0
_ONE_WRITE_BYTES = 2**20
_LONGEST_HEADER = 2**16
_NEVER = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_KEPT_BACK = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"date",
        b"server",
        b"set-cookie",
        b"alt-svc",
        b"strict-transport-security",
    }
)
_VERSION, _OLDEST_VERSION = "anthropic-version", "2023-06-01"
_OURS = (b"x-penstock-", b"x-litellm-")


@dataclass(slots=True)
class Forwarded:
    """An answer of aiohttp's client."""

    _response: aiohttp.ClientResponse
    status: int
    stream: bool
    headers: Headers = field(default_factory=list)

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise Fault(FaultKind.RESET) from error

    def close(self) -> None:
        self._response.close()


class Forwarder:
    """The client side of the edge; make it inside the event loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=10),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, connect=_CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NEVER,
            max_field_size=_LONGEST_HEADER,
        )

    async def open(self, call: Call) -> Forwarded:
        body = call.asked.towards(call.backend.model)
        try:
            response = await self._session.post(
                call.pod.url(call.asked.operation),
                # In one write a large body would hold up the loop.
                data=body if len(body) <= _ONE_WRITE_BYTES else io.BytesIO(body),
                headers=_headers(call),
                allow_redirects=False,
            )
        except aiohttp.ServerTimeoutError as error:
            raise Fault(FaultKind.CONNECT_TIMEOUT) from error
        except aiohttp.ClientConnectorError as error:
            raise Fault(FaultKind.CONNECT) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Fault(FaultKind.RESET) from error
        stream = response.headers.get("Content-Type", "").startswith("text/event-stream")
        return Forwarded(response, response.status, stream, _visible(response))

    async def close(self) -> None:
        await self._session.close()


def _headers(call: Call) -> list[tuple[str, str]]:
    # Compressed answers could not be read for their usage.
    headers = [*call.headers, ("Content-Type", "application/json"), ("Accept-Encoding", "identity")]
    if call.dialect is Dialect.ANTHROPIC and all(name != _VERSION for name, _ in call.headers):
        # Anthropic refuses requests without it, and a client of another gateway may send none.
        headers.append((_VERSION, _OLDEST_VERSION))
    if not call.credential:
        return headers
    if call.dialect is Dialect.ANTHROPIC:
        return [*headers, ("x-api-key", call.credential)]
    return [*headers, ("Authorization", f"Bearer {call.credential}")]


def _visible(response: aiohttp.ClientResponse) -> Headers:
    lowered = ((name.lower(), value) for name, value in response.raw_headers)
    return [(name, value) for name, value in lowered if name not in _KEPT_BACK and not name.startswith(_OURS)]
