"""The disruption budget and the NetworkPolicy of a gateway."""

from typing import Any

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm.names import (
    HTTP_PORT,
    INTERNAL_PORT_NAME,
    MONITORING_LABEL,
    gateway_name,
    labels_of,
    pod_selector,
)
from penstock.render.names import child_metadata

__all__ = ["render_disruption_budget", "render_network_policy"]


def render_disruption_budget(gateway: InferenceGateway) -> dict[str, Any]:
    """A drained node takes one replica at a time.

    A gateway of one replica is not held: a budget that kept it would keep its node for ever.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(gateway, gateway_name(gateway.metadata.name), labels_of(gateway)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": pod_selector(gateway)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def render_network_policy(gateway: InferenceGateway, operator_namespace: str) -> dict[str, Any]:
    """Clients come from anywhere; to metrics and LiteLLM's administration only the operator and the monitoring.

    The kubelet's probes come from the node, which no policy holds back.
    """
    inside = [
        _namespaces({"kubernetes.io/metadata.name": operator_namespace}),
        _namespaces({MONITORING_LABEL: "true"}),
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(gateway, gateway_name(gateway.metadata.name), labels_of(gateway)),
        "spec": {
            "podSelector": {"matchLabels": pod_selector(gateway)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": HTTP_PORT, "protocol": "TCP"}]},
                {"from": inside, "ports": [{"port": INTERNAL_PORT_NAME, "protocol": "TCP"}]},
            ],
        },
    }


def _namespaces(labels: dict[str, str]) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": labels}}
