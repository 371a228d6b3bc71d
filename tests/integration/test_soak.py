"""Random faults and random wishes for a while, by a seed; then the invariants, at rest.

`SECONDS_OF_FAULTS` says how long (20), `SOAK_SEED` which run (random, and printed). CI sets `SOAK_SAMPLE=1`: ten
seconds.
"""

import os
import time
from collections import Counter
from dataclasses import dataclass
from random import Random, SystemRandom

import pytest

from integration.stage import CHILDREN, Stage, deployment, node, pool

_NAMES = tuple(f"md-{number}" for number in range(12))
_STEP_SECONDS = 0.1
_REST_SECONDS = 240


def _seconds() -> float:
    default = "10" if os.environ.get("SOAK_SAMPLE") == "1" else "20"
    return float(os.environ.get("SECONDS_OF_FAULTS", default))


def _seed() -> int:
    return int(os.environ.get("SOAK_SEED") or SystemRandom().randrange(2**32))


@dataclass(slots=True)
class Chaos:
    """One random step after the other: a wish of a user, a fault, an accident."""

    cluster: Stage
    random: Random

    async def step(self) -> None:
        """Two wishes for each fault."""
        choices = (self._wish, self._wish, self._fault)
        self.random.choice(choices)()
        if self.random.random() < 0.02:
            await self.cluster.restart()

    def _wish(self) -> None:
        name = self.random.choice(_NAMES)
        exists = self.cluster.server.get("modeldeployments", "team", name) is not None
        if not exists:
            self.cluster.put(deployment(name, replicas=self.random.randint(0, 2)))
        elif self.random.random() < 0.25:
            self.cluster.server.delete("modeldeployments", "team", name)
        elif self.random.random() < 0.5:
            self.cluster.edit(name, replicas=self.random.randint(0, 3))
        else:
            self.cluster.edit(name, engineArgs=[f"--seed={self.random.randint(1, 3)}"])

    def _fault(self) -> None:
        server, faults = self.cluster.server, self.cluster.server.faults
        count = self.random.randint(1, 10)
        self.random.choice(
            (
                lambda: server.cut_watches(middle=self.random.random() < 0.5),
                self._compact,
                lambda: faults.fail(self.random.choice((429, 500, 503)), count=count),
                lambda: faults.fail(429, count=count, retry_after=1),
                lambda: setattr(faults, "duplicate_events", count),
                lambda: setattr(faults, "reordered_events", count),
                lambda: setattr(faults, "dropped_deletes", 1),
                lambda: setattr(faults, "blackout", not faults.blackout),
                lambda: setattr(faults, "latency_seconds", self.random.choice((0.0, 0.02))),
                self._node_comes_or_goes,
                self._child_is_taken,
            )
        )()

    def _compact(self) -> None:
        self.cluster.server.compact()
        self.cluster.server.cut_watches()

    def _node_comes_or_goes(self) -> None:
        if self.cluster.server.get("nodes", "", "h100-b") is None:
            self.cluster.put(node("h100-b"))
        else:
            self.cluster.server.delete("nodes", "", "h100-b")

    def _child_is_taken(self) -> None:
        plural = self.random.choice(("deployments", "services", "poddisruptionbudgets", "networkpolicies"))
        found = self.cluster.server.objects(plural, "team")
        if found:
            self.cluster.server.delete(plural, "team", self.random.choice(found)["metadata"]["name"])

    def heal(self) -> None:
        """Everything works again; what was dropped is found by a new list."""
        faults, server = self.cluster.server.faults, self.cluster.server
        faults.blackout, faults.latency_seconds = False, 0.0
        faults.duplicate_events = faults.reordered_events = faults.dropped_deletes = 0
        faults.rules.clear()
        if server.get("nodes", "", "h100-b") is None:
            self.cluster.put(node("h100-b"))
        self._compact()


@pytest.mark.soak
@pytest.mark.timeout(_seconds() + _REST_SECONDS)
async def test_random_faults_and_wishes_end_in_order(empty_cluster: Stage) -> None:
    """No duplicate, no orphan, no lost change, no GPU given twice, and quiet."""
    cluster, seed = empty_cluster, _seed()
    print(f"SOAK_SEED={seed}")
    chaos = Chaos(cluster, Random(seed))
    cluster.put(pool("h100"), *(node(f"h100-{letter}") for letter in "abcd"))
    await cluster.start()
    end = time.monotonic() + _seconds()
    while time.monotonic() < end:
        await chaos.step()
        await cluster.clock.sleep(_STEP_SECONDS * cluster.clock.speed)
    chaos.heal()
    await cluster.until(
        lambda: all(each.synced.is_set() for one in cluster.operators for each in one.operator._sources)
    )
    await cluster.sweep()
    await cluster.until(lambda: all(_settled(cluster, name) for name in _living(cluster)), seconds=60)
    await cluster.rest()
    _assert_order(cluster)
    writes, before = cluster.writes(), Counter(cluster.server.requests)
    await cluster.restart()
    await cluster.rest()
    assert cluster.writes() == writes, Counter(cluster.server.requests) - before


def _living(cluster: Stage) -> list[str]:
    return [live["metadata"]["name"] for live in cluster.server.objects("modeldeployments", "team")]


def _settled(cluster: Stage, name: str) -> bool:
    """One revision, of the newest spec, with as many ready pods as are wanted."""
    live, workloads = cluster.md(name), cluster.children("deployments", name)
    if len(workloads) != 1 or live.get("status", {}).get("observedGeneration") != live["metadata"]["generation"]:
        return False
    status, wanted = workloads[0].get("status", {}), live["spec"].get("replicas", 1)
    args = " ".join(workloads[0]["spec"]["template"]["spec"]["containers"][0]["args"])
    asked = " ".join(live["spec"].get("engineArgs", ())).replace("=", " ")
    fits = asked in args if asked else "--seed" not in args
    return fits and workloads[0]["spec"]["replicas"] == wanted == status.get("readyReplicas", 0)


def _assert_order(cluster: Stage) -> None:
    for name in _living(cluster):
        assert _settled(cluster, name), cluster.story()
        assert [cluster.serving(name)] == cluster.revisions(name)
    uids = {live["metadata"]["uid"] for live in cluster.server.objects("modeldeployments")}
    for plural in CHILDREN:
        for live in cluster.server.objects(plural):
            assert {owner["uid"] for owner in live["metadata"]["ownerReferences"]} <= uids, live["metadata"]["name"]
    held: Counter[str] = Counter()
    for pod in cluster.server.objects("pods"):
        held[pod["spec"]["nodeName"]] += int(
            pod["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", 0)
        )
    assert all(count <= 8 for count in held.values())
