"""Random changes while operator, server and replicas are killed at random moments; the promises hold at every step.

`SOAK_SEED` says which run (random, and printed). 200 changes; CI sets `SOAK_SAMPLE=1`: 20.
"""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from integration.gateways import GatewayStage, consumer, gateways, route
from integration.stage import Stage, deployment, node, pool
from penstock_policy.decision import Decision, Request, decide
from penstock_policy.table import Table

_HOMES = {"eu-0": "DE", "eu-1": "DE", "us-0": "US", "us-1": "US"}
_INSIDE = frozenset(f"deployment/team/{name}" for name, country in _HOMES.items() if country == "DE")
_LEVELS = {"DE": "high", "US": "low"}
_DRAWS = (0.0, 0.3, 0.6, 0.9)
_PAUSE_SECONDS = 0.15
_PATIENCE_SECONDS = 90.0
_MOST_SECONDS_PER_CHANGE = 10
_LABEL = "penstock.dev/deployment"

Object = dict[str, Any]


def _changes() -> int:
    return 20 if os.environ.get("SOAK_SAMPLE") == "1" else 200


def _seed() -> int:
    return int(os.environ.get("SOAK_SEED") or SystemRandom().randrange(2**32))


def _wanted(name: str, replicas: int) -> Object:
    country = _HOMES[name]
    placement = {"jurisdictions": [country]}
    return deployment(name, replicas=replicas, placement=placement, maxSensitivity=_LEVELS[country])


def _endpoint(pod: Object) -> str:
    address = pod.get("status", {}).get("podIP")
    return f"http://{address}:8000" if address else ""


def _endpoints(table: Table) -> set[str]:
    return {endpoint for backend in table.backends for endpoint in backend.endpoints}


@dataclass(slots=True)
class Promises:
    """What must hold at any moment; `broken` says what did not, the counts that there was something to see."""

    entry: GatewayStage
    broken: list[str] = field(default_factory=list)
    removed: int = 0
    decided: int = 0
    generations: dict[str, int] = field(default_factory=dict)

    def heard(self, kind: str, live: Object, _before: Object | None) -> None:
        """Whenever a pod of an engine is deleted, no replica that lives may hold it."""
        if kind != "DELETED" or live["kind"] != "Pod" or _LABEL not in (live["metadata"].get("labels") or {}):
            return
        self.removed += 1
        for name, puppet in self.entry.replicas.items():
            if puppet.table is not None and _endpoint(live) in _endpoints(puppet.table):
                self.broken.append(f"{name} sends to {live['metadata']['name']}, which is deleted")

    def look(self) -> None:
        """At every table."""
        for name, puppet in self.entry.replicas.items():
            table = puppet.table
            if table is not None:
                self._compare(name, table.generation)
                self._try(name, table)

    def _compare(self, replica: str, generation: int) -> None:
        if generation < self.generations.get(replica, 0):
            self.broken.append(f"{replica} went back from {self.generations[replica]} to {generation}")
        self.generations[replica] = generation

    def _try(self, replica: str, table: Table) -> None:
        """Requests that must stay at home: by the Route's border, or by their own sensitivity."""
        index = self.entry.replicas[replica].puller.live.index
        for each in table.consumers if index is not None else ():
            for model, level in (("legal", "low"), ("legal", "high"), ("open", "high")):
                for draw in _DRAWS:
                    request = Request(model, each, sensitivity_asked=level)
                    answer = decide(index, request, draw) if index is not None else None
                    if isinstance(answer, Decision):
                        self.decided += 1
                        outside = {hop.name for hop in answer.hops} - _INSIDE
                        self.broken.extend(f"{replica}: {model} at {level} goes to {name}" for name in outside)


@dataclass(slots=True)
class Chaos:
    """One random step after the other: a change that a user makes, or a part that is killed or comes back."""

    entry: GatewayStage
    random: Random
    operators: int = 1
    serving: bool = True

    async def step(self) -> None:
        """Two changes for each accident."""
        if self.random.random() < 1 / 3:
            await self.random.choice((self._operator, self._server, self._replica))()
        else:
            self.random.choice((self._weights, self._deployment, self._scale, self._revision, self._route))()

    def _weights(self) -> None:
        name = self.random.choice(("open", "legal"))
        if self.entry.cluster.server.get("routes", "team", name) is not None:
            chosen = self.random.sample(sorted(_HOMES), self.random.randint(1, len(_HOMES)))
            rules = self._routed(name, chosen)["spec"]["rules"]
            self.entry.cluster.server.update(
                "routes", "team", name, lambda live: {**live, "spec": {**live["spec"], "rules": rules}}
            )

    def _routed(self, name: str, chosen: Iterable[str] = _HOMES) -> Object:
        border = {"constraints": {"jurisdictions": ["EU"]}} if name == "legal" else {}
        backends = [{"deploymentRef": {"name": each}, "weight": self.random.randint(1, 9)} for each in chosen]
        return route(name, *backends, **border)

    def _route(self) -> None:
        name = self.random.choice(("open", "legal"))
        if self.entry.cluster.server.get("routes", "team", name) is None:
            self.entry.cluster.put(self._routed(name))
        elif self.random.random() < 1 / 3:
            self.entry.cluster.server.delete("routes", "team", name)

    def _deployment(self) -> None:
        name = self.random.choice(sorted(_HOMES))
        if self.entry.cluster.server.get("modeldeployments", "team", name) is None:
            self.entry.cluster.put(_wanted(name, self.random.randint(1, 2)))
        elif self.random.random() < 1 / 2:
            self.entry.cluster.server.delete("modeldeployments", "team", name)

    def _scale(self) -> None:
        for name in self._living():
            self.entry.cluster.edit(name, replicas=self.random.randint(0, 3))

    def _revision(self) -> None:
        for name in self._living():
            self.entry.cluster.edit(name, engineArgs=[f"--seed={self.random.randint(1, 3)}"])

    def _living(self) -> Iterator[str]:
        """One of them that stays, or none."""
        found = [
            live["metadata"]["name"]
            for live in self.entry.cluster.server.objects("modeldeployments", "team")
            if "deletionTimestamp" not in live["metadata"]
        ]
        if found:
            yield self.random.choice(found)

    async def _operator(self) -> None:
        await self.entry.cluster.kill()
        self.operators += 1
        await self.entry.start_operator(f"operator-{self.operators}")

    async def _server(self) -> None:
        await (self.entry.stop_server() if self.serving else self.entry.start_server())
        self.serving = not self.serving

    async def _replica(self) -> None:
        """Killed or, where it is dead, started again."""
        pod = self.random.choice(self.entry.pods())
        puppet = self.entry.replicas.pop(pod, None)
        await (self.entry.start_replica(pod) if puppet is None else puppet.end())

    async def heal(self) -> None:
        """Everything runs again, and there is something to answer with."""
        if not self.serving:
            await self._server()
        await self.entry.start_replicas()
        for name in ("open", "legal"):
            if self.entry.cluster.server.get("routes", "team", name) is None:
                self.entry.cluster.put(self._routed(name))
        await self.entry.cluster.until(lambda: not self._going())
        if not list(self._living()):
            self.entry.cluster.put(_wanted("eu-0", 1))

    def _going(self) -> bool:
        living = self.entry.cluster.server.objects("modeldeployments", "team")
        return any("deletionTimestamp" in live["metadata"] for live in living)

    def scale_all(self, replicas: int) -> None:
        """However the run went: what lives then is seen to come and to go."""
        for live in self.entry.cluster.server.objects("modeldeployments", "team"):
            self.entry.cluster.edit(live["metadata"]["name"], replicas=replicas)


@pytest.fixture
async def entry(empty_cluster: Stage, tmp_path: Path) -> AsyncIterator[GatewayStage]:
    """A gateway in step, pools on both sides of the border, all deployments and both Routes."""
    for name, country in (("eu", "DE"), ("us", "US")):
        empty_cluster.put(pool(name, countries=(country,)))
        empty_cluster.put(*(node(f"{name}-{letter}", pool=name) for letter in "ab"))
    async with gateways(empty_cluster, tmp_path) as made:
        await made.up()
        empty_cluster.put(consumer(), *(_wanted(name, 1) for name in _HOMES))
        yield made


@pytest.mark.soak
@pytest.mark.timeout(_changes() * _MOST_SECONDS_PER_CHANGE + 4 * _PATIENCE_SECONDS)
async def test_random_kills_and_changes_break_no_promise(entry: GatewayStage) -> None:
    """Nothing that is routed to is removed, nothing crosses a border, nothing goes back; in the end all agree."""
    cluster, seed = entry.cluster, _seed()
    print(f"SOAK_SEED={seed}")
    chaos, promises = Chaos(entry, Random(seed)), Promises(entry)
    await chaos.heal()
    await cluster.until(lambda: all(_agrees(entry, table) for table in entry.tables()))
    end = cluster.server.subscribe(promises.heard)
    promises.look()
    for _ in range(_changes()):
        await chaos.step()
        await cluster.clock.sleep(_PAUSE_SECONDS * cluster.clock.speed)
        promises.look()
        assert not promises.broken
    await chaos.heal()
    await cluster.until(lambda: _settled(entry), seconds=_PATIENCE_SECONDS)
    for replicas in (2, 1):
        chaos.scale_all(replicas)
        await cluster.until(lambda: _settled(entry), seconds=_PATIENCE_SECONDS)
    promises.look()
    end()
    assert not promises.broken
    assert promises.decided > 0
    assert promises.removed > 0


def _settled(entry: GatewayStage) -> bool:
    """Every deployment is as it was asked for, and every replica sends to all of what is routed to."""
    living = entry.cluster.server.objects("modeldeployments", "team")
    ready = all(entry.cluster.is_ready(live["metadata"]["name"]) for live in living if live["spec"]["replicas"])
    # One that is to shrink is ready before it did.
    counted = all(
        len(entry.cluster.children("pods", live["metadata"]["name"])) == live["spec"]["replicas"] for live in living
    )
    going = any("deletionTimestamp" in live["metadata"] for live in living)
    tables = entry.tables()
    same = len(tables) == len(entry.pods()) and len({table.generation for table in tables}) == 1
    return ready and counted and not going and same and all(_agrees(entry, table) for table in tables)


def _agrees(entry: GatewayStage, table: Table) -> bool:
    """Each backend of the table has the addresses of its ready pods, and of no other."""
    named = {share.backend for each in table.routes for rule in each.rules for share in rule.shares}
    sent = {backend.name: set(backend.endpoints) for backend in table.backends}
    pods = {f"deployment/team/{name}": set(map(_endpoint, entry.cluster.children("pods", name))) for name in _HOMES}
    return bool(table.consumers) and all(sent.get(name, set()) == pods[name] for name in named)
