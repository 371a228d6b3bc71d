"""The listening socket."""

import asyncio
import socket

import pytest

from penstock.server.listening import CannotListen, listening


async def test_answers_are_sent_without_delay() -> None:
    """Small writes must not wait for the client's acknowledgement: 40 ms for each answer."""
    connected: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = writer.get_extra_info("socket")
        connected.set_result(bool(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    with listening("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(connection, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await connected
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours(host: str) -> None:
    """Is named, with what to do."""
    with pytest.raises(CannotListen, match=f"{host}.*choose another"), listening(host, 0):
        pass
