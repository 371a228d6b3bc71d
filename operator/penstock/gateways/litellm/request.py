"""What a gateway's children are rendered from."""

from dataclasses import dataclass

from penstock.api.inferencegateway import InferenceGateway

__all__ = ["GatewayRequest"]


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """The gateway, and what the operator's command line says of all of them."""

    gateway: InferenceGateway
    image: str
    server_url: str
    """The control-plane server, as replicas reach it."""
    operator_namespace: str
    server_bundle: str = ""
    """In PEM, by whom replicas know the server; empty: by what their image trusts."""
