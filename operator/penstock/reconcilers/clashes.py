"""Two resources that want one Service: the older has it, the newer says so, and nobody fights."""

from penstock.api.inferencegateway import InferenceGateway
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal
from penstock.gateways.litellm import gateway_name
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.world import World

__all__ = ["clash_of_deployment", "clash_of_gateway"]

_SUFFIX = gateway_name("")
_CURE = "Choose another name"


def clash_of_gateway(world: World, custom: Custom[InferenceGateway]) -> tuple[Refusal, ...]:
    """Of an InferenceGateway `x` with an older ModelDeployment `x-gateway` of its namespace."""
    rival = world.deployments.get(custom.namespace, gateway_name(custom.name))
    if rival is None or rival.created >= custom.created:
        return ()
    reason = f"the Service '{rival.name}' that it would need is that of the older ModelDeployment of this name"
    return (Refusal("metadata.name", custom.name, reason, _CURE),)


def clash_of_deployment(world: World, custom: Custom[ModelDeployment]) -> tuple[Refusal, ...]:
    """Of a ModelDeployment `x-gateway` with an InferenceGateway `x` of its namespace that is not younger."""
    rival = world.gateways.get(custom.namespace, custom.name.removesuffix(_SUFFIX))
    if rival is None or not custom.name.endswith(_SUFFIX) or rival.created > custom.created:
        return ()
    reason = f"the Service of this name is that of the older InferenceGateway '{rival.name}'"
    return (Refusal("metadata.name", custom.name, reason, _CURE),)
