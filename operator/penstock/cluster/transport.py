"""Requests on their way: sent, counted, tried again, and every failure turned into a typed error.

Knows nothing of Kubernetes objects, and the official client only by what it is handed; `client.py` says what to send.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from penstock.cluster.errors import Forbidden, Unavailable, error_of
from penstock.cluster.resources import ResourceType
from penstock.cluster.retry import RetryPolicy
from penstock.cluster.wire import Object, PatchType, read_object, retry_after

__all__ = ["Login", "Observe", "Request", "Transport"]

T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_LONGEST_LINE = 2**23
_OK = 200
_FIRST_ERROR = 400
_UNAUTHENTICATED = 401
_LOGIN_EVERY_SECONDS = 60.0

Observe = Callable[[str, int], None]
"""Called with the method and the status of every answer; status 0 where none came."""

Login = Callable[[], Awaitable[None]]
"""Reads the credentials anew."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send; `what` says it in words, for errors: `applying Deployment ns/x`."""

    verb: str
    method: str
    kind: ResourceType
    path: str
    what: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = "application/json"

    @property
    def repeatable(self) -> bool:
        """False where a second one does harm if the first has happened after all."""
        return self.verb != "create" and self.content_type != PatchType.JSON


def _ignore(_method: str, _status: int) -> None:
    """Observe nothing."""


@dataclass(slots=True)
class Transport:
    """Sends through `api`, the official `ApiClient`; `requests` counts what was sent, by verb and plural."""

    api: Any
    retry: RetryPolicy
    login: Login | None = None
    observe: Observe = _ignore
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    _logged_in_at: float = 0.0

    def __post_init__(self) -> None:
        """The credentials are fresh."""
        self._logged_in_at = self.retry.clock.monotonic()

    async def send(self, request: Request) -> Object:
        """Try until it is answered for good, or the deadline has passed; once more after a new login."""

        async def attempt(seconds: float) -> Object:
            return await self._once(request, seconds)

        try:
            return await self.retry.run(attempt, repeatable=request.repeatable)
        except Forbidden as error:
            if error.status != _UNAUTHENTICATED or not await self._logged_in_anew():
                raise
        return await self.retry.run(attempt, repeatable=request.repeatable)

    async def stream(self, request: Request, *, inactivity: float) -> AsyncGenerator[bytes, None]:
        """The lines of one answer as they come; Unavailable after `inactivity` seconds of silence."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=inactivity)
        reply = await self._call(request, limits)
        try:
            if reply.status != _OK:
                raise await self._error(request, reply)
            content = reply.response.content
            while line := await _guarded(content.readline(max_line_length=_LONGEST_LINE), request.what):
                if line.strip():
                    yield line
        finally:
            # Whoever stops listening frees the connection; it cannot be used again, more may be on its way.
            reply.response.close()

    async def raw(self, request: Request, headers: dict[str, str]) -> tuple[int, bytes]:
        """The answer to one attempt, its status unchecked."""
        limits = aiohttp.ClientTimeout(total=self.retry.deadline)
        reply = await self._call(request, limits, headers)
        return reply.status, await _guarded(reply.read(), request.what)

    async def _once(self, request: Request, seconds: float) -> Object:
        reply = await self._call(request, aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS))
        if reply.status >= _FIRST_ERROR:
            raise await self._error(request, reply)
        return read_object(await _guarded(reply.read(), request.what), request.what)

    async def _error(self, request: Request, reply: Any) -> Exception:
        body = await _guarded(reply.read(), request.what)
        return error_of(reply.status, body, request.what, retry_after=retry_after(reply.headers))

    async def _call(
        self, request: Request, limits: aiohttp.ClientTimeout, headers: dict[str, str] | None = None
    ) -> Any:
        """Send it once; the head of the answer, its status unchecked."""
        self.requests[request.verb, request.kind.plural] += 1
        try:
            reply = await _guarded(self._exchange(request, limits, headers or {}), request.what)
        except Unavailable:
            self.observe(request.method, 0)
            raise
        self.observe(request.method, reply.status)
        return reply

    async def _exchange(self, request: Request, limits: aiohttp.ClientTimeout, headers: dict[str, str]) -> Any:
        method, url, all_headers, *_ = await self.api.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query),
            header_params={"Accept": "application/json", "Content-Type": str(request.content_type), **headers},
            auth_settings=["BearerToken"],
        )
        # The body goes past param_serialize, which would copy it leaf by leaf.
        return await self.api.call_api(method, url, all_headers, request.body, _request_timeout=limits)

    async def _logged_in_anew(self) -> bool:
        """True where credentials were read again; not more often than once a minute."""
        now = self.retry.clock.monotonic()
        if self.login is None or now - self._logged_in_at < _LOGIN_EVERY_SECONDS:
            return False
        self._logged_in_at = now
        await self.login()
        return True


async def _guarded(waiting: Awaitable[T], what: str) -> T:
    """Its result; Unavailable for all that a network can do."""
    try:
        return await waiting
    except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
        failure = Unavailable(f"{what}: {type(error).__name__} {error}")
        failure.sent = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        raise failure from error
