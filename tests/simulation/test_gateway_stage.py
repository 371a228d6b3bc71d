"""All parts of a stage at once: `penstock server`, real gateways in pods, hosted providers, and a load on them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import pytest

from builders.gateway_pods import gateway_template, secret
from builders.tables import GATEWAY, KEY, backend, table
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.load import LoadSettings, SteadyLoad
from penstock.simulation.pod_process import ProcessSettings
from penstock.simulation.provider import HostedProvider, ProviderSettings
from penstock.simulation.server_process import ServerProcess
from penstock_policy.wire import encode

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        not ProcessSettings(folder=Path()).python.exists(),
        reason="the gateway's environment is missing: `make gateway`",
    ),
]

_PATIENCE_SECONDS = 40
_LOOK_SECONDS = 0.05
LABELS = {"app": "main"}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "main", "namespace": "team"},
    "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 8000, "targetPort": "http"}]},
}


@dataclass
class Stage:
    """What a test looks at."""

    cluster: SimulatedCluster
    server: ServerProcess
    north: HostedProvider
    south: HostedProvider
    load: SteadyLoad

    async def answered(self, fingerprint: str) -> None:
        """Count anew, and wait for ten answers that this provider gave."""
        self.load.begin()
        await until(lambda: self.load.counts.fingerprints[fingerprint] >= 10)

    def problems(self) -> dict[str, int]:
        """What went wrong since the count began."""
        return dict(self.load.counts.problems)


async def until(claim: Callable[[], bool]) -> None:
    """Wait for other processes."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not claim():
            await asyncio.sleep(_LOOK_SECONDS)


async def publish(server: ServerProcess, *endpoints: str) -> str:
    """As the operator: a table with the providers in that order; the gateway's token."""
    operator = {"Authorization": f"Bearer {server.token_file.read_text()}"}
    first = {**operator, "Penstock-Term": "1", "Penstock-Expected-Hash": ""}
    names = ("north", "south")
    backends = [
        backend(f"provider/ai/{name}/large", url, kind="Provider", model="large", credential=name)
        for name, url in zip(names, endpoints, strict=True)
    ]
    async with aiohttp.ClientSession(f"{server.url}") as session:
        path = f"/v1/gateways/{GATEWAY}"
        async with session.put(f"{path}/table", headers=first, data=encode(table(*backends))) as response:
            assert response.status == 200, await response.text()
        async with session.post(f"{path}/tokens", headers=operator) as response:
            return str((await response.json())["token"])


def workload(url: str) -> dict[str, object]:
    """Two replicas that pull from that server."""
    files = ("--table-file", "/var/lib/penstock/table.json", "--spool-dir", "/var/lib/penstock/spool")
    server = ("--gateway", GATEWAY, "--server", url, "--token-file", "/etc/penstock/token/token")
    template = gateway_template(*server, *files, "--linger-seconds", "1")
    mounts = {"state": "/var/lib/penstock", "token": "/etc/penstock/token"}
    template["volumes"] += [
        {"name": "state", "emptyDir": {}},
        {"name": "token", "secret": {"secretName": "main-token"}},
    ]
    template["containers"][0]["volumeMounts"] += [{"name": name, "mountPath": path} for name, path in mounts.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "main", "namespace": "team"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": template},
        },
    }


def serving(cluster: SimulatedCluster) -> int:
    """How many replicas the Service knows as ready."""
    live = cluster.server.get("endpointslices", "team", "main") or {"endpoints": []}
    return sum(each["conditions"]["ready"] for each in live["endpoints"])


def hosted(name: str) -> HostedProvider:
    """A provider with a key of its own."""
    return HostedProvider(ProviderSettings(name=name, models=("large",), key=f"sk-{name}"))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Everything up, and the load on it."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        north, south = await enter(hosted("north")), await enter(hosted("south"))
        server = await enter(ServerProcess(tmp_path))
        token = await publish(server, north.url, south.url)
        settings = SimulationSettings(nodes={}, speed=500, processes=ProcessSettings(folder=tmp_path / "pods"))
        cluster = await enter(SimulatedCluster(settings, random=Random(13)))
        cluster.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
        for each in (secret("main-credentials", north="sk-north", south="sk-south"), secret("main-token", token=token)):
            cluster.server.put(each)
        cluster.server.put(SERVICE)
        cluster.server.put(workload(server.url))
        await until(lambda: serving(cluster) == 2)
        url = cluster.service_url("team", "main")
        load = await enter(SteadyLoad(LoadSettings(url=url, key=KEY, model="chat", per_second=20)))
        yield Stage(cluster, server, north, south, load)


async def test_providers_fail_and_the_server_goes_and_clients_see_nothing(stage: Stage) -> None:
    """The first provider answers until it is limited, then the second; also without the server."""
    await stage.answered("north")
    assert stage.problems() == {}
    assert stage.load.counts.marks["route"].keys() == {"ai/chat"}
    stage.north.faults.limited = True
    await stage.answered("south")
    assert stage.problems() == {}
    await stage.server.kill()
    await stage.answered("south")
    assert stage.problems() == {}


async def test_a_key_that_changes_is_taken_up(stage: Stage) -> None:
    """The pods' processes find it in their folders, without a restart."""
    await stage.answered("north")
    stage.cluster.server.update(
        "secrets",
        "team",
        "main-credentials",
        lambda live: {**live, "data": secret("", north="sk-wrong", south="sk-south")["data"]},
    )
    await until(lambda: stage.north.refused[401] > 0)


async def test_a_replica_that_is_killed_comes_back(stage: Stage) -> None:
    """The Service forgets it meanwhile; the load goes on through the other one."""
    pods = stage.cluster.server.objects("pods", "team")
    process = stage.cluster.gateway("team", pods[0]["metadata"]["name"])
    assert process is not None
    process.kill()
    await until(lambda: serving(stage.cluster) == 1)
    await until(lambda: serving(stage.cluster) == 2)
    await stage.answered("north")
    assert stage.problems() == {}
