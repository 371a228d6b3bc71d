"""Gateways beside the operator of a test: the real control-plane server in this process, and replicas' real pullers.

Nothing is answered to clients here: what a replica would do with a request is read from the table that it applied.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from integration.stage import API_VERSION, Stage, condition
from penstock.server.process import ServerSettings, run_server
from penstock.simulation.network import free_port
from penstock.workqueue.clock import SystemClock
from penstock_gateway.credentials import Credentials
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_gateway.pods import Pods
from penstock_gateway.puller import Identity, Puller
from penstock_gateway.replica import Replica
from penstock_gateway.server import Server
from penstock_policy.table import Backend, Table

__all__ = ["GatewayStage", "consumer", "gateway", "gateways", "provider", "route", "secret"]

Object = dict[str, Any]

GATEWAY = ("team", "main")
_TOKEN = "operator-token-for-tests-of-the-operator"
_HEARTBEAT_SECONDS = 0.3
_WORD_SECONDS = 0.5
_REPLICA_SECONDS = 3.0
_PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.02


def _ours(kind: str, name: str, namespace: str, spec: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def gateway(name: str = "main", *, namespace: str = "team", **spec: Any) -> Object:
    """With two replicas and three levels."""
    return _ours("InferenceGateway", name, namespace, {"sensitivityLevels": ["low", "medium", "high"], **spec})


def route(name: str = "chat", *backends: Object, namespace: str = "team", **rule: Any) -> Object:
    """One rule over these backends; a string is a deployment's name."""
    named = [{"deploymentRef": {"name": each}} if isinstance(each, str) else each for each in backends or ("chat",)]
    rules = [{"name": "all", "backends": named, **rule}]
    return _ours("Route", name, namespace, {"gatewayRef": {"name": "main"}, "modelNames": [name], "rules": rules})


def provider(name: str = "hosted", *, namespace: str = "team", **spec: Any) -> Object:
    """One model, `large`, behind a URL of its own."""
    stated = {
        "type": "OpenAICompatible",
        "url": "https://llm.example.internal/v1",
        "credentialsRef": {"name": name, "key": "api-key"},
        "models": [{"name": "large", "providerModel": "large-v2"}],
    }
    return _ours("ModelProvider", name, namespace, {**stated, **spec})


def consumer(name: str = "bot", *, namespace: str = "team", **spec: Any) -> Object:
    """Its key stands in the Secret of its own name."""
    stated = {"gatewayRef": {"name": "main"}, "keySecretRef": {"name": f"{name}-key", "key": "api-key"}}
    return _ours("Consumer", name, namespace, {**stated, **spec}, labels={"team": "support"})


def secret(name: str, *, namespace: str = "team", watched: bool = True, **values: str) -> Object:
    """Underscores in the names of values stand for dashes."""
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    labels = {"penstock.dev/watched": "true"} if watched else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@dataclass(slots=True)
class Puppet:
    """A replica that pulls and acknowledges; `in_flight` is what it says of endpoints that left its table."""

    puller: Puller
    task: "asyncio.Task[None]"

    @property
    def table(self) -> Table | None:
        """What it would decide with."""
        index = self.puller.live.index
        return index.table if index else None

    async def end(self) -> None:
        """As by SIGKILL: nothing is said."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.puller.server.close()


@dataclass(slots=True)
class GatewayStage:
    """The cluster, a control-plane server at `url`, and the replicas of the gateway `team/main` by the pod's name."""

    cluster: Stage
    folder: Path
    port: int
    replicas: dict[str, Puppet] = field(default_factory=dict)
    _serving: "asyncio.Task[None] | None" = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self.port}"

    async def start_server(self, database: str = "server.db", **more: Any) -> None:
        """On that file of the test's folder, until it answers; `more` are settings."""
        token_file = self.folder / "operator-token"
        token_file.write_text(_TOKEN)
        token_file.chmod(0o600)
        settings = ServerSettings(
            f"sqlite:///{self.folder / database}",
            "127.0.0.1",
            self.port,
            token_file,
            replica_seconds=_REPLICA_SECONDS,
            **more,
        )
        self._stop = asyncio.Event()
        self._serving = asyncio.create_task(run_server(settings, SystemClock(), self._stop))
        # Whoever is told that it is not ready asks again much later, in the middle of what a test looks at.
        async with asyncio.timeout(_PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while not await self._answers(session, "https" if "tls_cert_file" in more else "http"):
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _answers(self, session: aiohttp.ClientSession, scheme: str) -> bool:
        try:
            async with session.get(f"{scheme}://127.0.0.1:{self.port}/readyz", ssl=False) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def stop_server(self) -> None:
        """Away, its database stays."""
        if self._serving is not None:
            self._stop.set()
            await self._serving
            self._serving = None

    async def start_operator(self, identity: str = "one", *, leader_elect: bool = False, **more: Any) -> None:
        """With this server; `more` are settings."""
        await self.cluster.start(
            identity,
            leader_elect=leader_elect,
            server_url=self.url,
            server_token_file=str(self.folder / "operator-token"),
            **more,
        )

    async def start_replicas(self) -> None:
        """One for each pod of the gateway, with the token that its Secret holds."""
        await self.cluster.until(lambda: len(self.pods()) >= 2 and self._token())
        for pod in self.pods():
            if pod not in self.replicas:
                await self.start_replica(pod)

    async def start_replica(self, pod: str) -> Puppet:
        """A replica that begins with nothing."""
        folder = self.folder / pod
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text(self._token())
        metrics = Metrics()
        puller = Puller(
            server=self.server_of(pod, folder),
            live=LiveTable("team/main", folder / "table.json", metrics),
            pods=Pods(random=Random(1), now=asyncio.get_running_loop().time),
            credentials=Credentials(None),
            replica=Replica(),
            identity=Identity(pod, "test"),
            metrics=metrics,
            random=Random(2),
            heartbeat=_HEARTBEAT_SECONDS,
        )
        self.replicas[pod] = Puppet(puller, asyncio.create_task(puller.run()))
        return self.replicas[pod]

    def server_of(self, pod: str, folder: Path) -> Server:
        """The server as that replica sees it."""
        return Server(self.url, "team/main", f"uid-{pod}", folder / "token", aiohttp.ClientSession())

    async def up(self, **more: Any) -> None:
        """Server, operator, gateway and replicas, all of them in step; `more` are the operator's settings."""
        await self.start_server()
        await self.start_operator(**more)
        self.cluster.put(gateway())
        await self.start_replicas()
        await self.cluster.until(lambda: self.is_so("inferencegateways", "main", "Ready"))

    async def calm(self) -> None:
        """Wait until nothing is written any more: words of replicas are under way that no operator knows of yet."""
        before = -1
        while before != self.cluster.writes():
            before = self.cluster.writes()
            await self.cluster.rest()
            await asyncio.sleep(_WORD_SECONDS)

    def pods(self) -> list[str]:
        """Of the gateway."""
        return sorted(
            pod["metadata"]["name"]
            for pod in self.cluster.server.objects("pods", "team")
            if (pod["metadata"].get("labels") or {}).get("penstock.dev/gateway") == "main"
        )

    def tables(self) -> list[Table]:
        """What the replicas would decide with."""
        return [puppet.table for puppet in self.replicas.values() if puppet.table is not None]

    def everywhere(self, backend: str) -> list[Backend]:
        """The backend in each replica's table that has it."""
        found = (each for table in self.tables() for each in table.backends if each.name == backend)
        return list(found)

    def is_so(self, plural: str, name: str, kind: str, status: str = "True") -> bool:
        """Whether the condition is so, of the newest spec."""
        live = self.cluster.server.get(plural, "team", name)
        found = condition(live, kind)
        newest = live is not None and found.get("observedGeneration") == live["metadata"]["generation"]
        return newest and found.get("status") == status

    def why(self, plural: str, name: str, kind: str) -> tuple[str, str]:
        """Reason and message of a condition."""
        found = condition(self.cluster.server.get(plural, "team", name), kind)
        return str(found.get("reason", "")), str(found.get("message", ""))

    def _token(self) -> str:
        live = self.cluster.server.get("secrets", "team", "main-gateway-token")
        data = (live or {}).get("data") or {}
        return base64.b64decode(data.get("token", "")).decode()

    async def close(self) -> None:
        """End all of it."""
        for puppet in self.replicas.values():
            await puppet.end()
        await self.cluster.kill()
        with contextlib.suppress(asyncio.CancelledError):
            await self.stop_server()


@asynccontextmanager
async def gateways(cluster: Stage, folder: Path) -> AsyncIterator[GatewayStage]:
    """Nothing of it runs yet."""
    made = GatewayStage(cluster, folder, free_port())
    try:
        yield made
    finally:
        await made.close()
