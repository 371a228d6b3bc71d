"""Invariant 3: no API write and no status churn while nothing changes; 7: nor after a restart or an upgrade."""

from dataclasses import replace
from typing import Any

import pytest

from integration.stage import Stage, deployment, node, pool
from penstock.render import revisions


async def test_no_request_while_nothing_changes(empty_cluster: Stage) -> None:
    """Bookmarks come and are heard; nothing is asked and nothing is written."""
    cluster = empty_cluster
    cluster.server.set_bookmarks(0.05)
    cluster.put(pool("h100"), node("h100-a"), deployment("one"), deployment("two", replicas=2))
    running = await cluster.start()
    await cluster.ready("one", "two")
    before, began = dict(cluster.server.requests), cluster.clock.monotonic()
    heard = began + cluster.clock.speed * 0.2
    await cluster.until(lambda: all(each.last_heard > heard for each in running.operator.informers))
    assert dict(cluster.server.requests) == before


async def test_a_visit_of_every_key_writes_nothing(cluster: Stage) -> None:
    """The sweep that guards against ghosts changes nothing."""
    cluster.put(deployment("one"), deployment("two"))
    await cluster.ready("one", "two")
    writes = cluster.writes()
    await cluster.sweep()
    await cluster.rest()
    assert cluster.writes() == writes


async def test_quiet_again_after_a_roll_out(cluster: Stage) -> None:
    """What the status said of the way there is gone, and its going is not written time and again."""
    cluster.put(deployment())
    await cluster.ready()
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: cluster.is_ready() and old not in cluster.revisions())
    await cluster.rest()
    writes = cluster.writes()
    await cluster.sweep()
    await cluster.rest()
    await cluster.restart()
    await cluster.rest()
    assert cluster.writes() == writes
    assert not cluster.md()["status"].get("nextPlan")


async def test_the_same_spec_applied_again_writes_nothing(cluster: Stage) -> None:
    """A GitOps tool that syncs sees no answer."""
    cluster.put(deployment())
    await cluster.ready()
    writes = cluster.writes()
    cluster.server.update("modeldeployments", "team", "chat", lambda live: live)
    await cluster.rest()
    assert cluster.writes() == writes


async def test_a_restart_writes_nothing(cluster: Stage) -> None:
    """Everything that was decided is found again."""
    cluster.put(deployment("one"), deployment("two", replicas=2))
    await cluster.ready("one", "two")
    writes, picture = cluster.writes(), cluster.picture()
    await cluster.restart()
    await cluster.rest()
    assert cluster.writes() == writes
    assert cluster.picture() == picture


async def test_a_restart_tells_no_old_news(empty_cluster: Stage) -> None:
    """A node was lost, and another replica was asked for: both since the revision was pinned."""
    cluster = empty_cluster
    cluster.put(pool("h100"), *(node(f"h100-{letter}", gpus=1) for letter in "abc"))
    await cluster.start()
    cluster.put(deployment())
    await cluster.ready()
    (lost,) = cluster.nodes_of()
    cluster.server.delete("nodes", "", lost)
    await cluster.until(lambda: cluster.nodes_of() not in ([lost], [""], []))
    await cluster.ready()
    assert len(cluster.events("Moved")) == 1
    cluster.edit(replicas=2)
    await cluster.ready()
    writes = cluster.writes()
    for _ in range(2):
        await cluster.restart()
        await cluster.rest()
    assert (cluster.writes(), len(cluster.events("Moved"))) == (writes, 1)


async def test_another_renderer_touches_no_deployment(cluster: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with other engine images leaves what is pinned alone, and repairs from what is pinned."""
    cluster.put(deployment())
    await cluster.ready()
    (before,) = cluster.children("deployments")
    rendered = revisions._container

    def newer(request: Any, storage: Any) -> Any:
        return replace(rendered(request, storage), image="example.com/engine:next")

    await cluster.kill()
    monkeypatch.setattr(revisions, "_container", newer)
    await cluster.start()
    await cluster.rest()
    assert cluster.children("deployments") == [before]
    cluster.server.delete("deployments", "team", before["metadata"]["name"])
    await cluster.ready()
    (again,) = cluster.children("deployments")
    assert again["spec"]["template"] == before["spec"]["template"]


async def test_another_renderer_serves_what_is_asked_for_anew(cluster: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter-check: with the newer release, a changed spec does get the newer image."""
    cluster.put(deployment())
    await cluster.ready()
    rendered = revisions._container

    def newer(request: Any, storage: Any) -> Any:
        return replace(rendered(request, storage), image="example.com/engine:next")

    monkeypatch.setattr(revisions, "_container", newer)
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.ready()
    await cluster.until(lambda: len(cluster.revisions()) == 1)
    (now,) = cluster.children("deployments")
    assert now["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/engine:next"
