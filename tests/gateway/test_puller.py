"""A replica in step with the server, and going on without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import aiohttp

from builders.table_server import TableServer, table_server
from builders.tables import backend, table
from penstock_gateway.credentials import Credentials
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_gateway.pods import Pods
from penstock_gateway.puller import Identity, Puller
from penstock_gateway.replica import Replica, State
from penstock_gateway.server import Server
from penstock_policy.wire import digest_of

ONE = table(backend("a", "http://a"), generation=1)
TWO = table(backend("a", "http://b"), generation=2)


@asynccontextmanager
async def pulling(plane: TableServer, folder: Path, *, heartbeat: float = 60.0) -> AsyncIterator[Puller]:
    """A replica that pulls; its back-off is short."""
    metrics = Metrics()
    server = Server(plane.url, "ai/main", "uid-1", folder / "token", aiohttp.ClientSession())
    pods = Pods(random=Random(1), now=lambda: 0.0)

    async def sleep(seconds: float) -> None:
        assert seconds <= 5.0
        await asyncio.sleep(min(seconds, 0.02))

    puller = Puller(
        server=server,
        live=LiveTable("ai/main", folder / "table.json", metrics, follow=pods.apply),
        pods=pods,
        credentials=Credentials(None),
        replica=Replica(),
        identity=Identity("pod-1", "1.2"),
        metrics=metrics,
        random=Random(1),
        heartbeat=heartbeat,
        sleep=sleep,
    )
    running = asyncio.create_task(puller.run())
    try:
        yield puller
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()


async def test_a_table_is_applied_and_acknowledged_at_once(tmp_path: Path) -> None:
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        await plane.publish(ONE)
        report = await plane.heard(generation=1)
        assert report == {
            "hash": digest_of(ONE),
            "generation": 1,
            "credentialVersion": "",
            "state": "Serving",
            "pod": "pod-1",
            "version": "1.2",
            "inFlight": {},
            "leaving": {},
        }
        await plane.publish(TWO)
        await plane.heard(generation=2)
        assert puller.live.generation == 2
        assert set(plane.paths) == {"/v1/gateways/ai/main/replicas/uid-1"}


async def test_it_is_heard_of_again_and_again(tmp_path: Path) -> None:
    async with table_server() as plane, pulling(plane, tmp_path, heartbeat=0.02) as puller:
        await plane.heard(state="Serving")
        puller.replica.state = State.DRAINING
        await plane.heard(state="Draining")


async def test_a_pod_that_left_is_told_until_its_last_request_is_over(tmp_path: Path) -> None:
    """Its end at once, and not with the next heartbeat: the operator waits for it."""
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        await plane.publish(ONE)
        await plane.heard(generation=1)
        standing = puller.pods.of(ONE.backends[0])
        pod = standing.pods["http://a"]
        standing.took(pod)
        standing.took(pod)
        await plane.publish(TWO)
        await plane.heard(generation=2, leaving={"http://a": 2})
        standing.gave_back(pod)
        standing.gave_back(pod)
        await plane.heard(generation=2, leaving={})
        assert len(plane.reports) <= 4


async def test_many_that_leave_are_told_together(tmp_path: Path) -> None:
    many = [f"http://10.0.0.{number}" for number in range(100)]
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        first = table(backend("a", *many), generation=1)
        await plane.publish(first)
        await plane.heard(generation=1)
        standing = puller.pods.of(first.backends[0])
        pods = list(standing.pods.values())
        for pod in pods:
            standing.took(pod)
        await plane.publish(TWO)
        await plane.heard(generation=2)
        before = len(plane.reports)
        for pod in pods:
            standing.gave_back(pod)
            await asyncio.sleep(0)
        await plane.heard(generation=2, leaving={})
        assert len(plane.reports) - before <= 3


async def test_how_many_share_the_load_is_kept_until_another_number_comes(tmp_path: Path) -> None:
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        await plane.heard(generation=0)
        assert puller.replica.sharing == 1
        plane.replicas = 3
        assert await puller.tell()
        assert puller.replica.sharing == 3
        plane.replicas = 0
        assert await puller.tell()
        plane.fails = 503
        assert not await puller.tell()
        assert puller.replica.sharing == 3


async def test_with_the_server_away_the_last_table_decides(tmp_path: Path) -> None:
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        await plane.publish(ONE)
        await plane.heard(generation=1)
        plane.fails = 503
        before = plane.polls
        async with asyncio.timeout(10):
            while plane.polls < before + 3:
                await asyncio.sleep(0.01)
        assert puller.live.generation == 1
        plane.fails = 0
        await plane.publish(TWO)
        await plane.heard(generation=2)


async def test_a_restored_server_does_not_turn_a_replica_back(tmp_path: Path) -> None:
    """Nor does a broken table; each is refused once, not at every poll."""
    async with table_server() as plane, pulling(plane, tmp_path) as puller:
        await plane.publish(TWO)
        await plane.heard(generation=2)
        for worse in (ONE, b"{"):
            await plane.publish(worse)
            before = plane.polls
            async with asyncio.timeout(10):
                while plane.polls < before + 4:
                    await asyncio.sleep(0.01)
        assert puller.live.generation == 2
        for reason in ("OlderGeneration", "Malformed"):
            value = puller.metrics.registry.get_sample_value(
                "penstock_gateway_table_refusals_total", {"reason": reason}
            )
            assert value == 1
        await plane.publish(replace(ONE, generation=3))
        await plane.heard(generation=3)


async def test_a_new_token_is_read_when_the_old_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    async with table_server() as plane, pulling(plane, tmp_path):
        plane.token = "old"
        await plane.publish(ONE)
        await plane.heard(generation=1)
        plane.token = "new"
        (tmp_path / "token").write_text("new\n")
        await plane.publish(TWO)
        await plane.heard(generation=2)


async def test_without_a_table_it_goes_on_asking(tmp_path: Path) -> None:
    async with table_server() as plane, pulling(plane, tmp_path):
        async with asyncio.timeout(10):
            while plane.polls < 3:
                await asyncio.sleep(0.01)
        await plane.publish(ONE)
        await plane.heard(generation=1)
