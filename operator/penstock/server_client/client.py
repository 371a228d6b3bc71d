"""The control-plane server as the operator sees it: publish, read back, hear of replicas, make tokens, forget.

Remembers nothing and tries nothing twice: who calls knows when to come again.
"""

import re
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from penstock.server_client.answers import LiveReplica, LiveReplicas, PublishedHead
from penstock.server_client.errors import ServerRefused
from penstock.server_client.reading import read_head, read_replicas, read_table, read_token
from penstock.server_client.transport import Call, Limits, Session, address_of
from penstock.server_client.trust import Trust, TrustingTransport

__all__ = ["LiveReplica", "LiveReplicas", "PublishedHead", "ServerClient"]

# A long poll holds a connection nearly all the time, one per gateway, and 100 gateways are what is promised; short
# requests have connections of their own, so that no number of polls keeps a publication waiting.
_POLL_CONNECTIONS = 128
_SHORT_CONNECTIONS = 16
_LONGEST_WAIT = 55.0
_MEBIBYTE = 2**20
_LARGEST_REPLICAS = 16 * _MEBIBYTE
_LARGEST_TABLE = 40 * _MEBIBYTE
_GATEWAY = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NOT_FOUND = 404


class ServerClient:
    """The server at `url`; make it inside the event loop, close it there.

    `token` is called for every request, `trust` for the authorities in PEM (None: those of the system). `gateway` is
    always `namespace/name`. Every method raises ServerAway and ServerRefused; what else is said there. Cancelling a
    call is safe at any time.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        trust: Trust | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        limits: Limits | None = None,
    ) -> None:
        address, limits = address_of(url), limits or Limits()
        short, polls = (transport, transport) if transport else _pools(trust, _SHORT_CONNECTIONS, _POLL_CONNECTIONS)
        self._short = Session(_client(address, short), token, limits)
        self._polls = Session(_client(address, polls), token, limits)

    async def publish(self, gateway: str, document: bytes, *, term: int, expected_hash: str) -> PublishedHead:
        """Put a table in place of the one with `expected_hash` (empty: none); what is there already is success.

        `term` is the Lease's generation. Raises StaleTerm, TableConflict and StaleGeneration.
        """
        what = f"publishing the table of {gateway}"
        fence = {"penstock-term": str(term), "penstock-expected-hash": expected_hash}
        headers = {**fence, "content-type": "application/json"}
        path = f"{_path(gateway)}/table"
        answer = await self._short.ask(
            Call("PUT", path, what, headers=headers, content=document, carries=len(document))
        )
        return read_head(what, answer.body)

    async def table(self, gateway: str) -> bytes | None:
        """What is published, at most 40 MiB, byte for byte; None: nothing."""
        path, what = f"{_path(gateway)}/table", f"reading the table of {gateway}"
        call = Call("GET", path, what, at_most=_LARGEST_TABLE, carries=_LARGEST_TABLE)
        try:
            answer = await self._short.ask(call)
        except ServerRefused as refused:
            # Only in the server's own words: a proxy that knows no such path must not look like an empty server.
            if refused.reason != "NotPublished":
                raise
            return None
        return read_table(what, answer.headers, answer.body)

    async def replicas(self, gateway: str, *, since: str = "", wait_seconds: float = 0) -> LiveReplicas | None:
        """Who is live and what each has applied; with `since`, as soon as it is not so any more.

        None: nothing changed within `wait_seconds`, of which at most 55 are waited.
        """
        path, what = f"{_path(gateway)}/replicas", f"reading the replicas of {gateway}"
        wait = min(max(wait_seconds, 0.0), _LONGEST_WAIT)
        query = {"since": since, "wait": f"{wait:g}"}
        call = Call("GET", path, what, at_most=_LARGEST_REPLICAS, wait_seconds=wait, conditional=True, query=query)
        answer = await (self._polls if wait else self._short).ask(call)
        return None if answer.unchanged else read_replicas(what, answer.body)

    async def make_token(self, gateway: str) -> str:
        """A new token for the gateway's replicas; the server shows it this once."""
        what = f"making a token for {gateway}"
        answer = await self._short.ask(Call("POST", f"{_path(gateway)}/tokens", what))
        return read_token(what, answer.body)

    async def forget(self, gateway: str, *, term: int) -> None:
        """Its table, replicas and tokens go; one that the server does not know is forgotten. Raises StaleTerm."""
        call = Call("DELETE", _path(gateway), f"forgetting {gateway}", headers={"penstock-term": str(term)})
        try:
            await self._short.ask(call)
        except ServerRefused as refused:
            if refused.status != _NOT_FOUND or not refused.reason:
                raise

    async def close(self) -> None:
        """Close the connections; requests that are under way fail."""
        await self._short.client.aclose()
        await self._polls.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _client(address: httpx.URL, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    headers = {"accept-encoding": "identity", "user-agent": "penstock-operator"}
    return httpx.AsyncClient(base_url=address, transport=transport, headers=headers, trust_env=False)


def _pools(trust: Trust | None, *sizes: int) -> list[httpx.AsyncBaseTransport]:
    """One for each size; the system's authorities are read once, and SSL_CERT_FILE names others."""
    if trust is not None:
        return [TrustingTransport(trust, connections=connections) for connections in sizes]
    context = httpx.create_ssl_context()
    return [
        httpx.AsyncHTTPTransport(verify=context, limits=httpx.Limits(max_connections=connections))
        for connections in sizes
    ]


def _path(gateway: str) -> str:
    """Of a gateway; ServerRefused where its name is none that Kubernetes gives, and could lead elsewhere."""
    if not _GATEWAY.fullmatch(gateway):
        message = f"gateway '{gateway[:320]}' is not namespace/name, as Kubernetes names them; check the name"
        raise ServerRefused(message)
    return f"/v1/gateways/{gateway}"
