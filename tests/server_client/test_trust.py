"""Whom the operator trusts to be the server: new authorities without a restart, and no answer from anybody else."""

import asyncio
import os
from pathlib import Path

import pytest

from builders.certificates import authority, leaf, speaks_tls, write_pair
from builders.control_plane import OPERATOR, hash_of, on_loopback, sqlite_url
from penstock.server.tls import CertificateFiles
from penstock.server_client.client import ServerClient
from penstock.server_client.errors import ServerAway
from penstock.server_client.trust import BundleFile, IssuedBundle, context_of

GATEWAY = "serving/entry"
CA, NEXT = authority(), authority()


class TestBundleFile:
    """A file that changes under us."""

    def test_it_is_read_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.crt"
        path.write_text(CA.certificate_pem)
        trust = BundleFile(path)
        assert trust() == CA.certificate_pem
        path.write_text(f"# näxt\n{NEXT.certificate_pem}")
        _touch(path)
        assert NEXT.certificate_pem in trust()

    @pytest.mark.parametrize("content", [None, b"", b"garbage", b"x" * (2**20 + 1), CA.key_pem.encode()])
    def test_what_is_no_bundle(self, tmp_path: Path, content: bytes | None) -> None:
        """Is away with the file and the option, and comes back when it is one."""
        path = tmp_path / "ca.crt"
        if content is not None:
            path.write_bytes(content)
        trust = BundleFile(path)
        for _ in range(2):
            with pytest.raises(ServerAway, match=r"ca\.crt.*--server-ca-file"):
                trust()
        path.write_text(CA.certificate_pem)
        _touch(path)
        assert trust() == CA.certificate_pem

    def test_one_that_breaks_leaves_what_was_read(self, tmp_path: Path) -> None:
        path = tmp_path / "ca.crt"
        path.write_text(CA.certificate_pem)
        trust = BundleFile(path)
        assert trust() == CA.certificate_pem
        path.write_text("garbage")
        _touch(path)
        assert trust() == CA.certificate_pem
        path.unlink()
        assert trust() == CA.certificate_pem


def _touch(path: Path) -> None:
    """Another time, whatever the clock of the file system does."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


async def test_nobody_is_asked_before_there_is_a_bundle(tmp_path: Path) -> None:
    async with speaks_tls(leaf(CA), tmp_path, b'{"token": "x"}') as url:
        trust = IssuedBundle()
        async with ServerClient(url, lambda: OPERATOR, trust=trust) as client:
            with pytest.raises(ServerAway, match="--issue-certificates"):
                await client.make_token(GATEWAY)
            trust.pem = CA.certificate_pem
            assert await client.make_token(GATEWAY) == "x"


async def test_a_stranger_is_not_believed(tmp_path: Path) -> None:
    """The message says why, and what to look at; nor one whose name is another's."""
    trust = IssuedBundle(CA.certificate_pem)
    for pair, why in ((leaf(NEXT), "unable to get local issuer"), (leaf(CA, "other.example"), "IP address mismatch")):
        async with (
            speaks_tls(pair, tmp_path, b'{"token": "x"}') as url,
            ServerClient(url, lambda: OPERATOR, trust=trust) as client,
        ):
            with pytest.raises(ServerAway, match=f"not trusted: .*{why}.*--server-ca-file") as caught:
                await client.make_token(GATEWAY)
            assert OPERATOR not in str(caught.value)


async def test_authorities_change_under_a_long_poll(tmp_path: Path) -> None:
    """The poll is answered over its connection; then that is closed, and only the new one is trusted."""
    files = CertificateFiles(*write_pair(tmp_path / "tls", leaf(CA)))
    trust = IssuedBundle(CA.certificate_pem)
    verify = context_of(CA.certificate_pem)
    async with (
        on_loopback(sqlite_url(tmp_path), tls=files, verify=verify) as server,
        ServerClient(str(server.client.base_url), lambda: OPERATOR, trust=trust) as client,
    ):
        await server.publish(1)
        token = await client.make_token(GATEWAY)
        before = await client.replicas(GATEWAY)
        assert before is not None
        polling = asyncio.create_task(client.replicas(GATEWAY, since=before.since, wait_seconds=30))
        async with asyncio.timeout(20):
            while not len(server.parts.waiters):
                await asyncio.sleep(0.005)
        trust.pem = NEXT.certificate_pem
        write_pair(tmp_path / "tls", leaf(NEXT))
        assert files.refresh()
        assert await client.table(GATEWAY) is not None
        await server.report(token, {"hash": hash_of(1), "generation": 1, "state": "Serving", "credentialVersion": "1"})
        heard = await polling
        assert heard is not None
        assert len(heard.replicas) == 1
        await client.replicas(GATEWAY, since=heard.since, wait_seconds=0.01)
        pools = [each._pools for each in (client._short.client._transport, client._polls.client._transport)]  # type: ignore[attr-defined]
        assert [len(each) for each in pools] == [1, 1]
        trust.pem = CA.certificate_pem
        with pytest.raises(ServerAway, match="not trusted"):
            await client.table(GATEWAY)
