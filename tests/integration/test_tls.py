"""TLS from end to end: the operator's own authority, the real server, replicas that trust what their ConfigMap says."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.x509 import load_pem_x509_certificate

from integration.gateways import GatewayStage, gateway, route
from integration.stage import Stage, deployment
from penstock.certificates import rotation
from penstock.certificates.rotation import Terms
from penstock.simulation.network import free_port
from penstock_gateway.server import Server
from penstock_gateway.trust import Trust

SYSTEM = "penstock-system"
# The operator's clock is twenty times as fast as the one that OpenSSL goes by; certificates are backdated by an hour.
SHORT = Terms(authority=timedelta(seconds=300), server=timedelta(seconds=120), overlap=timedelta(seconds=40))
_MOUNTED_EVERY_SECONDS = 0.05


@dataclass(slots=True)
class TLSStage(GatewayStage):
    """The same over TLS, unless it is `plain`; what the kubelet mounts is copied into files, as it does it."""

    plain: bool = False

    @property
    def url(self) -> str:
        """Of the server."""
        return f"{'http' if self.plain else 'https'}://127.0.0.1:{self.port}"

    @property
    def certificates(self) -> Path:
        """What the server mounts."""
        return self.folder / "tls"

    def server_of(self, pod: str, folder: Path) -> Server:
        trust = Trust(None if self.plain else self.folder / "ca.crt")
        return Server(self.url, "team/main", f"uid-{pod}", folder / "token", aiohttp.ClientSession(), trust)

    async def up(self) -> None:
        """The operator goes first: the server waits for its certificate."""
        (self.folder / "operator-token").write_text("operator-token-for-tests-of-the-operator")
        await self.start_secure()
        self.cluster.put(gateway())
        await self.start_replicas()
        await self.cluster.until(lambda: self.is_so("inferencegateways", "main", "Ready"))

    async def start_secure(self) -> None:
        """An operator that issues, and a server that has what it issued."""
        await self.start_operator(issue_certificates=True)
        await self.cluster.until((self.certificates / "tls.key").exists)
        certificate, key = self.certificates / "tls.crt", self.certificates / "tls.key"
        await self.start_server(tls_cert_file=certificate, tls_key_file=key)

    def bundle(self) -> str:
        """In the gateway's ConfigMap."""
        live = self.cluster.server.get("configmaps", "team", "main-gateway")
        return str(((live or {}).get("data") or {}).get("ca.crt", ""))

    async def mount(self) -> None:
        """Until it is cancelled."""
        while True:
            self._mount_certificates()
            if (bundle := self.bundle()) and not _holds(self.folder / "ca.crt", bundle):
                draft = self.folder / "ca.draft"
                draft.write_text(bundle)
                draft.replace(self.folder / "ca.crt")
            await asyncio.sleep(_MOUNTED_EVERY_SECONDS)

    def _mount_certificates(self) -> None:
        data = self.secret("penstock-server-tls")
        if not data or _holds(self.certificates / "tls.crt", data["tls.crt"]):
            return
        content = self.certificates / f"..{len(list(self.certificates.glob('..*')))}"
        content.mkdir(parents=True)
        for name in ("tls.crt", "tls.key"):
            (content / name).write_text(data[name])
        draft = self.certificates / "..draft"
        draft.symlink_to(content.name)
        draft.replace(self.certificates / "..data")
        for name in ("tls.crt", "tls.key"):
            if not (self.certificates / name).is_symlink():
                (self.certificates / name).symlink_to(f"..data/{name}")

    def secret(self, name: str, namespace: str = SYSTEM) -> dict[str, str]:
        """Its values; empty where it is not there."""
        live = self.cluster.server.get("secrets", namespace, name)
        data = (live or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def errors(self) -> float:
        """Calls of replicas that came to nothing."""
        metrics = (puppet.puller.metrics.server_errors for puppet in self.replicas.values())
        return sum(sample.value for each in metrics for family in each.collect() for sample in family.samples)


def _holds(path: Path, content: str) -> bool:
    return path.exists() and path.read_text() == content


@asynccontextmanager
async def tls_stage(cluster: Stage, folder: Path) -> AsyncIterator[TLSStage]:
    """Nothing of it runs yet but the mounting."""
    made = TLSStage(cluster, folder, free_port())
    mounting = asyncio.create_task(made.mount())
    try:
        yield made
    finally:
        await made.close()
        mounting.cancel()
        await asyncio.gather(mounting, return_exceptions=True)


@pytest.fixture
async def entry(cluster: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TLSStage]:
    """No operator runs yet; the server looks at its files often."""
    monkeypatch.setattr("penstock.server.tls._LOOK_EVERY_SECONDS", 0.05)
    await cluster.kill()
    async with tls_stage(cluster, tmp_path) as made:
        yield made


async def test_it_comes_up(entry: TLSStage) -> None:
    """Secrets, ConfigMap and pods say the same; then nothing is written, and no key is anywhere else."""
    await entry.up()
    entry.cluster.put(deployment(), route())
    await entry.cluster.until(lambda: len(entry.everywhere("deployment/team/chat")) == len(entry.replicas))
    server, authority = entry.secret("penstock-server-tls"), entry.secret("penstock-ca")
    assert server["ca.crt"] == authority["ca.crt"] == authority["tls.crt"] == entry.bundle()
    arguments = _arguments(entry)
    assert arguments[arguments.index("--server-ca-file") + 1] == "/etc/penstock/config/ca.crt"
    assert "PRIVATE" not in str(entry.cluster.server.get("configmaps", "team", "main-gateway"))
    (running,) = entry.cluster.operators
    registry = running.operator.surroundings.metrics.registry
    for secret, text in (("penstock-ca", authority["tls.crt"]), ("penstock-server-tls", server["tls.crt"])):
        ends = load_pem_x509_certificate(text.encode()).not_valid_after_utc.timestamp()
        assert registry.get_sample_value("penstock_certificate_expiry_timestamp_seconds", {"secret": secret}) == ends
    await entry.calm()
    before = entry.cluster.writes()
    await asyncio.sleep(4)
    await entry.calm()
    assert entry.cluster.writes() == before


@pytest.mark.soak
async def test_rotation_fails_no_call(
    entry: TLSStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two authorities after the first one, and the certificates between: no poll, no acknowledgement, no roll."""
    monkeypatch.setattr(rotation, "Terms", lambda: SHORT)
    await entry.up()
    pods, errors = entry.pods(), entry.errors()
    caplog.clear()
    authorities, servers, bundles = set(), set(), set()
    with caplog.at_level(logging.INFO):
        async with asyncio.timeout(60):
            while len(authorities) < 3 or entry.bundle() != entry.secret("penstock-ca")["tls.crt"]:
                authorities.add(entry.secret("penstock-ca")["tls.crt"])
                servers.add(entry.secret("penstock-server-tls")["tls.crt"])
                bundles.add(entry.bundle())
                await asyncio.sleep(0.05)
    assert len(servers) >= 4
    assert len(bundles) == 4
    assert entry.errors() == errors
    assert entry.pods() == pods
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert told == []
    assert "PRIVATE" not in caplog.text
    assert entry.is_so("inferencegateways", "main", "Programmed")


async def test_a_secret_of_somebody_else(cluster: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is not overwritten; who reads events or the log learns what to do, and no gateway is run meanwhile."""
    await cluster.kill()
    metadata = {"name": "penstock-server-tls", "namespace": SYSTEM}
    cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"a": "Yg=="}})
    async with tls_stage(cluster, tmp_path) as entry:
        (tmp_path / "operator-token").write_text("operator-token-for-tests-of-the-operator")
        cluster.put(gateway())
        await entry.start_operator(issue_certificates=True)
        await cluster.until(lambda: cluster.events("SecretNotOurs"))
        assert entry.secret("penstock-server-tls") == {"a": "b"}
        assert entry.secret("penstock-ca") == {}
        assert "--server-ca-file" in cluster.events("SecretNotOurs")[0]
        assert "is not Penstock's" in caplog.text
        assert cluster.server.get("deployments", "team", "main-gateway") is None
        cluster.server.delete("secrets", SYSTEM, "penstock-server-tls")
        await cluster.until(lambda: entry.secret("penstock-server-tls").get("tls.key"))


async def test_secrets_that_were_broken(entry: TLSStage, caplog: pytest.LogCaptureFixture) -> None:
    """Are made anew within a minute; the gateway's ConfigMap follows, and its pods stay."""
    await entry.up()
    before, pods = entry.bundle(), entry.pods()
    garbage = {"tls.crt": "Z2FyYmFnZQ==", "tls.key": "Z2FyYmFnZQ==", "ca.crt": "!"}
    entry.cluster.server.update("secrets", SYSTEM, "penstock-ca", lambda live: {**live, "data": garbage})
    await entry.cluster.until(lambda: entry.bundle() not in {"", before})
    assert before in entry.bundle()
    assert "Secret penstock-ca: tls.crt holds no certificate" in caplog.text
    assert entry.pods() == pods
    await entry.cluster.until(lambda: entry.is_so("inferencegateways", "main", "Programmed"))


async def test_a_file_instead(entry: TLSStage) -> None:
    """`--server-ca-file`: the operator and the ConfigMap follow it."""
    (entry.folder / "operator-token").write_text("operator-token-for-tests-of-the-operator")
    await entry.start_operator(issue_certificates=True)
    await entry.cluster.until((entry.certificates / "tls.key").exists)
    await entry.cluster.kill()
    bundle = entry.folder / "bundle.crt"
    bundle.write_text(entry.secret("penstock-server-tls")["ca.crt"])
    await entry.start_operator(server_ca_file=str(bundle))
    await entry.start_server(tls_cert_file=entry.certificates / "tls.crt", tls_key_file=entry.certificates / "tls.key")
    entry.cluster.put(gateway())
    await entry.start_replicas()
    await entry.cluster.until(lambda: entry.is_so("inferencegateways", "main", "Ready"))
    longer = bundle.read_text() * 2
    bundle.write_text(longer)
    await entry.cluster.until(lambda: entry.bundle() == longer)


async def test_tls_is_turned_on(entry: TLSStage) -> None:
    """Replicas of plain HTTP go on with their tables until those that take their place have theirs."""
    entry.plain = True
    await GatewayStage.up(entry)
    entry.cluster.put(deployment(), route())
    await entry.cluster.until(lambda: len(entry.everywhere("deployment/team/chat")) == len(entry.replicas))
    await entry.cluster.kill()
    await entry.stop_server()
    entry.plain = False
    await entry.start_secure()
    await entry.cluster.until(lambda: "--server-ca-file" in _arguments(entry))
    errors = entry.errors()
    await entry.cluster.until(lambda: entry.errors() > errors + 2)
    assert len(entry.everywhere("deployment/team/chat")) == len(entry.replicas) == 2
    for pod in list(entry.replicas):
        await entry.replicas.pop(pod).end()
        await entry.start_replica(pod)
        await entry.cluster.until(lambda: len(entry.everywhere("deployment/team/chat")) == 2)
    await entry.cluster.until(lambda: entry.is_so("inferencegateways", "main", "Programmed"))


def _arguments(entry: GatewayStage) -> list[str]:
    live = entry.cluster.server.get("deployments", "team", "main-gateway")
    return list(live["spec"]["template"]["spec"]["containers"][0]["args"]) if live else []


class TestTokens:
    """A gateway's token is replaced when it is old."""

    async def test_an_old_one(self, entry: TLSStage) -> None:
        """By another; the master key stays, because running pods have it, and no pod is rolled."""
        await entry.up()
        before, pods = entry.secret("main-gateway-token", "team"), entry.pods()
        _date(entry, "2026-01-01T00:00:00+00:00")
        await entry.cluster.until(lambda: entry.secret("main-gateway-token", "team")["token"] != before["token"])
        assert entry.secret("main-gateway-token", "team")["master-key"] == before["master-key"]
        assert _issued(entry) > "2026-01-02"
        await entry.calm()
        after = entry.secret("main-gateway-token", "team")
        errors = entry.errors()
        for pod in entry.replicas:
            (entry.folder / pod / "token").write_text(after["token"])
        await entry.calm()
        assert {puppet.puller.server._token for puppet in entry.replicas.values()} == {after["token"]}
        assert entry.errors() == errors
        assert entry.pods() == pods
        assert entry.secret("main-gateway-token", "team") == after

    async def test_one_without_a_date(self, entry: TLSStage) -> None:
        """Gets one, and stays as it is."""
        await entry.up()
        before = entry.secret("main-gateway-token", "team")
        _date(entry, None)
        await entry.cluster.until(lambda: _issued(entry))
        await entry.calm()
        assert entry.secret("main-gateway-token", "team") == before


def _date(entry: GatewayStage, stated: str | None) -> None:
    annotations = {} if stated is None else {"penstock.dev/token-issued-at": stated}

    def dated(live: dict[str, Any]) -> dict[str, Any]:
        return {**live, "metadata": {**live["metadata"], "annotations": annotations}}

    entry.cluster.server.update("secrets", "team", "main-gateway-token", dated)


def _issued(entry: GatewayStage) -> str:
    live = entry.cluster.server.get("secrets", "team", "main-gateway-token")
    annotations = ((live or {}).get("metadata") or {}).get("annotations") or {}
    return str(annotations.get("penstock.dev/token-issued-at", ""))
