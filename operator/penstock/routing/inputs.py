"""What the operator gathers for one gateway, frozen: the only thing that a routing table is made from.

Lists may come in any order. Nothing here is checked beyond the resources' own schemas; `build.py` does that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from penstock.api.consumer import ConsumerSpec
from penstock.api.inferencegateway import InferenceGatewaySpec
from penstock.api.modelprovider import ModelProviderSpec
from penstock.api.references import AllowedRoutes
from penstock.api.route import RouteSpec
from penstock_policy.table import Price

__all__ = [
    "Attached",
    "ConsumerInput",
    "Credentials",
    "Deployment",
    "Gateway",
    "Inputs",
    "ProviderInput",
    "Revision",
    "RouteInput",
]

SpecT = TypeVar("SpecT", RouteSpec, ModelProviderSpec, ConsumerSpec)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway that the table is for.

    `addresses` are the URLs under which it can be reached, in every spelling that the cluster's names have.
    """

    namespace: str
    name: str
    spec: InferenceGatewaySpec
    created: datetime
    addresses: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Attached(Generic[SpecT]):
    """A resource that asks to take part; `namespace_labels` are those of the namespace that it stands in."""

    namespace: str
    name: str
    created: datetime
    spec: SpecT
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def seniority(self) -> tuple[datetime, str]:
        """The older first; resources of one second by their name."""
        return (self.created, self.key)


@dataclass(frozen=True, slots=True)
class RouteInput(Attached[RouteSpec]):
    """A Route."""


@dataclass(frozen=True, slots=True)
class ProviderInput(Attached[ModelProviderSpec]):
    """A ModelProvider."""


@dataclass(frozen=True, slots=True)
class ConsumerInput(Attached[ConsumerSpec]):
    """A Consumer; its label `team` is what Routes match."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of a deployment.

    `endpoints` are the base URLs of its ready pods, without `/v1`; they count while it is `serving`. `pools` holds the
    countries of each pool that it runs in, an empty set for a pool that states none.
    """

    name: str
    pools: tuple[frozenset[str], ...]
    endpoints: tuple[str, ...] = ()
    serving: bool = True


@dataclass(frozen=True, slots=True)
class Deployment:
    """A ModelDeployment as a backend.

    `model` is the name that its engines serve, `context_tokens` the longest request (None: unknown), `price` what a
    million tokens cost in the currency of the inputs (None: unknown). `draining`: it is being taken out of service.
    """

    namespace: str
    name: str
    model: str
    revisions: tuple[Revision, ...] = ()
    max_sensitivity: str | None = None
    allowed_routes: AllowedRoutes | None = None
    context_tokens: int | None = None
    price: Price | None = None
    draining: bool = False

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def backend_name(self) -> str:
        """What the table calls it."""
        return f"deployment/{self.key}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The merged Secret: its version, and the file of each provider (`namespace/name`) whose API key is in it."""

    version: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything for one gateway; the same inputs give the same table, byte for byte.

    Routes and Consumers of other gateways are passed over. `keys` maps a Consumer (`namespace/name`) to the SHA-256
    of its key and lacks those whose Secret is not there. `currency` is the one that prices are compared in. `watched`
    are the namespaces that anything is known of, None: all.
    """

    gateway: Gateway
    routes: tuple[RouteInput, ...] = ()
    providers: tuple[ProviderInput, ...] = ()
    consumers: tuple[ConsumerInput, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials = Credentials()
    currency: str = "USD"
    watched: tuple[str, ...] | None = None
