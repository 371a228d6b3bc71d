"""A deployment whose node is lost waits for another one in its pool, for as long as its spec says."""

from datetime import datetime
from typing import Any

import pytest

from integration.stage import Stage, deployment, node, pool

Object = dict[str, Any]

PATIENCE_SECONDS = 30


def waiting(cluster: Stage) -> Object:
    """What the status says of the wait; empty where it waits for nothing."""
    return dict(cluster.md()["status"].get("waiting") or {})


def waited_seconds(cluster: Stage) -> int:
    """What the move gives as its reason."""
    (told,) = [message for message in cluster.events("Moved") if "for room in pool h100" in message]
    return int(told.removeprefix("waited ").split()[0])


async def pass_time(cluster: Stage, seconds: float) -> None:
    began = cluster.clock.monotonic()
    await cluster.until(lambda: cluster.clock.monotonic() > began + seconds)


@pytest.fixture
async def long_placed(cluster: Stage) -> Stage:
    """In H100 for longer than it would wait, with A100 as the next choice."""
    cluster.put(pool("a100", price="3.00"), node("a100-a", pool="a100", accelerator="A100"))
    cluster.put(deployment(placement={"fallbackAfterSeconds": PATIENCE_SECONDS}))
    await cluster.ready()
    await pass_time(cluster, PATIENCE_SECONDS + 10)
    assert not waiting(cluster)
    return cluster


async def test_it_stays_in_its_pool_until_its_patience_ends(long_placed: Stage) -> None:
    """The wait counts from the loss of the node, however long it stood there before."""
    cluster = long_placed
    lost = cluster.clock.now().replace(microsecond=0)
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: waiting(cluster))
    assert cluster.reason("Placed") == "WaitingForNode"
    assert waiting(cluster)["pool"] == "h100"
    assert datetime.fromisoformat(waiting(cluster)["sinceTime"]) >= lost
    await cluster.until(lambda: cluster.events("Moved"))
    passed = (cluster.clock.now() - lost).total_seconds()
    assert PATIENCE_SECONDS <= waited_seconds(cluster) <= passed
    await cluster.ready()
    assert cluster.nodes_of() == ["a100-a"]
    assert not waiting(cluster)


async def test_the_next_operator_goes_on_waiting(long_placed: Stage) -> None:
    """It neither falls back at once nor begins anew, and writes nothing for having come."""
    cluster = long_placed
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: waiting(cluster))
    told = waiting(cluster)
    seen = []

    def look(_type: str, live: Object, _before: Object | None) -> None:
        if live["kind"] == "ModelDeployment" and live["status"].get("waiting"):
            seen.append(live["status"]["waiting"])

    end = cluster.server.subscribe(look)
    await pass_time(cluster, 5)
    await cluster.restart()
    await cluster.until(lambda: cluster.events("Moved"))
    moved = cluster.clock.now()
    await cluster.ready()
    end()
    assert all(each == told for each in seen)
    passed = (moved - datetime.fromisoformat(told["sinceTime"])).total_seconds()
    assert PATIENCE_SECONDS <= waited_seconds(cluster) <= passed + 1
    assert cluster.nodes_of() == ["a100-a"]


async def test_a_node_that_comes_back_ends_the_wait(long_placed: Stage) -> None:
    """And the next loss is waited for anew."""
    cluster = long_placed
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: waiting(cluster))
    first = waiting(cluster)["sinceTime"]
    cluster.put(node("h100-b"))
    await cluster.ready()
    assert not waiting(cluster)
    await pass_time(cluster, 2)
    cluster.server.delete("nodes", "", "h100-b")
    await cluster.until(lambda: waiting(cluster))
    assert waiting(cluster)["sinceTime"] > first


async def test_a_status_that_cannot_be_written_stops_no_clock(long_placed: Stage) -> None:
    """It is known beside the status, too."""
    cluster = long_placed
    cluster.server.faults.fail(503, count=100_000, verbs="patch", kinds="modeldeployments")
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: cluster.events("Moved"))
    assert waited_seconds(cluster) >= PATIENCE_SECONDS
    assert not waiting(cluster)
    cluster.server.faults.rules.clear()
    await cluster.until(lambda: cluster.nodes_of() == ["a100-a"])
    await cluster.ready()
