"""The gateway's Service: each connection goes to one of its ready replicas, by turns."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

__all__ = ["Entry"]

Place = tuple[str, int]

_CHUNK_BYTES = 65536


class Entry:
    """`async with` listens on loopback, `url` is where; a replica that refuses is passed over for the next."""

    def __init__(self, replicas: Callable[[], Sequence[Place]]) -> None:
        self._replicas = replicas
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        """Without the `/v1`; only within `async with`."""
        if self._server is None:
            message = "the entry was not opened"
            raise RuntimeError(message)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        # Cancelled at the end only, and nobody else wants to hear of it.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = await self._open()
        if opened is None:
            return
        back, forth = opened
        try:
            # The client's end of the connection ends it all: each has one request.
            up = asyncio.create_task(_pump(reader, forth))
            try:
                await _pump(back, writer)
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)
        finally:
            forth.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        places = list(self._replicas())
        self._turn += 1
        for number in range(len(places)):
            place = places[(self._turn + number) % len(places)]
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(*place)
        return None


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_CHUNK_BYTES):
        sink.write(piece)
        await sink.drain()
