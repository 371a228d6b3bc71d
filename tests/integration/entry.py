"""A gateway that sends to a deployment: publisher and replicas are played by hand.

A pod that ends while a replica's table has it, or while one has a request there, fails the test that looks on
(`broken`).
"""

from dataclasses import dataclass, field
from typing import Any

from integration.stage import Stage, deployment
from penstock.reconcilers.endpoints import backend_of
from penstock.reconcilers.traffic import GatewayTraffic, Traffic
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica
from penstock_policy.table import Backend, Limits, Route, Rule, Share, Table

__all__ = ["FINALIZER", "FORCE", "GATEWAY", "HOME", "Entry"]

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
