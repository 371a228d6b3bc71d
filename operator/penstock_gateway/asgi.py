"""ASGI by hand: the few words of it that the edge speaks. No framework, because each layer costs on the hot path."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from penstock_gateway.errors import Refused

__all__ = ["Application", "ClientLeft", "Headers", "Receive", "Scope", "Send", "read_body", "respond", "start"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")


class ClientLeft(Exception):
    """The client closed its connection before it had sent its request."""


async def read_body(receive: Receive, *, stated: int, limit: int) -> bytes:
    """The request's body; Refused with 413 above `limit` bytes, whether stated or sent."""
    if stated > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(message.get("body", b""), limit)
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientLeft


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> Refused:
    return Refused(413, "request_too_large", f"The request's body is longer than {limit} bytes")


def start(status: int, headers: Headers) -> Message:
    """The message that opens a response."""
    return {"type": "http.response.start", "status": status, "headers": headers}


async def respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (_JSON,)) -> None:
    """A whole response, by default of JSON."""
    length = (b"content-length", str(len(body)).encode())
    await send(start(status, [*headers, length]))
    await send({"type": "http.response.body", "body": body})
