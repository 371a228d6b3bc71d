"""Bounded requests to the control-plane server: connections, time, size; what comes back is bytes or one of our errors.

The token goes to the one address that it is meant for: no redirect is followed and no proxy of the environment used.
It is read for each request, because a mounted file changes, and it is put in no message.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from penstock.server_client.errors import ServerAway, ServerRefused
from penstock.server_client.reading import error_of

__all__ = ["Answer", "Call", "Limits", "Session", "address_of"]

_CHUNK_BYTES = 65_536
_MEBIBYTE = 2**20
_LARGEST_ERROR = 65_536
_OK, _MULTIPLE_CHOICES, _NOT_MODIFIED = 200, 300, 304
_LARGEST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `what` is how messages begin, `at_most` bounds the answer in bytes.

    `wait_seconds` is how long the server is asked to be silent, `carries` the bytes that may take their time;
    `conditional`: 304 is an answer.
    """

    method: str
    path: str
    what: str
    at_most: int = _MEBIBYTE
    wait_seconds: float = 0.0
    carries: int = 0
    conditional: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect; for a request in all, a long poll's wait apart; and what each MiB of a table adds."""

    connect_seconds: float = 3.0
    request_seconds: float = 10.0
    mebibyte_seconds: float = 1.0

    def silent(self, call: Call) -> float:
        """How long nothing may come or go."""
        return self.request_seconds + call.wait_seconds

    def total(self, call: Call) -> float:
        """How long the whole of it may take; a table of 32 MiB takes its time on a slow network or database."""
        return self.silent(call) + self.mebibyte_seconds * call.carries / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class Answer:
    """A status of 2xx, or 304 without a body where that was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def unchanged(self) -> bool:
        """Nothing other than what was known."""
        return self.status == _NOT_MODIFIED


@dataclass(frozen=True, slots=True)
class Session:
    """Requests over one pool of connections."""

    client: httpx.AsyncClient
    token: Callable[[], str] = field(repr=False)
    limits: Limits

    async def ask(self, call: Call) -> Answer:
        """The answer where it is one that was hoped for; everything else is one of server_client/errors.py."""
        what, seconds = f"{call.what} at {self.address}", self.limits.total(call)
        token = _clean(self.token(), call.what)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(call, what, token)
        except TimeoutError as error:
            message = f"{what}: no whole answer within {seconds:g} s"
            raise ServerAway(message) from error
        except httpx.HTTPError as error:
            message = f"{what}: no whole answer ({_why(error)})"
            raise ServerAway(message) from error

    @property
    def address(self) -> str:
        """The server's, for messages."""
        return str(self.client.base_url).rstrip("/")

    async def _exchange(self, call: Call, what: str, token: str) -> Answer:
        response = await self.client.send(self._request(call, token), stream=True)
        status, headers = response.status_code, response.headers
        good = _OK <= status < _MULTIPLE_CHOICES or (call.conditional and status == _NOT_MODIFIED)
        try:
            body = await _received(response, call.at_most if good else _LARGEST_ERROR, what)
        finally:
            await response.aclose()
        if good:
            return Answer(status, headers, body)
        raise error_of(what, status, body, retry_after=headers.get("retry-after", ""), hidden=token)

    def _request(self, call: Call, token: str) -> httpx.Request:
        return self.client.build_request(
            call.method,
            call.path,
            params=call.query or None,
            headers={**call.headers, "authorization": f"Bearer {token}"},
            content=call.content,
            timeout=httpx.Timeout(self.limits.silent(call), connect=self.limits.connect_seconds),
        )


def _why(error: httpx.HTTPError) -> str:
    """The kind alone, but for a certificate that is refused: there the words are what helps."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {cause.verify_message}; check `--server-ca-file` and the server's names"
        )
    return f"{type(error).__name__}: TLS, {cause.reason}" if cause is not None else type(error).__name__


def address_of(url: str) -> httpx.URL:
    """The server's base URL; ServerRefused where it is none, or carries what would get into messages."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme in {"http", "https"} and address.host and not address.userinfo and not address.query:
        return address
    message = "`--server-url` is no http(s) address without user, password and query; give http://server:8090"
    raise ServerRefused(message)


async def _received(response: httpx.Response, at_most: int, what: str) -> bytes:
    """Stops at the limit whatever the headers promise; nothing is unpacked, so that no small body gets large."""
    if response.headers.get("content-encoding", "identity") != "identity":
        message = f"{what}: the answer is compressed, which was not asked for; take away the proxy that does it"
        raise ServerAway(message)
    received = bytearray()
    async for chunk in response.aiter_bytes(chunk_size=_CHUNK_BYTES):
        received += chunk
        if len(received) > at_most:
            message = f"{what}: {response.status_code}, with more than {at_most} bytes"
            raise ServerAway(message)
    return bytes(received)


def _clean(token: str, what: str) -> str:
    """A library below would show a header that it cannot send."""
    token = token.strip()
    if not token or len(token) > _LARGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        message = (
            f"{what}: the operator's token for the server is empty, too long or holds characters that no token has;"
            " check the file of `--server-token-file`"
        )
        raise ServerRefused(message)
    return token
