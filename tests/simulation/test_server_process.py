"""The control plane's own processes: started, killed, restarted, and what is said of one that died."""

from pathlib import Path

import aiohttp
import pytest

from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.server_process import NotReady, ServerProcess

GATEWAY = "/v1/gateways/team/main"


async def token_of(server: ServerProcess) -> int:
    """Ask for a gateway's token as the operator; the status."""
    headers = {"Authorization": f"Bearer {server.token_file.read_text()}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}{GATEWAY}/tokens", headers=headers) as response,
    ):
        return response.status


async def test_it_serves_the_operator_and_survives_a_kill(tmp_path: Path) -> None:
    """At the same port, with the same database and token."""
    async with ServerProcess(tmp_path) as server:
        assert await token_of(server) == 201
        first, url = server.identity, server.url
        await server.kill()
        assert server.trouble() == ""
        await server.start()
        assert (server.url, await token_of(server)) == (url, 201)
        assert server.identity != first
        await server.restart()
        assert await token_of(server) == 201
    assert await server.ended() == 0
    assert server.trouble() == ""


async def test_its_token_is_for_its_owner_and_in_no_log(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path) as server:
        token = server.token_file.read_text()
        assert server.token_file.stat().st_mode & 0o777 == 0o600
        assert len(token) >= 32
        assert not any(token in word for word in server.arguments())
    assert token not in server.log.read_text()


async def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "operator-token").write_text("short")
    server = ServerProcess(tmp_path)
    with pytest.raises(NotReady, match=r"the server exited with 1: .*token"):
        await server.start()


async def test_further_words_reach_the_operator(tmp_path: Path) -> None:
    """One that does not know them says so."""
    operator = OperatorProcess(tmp_path / "kubeconfig", tmp_path / "log", ("--colour", "red"))
    assert operator.arguments()[-2:] == ("--colour", "red")
    async with operator:
        assert await operator.ended() == 2
        assert "No such option" in operator.trouble()
