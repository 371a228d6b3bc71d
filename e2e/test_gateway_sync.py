"""`penstock server` and two replicas as processes of their own: what is published is in force on both, and stays so."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.simulation.network import free_port
from penstock_policy.table import Backend, Consumer, Route, Rule, Share, Table
from penstock_policy.wire import digest_of, encode

ROOT = Path(__file__).parents[1]
GATEWAY = "/v1/gateways/team/main"
KEY = "sk-client"
PATIENCE_SECONDS = 30

pytestmark = pytest.mark.timeout(120)


@dataclass
class Stage:
    """The server, two replicas, two backends, and what was published last."""

    folder: Path
    operator_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    published: Table | None = None
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=20, trust_env=False))

    def url(self, name: str) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def start(self, name: str, *command: str) -> None:
        """As a process of its own, at the port that it had before."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL
        )

    async def start_server(self) -> None:
        """On the same database as before."""
        tokens, port = self.folder / "operator-token", str(self.port("server"))
        tokens.write_text(self.operator_token)
        database = f"sqlite:///{self.folder / 'penstock.db'}"
        command = ("penstock", "server", "--host", "127.0.0.1", "--port", port, "--database-url", database)
        await self.start("server", *command, "--operator-token-file", str(tokens))
        await self.until(lambda: self.answers(f"{self.url('server')}/readyz"))

    async def start_replica(self, name: str) -> None:
        """With the table that it kept."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        ports = ("--port", str(self.port(name)), "--internal-port", str(self.port(f"{name} inside")))
        files = ("--table-file", str(folder / "table.json"), "--spool-dir", str(folder / "spool"))
        place = ("--host", "127.0.0.1", "--server", self.url("server"), "--token-file", str(self.folder / "token"))
        names = ("--gateway", "team/main", "--pod-uid", f"uid-{name}", "--pod", name, "--linger-seconds", "0")
        await self.start(name, "penstock_gateway", *place, *ports, *files, *names)

    def port(self, name: str) -> int:
        """Free when it was first asked for."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    async def end(self, name: str, number: int = signal.SIGKILL) -> None:
        """By its id."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        await process.wait()

    async def answers(self, url: str) -> bool:
        """With 200."""
        with contextlib.suppress(httpx.TransportError):
            return (await self.client.get(url)).status_code == 200
        return False

    async def until(self, predicate: Callable[[], Any]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await predicate():
                await asyncio.sleep(0.02)

    def operators(self) -> dict[str, str]:
        """Headers of the operator."""
        return {"Authorization": f"Bearer {self.operator_token}"}

    async def publish(self, table: Table) -> httpx.Response:
        """As the leader of term 1."""
        before = digest_of(self.published) if self.published else ""
        headers = {**self.operators(), "Penstock-Term": "1", "Penstock-Expected-Hash": before}
        url = f"{self.url('server')}{GATEWAY}/table"
        answer = await self.client.put(url, headers=headers, content=encode(table))
        assert answer.status_code == 200, answer.text
        self.published = table
        return answer

    async def acknowledged(self) -> bool:
        """By both replicas."""
        answer = await self.client.get(f"{self.url('server')}{GATEWAY}/replicas", headers=self.operators())
        applied = [each["generation"] for each in answer.json()["replicas"]]
        assert self.published is not None
        return len(applied) == 2 and set(applied) == {self.published.generation}

    async def ask(self, replica: str) -> str:
        """A request through that replica; the backend that answered, or the status."""
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = await self.client.post(f"{self.url(replica)}/v1/chat/completions", json=body, headers=headers)
        return str(answer.headers.get("x-penstock-backend", answer.status_code))

    def table(self, generation: int, **weights: int) -> Table:
        """Both backends, at these weights; one without a weight is not routed to."""
        backends = tuple(
            Backend(name, "Deployment", "OpenAI", "m", (self.url(name),), 0)
            for name in ("one", "two")
            if name in weights
        )
        rule = Rule("all", tuple(Share(name, weight) for name, weight in weights.items()))
        consumer = Consumer("team/bot", sha256(KEY.encode()).hexdigest(), frozenset({"team/chat"}))
        route = Route("team/chat", ("chat",), (rule,))
        return Table("team/main", generation, ("low",), routes=(route,), backends=backends, consumers=(consumer,))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Everything up, and the first table in force."""
    made = Stage(tmp_path)
    try:
        for name in ("one", "two"):
            await made.start(name, "bench.backend", str(made.port(name)))
        await made.start_server()
        await made.publish(made.table(1, one=1))
        url = f"{made.url('server')}{GATEWAY}/tokens"
        answer = await made.client.post(url, headers=made.operators())
        (tmp_path / "token").write_text(answer.json()["token"])
        for name in ("left", "right"):
            await made.start_replica(name)
        await made.until(made.acknowledged)
        yield made
    finally:
        for name in tuple(made.processes):
            await made.end(name)
        await made.client.aclose()


async def test_a_publication_is_in_force_on_both_replicas(stage: Stage) -> None:
    """What was acknowledged is what happens: nothing goes to the old backend any more."""
    assert [await stage.ask(name) for name in ("left", "right")] == ["one", "one"]
    await stage.publish(stage.table(2, two=1))
    await stage.until(stage.acknowledged)
    assert {await stage.ask(name) for name in ("left", "right") for _ in range(5)} == {"two"}


async def test_no_request_fails_while_the_weights_change(stage: Stage) -> None:
    """Ten changes under load on both replicas."""
    told: Counter[str] = Counter()
    over = asyncio.Event()

    async def load(replica: str) -> None:
        while not over.is_set():
            told[await stage.ask(replica)] += 1

    tasks = [asyncio.create_task(load(name)) for name in ("left", "right") for _ in range(2)]
    for generation in range(2, 12):
        await stage.publish(stage.table(generation, **({"two": 1} if generation % 2 else {"one": 3, "two": 1})))
        await stage.until(stage.acknowledged)
    over.set()
    await asyncio.gather(*tasks)
    assert set(told) == {"one", "two"}, told


async def test_the_server_may_go_and_come_back(stage: Stage) -> None:
    """Requests go on meanwhile, and what is published afterwards arrives."""
    await stage.end("server")
    assert {await stage.ask(name) for name in ("left", "right") for _ in range(5)} == {"one"}
    await stage.start_server()
    await stage.publish(stage.table(2, two=1))
    await stage.until(stage.acknowledged)
    assert {await stage.ask(name) for name in ("left", "right")} == {"two"}


async def test_a_replica_that_was_killed_starts_with_what_it_kept(stage: Stage) -> None:
    """Without the server: its last good table is on its disk."""
    await stage.end("server")
    await stage.end("left")
    await stage.start_replica("left")
    await stage.until(lambda: stage.answers(f"{stage.url('left inside')}/health/readyz"))
    assert await stage.ask("left") == "one"


async def test_a_deposed_leader_turns_nothing_back(stage: Stage) -> None:
    """Its term is over, and so is the table that it would replace."""
    await stage.publish(stage.table(2, two=1))
    old = replace(stage.table(3, one=1))
    headers = {**stage.operators(), "Penstock-Term": "0", "Penstock-Expected-Hash": digest_of(stage.table(2, two=1))}
    answer = await stage.client.put(f"{stage.url('server')}{GATEWAY}/table", headers=headers, content=encode(old))
    assert answer.status_code == 409
    await stage.until(stage.acknowledged)
    assert await stage.ask("right") == "two"
