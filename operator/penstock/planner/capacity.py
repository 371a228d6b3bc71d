"""Free GPUs while a pass places one deployment after another: what pods hold, and what was promised meanwhile.

A ledger belongs to one pass. Replicas that have no pod on a node yet hold their GPUs here, so that no other deployment
is promised the same ones. It counts by node: a replica never spans two.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock.api.quantities import Money
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Node, Tenant
from penstock.planner.plan import Plan
from penstock.planner.prices import price_of
from penstock.planner.spending import Purse

__all__ = ["Hold", "Ledger"]

_NO_EXTRA: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Hold:
    """GPUs on a node, promised to replicas of a deployment that run nowhere yet."""

    key: DeploymentKey
    node: str
    gpus: int
    from_own: int


@dataclass(slots=True)
class Ledger:
    """Free GPUs by node, the pool of each node, and what each namespace's quota and the spending limits still allow.

    Pods go on standing on a `ready` node, one that is not about to go; only an `open` one (not cordoned either) takes
    new ones.
    """

    free: dict[str, int]
    ready: set[str]
    open: set[str]
    pool_of: dict[str, str]
    nodes: dict[str, tuple[Node, ...]]
    quota: dict[tuple[str, str], int] = field(default_factory=dict)
    promised: dict[str, Counter[DeploymentKey]] = field(default_factory=dict)
    prices: dict[str, Money | None] = field(default_factory=dict)
    purse: Purse = field(default_factory=Purse)

    @classmethod
    def of(cls, fleet: FleetSnapshot) -> "Ledger":
        """The ledger at the start of a pass: only what pods hold."""
        purse = Purse.of(fleet.limits, fleet.rates)
        ledger = cls(free={}, ready=set(), open=set(), pool_of={}, nodes={}, purse=purse)
        for pool in fleet.pools:
            ledger.nodes[pool.name] = pool.nodes
            ledger.prices[pool.name] = price_of(pool.spec)
            for node in pool.nodes:
                ledger.free[node.name] = node.free
                ledger.pool_of[node.name] = pool.name
                if node.stays:
                    ledger.ready.add(node.name)
                    if node.schedulable:
                        ledger.open.add(node.name)
        for tenant in fleet.tenants:
            if tenant.gpu_quota:
                ledger.read_quota(tenant)
            if purse.limits and tenant.current is not None:
                purse.spend(tenant.key[0], tenant.current.plan, tenant.pods)
                # Where older pods may go first, it is told later whether they do.
                if not tenant.may_recreate:
                    ledger.spend_older(tenant)
        return ledger

    def copy(self) -> "Ledger":
        """One to try something on: what it promises, this one does not."""
        promised = {node: Counter(by_key) for node, by_key in self.promised.items()}
        return replace(self, free=dict(self.free), quota=dict(self.quota), promised=promised, purse=self.purse.copy())

    def spend_older(self, tenant: Tenant) -> None:
        """Count pods of its older revisions, which cost as much beside the newest as they did before it."""
        if self.purse.limits:
            for node, gpus in tenant.older_gpus.items():
                self.purse.spend_at(tenant.key[0], self.prices.get(self.pool_of.get(node, "")), gpus)

    def read_quota(self, tenant: Tenant) -> None:
        """Deployments of one namespace share what its quota leaves; the strictest reading counts."""
        for resource, left in tenant.gpu_quota.items():
            key = tenant.key[0], resource.removeprefix("requests.")
            self.quota[key] = min(left, self.quota.get(key, left))

    def stands_in(self, node: str, pool: str) -> bool:
        """True where the node is ready and belongs to the pool."""
        return node in self.ready and self.pool_of.get(node) == pool

    def pack(
        self, plan: Plan, count: int, extra: Mapping[str, int] = _NO_EXTRA, *, beside: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Nodes for up to `count` replicas, holding nothing yet; `extra` GPUs per node count as free.

        The fullest node that still fits goes first, and of equals the one in use: whole nodes stay whole. Replicas
        are spread over the pool's zones, those counted that stand on the nodes `beside`.
        """
        zones: dict[str, list[tuple[int, bool, str]]] = {}
        for node in self.nodes.get(plan.pool, ()):
            free = self.free[node.name] + (extra.get(node.name, 0) if node.name in self.open else 0)
            if free >= plan.gpus:
                zones.setdefault(node.zone, []).append((free, free >= node.gpus, node.name))
        if len(zones) > 1 and (count > 1 or beside):
            zone_of = {node.name: node.zone for node in self.nodes[plan.pool]}
            standing = Counter(zone_of[name] for name in beside if name in zone_of)
            return _spread(zones, plan.gpus, count, standing)
        places = _fullest_first((each for zone in zones.values() for each in zone), plan.gpus)
        return tuple(name for _, (_, _, name) in zip(range(count), places, strict=False))

    def fits(self, node: str, gpus: int, own: int) -> bool:
        """True where the node has room, counting GPUs that its own older pods will give up."""
        return node in self.open and self.free[node] + own >= gpus

    def hold(self, key: DeploymentKey, node: str, gpus: int, *, own: int = 0) -> Hold:
        """Promise GPUs, first those that the deployment's own older pods will give up."""
        from_own = min(own, gpus)
        self.free[node] = self.free.get(node, 0) - (gpus - from_own)
        self.promised.setdefault(node, Counter())[key] += gpus
        return Hold(key, node, gpus, from_own)

    def release(self, holds: Iterable[Hold]) -> None:
        """Take promises back."""
        for hold in holds:
            self.free[hold.node] += hold.gpus - hold.from_own
            self.promised[hold.node][hold.key] -= hold.gpus

    def restore(self, holds: Iterable[Hold]) -> None:
        """Promise again exactly what was taken back."""
        for hold in holds:
            self.free[hold.node] -= hold.gpus - hold.from_own
            self.promised[hold.node][hold.key] += hold.gpus

    def quota_allows(self, namespace: str, plan: Plan) -> int | None:
        """How many more replicas the namespace's quota and the spending limits allow; None where nothing bounds it."""
        allowed = (self.gpu_quota_allows(namespace, plan), self.purse.allows(namespace, plan))
        return min((each for each in allowed if each is not None), default=None)

    def gpu_quota_allows(self, namespace: str, plan: Plan) -> int | None:
        """How many more replicas the namespace's quota allows; None where it bounds nothing."""
        left = self.quota.get((namespace, plan.gpu_resource))
        return None if left is None else max(0, left) // plan.gpus

    def await_pods(self, namespace: str, plan: Plan, replicas: int) -> int:
        """Count those of so many replicas without a node that there is money for: their pods come and wait for one."""
        allowed = self.purse.allows(namespace, plan)
        coming = max(0, replicas if allowed is None else min(replicas, allowed))
        self.purse.spend(namespace, plan, coming)
        return coming

    def spend_quota(self, namespace: str, plan: Plan, replicas: int) -> None:
        """Count replicas that will become pods; a negative number gives them back."""
        self.purse.spend(namespace, plan, replicas)
        key = namespace, plan.gpu_resource
        if key in self.quota:
            self.quota[key] -= replicas * plan.gpus

    def largest_free(self, pool: str) -> int:
        """The most GPUs that are free on one node of the pool."""
        return max((self.free[node.name] for node in self.nodes.get(pool, ())), default=0)

    def free_in(self, pool: str) -> int:
        """Free GPUs in the pool, over all nodes."""
        return sum(max(0, self.free[node.name]) for node in self.nodes.get(pool, ()))


_Place = tuple[int, bool, str]


def _fullest_first(fitting: Iterable[_Place], gpus: int) -> Iterator[_Place]:
    """Each node as often as it has room, the fullest first, with what is free there when its turn comes."""
    for free, whole, name in sorted(fitting):
        for taken in range(0, free - gpus + 1, gpus):
            yield free - taken, whole and not taken, name


def _spread(zones: Mapping[str, Iterable[_Place]], gpus: int, count: int, standing: Counter[str]) -> tuple[str, ...]:
    """The next replica goes to the zone with the fewest, of equals to the fullest node."""
    places = {zone: _fullest_first(fitting, gpus) for zone, fitting in zones.items()}
    heads = {zone: next(each) for zone, each in places.items()}
    chosen: list[str] = []
    while heads and len(chosen) < count:
        zone = min(heads, key=lambda each: (standing[each], heads[each]))
        chosen.append(heads.pop(zone)[2])
        standing[zone] += 1
        following = next(places[zone], None)
        if following is not None:
            heads[zone] = following
    return tuple(chosen)
