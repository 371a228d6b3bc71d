"""Invariant 1, drain before delete: nothing goes that a live gateway replica may still send to."""

from collections.abc import Callable
from typing import Any

import pytest

from integration.entry import FINALIZER, FORCE, HOME, Entry
from integration.stage import condition, deployment, node
from penstock_policy.table import Backend, Table


async def _nothing(_entry: Entry) -> None:
    """The operator lives."""


Between = Callable[[Entry], Any]
LIVES: dict[str, Between] = {"it lives": _nothing, "killed at each step": Entry.restart}
lives = pytest.mark.parametrize("between", LIVES.values(), ids=LIVES)


class TestFinalizer:
    """Who is held back."""

    async def test_named(self, entry: Entry) -> None:
        """From the first pass on; nothing is sent to it before."""
        await entry.serves()
        assert entry.finalizers() == [FINALIZER]
        assert len(entry.endpoints) == 1

    async def test_not_named(self, entry: Entry) -> None:
        """It goes as if there were no gateways, also while the server is away."""
        entry.name()
        entry.cluster.put(deployment(replicas=2))
        await entry.cluster.ready()
        entry.publish()
        assert (entry.finalizers(), entry.endpoints) == ([], ())
        assert entry.cluster.reason("Routable") == "NotRouted"
        entry.away = True
        entry.say()
        entry.cluster.edit(replicas=1)
        await entry.cluster.until(lambda: entry.replicas() == 1)
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.cluster.until(entry.deleted)

    @lives
    async def test_named_no_more(self, entry: Entry, between: Between) -> None:
        """It stays until no table has it and nothing is in flight."""
        await entry.serves()
        (endpoint,) = entry.endpoints
        entry.works("gw-0", endpoint)
        entry.name()
        await entry.cluster.rest()
        await between(entry)
        assert entry.finalizers() == [FINALIZER]
        entry.tables.append(Table("entry/main", len(entry.tables) + 1, ("low",), backends=(_without_endpoints(),)))
        entry.gateway.published(entry.tables[-1], "without")
        entry.acknowledge()
        await entry.cluster.rest()
        await between(entry)
        assert entry.finalizers() == [FINALIZER]
        entry.works("gw-0")
        await entry.cluster.until(lambda: not entry.finalizers())
        assert entry.cluster.reason("Routable") == "NotRouted"

    async def test_no_server_any_more(self, entry: Entry) -> None:
        """An operator without one takes off what another has left."""
        await entry.serves()
        await entry.cluster.kill()
        await entry.cluster.start()
        await entry.cluster.until(lambda: not entry.finalizers() and not entry.cluster.reason("Routable"))
        entry.has = dict.fromkeys(entry.has, 0)

    async def test_others_finalizers_stay(self, entry: Entry) -> None:
        """Only ours is put on and taken off, whoever put it there."""
        held = deployment()
        held["metadata"]["finalizers"] = ["example.com/wait", FINALIZER]
        entry.name()
        entry.cluster.put(held)
        await entry.cluster.until(lambda: entry.finalizers() == ["example.com/wait"])

    async def test_quiet(self, entry: Entry) -> None:
        """Nothing is written in steady state, nor after a restart."""
        await entry.serves(replicas=2)
        writes = entry.cluster.writes()
        entry.acknowledge()
        await entry.restart()
        await entry.cluster.sweep()
        await entry.cluster.rest()
        assert entry.cluster.writes() == writes


def _without_endpoints() -> Backend:
    return Backend(HOME, "Deployment", "OpenAI", "chat", (), max_sensitivity=0)


class TestDeletion:
    """The engines outlive the last request."""

    @lives
    async def test_waits_for_the_last_acknowledgement_and_the_last_request(
        self, entry: Entry, between: Between
    ) -> None:
        """Table, replicas, requests: one after the other."""
        await entry.serves(replicas=2)
        first, second = entry.endpoints
        entry.works("gw-0", first)
        entry.works("gw-1", second)
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.waits("NotPublished")
        await between(entry)
        entry.publish()
        await entry.waits("NotAcknowledged")
        await between(entry)
        entry.acknowledge("gw-0")
        await entry.waits("NotAcknowledged")
        entry.acknowledge()
        await entry.waits("InFlight")
        await between(entry)
        entry.works("gw-0")
        await entry.waits("InFlight")
        assert entry.finalizers() == [FINALIZER]
        assert len(entry.cluster.children("pods")) == 2
        entry.works("gw-1")
        await entry.cluster.until(entry.deleted)
        assert len(entry.cluster.events("Draining")) == 1

    async def test_while_the_server_is_away(self, entry: Entry) -> None:
        """It waits, however long; then it goes."""
        await entry.serves()
        entry.away = True
        entry.say()
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.waits("ServerAway")
        await entry.restart()
        await entry.waits("ServerAway")
        assert condition(entry.cluster.md(), "Routable")["status"] == "True"
        entry.away = False
        entry.publish()
        entry.acknowledge()
        await entry.cluster.until(entry.deleted)

    async def test_the_users_deadline(self, entry: Entry) -> None:
        """It goes, with a warning that says what was lost."""
        held = deployment()
        held["metadata"]["annotations"] = {FORCE: "30s"}
        entry.cluster.put(held)
        await entry.cluster.ready()
        entry.publish()
        entry.acknowledge()
        entry.works("gw-0", *entry.endpoints)
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.cluster.until(lambda: entry.cluster.reason("Drained") == "NotPublished" or entry.deleted())
        entry.publish()
        await entry.cluster.until(lambda: entry.deleted() and not entry.cluster.children("pods"))
        await entry.cluster.rest()
        (said,) = entry.cluster.events("ForcedDrain")
        assert "deadline of 30 s" in said
        assert said.endswith("1 requests were in flight")
        assert entry.broken
        entry.broken.clear()

    async def test_a_deadline_that_is_none(self, entry: Entry) -> None:
        """It is refused by name, and the deletion waits."""
        held = deployment()
        held["metadata"]["annotations"] = {FORCE: "soon"}
        entry.cluster.put(held)
        await entry.cluster.ready()
        entry.publish()
        entry.acknowledge()
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.waits("NotPublished")
        said = condition(entry.cluster.md(), "Drained")["message"]
        assert all(word in said for word in (FORCE, "'soon'", "10m"))
        entry.publish()
        entry.acknowledge()
        await entry.cluster.until(entry.deleted)

    async def test_requests_are_waited_for_as_long_as_one_may_take(self, entry: Entry) -> None:
        """Since all replicas had the table, also when the operator is killed meanwhile."""
        entry.request_seconds = 40
        await entry.serves()
        entry.works("gw-0", *entry.endpoints)
        entry.cluster.server.delete("modeldeployments", "team", "chat")
        await entry.waits("NotPublished")
        entry.publish()
        entry.acknowledge()
        await entry.cluster.until(lambda: entry.cluster.reason("Drained") == "InFlight")
        began, since = entry.cluster.clock.monotonic(), condition(entry.cluster.md(), "Drained")["lastTransitionTime"]
        await entry.restart()
        assert condition(entry.cluster.md(), "Drained")["lastTransitionTime"] == since
        await entry.cluster.until(lambda: entry.deleted() and not entry.cluster.children("pods"))
        assert entry.cluster.clock.monotonic() - began >= 35
        assert entry.broken
        entry.broken.clear()


class TestScaleDown:
    """The pods that go leave the tables first."""

    @lives
    async def test_one_less(self, entry: Entry, between: Between) -> None:
        """It is marked, and Kubernetes takes that very pod."""
        await entry.serves(replicas=3)
        before = set(entry.endpoints)
        entry.cluster.edit(replicas=2)
        await entry.waits("NotPublished")
        (victim,) = entry.leaving()
        await between(entry)
        entry.publish()
        (left,) = before - set(entry.endpoints)
        assert left == f"http://{victim['status']['podIP']}:8000"
        entry.works("gw-1", left)
        entry.acknowledge()
        await entry.waits("InFlight")
        await between(entry)
        assert (entry.replicas(), len(entry.cluster.children("pods"))) == (3, 3)
        assert entry.cluster.is_ready()
        entry.works("gw-1")
        await entry.cluster.until(lambda: len(entry.cluster.children("pods")) == 2)
        await entry.cluster.rest()
        assert (entry.replicas(), entry.leaving(), entry.cluster.reason("Drained")) == (2, [], "")
        assert {f"http://{pod['status']['podIP']}:8000" for pod in entry.cluster.children("pods")} == before - {left}

    async def test_up_again(self, entry: Entry) -> None:
        """The marks go, and nothing else happens."""
        await entry.serves(replicas=2)
        pods = {pod["metadata"]["uid"] for pod in entry.cluster.children("pods")}
        entry.cluster.edit(replicas=1)
        await entry.waits("NotPublished")
        entry.publish()
        entry.cluster.edit(replicas=2)
        await entry.cluster.until(lambda: not entry.leaving() and not entry.cluster.reason("Drained"))
        entry.publish()
        assert len(entry.endpoints) == 2
        entry.acknowledge()
        await entry.cluster.rest()
        assert {pod["metadata"]["uid"] for pod in entry.cluster.children("pods")} == pods

    async def test_to_zero(self, entry: Entry) -> None:
        """All of them leave first; until then it serves."""
        await entry.serves(replicas=2)
        entry.cluster.edit(replicas=0)
        await entry.waits("NotPublished")
        assert len(entry.leaving()) == 2
        entry.publish()
        await entry.waits("NotAcknowledged")
        assert entry.replicas() == 2
        entry.acknowledge()
        await entry.cluster.until(lambda: entry.cluster.reason("Ready") == "ScaledToZero")
        await entry.cluster.rest()
        assert entry.cluster.children("pods") == []
        assert entry.cluster.reason("Routable") == "NotServing"

    async def test_while_the_server_is_away(self, entry: Entry) -> None:
        """Nothing is scaled."""
        await entry.serves(replicas=2)
        entry.away = True
        entry.say()
        entry.cluster.edit(replicas=1)
        await entry.waits("ServerAway")
        assert entry.replicas() == 2
        entry.away = False
        entry.publish()
        entry.acknowledge()
        await entry.cluster.until(lambda: entry.replicas() == 1)


class TestRollOut:
    """The old revision goes when every replica has the new one."""

    @lives
    async def test_the_old_one_waits(self, entry: Entry, between: Between) -> None:
        """One table takes it out and brings the new one in, so both are known at once; it stays routable throughout."""
        await entry.serves(replicas=2)
        old, flaps = entry.cluster.serving(), []
        end = entry.cluster.server.subscribe(lambda *_: flaps.append(_routable(entry)))
        entry.cluster.edit(engineArgs=["--seed=1"])
        await entry.cluster.until(lambda: entry.cluster.serving() != old)
        await entry.waits("NotPublished")
        await between(entry)
        assert entry.replicas(old) == 2
        entry.publish()
        new = entry.endpoints
        assert len(new) == 2
        entry.acknowledge("gw-0")
        await entry.waits("NotAcknowledged")
        assert entry.replicas(old) == 2
        assert entry.traffic.arrivals(HOME, new)[0].generation == len(entry.tables)
        assert {each.generation for each in entry.traffic.departures(_endpoints(entry, old))} == {len(entry.tables)}
        entry.acknowledge()
        await entry.cluster.until(lambda: old not in entry.cluster.revisions())
        await entry.cluster.ready()
        assert entry.cluster.events("RevisionDrained") == [f"Revision {old} is gone"]
        assert set(flaps) == {"True"}
        end()

    async def test_back_again(self, entry: Entry) -> None:
        """A revert while the old one drains: it serves again, and the other one drains."""
        await entry.serves()
        old = entry.cluster.serving()
        entry.cluster.edit(engineArgs=["--seed=1"])
        await entry.waits("NotPublished")
        new = entry.cluster.serving()
        entry.publish()
        entry.acknowledge("gw-0")
        entry.cluster.edit(engineArgs=None)
        await entry.cluster.until(lambda: entry.cluster.serving() == old)
        await entry.cluster.rest()
        assert (entry.replicas(old), entry.replicas(new)) == (1, 1)
        entry.publish()
        entry.acknowledge()
        await entry.cluster.until(lambda: entry.cluster.revisions() == [old])

    @lives
    async def test_recreate(self, entry: Entry, between: Between) -> None:
        """What gives its GPUs up first leaves the tables before it does."""
        entry.cluster.server.delete("nodes", "", "h100-a")
        entry.cluster.put(node("small", gpus=1))
        await entry.serves(rollout={"surgePolicy": "Recreate"})
        old = entry.cluster.serving()
        entry.cluster.edit(engineArgs=["--seed=1"])
        await entry.waits("NotPublished")
        assert entry.replicas(old) == 1
        await between(entry)
        entry.publish()
        assert not _told(entry)
        await between(entry)
        await entry.waits("NotAcknowledged")
        entry.acknowledge()
        await entry.cluster.until(lambda: old not in entry.cluster.revisions() and entry.cluster.revisions())
        await entry.cluster.ready()
        entry.publish()
        assert len(_told(entry)) == 1
        entry.acknowledge()

    async def test_while_the_server_is_away(self, entry: Entry) -> None:
        """The new one comes up, and the Service moves; the old one stays."""
        await entry.serves()
        old = entry.cluster.serving()
        entry.away = True
        entry.say()
        entry.cluster.edit(engineArgs=["--seed=1"])
        await entry.waits("ServerAway")
        assert entry.cluster.serving() != old
        assert entry.replicas(old) == 1
        assert _routable(entry) == "True"


def _told(entry: Entry) -> tuple[str, ...]:
    return entry.endpoints


def _routable(entry: Entry) -> str:
    live = entry.cluster.server.get("modeldeployments", "team", "chat")
    return str(condition(live, "Routable").get("status"))


def _endpoints(entry: Entry, revision: str) -> list[str]:
    pods = entry.cluster.children("pods")
    mine = (pod for pod in pods if pod["metadata"]["labels"]["penstock.dev/revision"] == revision)
    return [f"http://{pod['status']['podIP']}:8000" for pod in mine]
