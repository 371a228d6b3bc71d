"""What lies outside what the operator may look at or write: refusals that name the cure; pure over the world."""

from penstock.api.refusals import Refusal
from penstock.gateways.litellm import credentials_secret_name, token_secret_name
from penstock.reconcilers.secrets import no_secrets
from penstock.reconcilers.traffic import GatewayKey
from penstock.reconcilers.world import World

__all__ = ["secrets_of_gateway", "unwatched"]


def secrets_of_gateway(world: World, place: GatewayKey) -> tuple[Refusal, ...]:
    """Of an InferenceGateway whose Secrets cannot be kept, because nobody allowed it or the API server refused."""
    namespace, name = place
    own = ((namespace, token_secret_name(name)), (namespace, credentials_secret_name(name)))
    if world.scope.uses_secrets(namespace) and world.without_secrets.isdisjoint(own):
        return ()
    return (no_secrets("metadata.namespace", namespace, namespace),)


def unwatched(world: World, field: str, namespace: str) -> Refusal | None:
    """Of a reference into a namespace that is not looked at; None where it is."""
    if world.scope.watches(namespace):
        return None
    reason = "the operator does not look at this namespace"
    return Refusal(field, namespace, reason, "List it in the chart's value `watchNamespaces`")
