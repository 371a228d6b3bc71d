"""`penstock server` as processes on one PostgreSQL, and what they say of the gateway's replicas."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from level2.manifests import GATEWAY
from penstock.errors import ServerError
from penstock.server_client.client import LiveReplica, ServerClient
from penstock.simulation.server_process import ServerProcess
from penstock_policy.table import Table
from penstock_policy.wire import decode

__all__ = ["PATIENCE_SECONDS", "Published", "Server"]

PATIENCE_SECONDS = 60.0
_WAIT_SECONDS = 10.0
_AGAIN_SECONDS = 0.2


class Server(ServerProcess):
    """One of those that share the database at `database_url`; all of them take the token in `token_file`."""

    def __init__(self, folder: Path, database_url: str, token_file: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._database_url = database_url
        self.token_file = token_file

    def arguments(self) -> Sequence[str]:
        """The URL has no password: nobody but this machine's user reaches the database."""
        words = list(super().arguments())
        words[words.index("--database-url") + 1] = self._database_url
        return words


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of the gateway and applied by its replicas, read with the operator's own client."""

    client: ServerClient

    async def table(self) -> Table:
        """The newest one."""
        document = await self.client.table(GATEWAY)
        return decode(document) if document else Table(GATEWAY, 0, ())

    async def replicas(self) -> Sequence[LiveReplica]:
        """Those that the server hears."""
        live = await self.client.replicas(GATEWAY)
        return live.replicas if live else ()

    async def until_keys(self, version: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every live replica has that version of the providers' keys."""
        async with asyncio.timeout(seconds):
            while {each.credential_version for each in await self.replicas()} != {version}:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def until(
        self,
        holds: Callable[[Table], bool],
        *,
        replicas: int = 2,
        seconds: float = PATIENCE_SECONDS,
    ) -> Table:
        """Wait until a table like that is published and each of so many live replicas has it; that table."""
        try:
            async with asyncio.timeout(seconds):
                return await self._look(holds, replicas)
        except TimeoutError:
            message = f"not within {seconds:.0f} s; {await self._story()}"
            raise AssertionError(message) from None

    async def _story(self) -> str:
        try:
            table, live = await self.table(), await self.replicas()
            sent = [f"{each.name}: {', '.join(each.endpoints) or 'nowhere'}" for each in table.backends]
            have = [f"{each.pod}: {each.generation}" for each in live]
            return f"published: generation {table.generation}, {'; '.join(sent)}; live: {', '.join(have)}"
        except ServerError as error:
            return str(error)

    async def _look(self, holds: Callable[[Table], bool], replicas: int) -> Table:
        since = ""
        while True:
            # While the server is away there is nothing to be heard.
            with contextlib.suppress(ServerError):
                live = await self.client.replicas(GATEWAY, since=since, wait_seconds=_WAIT_SECONDS if since else 0)
                if live is not None:
                    since = live.since
                    table = await self.table()
                    if holds(table) and _have(live.replicas, table, replicas):
                        return table
                continue
            await asyncio.sleep(_AGAIN_SECONDS)


def _have(live: Sequence[LiveReplica], table: Table, replicas: int) -> bool:
    return len(live) == replicas and all(each.generation >= table.generation for each in live)
