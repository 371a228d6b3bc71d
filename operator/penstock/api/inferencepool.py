"""InferencePool: a GPU node pool, owned by the cluster's admins."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.conditions import Status
from penstock.api.formats import EngineName
from penstock.api.integers import Count
from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import DNSSubdomain, Model, Resource
from penstock.api.quantities import Money
from penstock.api.references import (
    AllowedNamespaces,
    Country,
    Currency,
    DecimalString,
    ImageReference,
    LabelKey,
    LabelValue,
    NamespacesFrom,
    Toleration,
)
from penstock.api.rules import Rule, rules

__all__ = [
    "CapacityType",
    "EngineImage",
    "Fabric",
    "Growth",
    "InferencePool",
    "InferencePoolSpec",
    "InferencePoolStatus",
    "Location",
    "NodeCache",
    "NodeShape",
    "PoolGPUs",
    "PoolPrice",
]


class CapacityType(StrEnum):
    """How the capacity is bought."""

    ON_DEMAND = "OnDemand"
    RESERVED = "Reserved"
    SPOT = "Spot"


class Location(Model):
    """Where the nodes stand; no country stated passes no jurisdiction."""

    region: Annotated[str, Field(max_length=63)] = ""
    """The cloud's or the site's own name of the region; shown, not interpreted."""
    countries: Annotated[tuple[Country, ...], Field(max_length=8), as_set()] = ()
    """Countries by ISO 3166 in which the nodes stand; a jurisdiction must contain all of them."""


class PoolPrice(Model):
    """What one GPU costs for an hour."""

    per_gpu_hour: Annotated[DecimalString, Field(alias="perGPUHour")]
    """The price of one GPU for one hour, a decimal string."""
    currency: Currency = "USD"
    """Its currency by ISO 4217."""
    capacity_type: CapacityType = CapacityType.ON_DEMAND
    """How the capacity is bought."""

    @property
    def money(self) -> Money:
        """The price of one GPU-hour."""
        return Money.parse(self.per_gpu_hour, self.currency)


class Fabric(Model):
    """The network between nodes."""

    rdma_resource: Annotated[str, Field(max_length=317, pattern=patterns.LABEL_KEY.regex)] = ""
    """The extended resource that gives a pod RDMA, such as rdma/ib."""


class Growth(Model):
    """A cluster autoscaler may add nodes up to this many."""

    max_nodes: Annotated[int, Field(ge=1, le=10000)]
    """The most nodes that the pool may have."""


class NodeCache(Model):
    """A directory on each node's own disk where weights may be kept; the admins' consent to a hostPath."""

    path: Annotated[str, Field(max_length=255, pattern=patterns.NODE_PATH.regex)]
    """The directory on the node."""


class EngineImage(Model):
    """The image that runs an engine in this pool, and the version of the engine inside."""

    engine: EngineName
    """The engine inside."""
    image: ImageReference
    """The image; a digest pins it."""
    version: Annotated[str, Field(max_length=32, pattern=patterns.ENGINE_VERSION.regex)]
    """The engine's version inside, which decides its flags."""


@rules(
    Rule(
        cel="!has(self.allowedNamespaces) || self.allowedNamespaces.from != 'Same'",
        field="allowedNamespaces",
        reason="must not say 'Same', because a pool stands in no namespace",
        cure="Use `from: All`, or `from: Selector` with labels",
        holds=lambda self: self.allowed_namespaces.from_ is not NamespacesFrom.SAME,
    )
)
class InferencePoolSpec(Model):
    """What the admins say about the pool."""

    node_selector: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)]
    """Labels of the pool's nodes, all of which must be there; a node belongs to one pool."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), atomic()] = ()
    """What pods here must tolerate."""
    accelerator: Annotated[str | None, Field(max_length=63)] = None
    """The accelerator's name in the catalogue; left out: read from the nodes' labels."""
    location: Location = Location()
    """Where the nodes stand; left out: unknown, which passes no jurisdiction."""
    price: PoolPrice | None = None
    """What a GPU costs; left out: unknown, which passes no price ceiling."""
    fabric: Fabric | None = None
    """The network between nodes; left out: none that Penstock may use."""
    growth: Growth | None = None
    """Whether a cluster autoscaler adds nodes; left out: the pool stays as it is."""
    node_cache: NodeCache | None = None
    """Where weights may be kept on the nodes' disks; left out: nowhere."""
    engine_images: Annotated[tuple[EngineImage, ...], Field(max_length=8), map_by("engine")] = ()
    """Images of engines for this pool; left out: the catalogue's."""
    image_pull_secret_names: Annotated[tuple[DNSSubdomain, ...], Field(max_length=8), as_set()] = ()
    """Secrets with which pods pull images, by name in the deployment's namespace."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Which namespaces may place deployments here; left out: all."""


class PoolGPUs(Model):
    """GPUs counted over the pool's nodes."""

    total: Count = 0
    """GPUs that the nodes have."""
    allocatable: Count = 0
    """GPUs on ready nodes that pods may ask for."""
    allocated: Count = 0
    """GPUs that pods hold, whoever owns them."""
    free: Count = 0
    """GPUs that a pod could get now."""


class NodeShape(Model):
    """How many nodes have how many GPUs, and how many of them are wholly free."""

    gpus: Count
    """GPUs of each of these nodes."""
    nodes: Count
    """Nodes of this shape."""
    free_nodes: Count = 0
    """Those whose GPUs are all free."""


class InferencePoolStatus(Status):
    """What the operator saw."""

    accelerator: Annotated[str, Field(max_length=63)] = ""
    """The accelerator that the nodes have."""
    nodes: Count = 0
    """Nodes that belong to the pool."""
    ready_nodes: Count = 0
    """Those that are Ready."""
    gpus: PoolGPUs = PoolGPUs()
    """GPUs over all nodes."""
    shapes: Annotated[tuple[NodeShape, ...], Field(max_length=64), map_by("gpus")] = ()
    """The nodes by their number of GPUs."""
    deployments: Annotated[tuple[Annotated[str, Field(max_length=317)], ...], Field(max_length=64), atomic()] = ()
    """What runs here, as namespace/name."""
    cost_per_hour: Annotated[str, Field(max_length=40)] = ""
    """What all GPUs of the pool cost for one hour, with the currency."""


class InferencePool(Resource):
    """A GPU node pool, owned by the cluster's admins."""

    kind_name: ClassVar[str] = "InferencePool"

    spec: InferencePoolSpec
    """What the admins say about the pool."""
    status: InferencePoolStatus = InferencePoolStatus()
    """What the operator saw."""
