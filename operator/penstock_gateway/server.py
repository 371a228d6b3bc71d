"""The control-plane server as a replica sees it: two calls, and a token from a file that is read anew as it changes."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from penstock_gateway.errors import ServerAway
from penstock_gateway.trust import Trust

__all__ = ["Server"]

_WAIT_SECONDS = 30
_SLACK_SECONDS = 10.0
_CALL_SECONDS = 5.0
_CONNECT_SECONDS = 2.0
_LARGEST_TABLE_BYTES = 64 * 2**20
_UNAUTHORIZED = (401, 403)


@dataclass(slots=True)
class Server:
    """Make it inside the event loop. Every failure is a ServerAway."""

    url: str
    gateway: str
    pod_uid: str
    token_file: Path | None
    session: aiohttp.ClientSession
    trust: Trust = field(default_factory=lambda: Trust(None))
    _token: str | None = None
    _seen: tuple[int, int] | None = None

    async def table(self, have: str, generation: int) -> bytes | None:
        """A table other than the one with the hash `have`, not older, when there is one; None after a while without."""
        address = f"{self.url.rstrip('/')}/v1/gateways/{self.gateway}/table"
        query = {"have": have, "generation": str(generation), "wait": str(_WAIT_SECONDS)}
        status, body = await self._call("GET", address, _WAIT_SECONDS + _SLACK_SECONDS, params=query)
        if status in {204, 304}:
            return None
        if status != 200:  # noqa: PLR2004 # HTTP's own number
            message = f"the server has no table for {self.gateway}" if status == 404 else f"the server says {status}"  # noqa: PLR2004
            raise ServerAway(message)
        return body

    async def acknowledge(self, report: Mapping[str, Any]) -> int | None:
        """Say which table and credentials this replica has; how many replicas are live, if the server says it."""
        address = f"{self.url.rstrip('/')}/v1/gateways/{self.gateway}/replicas/{self.pod_uid}"
        headers = {"Content-Type": "application/json"}
        status, body = await self._call("PUT", address, _CALL_SECONDS, data=orjson.dumps(report), headers=headers)
        if status not in range(200, 300):
            message = f"the server answers an acknowledgement with {status}"
            raise ServerAway(message)
        return _replicas(body)

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()

    async def _call(self, method: str, address: str, seconds: float, **more: Any) -> tuple[int, bytes]:
        more["ssl"] = await asyncio.to_thread(self._refresh)
        used = self._token
        status, body = await self._once(method, address, seconds, more)
        if status not in _UNAUTHORIZED:
            return status, body
        await asyncio.to_thread(self._read_token)
        # The other call may have read the new one already.
        return await self._once(method, address, seconds, more) if self._token != used else (status, body)

    async def _once(self, method: str, address: str, seconds: float, more: Mapping[str, Any]) -> tuple[int, bytes]:
        headers = {**more.get("headers", {}), **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        timeout = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
        try:
            async with self.session.request(
                method, address, **{**more, "headers": headers}, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await _bounded(response)
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
            message = f"{method} {address}: the server's certificate is not trusted: {why}; see --server-ca-file"
            raise ServerAway(message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"{method} {address}: {type(error).__name__} {error}".rstrip()
            raise ServerAway(message) from error

    def _refresh(self) -> ssl.SSLContext | bool:
        """The token where its file has changed: the server lets the former one go once all replicas use the new one."""
        if self._token is None or self._seen != _stamp(self.token_file):
            self._read_token()
        return self.trust.context()

    def _read_token(self) -> None:
        """A file that cannot be read leaves the last one."""
        try:
            self._seen = _stamp(self.token_file)
            self._token = self.token_file.read_text().strip() if self.token_file else ""
        except OSError:
            self._token = self._token or ""


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Other ones where a mounted Secret was swapped; None where there is no file."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns) if status else None


def _replicas(answer: bytes) -> int | None:
    """None also of an answer that is no JSON: an older server's has no such field."""
    try:
        content = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    count = content.get("replicas") if isinstance(content, dict) else None
    return count if isinstance(count, int) and count > 0 else None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _LARGEST_TABLE_BYTES:
            message = "the server's answer is too long for a table"
            raise ServerAway(message)
    return b"".join(parts)
