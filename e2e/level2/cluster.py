"""All of level 2, started and ended together: `async with running(folder) as level2`."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from level2.entry import Entry
from level2.kubelet import Kubelet, Life, look_up_with
from level2.manifests import NAMESPACE, consumer, gateway, pool
from level2.servers import PATIENCE_SECONDS, Published, Server
from penstock.cluster.client import Client
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import MODEL_DEPLOYMENTS, SECRETS, ResourceType
from penstock.server_client.client import ServerClient
from penstock.server_client.tokens import TokenFile
from penstock.simulation.load import LoadSettings, SteadyLoad
from penstock.simulation.network import AddressBook
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.pod_process import ProcessPods, ProcessSettings
from penstock.simulation.serving import Timing
from penstock_policy.table import Table
from testbed.control_plane import ControlPlane
from testbed.gpu_nodes import cpu_nodes, gpu_nodes
from testbed.postgresql import postgresql, programs

__all__ = ["Level2", "backend_of", "endpoints_of", "running", "weights_of"]

Object = dict[str, Any]

_CRDS = Path(__file__).resolve().parents[2] / "crds"
_TIMING = Timing(load=0.2, warm_up=0.0, first_token=0.03, prompt_token=0.0, token=0.01)
_CLIENTS_PORT = 8000
_LOOK_SECONDS = 0.05
_PROBES_AT_ONCE = 64


@dataclass(slots=True)
class Level2:
    """The cluster and what runs on it. `servers` share a database: the operator asks the first, replicas the last."""

    plane: ControlPlane
    folder: Path
    client: Client
    kubelet: Kubelet
    servers: list[Server]
    entry: Entry
    published: Published
    operators: list[OperatorProcess] = field(default_factory=list)
    key: str = field(default="", repr=False)

    async def apply(self, *manifests: Object) -> None:
        """As users do it."""
        for manifest in manifests:
            await self.client.apply(manifest, strict=True)

    async def delete(self, *deployments: str) -> None:
        """The API's answer is waited for, not the end."""
        for name in deployments:
            await self.client.delete(MODEL_DEPLOYMENTS, name, NAMESPACE)

    async def exists(self, kind: ResourceType, name: str) -> bool:
        """Whether it is there, in whatever state."""
        try:
            await self.client.get(kind, name, NAMESPACE)
        except NotFound:
            return False
        return True

    async def start_operator(self) -> OperatorProcess:
        """One more."""
        words = ("--server-url", self.servers[0].url, "--server-token-file", str(self.servers[0].token_file))
        more = (*words, "--gateway-server-url", self.servers[-1].url)
        log = self.folder / f"operator-{len(self.operators)}.log"
        operator = OperatorProcess(self.plane.kubeconfig, log, more)
        self.operators.append(operator)
        await operator.start()
        return operator

    async def routed(self, *deployments: str, replicas: int = 2, pods: int = 1) -> Table:
        """Wait until each replica sends to so many pods of each of them."""
        return await self.published.until(
            lambda table: all(len(endpoints_of(table, name)) == pods for name in deployments), replicas=replicas
        )

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it holds; AssertionError with the operators' last lines."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            logs = "\n".join(operator.log.read_text()[-3000:] for operator in self.operators)
            message = f"not within {seconds:.0f} s: {what}\n{logs}"
            raise AssertionError(message) from None

    def load(self, model: str = "chat", per_second: float = 20.0, **more: Any) -> SteadyLoad:
        """Half of it streams, through all replicas that are ready."""
        return SteadyLoad(LoadSettings(url=self.entry.url, model=model, per_second=per_second, key=self.key, **more))

    def engine(self, deployment: str) -> Life:
        """The only pod of that deployment; ValueError where there is not one."""
        (found,) = self.kubelet.engines(deployment)
        return found

    def leaving(self, deployment: str) -> bool:
        """Whether every pod of it was told to end, or is gone."""
        return all(life.leaving.is_set() for life in self.kubelet.engines(deployment))

    async def ask(self, model: str, **headers: str) -> tuple[int, Object]:
        """One chat completion; its status and content."""
        body = {"model": model, "messages": [{"role": "user", "content": "What are you?"}], "max_tokens": 4}
        given = {"Authorization": f"Bearer {self.key}", **headers}
        url = f"{self.entry.url}/v1/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=given) as answer:
            return answer.status, await answer.json()

    async def rest(self, seconds: float) -> None:
        """Let real time pass, where the claim is that something goes on, or does not happen, meanwhile."""
        await asyncio.sleep(seconds)

    async def read_key(self) -> str:
        """The consumer's, which the operator makes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(NotFound):
                    live = await self.client.get(SECRETS, "bot-key", NAMESPACE)
                    return base64.b64decode(live["data"]["api-key"]).decode()
                await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def running(folder: Path, *, replicas: int = 2, python: Path | None = None) -> AsyncIterator[Level2]:
    """A gateway that is in step, a consumer with a key, pools `eu` and `us` of eight GPUs; no deployment yet."""
    folder.mkdir()
    async with AsyncExitStack() as stack:
        plane = await _plane(stack)
        database = stack.enter_context(_database(folder / "server.db"))
        client = await stack.enter_async_context(await _user(plane))
        servers = await _servers(stack, folder, database)
        kubelet = await _kubelet(stack, folder, client, python)
        entry = await stack.enter_async_context(Entry(lambda: _places(kubelet)))
        told = ServerClient(servers[0].url, TokenFile(servers[0].token_file))
        published = Published(await stack.enter_async_context(told))
        level2 = Level2(plane, folder, client, kubelet, servers, entry, published)
        stack.push_async_callback(_end, level2.operators)
        await level2.apply(*_surroundings())
        await level2.start_operator()
        await level2.apply(gateway(replicas), consumer())
        level2.key = await level2.read_key()
        await published.until(lambda table: bool(table.consumers), replicas=replicas)
        await level2.until(lambda: len(_places(kubelet)) == replicas, "all replicas are ready")
        yield level2


def backend_of(deployment: str) -> str:
    """Its name in tables and headers."""
    return f"deployment/{NAMESPACE}/{deployment}"


def endpoints_of(table: Table, deployment: str) -> tuple[str, ...]:
    """Where the table sends for it, empty where it does not name it."""
    found = (each.endpoints for each in table.backends if each.name == backend_of(deployment))
    return next(found, ())


def weights_of(table: Table, route: str) -> dict[str, int]:
    """The shares of its first rule, by backend; empty where it is in no table."""
    rules = next((each.rules for each in table.routes if each.name == f"{NAMESPACE}/{route}"), ())
    return {share.backend: share.weight for share in rules[0].shares} if rules else {}


async def _plane(stack: AsyncExitStack) -> ControlPlane:
    """Its processes' addresses are of a network of their own: several of these may run beside each other."""
    network = f"127.{secrets.choice(range(64, 128))}.{secrets.choice(range(0, 256, 16))}.0/20"
    plane = await asyncio.to_thread(
        ControlPlane.start,
        controllers=True,
        nodes=True,
        pod_network=network,
        played_elsewhere=("pod-ready", "pod-delete"),
    )
    stack.enter_context(plane)
    await asyncio.to_thread(_install, plane)
    return plane


async def _user(plane: ControlPlane) -> Client:
    """Under a name of its own: under the operator's, an apply would take away whatever the other one says."""
    return await Client.connect(kubeconfig=str(plane.kubeconfig), field_manager="level2")


def _install(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(_CRDS))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    nodes = [*gpu_nodes("h100", 1, prefix="eu", labels={"pool": "eu"}), *cpu_nodes(1)]
    plane.create_nodes([*nodes, *gpu_nodes("h100", 1, prefix="us", labels={"pool": "us"})])


def _surroundings() -> Iterator[Object]:
    for name in (NAMESPACE, "penstock-system"):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield pool("eu", "DE")
    yield pool("us", "US")


@contextmanager
def _database(file: Path) -> Iterator[str]:
    """PostgreSQL where it is to be had, else a file."""
    binaries = programs()
    if binaries is None:
        yield f"sqlite:///{file}"
        return
    with postgresql(binaries) as url:
        yield url


async def _servers(stack: AsyncExitStack, folder: Path, database: str) -> list[Server]:
    token_file = folder / "operator-token"
    count = 2 if database.startswith("postgresql") else 1
    servers = [Server(folder / f"server-{number}", database, token_file) for number in range(count)]
    for server in servers:
        # One after the other: the first migrates.
        await stack.enter_async_context(server)
    return servers


async def _kubelet(stack: AsyncExitStack, folder: Path, client: Client, python: Path | None) -> Kubelet:
    connector = aiohttp.TCPConnector(limit=_PROBES_AT_ONCE, force_close=True)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    home = folder / "pods"
    home.mkdir()
    settings = ProcessSettings(folder=home) if python is None else ProcessSettings(folder=home, python=python)
    processes = ProcessPods(settings, AddressBook(), session, look_up_with(client))
    kubelet = Kubelet(client, processes, _TIMING)
    stack.push_async_callback(_cancel, asyncio.create_task(kubelet.run(), name="kubelet"))
    return kubelet


def _places(kubelet: Kubelet) -> list[tuple[str, int]]:
    """Where connections go: as Services, to what is ready and not ending."""
    found = [life for life in kubelet.gateways() if life.ready and not life.leaving.is_set()]
    return [(life.address, _CLIENTS_PORT) for life in found]


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _end(operators: Sequence[OperatorProcess]) -> None:
    for operator in operators:
        await operator.stop()
