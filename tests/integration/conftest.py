"""Fixtures of the integration tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.entry import Entry
from integration.stage import Stage, node, pool, stage
from penstock.reconcilers import inferencegateway

__all__ = ["cluster", "empty_cluster"]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas and server are heard in this machine's time: three of the operator's seconds are a seventh of one."""
    monkeypatch.setattr(inferencegateway, "_SETTLING_SECONDS", 30.0)


@pytest.fixture
async def empty_cluster(tmp_path: Path) -> AsyncIterator[Stage]:
    """A cluster without pools, and no operator yet."""
    async with stage(tmp_path) as made:
        yield made


@pytest.fixture
async def cluster(empty_cluster: Stage) -> Stage:
    """A cluster with one pool of one H100 node, and an operator that runs."""
    empty_cluster.put(pool("h100"), node("h100-a"))
    await empty_cluster.start()
    return empty_cluster


@pytest.fixture
async def entry(cluster: Stage) -> AsyncIterator[Entry]:
    """Nothing is deployed yet; a Route names it already."""
    await cluster.kill()
    made = Entry(cluster)
    end = cluster.server.subscribe(made.look)
    await made.start()
    yield made
    end()
    assert made.broken == []
