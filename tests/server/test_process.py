"""A real server on loopback: restarts in the middle of long polls, signals, and what it says when it cannot start."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Self

import httpx
import pytest
from click.testing import CliRunner

from builders.control_plane import GATEWAY, OPERATOR, Caller, bearer, hash_of, on_loopback, sqlite_url, table
from penstock.cli import main
from penstock.server import bounds


async def waiting(server: Caller, count: int = 1) -> None:
    """Until that many wait."""
    async with asyncio.timeout(20):
        while len(server.parts.waiters) != count:
            await asyncio.sleep(0.005)


async def test_a_restart_in_the_middle_of_a_long_poll(tmp_path: Path) -> None:
    """The poll ends with 304 and not with a broken connection; the next one finds the new process."""
    stop = asyncio.Event()
    async with on_loopback(sqlite_url(tmp_path), stop=stop) as server:
        await server.publish(1)
        token = await server.token()
        pulling = asyncio.create_task(server.pull(token, have=hash_of(1), wait=50))
        await waiting(server)
        stop.set()
        assert (await pulling).status_code == 304
    async with on_loopback(sqlite_url(tmp_path)) as server:
        pulling = asyncio.create_task(server.pull(token, have=hash_of(1), wait=30))
        await waiting(server)
        await server.publish(2, expected=1)
        assert (await pulling).content == table(2)


async def test_clients_that_die_give_their_places_free(tmp_path: Path) -> None:
    """Long before their wait is over."""
    async with on_loopback(sqlite_url(tmp_path)) as server:
        await server.publish(1)
        for _ in range(3):
            pulling = asyncio.create_task(server.pull(OPERATOR, have=hash_of(1), wait=50))
            await waiting(server)
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)
            await waiting(server, 0)


async def test_a_client_that_goes_in_the_middle_of_a_body(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is no fault of the server, and changes nothing."""
    async with on_loopback(sqlite_url(tmp_path)) as server:
        host, port = server.client.base_url.host, server.client.base_url.port
        _, writer = await asyncio.open_connection(host, port)
        head = f"PUT {GATEWAY}/table HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\nAuthorization: Bearer {OPERATOR}\r\n"
        writer.write(f"{head}Penstock-Term: 1\r\nPenstock-Expected-Hash:\r\n\r\n{{".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()
        assert (await server.pull(OPERATOR)).status_code == 404
    assert "Traceback" not in caplog.text


async def test_a_large_table_over_a_socket(tmp_path: Path) -> None:
    """To several readers at once; one byte more than allowed is refused in words, not by a reset."""
    body = table(1, padding=3 * 2**20)
    async with on_loopback(sqlite_url(tmp_path)) as server:
        assert (await server.publish(1, body=body)).status_code == 200
        answers = await asyncio.gather(*(server.pull(OPERATOR) for _ in range(3)))
        assert all(answer.content == body for answer in answers)
        refused = await server.publish(2, body=b"x" * (bounds.LARGEST_TABLE + 1))
        assert (refused.status_code, refused.json()["error"]["reason"]) == (413, "TooLarge")


async def test_a_database_that_comes_later(tmp_path: Path) -> None:
    """The server starts, says that it is not ready, and is ready when the database is there."""
    folder = tmp_path / "later"
    making = asyncio.get_running_loop().call_later(0.3, folder.mkdir)
    async with on_loopback(sqlite_url(folder)) as server:
        assert (await server.publish(1)).status_code == 200
    making.cancel()


class Command:
    """`penstock server` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock", "server", "--host", "127.0.0.1", "--log-format", "text"),
            *self.arguments,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[2] / "operator")},
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def address(self) -> str:
        """Where it says that it serves."""
        assert self.process.stderr
        async with asyncio.timeout(30):
            async for line in self.process.stderr:
                if b"serving on " in line:
                    return "http://" + line.decode().split("serving on ")[1].split(",")[0]
        message = "it ended before it served"
        raise AssertionError(message)

    async def ended(self) -> tuple[int, str]:
        """Its status and what else it said."""
        async with asyncio.timeout(30):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


async def test_sigterm_ends_long_polls_and_the_process(tmp_path: Path) -> None:
    """With 304 and exit status 0; neither the token nor anything else secret is in the log."""
    token_file = tmp_path / "token"
    token_file.write_text(OPERATOR + "\n")
    arguments = ("--port", "0", "--database-url", sqlite_url(tmp_path), "--operator-token-file", str(token_file))
    async with Command(*arguments) as command, httpx.AsyncClient(trust_env=False, timeout=30) as client:
        address = await command.address() + GATEWAY + "/table"
        headers = {**bearer(OPERATOR), "Penstock-Term": "1", "Penstock-Expected-Hash": ""}
        async with asyncio.timeout(20):
            while (await client.put(address, headers=headers, content=table(1))).status_code == 503:
                await asyncio.sleep(0.05)
        query = {"have": hash_of(1), "wait": "50"}
        pulling = asyncio.create_task(client.get(address, params=query, headers=headers))
        metrics = address.partition("/v1")[0] + "/metrics"
        async with asyncio.timeout(20):
            while "penstock_server_waiters 1.0" not in (await client.get(metrics)).text:
                await asyncio.sleep(0.05)
        command.process.send_signal(signal.SIGTERM)
        assert (await pulling).status_code == 304
        status, said = await command.ended()
    assert status == 0, said
    assert OPERATOR not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--database-url", "mysql://a:swordfish@b/c"], "sqlite:////path", id="database"),
        pytest.param(
            ["--database-url", "sqlite:////tmp/x.db", "--operator-token-file", "/nowhere/token"],
            "No such file",
            id="token file",
        ),
        pytest.param(
            ["--database-url", "sqlite:////tmp/x.db", "--kubeconfig", "/nowhere/config"], "credentials", id="kubeconfig"
        ),
        pytest.param([], "--database-url", id="no database"),
    ],
)
def test_what_cannot_start_says_why(arguments: list[str], words: str) -> None:
    """In a line, with a status that is not 0, and without a password."""
    result = CliRunner(env={"KUBECONFIG": None}).invoke(main, ["server", *arguments])
    assert result.exit_code in {1, 2}
    assert words in result.output
    assert "swordfish" not in result.output


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Is named."""
    token_file = tmp_path / "token"
    token_file.write_text(OPERATOR)
    arguments = ["--database-url", sqlite_url(tmp_path), "--operator-token-file", str(token_file)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [*arguments, "--host", "127.0.0.1", "--port", str(port)]
        result = CliRunner().invoke(main, ["server", *arguments])
    assert result.exit_code == 1
    assert f"listening on 127.0.0.1:{port}" in result.output
