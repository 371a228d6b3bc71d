"""The server over TLS: a new certificate without a restart, a bad one without harm, and long polls as ever."""

import asyncio
import logging
import ssl
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from builders.certificates import authority, leaf, write_pair
from builders.control_plane import OPERATOR, Caller, hash_of, on_loopback, sqlite_url, table
from penstock.certificates.pairs import Pair
from penstock.cli import main
from penstock.server.process import ServerSettings, run_server
from penstock.server.tls import CertificateFiles, CertificateFilesUnusable
from penstock.server_client.trust import context_of
from penstock.simulation.network import free_port
from penstock.workqueue.clock import SystemClock

CA = authority()
ONE, TWO = leaf(CA), leaf(CA)
VERIFY = context_of(CA.certificate_pem)


async def presented(server: Caller, context: ssl.SSLContext = VERIFY) -> bytes:
    """The certificate that a new connection meets."""
    port = server.client.base_url.port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    handshake = writer.get_extra_info("ssl_object")
    writer.close()
    return bytes(handshake.getpeercert(binary_form=True))


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate_pem)


async def waiting(server: Caller, count: int) -> None:
    async with asyncio.timeout(20):
        while len(server.parts.waiters) != count:
            await asyncio.sleep(0.005)


async def test_another_certificate_is_taken_under_a_long_poll(tmp_path: Path) -> None:
    """The poll goes on over its connection, new connections meet the new one."""
    files = CertificateFiles(*write_pair(tmp_path / "tls", ONE))
    async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server:
        await server.publish(1)
        polling = asyncio.create_task(server.pull(OPERATOR, have=hash_of(1), wait=30))
        await waiting(server, 1)
        assert await presented(server) == der(ONE)
        write_pair(tmp_path / "tls", TWO)
        assert files.refresh()
        assert not files.refresh()
        assert await presented(server) == der(TWO)
        await server.publish(2, expected=1)
        assert (await polling).content == table(2)


async def test_the_files_are_looked_at_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, by the server itself."""
    monkeypatch.setattr("penstock.server.tls._LOOK_EVERY_SECONDS", 0.05)
    files = CertificateFiles(*write_pair(tmp_path / "tls", ONE))
    async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server, asyncio.timeout(20):
        write_pair(tmp_path / "tls", TWO)
        while await presented(server) != der(TWO):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("bad", ["certificate", "key", "both", "gone"])
async def test_bad_files_leave_the_certificate_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    """It is told once, without anything of the key; the next good pair is taken."""
    certificate, key = write_pair(tmp_path / "tls", ONE)
    files = CertificateFiles(certificate, key)
    async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server:
        content = (tmp_path / "tls" / "..data").resolve()
        if bad in {"certificate", "both"}:
            (content / "tls.crt").write_text("garbage")
        if bad in {"key", "both"}:
            (content / "tls.key").write_text(TWO.key_pem)
        if bad == "gone":
            (content / "tls.key").unlink()
        with caplog.at_level(logging.WARNING):
            assert not files.refresh()
        assert "is not taken" in caplog.text
        assert "PRIVATE" not in caplog.text
        assert await presented(server) == der(ONE)
        write_pair(tmp_path / "tls", TWO)
        assert files.refresh()
        assert await presented(server) == der(TWO)


async def test_who_does_not_trust_it_is_not_answered(tmp_path: Path) -> None:
    """Nor who speaks plain HTTP, nor TLS 1.1; the server goes on."""
    files = CertificateFiles(*write_pair(tmp_path / "tls", ONE))
    async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await presented(server, context_of(authority().certificate_pem))
        plain = str(server.client.base_url).replace("https", "http")
        async with httpx.AsyncClient(base_url=plain, trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/livez")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(cadata=CA.certificate_pem)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await presented(server, old)
        assert (await server.client.get("/livez")).status_code == 200


async def test_clients_that_die_give_their_places_free(tmp_path: Path) -> None:
    """Over TLS, too."""
    files = CertificateFiles(*write_pair(tmp_path / "tls", ONE))
    async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server:
        await server.publish(1)
        pulling = asyncio.create_task(server.pull(OPERATOR, have=hash_of(1), wait=50))
        await waiting(server, 1)
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
        await waiting(server, 0)


async def test_who_idles_holds_up_no_stop(tmp_path: Path) -> None:
    """A client that neither reads nor closes would keep a TLS connection, and the server, for half a minute."""
    files, loop = CertificateFiles(*write_pair(tmp_path / "tls", ONE)), asyncio.get_running_loop()
    async with httpx.AsyncClient(verify=VERIFY, trust_env=False) as idle:
        async with on_loopback(sqlite_url(tmp_path), tls=files, verify=VERIFY) as server:
            assert (await idle.get(f"{server.client.base_url}/livez")).status_code == 200
            stopped = loop.time()
        assert loop.time() - stopped < 5


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        pytest.param(None, None, "No such file", id="nothing"),
        pytest.param("garbage", "garbage", "no such pair in PEM", id="garbage"),
        pytest.param(ONE.certificate_pem, TWO.key_pem, "KEY_VALUES_MISMATCH", id="another's key"),
    ],
)
def test_files_to_begin_with(tmp_path: Path, certificate: str | None, key: str | None, why: str) -> None:
    """Are named with the options."""
    for name, content in (("crt", certificate), ("key", key)):
        if content is not None:
            (tmp_path / name).write_text(content)
    with pytest.raises(CertificateFilesUnusable, match=why) as caught:
        CertificateFiles(tmp_path / "crt", tmp_path / "key")
    assert "--tls-cert-file" in str(caught.value)
    assert str(tmp_path / "key") in str(caught.value)


def test_one_option_without_the_other(tmp_path: Path) -> None:
    arguments = ["server", "--database-url", sqlite_url(tmp_path), "--tls-cert-file", str(tmp_path / "crt")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "belong together" in result.output


async def test_the_settings_speak_tls(tmp_path: Path) -> None:
    """From the command line's settings to an answer."""
    certificate, key = write_pair(tmp_path / "tls", ONE)
    token_file = tmp_path / "token"
    token_file.write_text(OPERATOR)
    stop, port = asyncio.Event(), free_port()
    settings = ServerSettings(
        sqlite_url(tmp_path), "127.0.0.1", port, token_file, tls_cert_file=certificate, tls_key_file=key
    )
    serving = asyncio.create_task(run_server(settings, SystemClock(), stop))
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=VERIFY, trust_env=False) as client:
        async with asyncio.timeout(20):
            while not await _answers(client):
                await asyncio.sleep(0.02)
    stop.set()
    await serving


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx.TransportError:
        return False
