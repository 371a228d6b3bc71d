"""Every fault switch during a roll-out, and during a first creation: the same final state as without."""

import asyncio
from collections.abc import Callable

import pytest

from integration.stage import Stage, deployment, whole
from penstock.cluster.fake import FakeAPIServer


def _reborn_child(server: FakeAPIServer) -> None:
    """Somebody makes a child anew under its old name, between two events."""
    for live in server.objects("poddisruptionbudgets", "team"):
        server.reuse_name("poddisruptionbudgets", "team", live["metadata"]["name"])


def _compact_and_cut(server: FakeAPIServer) -> None:
    server.compact()
    server.cut_watches()


FAULTS: dict[str, Callable[[FakeAPIServer], None]] = {
    "429 with Retry-After": lambda server: server.faults.fail(429, count=10, retry_after=1),
    "429 on writes": lambda server: server.faults.fail(429, count=10, verbs="patch create"),
    "500": lambda server: server.faults.fail(500, count=10),
    "503 on every third kind": lambda server: server.faults.fail(503, count=10, kinds="deployments services"),
    "409 on applies": lambda server: server.faults.fail(409, count=4, verbs="patch"),
    "404 on applies": lambda server: server.faults.fail(404, count=4, verbs="patch"),
    "403 on applies": lambda server: server.faults.fail(403, count=4, verbs="patch"),
    "watches cut": lambda server: server.cut_watches(),
    "watches cut within a line": lambda server: server.cut_watches(middle=True),
    "410": _compact_and_cut,
    "duplicate events": lambda server: setattr(server.faults, "duplicate_events", 40),
    "events out of order": lambda server: setattr(server.faults, "reordered_events", 6),
    "dropped deletes": lambda server: setattr(server.faults, "dropped_deletes", 3),
    "a name used again": _reborn_child,
    "latency": lambda server: setattr(server.faults, "latency_seconds", 0.01),
}


async def _heal(cluster: Stage) -> None:
    """End what the fault may have left: what was dropped is found by the next list."""
    faults = cluster.server.faults
    faults.rules.clear()
    faults.latency_seconds = 0.0
    dropped = faults.injected["dropped_deletes"] > 0
    faults.duplicate_events = faults.reordered_events = faults.dropped_deletes = 0
    if dropped or faults.injected["reordered_events"]:
        _compact_and_cut(cluster.server)
        await cluster.sweep()


def _assert_whole(cluster: Stage, *, seeded: bool) -> None:
    """One revision of the newest spec with exactly its children."""
    (revision,) = cluster.revisions()
    assert cluster.serving() == revision
    assert set(cluster.picture()) == whole(revision)
    (workload,) = cluster.children("deployments")
    assert ("--seed" in workload["spec"]["template"]["spec"]["containers"][0]["args"]) is seeded


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_in_a_first_creation(cluster: Stage, fault: Callable[[FakeAPIServer], None]) -> None:
    """It costs time and nothing else."""
    await cluster.rest()
    cluster.put(deployment())
    await cluster.until(lambda: cluster.server.objects("controllerrevisions"))
    fault(cluster.server)
    await cluster.until(cluster.is_ready)
    await _heal(cluster)
    await cluster.rest()
    _assert_whole(cluster, seeded=False)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_in_a_roll_out(cluster: Stage, fault: Callable[[FakeAPIServer], None]) -> None:
    """The Service never points to nothing, and in the end to the new revision alone."""
    cluster.put(deployment())
    await cluster.ready()
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 2)
    fault(cluster.server)
    await cluster.until(lambda: cluster.serving() != old)
    assert cluster.serving() in cluster.revisions()
    await _heal(cluster)
    await cluster.until(lambda: len(cluster.revisions()) == 1)
    await cluster.ready()
    _assert_whole(cluster, seeded=True)


async def test_the_api_server_away_in_a_roll_out(cluster: Stage) -> None:
    """Nothing is answered for a while; what was asked for is done when it comes back."""
    cluster.put(deployment())
    await cluster.ready()
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 2)
    faults = cluster.server.faults
    faults.blackout = True
    cluster.server.cut_watches()
    await cluster.until(lambda: faults.injected["blackout"] > 20)
    faults.blackout = False
    await cluster.until(lambda: cluster.serving() != old)
    await cluster.until(lambda: len(cluster.revisions()) == 1)
    await cluster.ready()
    _assert_whole(cluster, seeded=True)


async def test_an_edit_while_nobody_listens_is_not_lost(cluster: Stage) -> None:
    """The watch ends, the log is compacted, the spec changes: the new list brings it."""
    cluster.put(deployment())
    await cluster.ready()
    old = cluster.serving()
    cluster.server.faults.fail(503, count=1000, verbs="watch list")
    cluster.server.cut_watches()
    await cluster.until(lambda: cluster.server.watches == 0)
    cluster.edit(engineArgs=["--seed=1"])
    cluster.server.compact()
    cluster.server.faults.rules.clear()
    await cluster.until(lambda: cluster.serving() != old)
    await cluster.until(lambda: len(cluster.revisions()) == 1)
    await cluster.ready()
    _assert_whole(cluster, seeded=True)


async def test_a_deletion_while_nobody_listens_is_found_by_the_sweep(cluster: Stage) -> None:
    """Kopf never tells of it; the ghost gets no children."""
    cluster.put(deployment())
    await cluster.ready()
    cluster.server.faults.dropped_deletes = 100
    cluster.server.delete("modeldeployments", "team", "chat")
    cluster.server.faults.dropped_deletes = 0
    await asyncio.sleep(0)
    _compact_and_cut(cluster.server)
    await cluster.sweep()
    await cluster.rest()
    assert cluster.picture() == {}
