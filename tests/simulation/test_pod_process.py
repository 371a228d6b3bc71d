"""Pods that are real processes, without any API server: what they are given, their lives, and what they wait for."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from builders.gateway_pods import Objects, gateway_pod, pretended_gateway, secret
from penstock.simulation.network import AddressBook
from penstock.simulation.pod_process import EXIT_NOT_STARTED, PodProcess, ProcessPods, ProcessSandbox, ProcessSettings

ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 30
_LOOK_SECONDS = 0.02


@pytest.fixture
def objects() -> Objects:
    """The gateway's credentials."""
    found = Objects()
    found.add(secret("main-credentials", mistral="sk-1", version="1"))
    return found


@pytest.fixture
async def pods(tmp_path: Path, objects: Objects) -> AsyncIterator[ProcessPods]:
    """Processes of a pretended gateway; none may be left."""
    settings = ProcessSettings(
        folder=tmp_path / "pods",
        python=Path(sys.executable),
        source_root=pretended_gateway(tmp_path / "source"),
        refresh_seconds=_LOOK_SECONDS,
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        made = ProcessPods(settings, AddressBook(), session, objects.look_up)
        yield made
        for sandbox in tuple(made.running.values()):
            await sandbox.close()


async def until(claim: Callable[[], Awaitable[bool]]) -> None:
    """Wait for another process."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await claim():
            await asyncio.sleep(_LOOK_SECONDS)


async def ready(process: PodProcess) -> None:
    """Wait until its readiness probe passes."""
    await until(lambda: process.probe("/health/readyz", 8001, 2))


async def started(sandbox: ProcessSandbox) -> PodProcess:
    """A process that listens."""
    process = await sandbox.start()
    assert isinstance(process, PodProcess), process.message
    await ready(process)
    return process


async def told(pods: ProcessPods, sandbox: ProcessSandbox) -> dict[str, Any]:
    """What the process says that it was given."""
    host, port = pods.book.find(sandbox.address, 8001)
    async with pods.session.get(f"http://{host}:{port}/told") as response:
        found: dict[str, Any] = json.loads(await response.read())
        return found


def named(name: str) -> dict[str, Any]:
    """A pod of that name."""
    pod = gateway_pod()
    return {**pod, "metadata": {**pod["metadata"], "name": name, "uid": f"uid-{name}"}}


def alive(identity: int) -> bool:
    """Whether a process of that id is there."""
    try:
        os.kill(identity, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_runs_what_the_manifest_says(pods: ProcessPods) -> None:
    """At the pod's address, with identity and mounted credentials."""
    sandbox = pods.sandbox(gateway_pod())
    await started(sandbox)
    found = await told(pods, sandbox)
    credentials = sandbox.folder / "volumes" / "credentials"
    want = ["--gateway", "team/main", "--pod-uid", "uid-0", "--credentials-dir", str(credentials)]
    assert found["args"] == [*want, "--host", pods.book.find(sandbox.address, 8001)[0]]
    assert found["files"]["mistral"] == "sk-1"
    assert (found["env"]["POD_NAME"], found["env"]["POD_IP"]) == ("main-0", sandbox.address)
    assert found["env"]["HOSTNAME"] == "main-0"
    assert found["cwd"] == str(sandbox.folder)


async def test_nothing_of_our_own_environment_goes_in(pods: ProcessPods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/ours")
    sandbox = pods.sandbox(gateway_pod())
    await started(sandbox)
    assert "KUBECONFIG" not in (await told(pods, sandbox))["env"]


async def test_a_port_that_is_taken_is_moved_and_probed_there(pods: ProcessPods) -> None:
    sandbox = pods.sandbox(gateway_pod())
    other = await asyncio.start_server(lambda _, writer: writer.close(), sandbox.address, 8001)
    async with other:
        await started(sandbox)
        moved = pods.book.find(sandbox.address, 8001)[1]
        assert moved != 8001
        assert ["--internal-port", str(moved)] == (await told(pods, sandbox))["args"][-2:]


async def test_two_replicas_have_the_same_ports(pods: ProcessPods) -> None:
    sandboxes = [pods.sandbox(named(f"main-{number}")) for number in range(2)]
    await asyncio.gather(*(started(each) for each in sandboxes))
    assert len({pods.book.find(each.address, 8001) for each in sandboxes}) == 2


async def test_a_changed_secret_arrives(pods: ProcessPods, objects: Objects) -> None:
    """While it runs, without a restart."""
    sandbox = pods.sandbox(gateway_pod())
    process = await started(sandbox)
    objects.add(secret("main-credentials", mistral="sk-2", version="2"))

    async def arrived() -> bool:
        return bool((await told(pods, sandbox))["files"]["mistral"] == "sk-2")

    await until(arrived)
    assert alive(process.identity)


async def test_it_waits_for_a_secret_and_starts_when_it_comes(pods: ProcessPods, objects: Objects) -> None:
    objects.clear()
    sandbox = pods.sandbox(gateway_pod())
    starting = asyncio.create_task(sandbox.start())

    async def waits() -> bool:
        return bool(sandbox.waits_for)

    await until(waits)
    assert 'secret "team/main-credentials" not found' in sandbox.waits_for
    assert not starting.done()
    objects.add(secret("main-credentials", mistral="sk-1"))
    process = await starting
    assert isinstance(process, PodProcess)
    await ready(process)
    assert sandbox.waits_for == ""


async def test_a_pod_that_waits_can_go(pods: ProcessPods, objects: Objects) -> None:
    objects.clear()
    sandbox = pods.sandbox(gateway_pod())
    starting = asyncio.create_task(sandbox.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await sandbox.close()
    assert pods.running == {}
    assert list(pods.settings.folder.iterdir()) == []


async def test_sigterm_lets_it_end_by_itself(pods: ProcessPods) -> None:
    process = await started(pods.sandbox(gateway_pod()))
    process.terminate()
    assert (await process.wait(), process.message) == (0, "")


async def test_sigkill_ends_one_that_is_deaf(pods: ProcessPods) -> None:
    process = await started(pods.sandbox(gateway_pod("--deaf", "yes")))
    process.terminate()
    assert await process.probe("/health/readyz", 8001, 2)
    process.kill()
    assert await process.wait() == 137
    process.kill()
    process.terminate()


async def test_one_that_fails_leaves_status_and_last_words(pods: ProcessPods) -> None:
    sandbox = pods.sandbox(gateway_pod("--say", "the table is gone", "--exit", "3"))
    process = await sandbox.start()
    assert await process.wait() == 3
    assert process.message == "the table is gone"
    assert sandbox.log.read_text() == "the table is gone\n"
    assert sandbox.log.stat().st_mode & 0o777 == 0o600


async def test_a_restart_keeps_address_and_scratch_space_and_the_log_of_the_life_before(pods: ProcessPods) -> None:
    pod = gateway_pod("--say", "hello")
    pod["spec"]["volumes"].append({"name": "spool", "emptyDir": {}})
    sandbox = pods.sandbox(pod)
    first = await started(sandbox)
    (sandbox.folder / "volumes" / "spool" / "record").write_text("{}")
    first.kill()
    await first.wait()
    second = await started(sandbox)
    assert first.identity != second.identity
    assert (sandbox.folder / "volumes" / "spool" / "record").exists()
    assert sandbox.log.with_suffix(".previous.log").read_text() == "hello\n"


async def test_closing_leaves_nothing(pods: ProcessPods) -> None:
    """No process, no folder, no address; the log stays for whoever asks why."""
    sandbox = pods.sandbox(gateway_pod())
    process = await started(sandbox)
    await sandbox.close()
    assert not alive(process.identity)
    assert list(pods.settings.folder.iterdir()) == [sandbox.log]
    assert pods.running == {}


async def test_a_namesake_stays_when_the_one_before_is_closed(pods: ProcessPods) -> None:
    """A pod of a StatefulSet comes back under its name while the old one still ends."""
    first, second = pods.sandbox(gateway_pod()), pods.sandbox(gateway_pod())
    await first.close()
    assert pods.running == {("team", "main-0"): second}


NOT_STARTED: dict[str, tuple[dict[str, Any], str]] = {
    "a field that is not known": (
        {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.colour"}}}]},
        "spec.colour is not played",
    ),
    "a command that is not there": ({"command": ["/nowhere/penstock", "penstock_gateway"]}, "/nowhere/penstock"),
}


@pytest.mark.parametrize(("fields", "want"), NOT_STARTED.values(), ids=NOT_STARTED)
async def test_what_cannot_start_has_exited_with_the_reason(
    fields: dict[str, Any], want: str, pods: ProcessPods
) -> None:
    container = await pods.sandbox(gateway_pod(**fields)).start()
    assert await container.wait() == EXIT_NOT_STARTED
    assert want in container.message


async def test_without_its_environment_it_says_how_to_make_it(pods: ProcessPods, tmp_path: Path) -> None:
    settings = ProcessSettings(folder=tmp_path / "pods", python=tmp_path / "nowhere" / "python")
    other = ProcessPods(settings, pods.book, pods.session, pods.look_up)
    sandbox = other.sandbox(gateway_pod())
    container = await sandbox.start()
    assert await container.wait() == EXIT_NOT_STARTED
    assert "`make gateway` makes it" in container.message
    await sandbox.close()


@pytest.mark.skipif(
    not ProcessSettings(folder=ROOT).python.exists(), reason="the gateway's environment is missing: `make gateway`"
)
async def test_the_real_gateway(pods: ProcessPods, tmp_path: Path) -> None:
    """Without a table it is alive and not ready, and it ends by itself at SIGTERM."""
    real = ProcessPods(ProcessSettings(folder=tmp_path / "pods"), pods.book, pods.session, pods.look_up)
    more = ("--table-file", "/var/lib/penstock/table.json", "--spool-dir", "/var/lib/penstock/spool")
    pod = gateway_pod(*more, "--linger-seconds", "0")
    pod["spec"]["volumes"].append({"name": "state", "emptyDir": {}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "state", "mountPath": "/var/lib/penstock"})
    sandbox = real.sandbox(pod)
    process = await sandbox.start()
    assert isinstance(process, PodProcess), process.message
    try:
        await until(lambda: process.probe("/health/livez", 8001, 2))
        assert not await process.probe("/health/readyz", 8001, 2)
        process.terminate()
        assert await process.wait() == 0
    finally:
        await sandbox.close()
