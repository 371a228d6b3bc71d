"""Asking an engine: what may go wrong is an error of ours, and in time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from penstock.api.formats import EngineName
from penstock.engine_readings.client import EngineClient, Limits
from penstock.engine_readings.errors import EngineUnreachable, MalformedMetrics

URL = "http://10.0.0.1:8000"
BODY = b'vllm:num_requests_running{engine="0"} 3\n'


def asking(handler: Callable[[httpx.Request], httpx.Response], **limits: float) -> EngineClient:
    """A client whose engine answers so."""
    return EngineClient(transport=httpx.MockTransport(handler), limits=Limits(**limits) if limits else None)  # type: ignore[arg-type] # by their names


async def test_it_asks_for_the_metrics() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url}")
        return httpx.Response(200, content=BODY)

    found = await asking(answer).read(URL, EngineName.VLLM)
    assert (found.running, asked) == (3, ["GET http://10.0.0.1:8000/metrics"])


@pytest.mark.parametrize("status", [301, 404, 500, 503])
async def test_only_a_good_answer_is_read(status: int) -> None:
    """Nor is it followed elsewhere."""
    elsewhere = {"location": "http://169.254.169.254/"}
    with pytest.raises(EngineUnreachable, match=str(status)):
        await asking(lambda _: httpx.Response(status, headers=elsewhere, content=BODY)).read(URL, EngineName.VLLM)


async def test_nobody_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)  # noqa: EM101 - httpx' own

    with pytest.raises(EngineUnreachable, match="ConnectError"):
        await asking(refuse).read(URL, EngineName.VLLM)


async def test_a_body_without_an_end_is_cut() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"#" * 1000

    with pytest.raises(MalformedMetrics, match="larger"):
        await asking(lambda _: httpx.Response(200, content=endless()), most_bytes=100_000).read(URL, EngineName.VLLM)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield BODY
        await asyncio.Event().wait()

    with pytest.raises(EngineUnreachable, match="took more than"):
        await asking(lambda _: httpx.Response(200, content=silent()), total_seconds=0.05).read(URL, EngineName.VLLM)


async def test_an_address_that_is_none() -> None:
    with pytest.raises(EngineUnreachable):
        await EngineClient().read("http://[::::]:8000", EngineName.VLLM)


async def test_over_the_network() -> None:
    """A socket that closes at once."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(EngineUnreachable):
            await EngineClient().read(f"http://127.0.0.1:{port}", EngineName.VLLM)
