"""Carries connections from this machine's loopback into the cluster's network: `relay.py DESCRIPTOR HOST PORT`.

It runs inside that network, and accepts on a socket that was opened outside and handed down; so neither network
learns of the other. Standard library only, run by its path.
"""

import asyncio
import socket
import sys
from contextlib import suppress

_READ = 1 << 16


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Accept until the process ends."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:  # refused inside is refused outside
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    server = await asyncio.start_server(carry, sock=listener)
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction; its end is passed on."""
    with suppress(OSError):
        while block := await reader.read(_READ):
            writer.write(block)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof() if writer.can_write_eof() and not reader.exception() else writer.transport.abort()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3])))
