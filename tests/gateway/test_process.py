"""A replica as a process: ready, in step, and gone without breaking a stream."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from builders.table_server import table_server
from builders.tables import KEY, backend, table
from builders.upstreams import answers, nowhere, streams, upstream
from penstock_policy.wire import encode

HEADERS = {"Authorization": f"Bearer {KEY}"}
BODY = {"model": "chat", "stream": True, "messages": []}


@asynccontextmanager
async def replica(folder: Path, *more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """The process, its clients' address and its internal one, as soon as somebody listens."""
    urls = [await nowhere(), await nowhere()]
    ports = [url.rsplit(":", 1)[1] for url in urls]
    paths = ["--table-file", str(folder / "table.json"), "--spool-dir", str(folder / "spool")]
    command = [sys.executable, "-m", "penstock_gateway", "--host", "127.0.0.1", "--gateway", "ai/main"]
    options = ["--port", ports[0], "--internal-port", ports[1], "--pod-uid", "uid-1", "--linger-seconds", "0"]
    process = await asyncio.create_subprocess_exec(*command, *options, *paths, *more)
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as client:
            for url in (f"{urls[1]}/health/livez", f"{urls[0]}/v1/models"):
                while not await _listens(client, url):
                    await asyncio.sleep(0.02)
        yield process, urls[0], urls[1]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def status(client: aiohttp.ClientSession, url: str) -> int:
    async with client.get(url) as response:
        return response.status


async def _listens(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url):
            return True
    except aiohttp.ClientError:
        return False


async def test_sigterm_lets_a_stream_finish(tmp_path: Path) -> None:
    """Unready and `Draining` at once, `Gone` and exit 0 when it is through."""
    async with upstream(streams(gap=0.7)) as one, table_server() as plane:
        await plane.publish(table(backend("a", one.url)))
        async with replica(tmp_path, "--server", plane.url) as (process, url, internal):
            await plane.heard(generation=1)
            async with aiohttp.ClientSession() as client:
                assert await status(client, f"{internal}/health/readyz") == 200
                response = await client.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS)
                process.send_signal(signal.SIGTERM)
                await plane.heard(state="Draining")
                unready = await client.get(f"{internal}/health/readyz")
                assert (unready.status, await unready.text()) == (503, "the replica is Draining")
                assert (await response.text()).endswith("data: [DONE]\n\n")
            assert await asyncio.wait_for(process.wait(), 10) == 0
            await plane.heard(state="Gone")
    (record,) = [line for file in tmp_path.glob("spool/*") for line in file.read_text().splitlines()]
    assert '"Answered"' in record


async def test_a_drain_is_bounded(tmp_path: Path) -> None:
    async with upstream(streams(gap=60)) as one:
        (tmp_path / "table.json").write_bytes(encode(table(backend("a", one.url))))
        async with (
            replica(tmp_path, "--drain-seconds", "1") as (process, url, _),
            aiohttp.ClientSession() as client,
            client.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS),
        ):
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_restart_without_the_server_serves_from_the_disk(tmp_path: Path) -> None:
    async with upstream(answers()) as one:
        (tmp_path / "table.json").write_bytes(encode(table(backend("a", one.url))))
        away = await nowhere()
        async with (
            replica(tmp_path, "--server", away) as (_, url, internal),
            aiohttp.ClientSession() as client,
        ):
            assert await status(client, f"{internal}/health/readyz") == 200
            body = {**BODY, "stream": False}
            async with client.post(f"{url}/v1/chat/completions", json=body, headers=HEADERS) as response:
                assert response.status == 200
            exposed = await (await client.get(f"{internal}/metrics")).text()
            assert "penstock_gateway_requests_total" in exposed
            assert await status(client, f"{url}/metrics") == 404


async def test_without_a_table_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with replica(tmp_path) as (process, _, internal), aiohttp.ClientSession() as client:
        assert await status(client, f"{internal}/health/readyz") == 503
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize("port", [0, 1], ids=["clients", "internal"])
async def test_a_port_that_is_taken_ends_the_process(tmp_path: Path, port: int) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    taken = str(server.sockets[0].getsockname()[1])
    ports = ["0", "0"]
    ports[port] = taken
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_gateway", "--host", "127.0.0.1", "--gateway", "ai/main", "--pod-uid", "u"),
        *("--port", ports[0], "--internal-port", ports[1], "--linger-seconds", "0"),
        *("--table-file", str(tmp_path / "table.json"), "--spool-dir", str(tmp_path / "spool")),
    )
    assert await asyncio.wait_for(process.wait(), 20) != 0
    server.close()
    await server.wait_closed()
