"""Bounded GETs against the hub: size, time, redirects; what comes back is bytes or one of our errors.

A token goes to the hub it was given for and nowhere else; neither it nor what a server sent is ever put in a message.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from penstock.hub.errors import CredentialsNeeded, HubUnavailable, MalformedModel, ModelNotFound

__all__ = ["HubSession", "Limits"]

_REDIRECTS = 5
_LONGEST_RETRY_AFTER = 3600.0
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500
_DENIED = frozenset({401, 403})
_MISSING = frozenset({404, 410})
_OK = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, between two bytes, and for one request in all."""

    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    total_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class HubSession:
    """One conversation about one model; `subject` is what messages call it."""

    client: httpx.AsyncClient
    subject: str
    token_given: bool
    limits: Limits

    async def json(self, path: str, *, at_most: int) -> Any:
        """The parsed JSON at `path`; MalformedModel where it is none or larger than `at_most` bytes."""
        content = await self.content(path, at_most=at_most)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            message = f"reading {self.subject}: {path.rpartition('/')[2]} is not JSON; pick another revision or mirror"
            raise MalformedModel(message) from error

    async def content(self, path: str, *, at_most: int, headers: Mapping[str, str] | None = None) -> bytes:
        """The bytes at `path`; every way in which that may fail is one of hub/errors.py."""
        try:
            async with asyncio.timeout(self.limits.total_seconds):
                return await self._content(path, at_most=at_most, headers=headers or {})
        except TimeoutError as error:
            message = f"reading {self.subject}: {self.host} took more than {self.limits.total_seconds:g} s"
            raise HubUnavailable(message) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"reading {self.subject}: {self.host} cannot be reached ({type(error).__name__})"
            raise HubUnavailable(message) from error

    @property
    def host(self) -> str:
        """The hub's host, for messages."""
        return self.client.base_url.host

    async def _content(self, path: str, *, at_most: int, headers: Mapping[str, str]) -> bytes:
        request = self.client.build_request("GET", path, headers=dict(headers))
        for _ in range(_REDIRECTS + 1):
            response = await self.client.send(request, stream=True)
            try:
                if response.next_request is None:
                    self._check(response)
                    return await self._read(response, path, at_most=at_most)
                request = self._followed(response.next_request)
            finally:
                await response.aclose()
        message = f"reading {self.subject}: {self.host} redirected more than {_REDIRECTS} times"
        raise HubUnavailable(message)

    def _followed(self, request: httpx.Request) -> httpx.Request:
        """Redirects to a store elsewhere are usual; giving up encryption on the way is not."""
        if self.client.base_url.scheme == "https" and request.url.scheme != "https":
            message = f"reading {self.subject}: {self.host} redirected to an unencrypted address"
            raise HubUnavailable(message)
        return request

    async def _read(self, response: httpx.Response, path: str, *, at_most: int) -> bytes:
        """Stops at the limit whatever the headers promise; compressed bodies count unpacked."""
        received = bytearray()
        async for chunk in response.aiter_bytes(chunk_size=65_536):
            received += chunk
            if len(received) > at_most:
                message = f"reading {self.subject}: {path.rpartition('/')[2]} is larger than {at_most} bytes"
                raise MalformedModel(message)
        return bytes(received)

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _OK:
            return
        code = response.headers.get("x-error-code", "")
        if code == "RevisionNotFound" or status in _MISSING:
            message = f"{self.subject} does not exist on {self.host}; check `spec.model` and `spec.revision`"
            raise ModelNotFound(message)
        if status in _DENIED:
            raise self._denied(code)
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
            message = f"reading {self.subject}: {self.host} answered {status}"
            raise HubUnavailable(message, retry_after=_retry_after(response))
        message = f"reading {self.subject}: {self.host} answered {status}; check `source.hub.mirrorURL`"
        raise MalformedModel(message)

    def _denied(self, code: str) -> CredentialsNeeded:
        """Hubs answer alike for what is private and what does not exist, so the message names both."""
        if not self.token_given:
            return CredentialsNeeded(
                f"{self.subject} is private, gated or does not exist on {self.host};"
                " name a Secret with a token in `spec.credentialsRef`, or check `spec.model`"
            )
        why = "is gated and its terms are not accepted" if code == "GatedRepo" else "is not open"
        return CredentialsNeeded(
            f"{self.subject} {why} for the token of `spec.credentialsRef` on {self.host};"
            " accept the model's terms with that account, or use another token"
        )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds only; the date form would need a clock."""
    stated = response.headers.get("retry-after", "")
    if not stated.isdecimal():
        return None
    return min(float(stated), _LONGEST_RETRY_AFTER)
