"""kill -9 between any two writes: what comes after goes on, with no duplicate, no orphan and no lost change.

The server refuses to hear the n-th write and all later ones, as if the process had ended before it; then the process
does end, and another one starts.
"""

from collections.abc import Callable

import pytest

from integration.stage import Stage, deployment, whole

MOST_WRITES = 26


def _deafen(cluster: Stage, after: int) -> Callable[[], bool]:
    """Hear `after` more writes and no other; returns whether one was refused."""
    faults = cluster.server.faults
    last, refused = faults.writes + after, []

    def check(number: int) -> None:
        if number > last:
            refused.append(number)
            cluster.changed.set()
            raise ConnectionAbortedError

    faults.before_write = check
    return lambda: bool(refused)


async def _reborn(cluster: Stage) -> None:
    await cluster.kill()
    cluster.server.faults.before_write = None
    await cluster.start()


def _is_whole(cluster: Stage) -> None:
    """Exactly one revision with exactly its children, and the Service on it."""
    (revision,) = cluster.revisions()
    uid = cluster.md()["metadata"]["uid"]
    assert cluster.serving() == revision
    assert set(cluster.picture()) == whole(revision)
    for plural, namespace, name in cluster.picture():
        child = cluster.server.get(plural, namespace, name) or {}
        assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]


_IN_EVERY_RUN = 3
each_write = pytest.mark.parametrize(
    "writes",
    [pytest.param(count, marks=[] if count % _IN_EVERY_RUN == 0 else pytest.mark.soak) for count in range(MOST_WRITES)],
)
"""Every third point in `make test`, all of them in `make soak` and its sample."""


@each_write
async def test_killed_in_a_first_creation(cluster: Stage, writes: int) -> None:
    """After that many writes."""
    await cluster.rest()
    refused = _deafen(cluster, writes)
    cluster.put(deployment())
    await cluster.until(lambda: refused() or (cluster.is_ready() and writes > 8))
    await _reborn(cluster)
    await cluster.ready()
    _is_whole(cluster)


@each_write
async def test_killed_in_a_roll_out(cluster: Stage, writes: int) -> None:
    """After that many writes; the old revision serves until the new one does."""
    cluster.put(deployment())
    await cluster.ready()
    old = cluster.serving()
    refused = _deafen(cluster, writes)
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: refused() or (cluster.is_ready() and len(cluster.revisions()) == 1))
    assert cluster.serving()
    await _reborn(cluster)
    await cluster.until(lambda: cluster.revisions() != [old] and len(cluster.revisions()) == 1)
    await cluster.ready()
    _is_whole(cluster)
    (now,) = cluster.children("deployments")
    assert "--seed" in now["spec"]["template"]["spec"]["containers"][0]["args"]


async def test_the_last_of_these_points_is_after_the_last_write(cluster: Stage) -> None:
    """The counter-check: neither a creation nor a roll-out has more writes than were tried."""
    await cluster.rest()
    before = cluster.server.faults.writes
    cluster.put(deployment())
    await cluster.ready()
    created = cluster.server.faults.writes - before
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 1 and cluster.is_ready())
    await cluster.rest()
    rolled = cluster.server.faults.writes - before - created
    assert 8 <= created < MOST_WRITES, created
    assert 8 <= rolled < MOST_WRITES, rolled
