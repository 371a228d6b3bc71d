"""What each gateway's published table sends where, since when, and what its replicas have said of it.

The reconciler of tables and the listener to replicas write here; whoever relies on a backend, or takes one away, reads.
Nothing is remembered over a restart: what was published before is taken as it stands, and counts as new.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from penstock.rollout.drain import GatewayState, Replica
from penstock_policy.table import Table

__all__ = ["GatewayKey", "GatewayTraffic", "Traffic", "backend_name"]

GatewayKey = tuple[str, str]
"""Namespace and name of an InferenceGateway."""

_MOST_LEFT = 100_000


def backend_name(namespace: str, name: str) -> str:
    """What tables call a ModelDeployment."""
    return f"deployment/{namespace}/{name}"


@dataclass(slots=True)
class GatewayTraffic:
    """One gateway.

    `known`: it was read from the server what is published; `generation` 0: nothing is. `built`: a table was made since
    this process began, so that `named` is complete. `asked`: the server was asked for its replicas.

    `highest` is the greatest generation that was ever seen here.

    `entered` and `left` say by endpoint since which generation it is in the table, or out of it; `first` is the
    generation that this process found, or made where it found none, and what left before it is not remembered. `making`
    are endpoints of a table that is being made, or of which nobody knows whether it was published: they may be in it
    any moment.

    `named` are the backends that Routes name, whether or not anything of them serves. `routes` says since which
    generation each Route is as it is.

    `said` is what the live replicas told the server, None while it does not answer, `hashes` which table each of them
    has; `pods` are the names of the gateway's pods that may send requests on.
    """

    known: bool = False
    built: bool = False
    asked: bool = False
    generation: int = 0
    highest: int = 0
    hash: str = ""
    first: int = 0
    table: Table | None = None
    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    making: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    routes: dict[str, int] = field(default_factory=dict)
    said: tuple[Replica, ...] | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    pods: frozenset[str] = frozenset()

    @property
    def replicas(self) -> tuple[Replica, ...] | None:
        """What may send requests on, each with the generation that it has acknowledged of this line of tables.

        A pod that the server does not hear may have any table, and one that is ahead has one of another line: the
        server's database was lost since.
        """
        if self.said is None:
            return None
        silent = self.pods - {replica.name for replica in self.said}
        return (*(self._known(each) for each in self.said), *(Replica(name, 0) for name in sorted(silent)))

    def _known(self, replica: Replica) -> Replica:
        if self.hash and self.hashes.get(replica.name) == self.hash:
            return replace(replica, generation=self.generation)
        return replace(replica, generation=0) if self._is_ahead(replica) else replica

    def _is_ahead(self, replica: Replica) -> bool:
        """Whether its table is of another line: of a greater generation, or of this one with another content."""
        other = self.hashes.get(replica.name, self.hash) != self.hash
        return replica.generation > self.generation or (other and replica.generation == self.generation)

    @property
    def ahead(self) -> int:
        """The greatest generation that a replica knows of another line of tables; 0: none does."""
        said = (each for each in self.said or () if self.hashes.get(each.name) != self.hash)
        return max((each.generation for each in said if self._is_ahead(each)), default=0)

    @property
    def next_generation(self) -> int:
        """Above all that anybody was ever given: a database that was restored counts from an older one."""
        return max(self.generation, self.ahead, self.highest) + 1

    def is_everywhere(self, generation: int) -> bool:
        """Whether each replica has acknowledged it; False while nobody knows."""
        return self.replicas is not None and all(each.generation >= generation for each in self.replicas)

    def waiting(self) -> list[str]:
        """The Routes that some replica may still have otherwise."""
        return [name for name, generation in self.routes.items() if not self.is_everywhere(generation)]

    def adopt(self, table: Table | None, hash_: str) -> None:
        """Take what the server has for the truth: a first look, or another's publication."""
        self.known = True
        if table is None:
            self.generation, self.hash, self.table, self.first = 0, hash_, None, 0
            self.entered.clear()
            self.routes.clear()
            return
        self.first = table.generation
        self.named |= {backend.name for backend in table.backends}
        self.published(table, hash_)

    def published(self, table: Table, hash_: str) -> None:
        """A table took the former one's place."""
        now = _endpoints(table)
        self.first = self.first or table.generation
        for endpoint in self.entered.keys() - now:
            del self.entered[endpoint]
            self.left[endpoint] = table.generation
        for endpoint in now - self.entered.keys():
            self.left.pop(endpoint, None)
            self.entered[endpoint] = table.generation
        while len(self.left) > _MOST_LEFT:
            self.first = max(self.first, self.left.pop(next(iter(self.left))))
        self._follow_routes(table)
        self.highest = max(self.highest, table.generation)
        self.generation, self.hash, self.table = table.generation, hash_, table

    def _follow_routes(self, table: Table) -> None:
        before = {route.name: route for route in self.table.routes} if self.table else {}
        self.routes = {
            route.name: self.routes[route.name]
            if before.get(route.name) == route and route.name in self.routes
            else table.generation
            for route in table.routes
        }

    def since_all_in(self, endpoints: Collection[str]) -> int:
        """The generation since which all of them are in the table; 0: they are not."""
        if not endpoints or any(endpoint not in self.entered for endpoint in endpoints):
            return 0
        return max(self.entered[endpoint] for endpoint in endpoints)

    def since_all_out(self, endpoints: Collection[str]) -> int:
        """The generation since which none of them is in the table; 0: one still is, or nobody knows."""
        if not self.known or any(endpoint in self.entered or endpoint in self.making for endpoint in endpoints):
            return 0
        return max((self.left.get(endpoint, self.first) for endpoint in endpoints), default=self.first)


def _endpoints(table: Table) -> frozenset[str]:
    return frozenset(endpoint for backend in table.backends for endpoint in backend.endpoints)


@dataclass(slots=True)
class Traffic:
    """All gateways. A gateway that exists is expected here before anything is decided, so that none is overlooked.

    `enabled` is false where the operator was given no server: then nothing is ever published, and nothing waits for it.
    `asking` are deployments that wait for a word of a gateway: they are looked at again at the next one.
    """

    enabled: bool = False
    gateways: dict[GatewayKey, GatewayTraffic] = field(default_factory=dict)
    asking: set[tuple[str, str]] = field(default_factory=set)

    def expect(self, gateway: GatewayKey) -> GatewayTraffic:
        """The gateway's entry, from now on there."""
        return self.gateways.setdefault(gateway, GatewayTraffic())

    def settle(self, gateway: GatewayKey) -> None:
        """No table will be made for now: what is published is all that is named."""
        if gateway in self.gateways:
            self.gateways[gateway].built = True

    def forget(self, gateway: GatewayKey) -> None:
        """The gateway is gone, and its replicas with it."""
        self.gateways.pop(gateway, None)

    @property
    def settled(self) -> bool:
        """True once every gateway's table was read and made anew: from then on, not being named means something."""
        return all(each.known and each.built for each in self.gateways.values())

    def names(self, backend: str) -> bool:
        """Whether a Route of any gateway names it."""
        return any(backend in each.named for each in self.gateways.values())

    def arrivals(self, backend: str, endpoints: Collection[str]) -> tuple[GatewayState, ...]:
        """Each gateway whose Routes name the backend, and since when all these endpoints are in its table."""
        return tuple(
            _state(key, each, each.since_all_in(endpoints))
            for key, each in self.gateways.items()
            if backend in each.named
        )

    def departures(self, endpoints: Collection[str]) -> tuple[GatewayState, ...]:
        """Each gateway that may send there or may have sent there, and since when none of them is in its table."""
        return tuple(
            _state(key, each, each.since_all_out(endpoints))
            for key, each in self.gateways.items()
            if not each.known or each.generation or each.making or each.ahead
        )

    def heard(
        self, gateway: GatewayKey, replicas: Iterable[Replica] | None, hashes: Mapping[str, str] | None = None
    ) -> set[tuple[str, str]]:
        """Note what the replicas said, None: the server is away; who has to look again."""
        traffic = self.expect(gateway)
        traffic.asked = True
        traffic.said, traffic.hashes = None if replicas is None else tuple(replicas), dict(hashes or {})
        return self.take_asking()

    def take_asking(self) -> set[tuple[str, str]]:
        """Who has to look again; each asks anew."""
        asking, self.asking = self.asking, set()
        return asking


def _state(key: GatewayKey, gateway: GatewayTraffic, generation: int) -> GatewayState:
    return GatewayState("/".join(key), generation, gateway.replicas)
