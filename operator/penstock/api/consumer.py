"""Consumer: a team or an application that calls a gateway."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.backends import GatewayReference
from penstock.api.conditions import Status
from penstock.api.integers import Count
from penstock.api.markers import atomic, map_by
from penstock.api.meta import DNSLabel, Model, Resource
from penstock.api.references import SecretKeyReference, SensitivityLevel

__all__ = ["Consumer", "ConsumerLimits", "ConsumerSpec", "ConsumerStatus", "RouteReference"]


class RouteReference(Model):
    """A Route of the same namespace."""

    name: DNSLabel
    """The Route's name."""


class ConsumerLimits(Model):
    """How much it may ask for."""

    requests_per_minute: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Requests per minute; left out: no limit."""
    tokens_per_minute: Annotated[int, Field(ge=1, le=2_000_000_000)] | None = None
    """Tokens per minute, prompts and answers together; left out: no limit."""


class ConsumerSpec(Model):
    """Who calls, and what it may do."""

    gateway_ref: GatewayReference
    """The gateway that it calls."""
    tier: Annotated[str, Field(min_length=1, max_length=63, pattern=patterns.FREE_NAME.regex)] | None = None
    """Its tier, which Routes match; left out: none."""
    sensitivity_floor: SensitivityLevel | None = None
    """No request of its key is handled as less sensitive; left out: the gateway's lowest level."""
    route_refs: Annotated[tuple[RouteReference, ...], Field(max_length=64), map_by("name")] = ()
    """Routes that it may call; left out: all of this namespace."""
    limits: ConsumerLimits | None = None
    """How much it may ask for; left out: no limit."""
    key_secret_ref: SecretKeyReference
    """The Secret's key with its API key; made when it is absent."""


class ConsumerStatus(Status):
    """What became of its key, and what it may call."""

    routes: Annotated[tuple[Annotated[str, Field(max_length=127)], ...], Field(max_length=64), atomic()] = ()
    """Routes that it may call, as namespace/name; the first 64."""
    route_count: Count = 0
    """How many Routes it may call."""


class Consumer(Resource):
    """A team or an application that calls a gateway."""

    kind_name: ClassVar[str] = "Consumer"

    spec: ConsumerSpec
    """Who calls, and what it may do."""
    status: ConsumerStatus = ConsumerStatus()
    """What became of its key, and what it may call."""
