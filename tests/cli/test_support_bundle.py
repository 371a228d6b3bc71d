"""`penstock support-bundle`: what is in it, that no planted secret is, its bounds, all or nothing."""

import base64
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from builders.day_two import chat, condition, gateway, h100_pool, installed, invoke, lease, route, workload
from penstock.cli.support_bundle import support_bundle
from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer

Object = dict[str, Any]

SECRET = "s3cr3tV4lue99"
LOGS = "\n".join(
    (
        f"2026-11-01T00:00:00Z calling postgresql://penstock:{SECRET}@db/penstock",
        f'2026-11-01T00:00:01Z {{"authorization": "Bearer {SECRET}", "event": "refused"}}',
        f"2026-11-01T00:00:02Z the token pgw_{SECRET} is nobody's",
        f'2026-11-01T00:00:03Z {{"messages": [{{"role": "user", "content": "my salary is {SECRET}"}}]}}',
        "2026-11-01T00:00:04Z leading, term 4",
    )
)


def pod(name: str, namespace: str, labels: dict[str, str], *, restarts: int = 0) -> Object:
    env = [
        {"name": "PENSTOCK_DATABASE_URL", "value": f"postgresql://penstock:{SECRET}@db/x"},
        {"name": "HARMLESS", "value": SECRET},
        {"name": "PENSTOCK_LOG_LEVEL", "value": "debug"},
    ]
    container = {"name": "main", "image": "x:1", "env": env, "args": ["run", "--api-key", SECRET, f"--token={SECRET}"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": restarts}]},
    }


def planted() -> list[Object]:
    """A secret wherever people, programs and Kubernetes put one."""
    encoded = base64.b64encode(SECRET.encode()).decode()
    bad = condition("Available", "False", "Failed", f"401 from https://user:{SECRET}@host: Bearer {SECRET}")
    deployment = chat(condition("Accepted"), bad)
    deployment["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": f'{{"key": "{SECRET}"}}',
        "note": f"password={SECRET}",
    }
    system, place = {"app.kubernetes.io/name": "penstock"}, {"namespace": "penstock-system"}
    managed = {"app.kubernetes.io/managed-by": "penstock"}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "assistants"},
        "message": f"pulling with api_key={SECRET}",
    }
    configuration = {"config.yaml": f"general:\n  master_key: {SECRET}\n", "ca.crt": "public"}
    return [
        *(deployment, h100_pool(), gateway(), route(), workload(), workload("penstock-server"), lease()),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**place, "name": "penstock-ca"}, "data": {"k": encoded}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "data": {"tls.key": encoded, "tls.crt": encoded},
            "metadata": {**place, "name": "penstock-server-tls"},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "data": configuration,
            "metadata": {"namespace": "ai-platform", "name": "main-gateway", "labels": managed},
        },
        event,
        pod("operator-1", "penstock-system", {**system, "app.kubernetes.io/component": "operator"}, restarts=1),
        pod("server-1", "penstock-system", {**system, "app.kubernetes.io/component": "server"}),
        pod("main-1", "ai-platform", {"penstock.dev/role": "gateway"}),
        pod("chat-1", "assistants", {"penstock.dev/role": "engine"}),
    ]


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        yield installed(made, *planted())


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Logs and metrics, which the in-memory API server does not have; the paths that were asked for."""
    asked: list[str] = []
    raw = Client.raw

    async def answer(self: Client, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        if path.endswith("/log"):
            asked.append(path)
            return 200, LOGS.encode()
        if path.endswith("/proxy/metrics"):
            asked.append(path)
            return 200, f'requests_total{{url="https://user:{SECRET}@host"}} 3\n'.encode()
        return await raw(self, method, path, **more)

    monkeypatch.setattr(Client, "raw", answer)
    return asked


def opened(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        found = {entry.name.partition("/")[2]: archive.extractfile(entry) for entry in archive.getmembers()}
        return {name: content.read() for name, content in found.items() if content is not None}


async def test_no_secret_is_in_it_wherever_it_was(server: FakeAPIServer, tmp_path: Path, talkative: list[str]) -> None:
    file = tmp_path / "bundle.tar.gz"
    result = await invoke(support_bundle, server, tmp_path, str(file))
    assert result.exit_code == 0, result.output
    found = opened(file)
    encoded = base64.b64encode(SECRET.encode())
    leaks = [name for name, content in found.items() if SECRET.encode() in content or encoded in content]
    assert leaks == []
    assert SECRET not in result.output
    # And it is not empty of what helps.
    assert b"leading, term 4" in found["logs/penstock-system.operator-1.main.log"]
    assert b'"Failed"' in found["resources/modeldeployments.json"]
    assert b'"debug"' in found["installation/pods.json"]
    assert b"api_key=[redacted]" in found["events/assistants.json"]
    assert b"master_key: [redacted]" in found["children/configmaps.json"]
    assert b"requests_total" in found["metrics/ai-platform.main-1.txt"]
    assert b'"leader"' in found["doctor.json"]
    assert talkative


async def test_the_right_logs_and_pages_are_asked_for(
    server: FakeAPIServer, tmp_path: Path, talkative: list[str]
) -> None:
    await invoke(support_bundle, server, tmp_path, str(tmp_path / "bundle.tar.gz"))
    places = [path.removeprefix("/api/v1/namespaces/") for path in talkative]
    assert places == [
        *("penstock-system/pods/operator-1/log", "penstock-system/pods/operator-1/log"),
        *("penstock-system/pods/server-1/log", "ai-platform/pods/main-1/log"),
        "penstock-system/pods/operator-1:8080/proxy/metrics",
        "penstock-system/pods/https:server-1:8090/proxy/metrics",
        "ai-platform/pods/main-1:8001/proxy/metrics",
    ]


async def test_what_could_not_be_read_is_in_the_manifest(server: FakeAPIServer, tmp_path: Path) -> None:
    server.faults.fail(403, verbs="list", kinds="nodes")
    file = tmp_path / "bundle.tar.gz"
    result = await invoke(support_bundle, server, tmp_path, str(file))
    assert result.exit_code == 0
    found = opened(file)
    manifest = json.loads(found["manifest.json"])
    out = {each["what"]: each["why"] for each in manifest["leftOut"]}
    assert out["nodes.json"] == "you may not list nodes in the whole cluster"
    assert out["logs/penstock-system.server-1.main.log"] == "the API server answered 501"
    assert "Secrets" in out
    assert {each["path"]: each["bytes"] for each in manifest["files"]} == {
        name: len(content) for name, content in found.items() if name != "manifest.json"
    }


async def test_it_stays_within_its_bounds(
    server: FakeAPIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Client.raw
    line = b"2026-11-01T00:00:00Z working" + b"." * 400 + b"\n"

    async def endless(self: Client, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        return (200, line * 4_000 + b"the end\n") if path.endswith("/log") else await raw(self, method, path, **more)

    monkeypatch.setattr(Client, "raw", endless)
    file = tmp_path / "bundle.tar.gz"
    result = await invoke(support_bundle, server, tmp_path, str(file), "--max-mib", "2")
    assert result.exit_code == 0, result.output
    found = opened(file)
    assert sum(map(len, found.values())) <= 2 * 2**20
    log = found["logs/penstock-system.operator-1.main.log"]
    assert log.startswith(b"[cut: only the end is here]\n2026")
    assert log.endswith(b"the end\n")
    out = {each["what"]: each["why"] for each in json.loads(found["manifest.json"])["leftOut"]}
    assert out["logs/ai-platform.main-1.main.log"] == "the bundle has no room for it"


async def test_it_is_whole_or_not_there(server: FakeAPIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("penstock.cli.support_bundle.tarfile.TarFile.addfile", full)
    result = await invoke(support_bundle, server, tmp_path, str(folder / "bundle.tar.gz"))
    assert result.exit_code == 2
    assert "Make room" in result.output
    assert list(folder.iterdir()) == []
