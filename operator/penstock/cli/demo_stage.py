"""The stage of the demo: a simulated cluster, the operator as a child process, checks that wait for the cluster to change."""

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import yaml
from rich.console import Console

from penstock.cluster.client import Client
from penstock.errors import PenstockError
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings

__all__ = ["Stage", "StoryBroken", "stage"]

Object = dict[str, Any]

_PATIENCE_SECONDS = 20.0
_LOG_TAIL = 3000


class StoryBroken(PenstockError):
    """A claim of the demo does not hold."""


@dataclass(slots=True)
class Stage:
    """Everything that a step of the story needs."""

    console: Console
    cluster: SimulatedCluster
    client: Client
    session: aiohttp.ClientSession
    kubeconfig: Path
    log: Path
    started: float
    checks: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def title(self, text: str) -> None:
        """Begin a step."""
        elapsed = time.monotonic() - self.started
        self.console.print(f"\n[bold cyan]{text}[/] [dim]({elapsed:.0f} s)[/]")

    def say(self, text: str) -> None:
        """One line of it."""
        self.console.print(f"  {text}")

    async def check(
        self,
        claim: str,
        holds: Callable[[], bool],
        *,
        why_not: Callable[[], str] = str,
        within: float = _PATIENCE_SECONDS,
    ) -> None:
        """Wait until the claim holds, and say so; StoryBroken with the reason where it does not in time."""
        try:
            async with asyncio.timeout(within):
                while not holds():
                    self.changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.changed.wait(), 0.5)
        except TimeoutError as error:
            message = (
                f"{claim}: not within {within:.0f} s. {why_not()}\nThe operator's last lines:\n{self.last_lines()}"
            )
            raise StoryBroken(message) from error
        self.checks += 1
        self.console.print(f"  [green]✓[/] {claim}")

    async def apply(self, path: Path) -> list[Object]:
        """Server-side apply of a file, as a user does it."""
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        return [await self.put(document) for document in documents]

    async def put(self, manifest: Object) -> Object:
        """Server-side apply of one resource."""
        metadata = manifest["metadata"]
        if manifest["kind"] == "ModelDeployment":
            metadata.setdefault("namespace", "default")
        return await self.client.apply(manifest)

    def deployment(self, namespace: str, name: str) -> Object:
        """A ModelDeployment as it is now."""
        return self.cluster.server.get("modeldeployments", namespace, name) or {}

    def condition(self, namespace: str, name: str, kind: str) -> Object:
        """One of its conditions; empty where there is none yet."""
        conditions = self.deployment(namespace, name).get("status", {}).get("conditions", ())
        return next((item for item in conditions if item["type"] == kind), {})

    def is_ready(self, namespace: str, name: str) -> bool:
        """True where the newest spec serves with all replicas."""
        live = self.deployment(namespace, name)
        seen = live.get("status", {}).get("observedGeneration") == live.get("metadata", {}).get("generation")
        return seen and self.condition(namespace, name, "Ready").get("status") == "True"

    def plan(self, namespace: str, name: str) -> Object:
        """What serves."""
        found: Object = self.deployment(namespace, name).get("status", {}).get("plan") or {}
        return found

    def pods(self, namespace: str, name: str) -> list[Object]:
        """The pods of a deployment."""
        pods = self.cluster.server.objects("pods", namespace)
        return [pod for pod in pods if pod["metadata"].get("labels", {}).get("penstock.dev/deployment") == name]

    def pod_is_ready(self, pod: Object) -> bool:
        """True where its probes say so."""
        conditions = pod.get("status", {}).get("conditions", ())
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def served(self) -> list[tuple[str, str]]:
        """Deployments that are ready now."""
        names = [
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in self.cluster.server.objects("modeldeployments")
        ]
        return [place for place in names if self.is_ready(*place)]

    async def complete(self, namespace: str, name: str) -> str:
        """One chat completion through the deployment's Service; StoryBroken where it fails."""
        url = f"{self.cluster.service_url(namespace, name)}/v1/chat/completions"
        body = {"model": name, "messages": [{"role": "user", "content": "What is a penstock?"}], "max_tokens": 16}
        try:
            async with self.session.post(url, json=body) as reply:
                answer = await reply.json()
                if reply.status != 200:  # noqa: PLR2004 - OK
                    message = f"{namespace}/{name} answered {reply.status}: {answer}"
                    raise StoryBroken(message)
        except aiohttp.ClientError as error:
            message = f"{namespace}/{name} did not answer: {error}"
            raise StoryBroken(message) from error
        return str(answer["choices"][0]["message"]["content"])

    def last_lines(self) -> str:
        """The end of the operator's log."""
        return self.log.read_text()[-_LOG_TAIL:]


@contextlib.asynccontextmanager
async def stage(console: Console, folder: Path, *, speed: float, random: Random) -> AsyncIterator[Stage]:
    """Set up, and take down whatever happened; the operator is ended by its id."""
    kubeconfig, log = folder / "kubeconfig", folder / "operator.log"
    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(SimulatedCluster(SimulationSettings(speed=speed), random=random))
        cluster.kubeconfig(kubeconfig)
        client = await stack.enter_async_context(
            await Client.connect(kubeconfig=str(kubeconfig), field_manager="penstock-demo")
        )
        # A new connection per completion: one that is kept alive would stay with a pod that the Service left.
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=30)
            )
        )
        await stack.enter_async_context(_operator(kubeconfig, log))
        scene = Stage(console, cluster, client, session, kubeconfig, log, time.monotonic())
        stack.callback(cluster.server.subscribe(lambda *_: scene.changed.set()))
        yield scene


@contextlib.asynccontextmanager
async def _operator(kubeconfig: Path, log: Path) -> AsyncIterator[None]:
    """`penstock operator` as users run it."""
    command = ["-m", "penstock", "operator", "--kubeconfig", str(kubeconfig), "--no-hub", "--log-format", "text"]
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--health-host",
            "127.0.0.1",
            "--health-port",
            str(_free_port()),
            stdout=sink,
            stderr=sink,
        )
        try:
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), 10)
                except TimeoutError:
                    process.kill()
                    await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
