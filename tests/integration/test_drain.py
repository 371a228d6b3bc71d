"""Invariant 1, drain before delete: nothing goes that a live gateway replica may still send to.

The publisher and the replicas are played by hand. A pod that ends while a replica's table has it, or while one has a
request there, fails the test that looks on (`broken`).
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from integration.stage import Stage, condition, deployment, node
from penstock.reconcilers.endpoints import backend_of
from penstock.reconcilers.traffic import GatewayTraffic, Traffic
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica
from penstock_policy.table import Backend, Limits, Route, Rule, Share, Table

Object = dict[str, Any]

GATEWAY, HOME = ("entry", "main"), "deployment/team/chat"
FINALIZER, FORCE = "penstock.dev/drain", "penstock.dev/force-drain-after"


@dataclass(slots=True)
class Entry:
    """One gateway with two replicas: `has` is each one's generation, `busy` its requests by endpoint."""

    cluster: Stage
    named: bool = True
    away: bool = False
    request_seconds: float | None = None
    tables: list[Table] = field(default_factory=list)
    has: dict[str, int] = field(default_factory=lambda: {"gw-0": 0, "gw-1": 0})
    busy: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """An operator that finds what is published."""
        running = await self.cluster.start()
        running.operator.world.traffic.enabled = True
        gateway = self.gateway
        gateway.adopt(self.tables[-1] if self.tables else None, self._hash)
        gateway.built, gateway.named = True, frozenset({HOME} if self.named else ())
        self.say()

    async def restart(self) -> None:
        """SIGKILL, and another process."""
        await self.cluster.kill()
        await self.start()
        await self.cluster.rest()

    @property
    def world(self) -> World:
        """Of the operator that runs."""
        return self.cluster.operators[0].operator.world

    @property
    def traffic(self) -> Traffic:
        """As the operator sees it."""
        return self.world.traffic

    @property
    def gateway(self) -> GatewayTraffic:
        """As the operator sees it."""
        return self.traffic.expect(GATEWAY)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """In the newest table."""
        return self.tables[-1].backends[0].endpoints if self.tables else ()

    @property
    def _hash(self) -> str:
        return f"hash-{self.tables[-1].generation}" if self.tables else ""

    def publish(self) -> None:
        """Make a table of what the operator has, as the reconciler of tables does."""
        custom = self.world.deployments.get("team", "chat")
        made = backend_of(self.world, custom) if custom else None
        serving = () if made is None or made.draining else made.revisions
        endpoints = tuple(sorted(each for revision in serving if revision.serving for each in revision.endpoints))
        home = Backend(HOME, "Deployment", "OpenAI", "chat", endpoints, max_sensitivity=0)
        rule = Rule("all", (Share(HOME),), limits=Limits(request_seconds=self.request_seconds))
        routes = (Route("team/chat", ("chat",), (rule,)),) if self.named else ()
        generation = len(self.tables) + 1
        self.tables.append(Table("entry/main", generation, ("low",), routes=routes, backends=(home,)))
        self.gateway.published(self.tables[-1], self._hash)
        self._wake(self.traffic.take_asking())

    def acknowledge(self, *names: str) -> None:
        """The newest table, by these replicas or by all of them."""
        self.has.update(dict.fromkeys(names or tuple(self.has), len(self.tables)))
        self.say()

    def say(self) -> None:
        """What the replicas have told the server, or that it is away."""
        said = [Replica(name, generation, self.busy.get(name, {})) for name, generation in self.has.items()]
        self._wake(self.traffic.heard(GATEWAY, None if self.away else said))

    def works(self, name: str, *endpoints: str) -> None:
        """One request at each of these is all that the replica has."""
        self.busy[name] = dict.fromkeys(endpoints, 1)
        self.say()

    def name(self, *backends: str) -> None:
        """What Routes name from now on."""
        self.named = HOME in backends
        self.gateway.named = frozenset(backends)
        self.world.look_at("team", "chat")

    def _wake(self, asking: set[tuple[str, str]]) -> None:
        for each in asking:
            self.world.look_at(*each)

    def look(self, kind: str, live: Object, _before: Object | None) -> None:
        """Watch every commit."""
        address = live.get("status", {}).get("podIP")
        if kind != "DELETED" or live["kind"] != "Pod" or not address:
            return
        endpoint = f"http://{address}:8000"
        for replica, generation in self.has.items():
            known = self.tables[generation - 1].backends[0].endpoints if generation else ()
            if endpoint in known or endpoint in self.busy.get(replica, {}):
                self.broken.append(f"{replica} still sends to {live['metadata']['name']}")

    async def serves(self, **spec: Any) -> None:
        """The deployment is in the table of every replica."""
        self.cluster.put(deployment(**spec))
        await self.cluster.ready()
        self.publish()
        self.acknowledge()
        await self.cluster.until(lambda: self.cluster.reason("Routable") == "Routable")
        await self.cluster.rest()

    def finalizers(self) -> list[str]:
        """Of the deployment."""
        live = self.cluster.server.get("modeldeployments", "team", "chat") or {"metadata": {}}
        return list(live["metadata"].get("finalizers") or ())

    def replicas(self, revision: str = "") -> int:
        """That the Deployment is scaled to; -1: there is none."""
        name = f"chat-{revision or self.cluster.serving()}"
        live = self.cluster.server.get("deployments", "team", name)
        return int(live["spec"]["replicas"]) if live else -1

    def leaving(self) -> list[Object]:
        """Pods that are marked."""
        pods = self.cluster.children("pods")
        return [pod for pod in pods if "penstock.dev/leaving" in pod["metadata"].get("annotations", {})]

    async def waits(self, reason: str) -> None:
        """Until that is what it waits for, and nothing more happens."""
        await self.cluster.until(lambda: self.cluster.reason("Drained") == reason)
        await self.cluster.rest()
        assert self.cluster.reason("Drained") == reason

    def deleted(self) -> bool:
        """Whether nothing of it is left."""
        return not self.cluster.server.objects("modeldeployments") and not self.cluster.picture()


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
