"""The Service that clients call; the internal port is reached at each pod only."""

from typing import Any

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm.names import CLIENT_PORT, HTTP_PORT, gateway_name, labels_of, pod_selector
from penstock.render.names import child_metadata

__all__ = ["render_service"]


def render_service(gateway: InferenceGateway) -> dict[str, Any]:
    """The stable address of all replicas that are ready."""
    port = {"name": HTTP_PORT, "port": CLIENT_PORT, "protocol": "TCP", "targetPort": HTTP_PORT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(gateway, gateway_name(gateway.metadata.name), labels_of(gateway)),
        "spec": {"type": "ClusterIP", "selector": pod_selector(gateway), "ports": [port]},
    }
