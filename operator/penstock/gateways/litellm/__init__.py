"""The driver `LiteLLM`: replicas of `penstock_gateway` around LiteLLM, one module per child kind.

Values are written as the API server stores them (`1Gi`, not `1024Mi`), so that what is applied and what is live compare
equal.
"""

from penstock.gateways.litellm.gateway import render_gateway
from penstock.gateways.litellm.names import (
    CLIENT_PORT,
    GATEWAY_LABEL,
    INTERNAL_PORT,
    MONITORING_LABEL,
    credential_file,
    credentials_secret_name,
    gateway_name,
    token_secret_name,
)
from penstock.gateways.litellm.request import GatewayRequest
from penstock.gateways.litellm.secrets import credentials_version, render_credentials, render_token
from penstock.gateways.litellm.supported import unsupported

__all__ = [
    "CLIENT_PORT",
    "GATEWAY_LABEL",
    "INTERNAL_PORT",
    "MONITORING_LABEL",
    "GatewayRequest",
    "credential_file",
    "credentials_secret_name",
    "credentials_version",
    "gateway_name",
    "render_credentials",
    "render_gateway",
    "render_token",
    "token_secret_name",
    "unsupported",
]
