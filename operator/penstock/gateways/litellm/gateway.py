"""Everything that is rendered for one InferenceGateway, but its Secrets."""

from typing import Any

from penstock.gateways.litellm.configuration import render_configuration
from penstock.gateways.litellm.deployment import render_deployment
from penstock.gateways.litellm.policies import render_disruption_budget, render_network_policy
from penstock.gateways.litellm.request import GatewayRequest
from penstock.gateways.litellm.services import render_service

__all__ = ["render_gateway"]


def render_gateway(request: GatewayRequest) -> tuple[dict[str, Any], ...]:
    """ConfigMap, Service, Deployment (with `replicas`), PodDisruptionBudget, NetworkPolicy, in the order of applying.

    No ServiceAccount: replicas know nothing of Kubernetes, the namespace's own one gives them no token.
    """
    gateway = request.gateway
    return (
        render_configuration(gateway, request.server_bundle),
        render_service(gateway),
        render_deployment(request),
        render_disruption_budget(gateway),
        render_network_policy(gateway, request.operator_namespace),
    )
