"""Builders of InferenceGateways and of what their children are rendered from."""

from types import MappingProxyType
from typing import Any

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm import GatewayRequest

__all__ = ["CASES", "UID", "gateway", "gateway_request"]

UID = "0c9d4d5c-5d0f-4f0b-8d3c-3f1d7a1f2b01"


def gateway(name: str = "main", *, namespace: str = "team", uid: str = UID, **spec: Any) -> InferenceGateway:
    """`spec` as users write it."""
    manifest = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "InferenceGateway",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"sensitivityLevels": ["low", "medium", "high"], **spec},
    }
    return InferenceGateway.model_validate(manifest)


def gateway_request(name: str = "main", *, image: str = "penstock-gateway:v0.1.0", **spec: Any) -> GatewayRequest:
    """As an operator in `penstock-system` makes it."""
    return GatewayRequest(
        gateway(name, **spec), image, "http://penstock-server.penstock-system:8080", "penstock-system"
    )


CASES = MappingProxyType(
    {
        "gateway-two": gateway_request(),
        "gateway-one": gateway_request("edge", replicas=1, imagePullSecretNames=["registry"]),
    }
)
"""By the name of the golden file."""
