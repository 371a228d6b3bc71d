"""What the gateways' tables say of a Route, a Consumer or a ModelProvider."""

from typing import Any

from penstock.api.backends import GatewayReference
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.reach import unwatched
from penstock.reconcilers.standing import Standing
from penstock.reconcilers.traffic import GatewayKey
from penstock.reconcilers.world import World
from penstock.routing.problems import Kind, Problem

__all__ = ["gateway_of", "problems_of", "standing_of"]


def gateway_of(custom: Custom[Any], reference: GatewayReference) -> GatewayKey:
    """The gateway that it names."""
    return (reference.namespace or custom.namespace, reference.name)


def problems_of(world: World, gateway: GatewayKey, kind: Kind, custom: Custom[Any]) -> tuple[Problem, ...]:
    """What that gateway's newest table says is wrong with it."""
    told = world.told.get(gateway)
    return told.problems.get((kind, f"{custom.namespace}/{custom.name}"), ()) if told else ()


def standing_of(world: World, gateway: GatewayKey | None, kind: Kind, custom: Custom[Any]) -> Standing:
    """How it stands with the gateway that it names; None where its spec cannot be read."""
    if gateway is None:
        return Standing("", found=False)
    return Standing(
        gateway="/".join(gateway),
        found=world.gateways.get(*gateway) is not None,
        has_table=gateway in world.told,
        unwatched=unwatched(world, "spec.gatewayRef.namespace", gateway[0]),
        problems=problems_of(world, gateway, kind, custom),
    )
