"""What each pool offers whoever asks, and which pools refuse a deployment whatever the model.

An offer holds what changes rarely (consent, borders, price, the shape of the nodes); free GPUs are counted elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from penstock.api.formats import EngineName
from penstock.api.inferencepool import CapacityType
from penstock.api.quantities import Money
from penstock.api.references import AllowedNamespaces, NamespacesFrom
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.blocs import contains
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fleet import Pool
from penstock.planner.plan import Rejection, RejectionReason
from penstock.planner.prices import price_of
from penstock.planner.requirements import Requirements

__all__ = [
    "CAPACITY_ORDER",
    "Image",
    "Market",
    "Offer",
    "admits",
    "inside_borders",
    "market_of",
    "refuse_pool",
    "with_interruptions",
]


CAPACITY_ORDER = (CapacityType.RESERVED, CapacityType.ON_DEMAND, CapacityType.SPOT)
"""At the same cost: what is paid for anyhow, then what stays, then what may be taken away."""

_INTERRUPTIONS_PERCENT = 5
"""Half an hour until a replacement serves, about every ten hours: what spot capacity really costs beyond its price."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image that the admins chose for an engine in this pool."""

    engine: EngineName
    version: str
    image: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One pool. `node_gpus` is its largest node (a full one of its kind where none shows GPUs yet but it can grow).

    `rdma`: pods here can get the network that carries a KV cache from one node to another.
    """

    name: str
    accelerator: Accelerator | None = field(hash=False)
    accelerator_problem: str
    node_gpus: int
    can_grow: bool
    countries: frozenset[str]
    price: Money | None
    node_cache: bool
    images: tuple[Image, ...]
    allowed_from: NamespacesFrom
    allowed_labels: tuple[tuple[str, str], ...]
    capacity_type: CapacityType = CapacityType.ON_DEMAND
    rdma: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Every pool's offer by name, and the rates that compare their prices.

    Compared by identity: `market_of` gives equal offers with equal rates the same market.
    """

    offers: tuple[Offer, ...]
    rates: Rates = NO_RATES

    def find(self, name: str) -> Offer | None:
        """The offer of the pool of that name."""
        return next((offer for offer in self.offers if offer.name == name), None)

    @property
    def names(self) -> str:
        """The pools' names for a message."""
        return ", ".join(offer.name for offer in self.offers) or "none"


def market_of(pools: Iterable[Pool], rates: Rates = NO_RATES) -> Market:
    """The market of these pools, the same object as long as nothing that it holds changes."""
    return _interned(tuple(sorted((_offer(pool) for pool in pools), key=lambda offer: offer.name)), rates)


@lru_cache(maxsize=64)
def _interned(offers: tuple[Offer, ...], rates: Rates) -> Market:
    return Market(offers, rates)


def _offer(pool: Pool) -> Offer:
    spec, allowed = pool.spec, pool.spec.allowed_namespaces
    can_grow = pool.nodes_to_come > 0
    largest = max((node.gpus for node in pool.nodes), default=0)
    if largest == 0 and can_grow:
        largest = pool.full_node_gpus
    return Offer(
        name=pool.name,
        accelerator=pool.accelerator,
        accelerator_problem=pool.accelerator_problem,
        node_gpus=largest,
        can_grow=can_grow,
        countries=frozenset(spec.location.countries),
        price=price_of(spec),
        node_cache=spec.node_cache is not None,
        images=tuple(Image(each.engine, each.version, each.image) for each in spec.engine_images),
        allowed_from=allowed.from_,
        allowed_labels=_labels(allowed),
        capacity_type=spec.price.capacity_type if spec.price else CapacityType.ON_DEMAND,
        rdma=spec.fabric is not None and bool(spec.fabric.rdma_resource),
    )


def _labels(allowed: AllowedNamespaces) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(allowed.selector.match_labels.items())) if allowed.selector else ()


def with_interruptions(cost: int, capacity_type: CapacityType) -> int:
    """A cost as it is compared: spot capacity with what its interruptions waste."""
    return cost * (100 + _INTERRUPTIONS_PERCENT) // 100 if capacity_type is CapacityType.SPOT else cost


def admits(offer: Offer, labels: frozenset[tuple[str, str]]) -> bool:
    """True where the pool's owners let a namespace with these labels in; a selector without labels admits nobody."""
    match offer.allowed_from:
        case NamespacesFrom.ALL:
            return True
        case NamespacesFrom.SELECTOR:
            return bool(offer.allowed_labels) and labels.issuperset(offer.allowed_labels)
        case NamespacesFrom.SAME:
            return False


def inside_borders(countries: frozenset[str], jurisdictions: tuple[str, ...]) -> bool:
    """True where every country lies inside the union of the jurisdictions; no country stated lies in none."""
    return not jurisdictions or contains(jurisdictions, countries)


def refuse_pool(offer: Offer, wants: Requirements, rates: Rates = NO_RATES) -> Rejection | None:
    """Why no checkpoint of the deployment may run in this pool, or None."""
    if wants.pools and offer.name not in wants.pools:
        listed = ", ".join(wants.pools)
        return _refusal(offer, RejectionReason.NOT_PREFERRED, f"`spec.placement.pools` lists only {listed}")
    return (
        _refuse_consent(offer, wants)
        or _refuse_borders(offer, wants)
        or _refuse_capacity(offer, wants)
        or _refuse_price(offer, wants, rates)
        or _refuse_equipment(offer, wants)
    )


def _refuse_consent(offer: Offer, wants: Requirements) -> Rejection | None:
    if admits(offer, wants.namespace_labels):
        return None
    if offer.allowed_from is NamespacesFrom.SAME:
        why = "the pool admits only its own namespace and, being cluster-wide, has none"
        cure = "would work: `allowedNamespaces: {from: All}` or a selector on the pool"
    else:
        wanted = ", ".join(f"{key}={value}" for key, value in offer.allowed_labels) or "labels that it does not name"
        why = f"the pool admits only namespaces labelled {wanted}"
        cure = "would work: that label on the namespace, set by the cluster's admins"
    message = f"namespace '{wants.namespace}' may not use it: {why}; {cure}"
    return _refusal(offer, RejectionReason.NAMESPACE_NOT_ALLOWED, message)


def _refuse_borders(offer: Offer, wants: Requirements) -> Rejection | None:
    if inside_borders(offer.countries, wants.jurisdictions):
        return None
    stands = ", ".join(sorted(offer.countries))
    where = f"its countries are {stands}" if stands else "it states no country, and that lies inside no border"
    inside = ", ".join(wants.jurisdictions)
    message = f"all of its countries must lie inside {inside}; {where}"
    if not stands:
        message += "; would work: the true `spec.location.countries` on the pool"
    return _refusal(offer, RejectionReason.JURISDICTION, message)


def _refuse_capacity(offer: Offer, wants: Requirements) -> Rejection | None:
    if not wants.capacity_types or offer.capacity_type in wants.capacity_types:
        return None
    message = (
        f"its capacity is {offer.capacity_type}, and `spec.placement.capacityTypes` lists only"
        f" {', '.join(wants.capacity_types)}; would work: {offer.capacity_type} in that list"
    )
    return _refusal(offer, RejectionReason.CAPACITY_TYPE, message)


def _refuse_price(offer: Offer, wants: Requirements, rates: Rates) -> Rejection | None:
    """Where it cannot be told whether a replica costs more than the ceiling."""
    price, ceiling = offer.price, wants.ceiling
    if ceiling is None:
        return None
    if price is None:
        message = f"the ceiling is {ceiling}/h and the pool states no price; would work: `spec.price` on the pool"
        return _refusal(offer, RejectionReason.PRICE_UNKNOWN, message)
    lacking = rates.lacking(price.currency, ceiling.currency)
    if not lacking:
        return None
    message = (
        f"its price is in {price.currency}, the ceiling in {ceiling.currency}, and they cannot be compared; would work:"
        f" a ceiling in {price.currency}, or {lacking}"
    )
    return _refusal(offer, RejectionReason.PRICE_CEILING, message)


def _refuse_equipment(offer: Offer, wants: Requirements) -> Rejection | None:
    if offer.accelerator is None:
        problem = offer.accelerator_problem or "nothing tells its GPU type; set `spec.accelerator` on the pool"
        return _refusal(offer, RejectionReason.NO_ACCELERATOR, problem)
    if offer.node_gpus == 0:
        message = "it has no node with GPUs and cannot grow; would work: nodes that its `nodeSelector` selects"
        return _refusal(offer, RejectionReason.NO_NODES, message)
    if wants.needs_node_cache and not offer.node_cache:
        message = (
            "the weights are wanted in a cache on the node and the pool has none; would work: `spec.nodeCache` on the"
            " pool, or `weights.cache: Volume`"
        )
        return _refusal(offer, RejectionReason.NODE_CACHE, message)
    return None


def _refusal(offer: Offer, reason: RejectionReason, message: str) -> Rejection:
    return Rejection(reason=reason, message=message, pool=offer.name)
