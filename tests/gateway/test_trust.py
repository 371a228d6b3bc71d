"""A replica and the authorities of its server, in a file that the kubelet swaps; and its token beside it."""

import os
from pathlib import Path

import aiohttp
import pytest

from builders.certificates import authority, leaf, speaks_tls
from builders.table_server import table_server
from builders.tables import backend, table
from penstock_gateway.errors import ServerAway
from penstock_gateway.server import Server
from penstock_gateway.trust import Trust

CA, NEXT = authority(), authority()


def _write(path: Path, content: str) -> None:
    """As another file, at another time."""
    draft = path.with_suffix(".draft")
    draft.write_text(content)
    draft.replace(path)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


async def test_the_bundle_is_read_as_it_changes(tmp_path: Path) -> None:
    """Of two servers, the one that it vouches for is believed; the other is away, with the reason."""
    bundle = tmp_path / "ca.crt"
    async with (
        speaks_tls(leaf(CA), tmp_path / "one") as one,
        speaks_tls(leaf(NEXT), tmp_path / "two") as two,
        aiohttp.ClientSession() as session,
    ):
        trust = Trust(bundle)
        servers = [Server(url, "ai/main", "uid", None, session, trust) for url in (one, two)]
        with pytest.raises(ServerAway, match=r"cannot be read from .*ca\.crt: No such file"):
            await servers[0].table("", 0)
        _write(bundle, "garbage")
        with pytest.raises(ServerAway, match="cannot be read"):
            await servers[0].table("", 0)
        _write(bundle, CA.certificate_pem)
        assert await servers[0].table("", 0) == b"{}"
        with pytest.raises(ServerAway, match=r"not trusted: .*--server-ca-file"):
            await servers[1].table("", 0)
        _write(bundle, CA.certificate_pem + NEXT.certificate_pem)
        assert [await each.table("", 0) for each in servers] == [b"{}", b"{}"]
        _write(bundle, NEXT.certificate_pem)
        assert await servers[1].table("", 0) == b"{}"
        with pytest.raises(ServerAway, match="not trusted"):
            await servers[0].table("", 0)
        _write(bundle, "garbage")
        assert await servers[1].table("", 0) == b"{}"


async def test_plain_http_to_a_server_of_tls(tmp_path: Path) -> None:
    """While TLS is turned on: the server is away, and nothing else."""
    async with speaks_tls(leaf(CA), tmp_path) as url, aiohttp.ClientSession() as session:
        server = Server(url.replace("https", "http"), "ai/main", "uid", None, session)
        with pytest.raises(ServerAway):
            await server.table("", 0)


async def test_tls_to_a_server_of_plain_http(tmp_path: Path) -> None:
    """While TLS is turned off."""
    (tmp_path / "ca.crt").write_text(CA.certificate_pem)
    async with table_server() as plane, aiohttp.ClientSession() as session:
        trust = Trust(tmp_path / "ca.crt")
        server = Server(plane.url.replace("http", "https"), "ai/main", "uid", None, session, trust)
        with pytest.raises(ServerAway):
            await server.table("", 0)


async def test_a_new_token_is_used_before_the_old_one_dies(tmp_path: Path) -> None:
    """At the next call, and not only when the server refuses: the old one ends three minutes after that."""
    path = tmp_path / "token"
    _write(path, "old")
    used: list[str] = []
    async with table_server() as plane, aiohttp.ClientSession() as session:
        await plane.publish(table(backend("a", "http://a")))
        server = Server(plane.url, "ai/main", "uid", path, session)
        await server.table("", 0)
        used.append(server._token or "")
        _write(path, "new")
        plane.token = "new"
        polls = plane.polls
        await server.table("", 0)
        used.append(server._token or "")
        assert plane.polls == polls + 1
        path.unlink()
        await server.table("", 0)
        used.append(server._token or "")
    assert used == ["old", "new", "new"]
