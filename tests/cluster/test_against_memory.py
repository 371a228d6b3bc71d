"""Client, informer, Lease and owned digests together, on the in-memory API server with its faults."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from builders.clock import InstantClock
from builders.records import Record
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import Conflict
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.informer import Informer
from penstock.cluster.lease import LeaseElection
from penstock.cluster.owned import manifest_digest, owned_digest
from penstock.cluster.resources import CONFIG_MAPS
from penstock.cluster.store import Store

LABELS = {"app.kubernetes.io/managed-by": "penstock"}


def config_map(name: str, colour: str = "red") -> dict[str, Any]:
    """A small object of ours."""
    metadata = {"name": name, "namespace": "default", "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": colour}}


def slim(live: dict[str, Any]) -> Record:
    """Its record."""
    metadata = live["metadata"]
    return Record(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        colour=live["data"]["colour"],
    )


class Mirror:
    """An informer's store, and the same told by its changes alone."""

    def __init__(self, client: Client, server: FakeAPIServer) -> None:
        self.server = server
        self.told: dict[str, Record] = {}
        self.store: Store[Record] = Store()
        self.something = asyncio.Event()
        self.informer = Informer(
            client,
            CONFIG_MAPS,
            slim,
            self.store,
            self.changed,
            InstantClock(),
            Random(1),
            labels="app.kubernetes.io/managed-by=penstock",
            page_size=3,
        )

    def changed(self, before: Record | None, after: Record | None) -> None:
        """Each change must fit what was told before."""
        record = after or before
        assert record is not None
        assert self.told.get(record.name) == before
        if after is None:
            del self.told[record.name]
        else:
            self.told[after.name] = after
        self.something.set()

    @property
    def agrees(self) -> bool:
        """Whether both know exactly what the server has."""
        there = {(live["metadata"]["uid"], live["metadata"]["resourceVersion"]) for live in self.live()}
        kept = {(record.uid, record.resource_version) for record in self.store}
        told = {(record.uid, record.resource_version) for record in self.told.values()}
        return there == kept == told

    def live(self) -> list[dict[str, Any]]:
        """What the server has of ours."""
        return [live for live in self.server.objects("configmaps") if live["metadata"].get("labels") == LABELS]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, looking again after each change."""
        async with asyncio.timeout(30):
            while not condition():
                self.something.clear()
                await self.something.wait()


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[FakeAPIServer, Client]]:
    """A server and a client of it; pauses between attempts take no time."""
    async with FakeAPIServer() as server:
        kubeconfig = server.kubeconfig(folder / "kubeconfig")
        async with await Client.connect(kubeconfig=str(kubeconfig), clock=InstantClock(), random=Random(1)) as client:
            yield server, client


@asynccontextmanager
async def mirrored(folder: Path) -> AsyncIterator[tuple[FakeAPIServer, Client, Mirror]]:
    """A mirror at work from before the first object."""
    async with connected(folder) as (server, client):
        mirror = Mirror(client, server)
        task = asyncio.create_task(mirror.informer.run())
        await mirror.informer.synced.wait()
        try:
            yield server, client, mirror
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def lose_the_thread(server: FakeAPIServer) -> None:
    """No watch can go on from where it is: something foreign happened, and the past is forgotten."""
    server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign", "namespace": "default"}})
    server.compact()
    server.cut_watches()


async def test_a_mirror_follows_and_ignores_what_is_not_ours(tmp_path: Path) -> None:
    """Creates, changes and deletes."""
    async with mirrored(tmp_path) as (server, client, mirror):
        server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}})
        for number in range(10):
            await client.apply(config_map(f"c{number}"))
        await client.apply(config_map("c3", "blue"))
        await client.delete(CONFIG_MAPS, "c4", "default")
        await mirror.until(lambda: mirror.agrees)
        assert len(mirror.store) == 9


def forget(server: FakeAPIServer) -> None:
    """410 for whoever resumes."""
    server.compact()
    server.cut_watches()


def be_busy(server: FakeAPIServer) -> None:
    """429 with Retry-After."""
    server.faults.fail(429, retry_after=3, count=3, verbs="watch list")
    server.cut_watches()


def be_ill(server: FakeAPIServer) -> None:
    """5xx for whatever comes."""
    server.faults.fail(503, count=5)
    server.cut_watches()


def repeat(server: FakeAPIServer) -> None:
    """Events twice."""
    server.faults.duplicate_events = 5


def mix_up(server: FakeAPIServer) -> None:
    """Events in another order."""
    server.faults.reordered_events = 5


FAULTS: dict[str, Callable[[FakeAPIServer], None]] = {
    "a cut": FakeAPIServer.cut_watches,
    "a cut in the middle of a line": lambda server: server.cut_watches(middle=True),
    "410": forget,
    "429": be_busy,
    "5xx": be_ill,
    "duplicates": repeat,
    "reordered events": mix_up,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_mirror_agrees_after_a_fault(fault: Callable[[FakeAPIServer], None], tmp_path: Path) -> None:
    """Objects come, change, go and come again under the same name around it."""
    async with mirrored(tmp_path) as (server, client, mirror):
        for number in range(8):
            await client.apply(config_map(f"c{number}"))
        fault(server)
        for number in range(8):
            await client.apply(config_map(f"c{number}", "blue"))
        server.delete("configmaps", "default", "c1")
        server.reuse_name("configmaps", "default", "c2")
        await client.apply(config_map("last"))
        await mirror.until(lambda: mirror.agrees)
        assert len(mirror.store) == 8


async def test_a_delete_that_was_never_told_is_found_by_the_next_list(tmp_path: Path) -> None:
    """Dropped by the server; the relist reports it."""
    async with mirrored(tmp_path) as (server, client, mirror):
        await client.apply(config_map("a"))
        await client.apply(config_map("b"))
        await mirror.until(lambda: mirror.agrees)
        server.faults.dropped_deletes = 1
        server.delete("configmaps", "default", "a")
        await client.apply(config_map("c"))
        await mirror.until(lambda: "c" in mirror.told)
        assert not mirror.agrees
        lose_the_thread(server)
        await mirror.until(lambda: mirror.agrees)


@pytest.mark.property
@pytest.mark.parametrize("seed", range(5))
async def test_a_mirror_agrees_after_any_mixture(seed: int, tmp_path: Path) -> None:
    """Two hundred random acts of users and of fate; then a quiet list, and nothing differs."""
    random = Random(seed)
    async with mirrored(tmp_path) as (server, _, mirror):
        for _ in range(200):
            _act(random, server)
            await asyncio.sleep(0)
            if random.random() < 0.1:
                FAULTS[random.choice(list(FAULTS))](server)
            if random.random() < 0.05:
                server.faults.dropped_deletes = 1
        server.faults.rules.clear()
        server.faults.duplicate_events = server.faults.reordered_events = server.faults.dropped_deletes = 0
        lose_the_thread(server)
        server.put(config_map("last"))
        await mirror.until(lambda: mirror.agrees)


def _act(random: Random, server: FakeAPIServer) -> None:
    name = f"c{random.randrange(6)}"
    live = server.get("configmaps", "default", name)
    if live is None:
        server.put(config_map(name))
    elif random.random() < 0.6:
        colour = random.choice(["red", "green", "blue"])
        server.update("configmaps", "default", name, lambda live: {**live, "data": {"colour": colour}})
    elif random.random() < 0.5:
        server.delete("configmaps", "default", name)
    else:
        server.reuse_name("configmaps", "default", name)


async def test_what_was_applied_is_recognised(tmp_path: Path) -> None:
    """Until another manager changes it, and again after the next apply."""
    async with connected(tmp_path) as (_, client):
        manifest = config_map("a")
        assert owned_digest(await client.apply(manifest)) == manifest_digest(manifest)
        labelled = await client.patch(
            CONFIG_MAPS, "a", "default", {"metadata": {"labels": {"team": "x"}}}, content_type=PatchType.MERGE
        )
        assert owned_digest(labelled) == manifest_digest(manifest)
        other = Client(client._api, field_manager="kubectl-edit")
        body = {"data": {"colour": "blue"}}
        changed = await other.patch(CONFIG_MAPS, "a", "default", body, content_type=PatchType.MERGE)
        assert owned_digest(changed) != manifest_digest(manifest)
        assert owned_digest(await client.apply(manifest)) == manifest_digest(manifest)


async def test_a_foreign_field_is_a_conflict_unless_forced(tmp_path: Path) -> None:
    """The error names its cause."""
    async with connected(tmp_path) as (_, client):
        await Client(client._api, field_manager="other").apply(config_map("a"))
        with pytest.raises(Conflict) as caught:
            await client.apply(config_map("a", "blue"), force=False)
        assert caught.value.details["causes"]
        assert (await client.apply(config_map("a", "blue")))["data"] == {"colour": "blue"}


async def test_one_of_two_replicas_gets_the_lease(tmp_path: Path) -> None:
    """Both ask at once."""
    async with connected(tmp_path) as (server, client):
        elections = [LeaseElection(client, "penstock", "default", f"pod-{n}", InstantClock()) for n in range(2)]
        won = await asyncio.gather(*(election._take_or_renew() for election in elections))
        assert sorted(won) == [False, True]
        lease = server.get("leases", "default", "penstock")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == elections[won.index(True)].identity
