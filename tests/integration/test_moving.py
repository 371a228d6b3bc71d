"""A better place for what serves: shown, and taken only where the user said so and it stayed better for long enough."""

from datetime import timedelta
from typing import Any

import pytest

from integration.stage import Stage, deployment, node, pool
from penstock.planner.fleetwide import hysteresis
from penstock.reconcilers import replanning


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes are seconds here."""
    monkeypatch.setattr(replanning, "_EVERY_SECONDS", 12.0)
    monkeypatch.setattr(replanning, "_SHARE_OF_A_CORE", 0)
    monkeypatch.setattr(hysteresis, "RIPE_AFTER", timedelta(seconds=20))


async def serving(cluster: Stage, **placement: Any) -> None:
    """To an operator with nothing to do comes a deployment, serves in a dear pool, and then a cheaper one comes."""
    await cluster.start()
    await cluster.rest()
    cluster.put(pool("dear", price="9.00"), node("dear-a", pool="dear"), deployment(placement=placement))
    await cluster.ready()
    assert cluster.md()["status"]["plan"]["pool"] == "dear"
    cluster.put(pool("cheap", price="1.00"), node("cheap-a", pool="cheap"))


@pytest.mark.usefixtures("soon")
async def test_a_better_place_is_taken_once_it_has_been_better_for_long_enough(empty_cluster: Stage) -> None:
    """By the same step as any new revision: the old one serves until the new one does."""
    cluster = empty_cluster
    await serving(cluster, movePolicy="Automatic")
    await cluster.until(lambda: cluster.md()["status"]["plan"]["pool"] == "cheap")
    await cluster.ready()
    assert cluster.nodes_of() == ["cheap-a"]
    (moved,) = cluster.events("Moved")
    assert "a better place: pool cheap serves the same and saves" in moved


@pytest.mark.usefixtures("soon")
async def test_without_the_users_word_nothing_moves(empty_cluster: Stage) -> None:
    """However long it has been better."""
    cluster = empty_cluster
    await serving(cluster)
    (operator,) = (each.operator for each in cluster.operators)
    began = operator.surroundings.clock.monotonic()
    await cluster.until(lambda: operator.surroundings.clock.monotonic() - began > 60)
    await cluster.rest()
    assert cluster.nodes_of() == ["dear-a"]
    assert cluster.events("Moved") == []


async def test_another_price_is_told_once_and_starts_nothing_anew(empty_cluster: Stage) -> None:
    """What runs costs what its pool costs today, for this operator and for the next one."""
    cluster = empty_cluster
    await cluster.start()
    cluster.put(pool("h100", price="2.00"), node("a"), deployment())
    await cluster.ready()
    revisions = cluster.revisions()
    dearer = pool("h100", price="3.00")["spec"]
    cluster.server.update("inferencepools", "", "h100", lambda live: {**live, "spec": {**live["spec"], **dearer}})
    await cluster.until(lambda: cluster.md()["status"]["plan"]["costPerReplicaHour"] == "3.00 USD")
    await cluster.rest()
    assert cluster.revisions() == revisions
    before = cluster.writes()
    await cluster.restart()
    await cluster.rest()
    assert cluster.md()["status"]["plan"]["costPerHour"] == "3.00 USD"
    assert cluster.writes() == before
