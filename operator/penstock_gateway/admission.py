"""Who calls and what may be asked: keys, headers and bodies, before any decision."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256

from penstock_gateway.asgi import Receive, Scope, read_body
from penstock_gateway.errors import Refused
from penstock_policy.decision import Index
from penstock_policy.table import Consumer

__all__ = ["authenticate", "body_of", "headers_of", "passed_on"]

_MOST_BODY_BYTES = 10 * 2**20
_BODY_SECONDS = 60.0
_PASSED = (
    "accept",
    "user-agent",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "traceparent",
    "tracestate",
    "x-request-id",
)
"""All that goes on of a client's headers: what steers LiteLLM or carries a key cannot be among them."""


def headers_of(scope: Scope) -> dict[str, str]:
    """By lower-case name, as servers of ASGI give them; of two with one name the last counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def authenticate(index: Index, headers: Mapping[str, str]) -> Consumer:
    """Refused with 401 for no key, or one that nobody has. The look-up is by digest: its time says nothing of keys."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        key = headers.get("x-api-key", "")
    if not key:
        raise Refused(401, "api_key_missing", "An API key is required: Authorization: Bearer, or x-api-key")
    consumer = index.consumers.get(sha256(key.strip().encode("latin-1")).hexdigest())
    if consumer is None:
        raise Refused(401, "invalid_api_key", "The API key is not known here")
    return consumer


async def body_of(headers: Mapping[str, str], receive: Receive) -> bytes:
    """Refused with 408 where it does not come, 413 where it is too long, 415 where compression hides how long it is."""
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refused(415, "encoding_not_supported", f"content-encoding: {encoding} is not accepted")
    stated = headers.get("content-length", "0")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await read_body(receive, stated=int(stated) if stated.isdecimal() else 0, limit=_MOST_BODY_BYTES)
    except TimeoutError:
        raise Refused(408, "request_timeout", "The request's body did not come in time") from None


def passed_on(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What of them goes on to an upstream."""
    return tuple((name, headers[name]) for name in _PASSED if name in headers)
