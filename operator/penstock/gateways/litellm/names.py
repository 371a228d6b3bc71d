"""Names, labels and ports of what is made for an InferenceGateway.

Its Service is not called as the gateway is: a ModelDeployment of the same name in the same namespace owns that one.
The names of gateways end at 52 characters, so that a Service's 63 are enough.
"""

from penstock.api.inferencegateway import InferenceGateway
from penstock.api.meta import GROUP
from penstock.render.names import ROLE_LABEL

__all__ = [
    "BUNDLE_KEY",
    "CLIENT_PORT",
    "CONFIG_KEY",
    "GATEWAY_CONTAINER",
    "GATEWAY_LABEL",
    "HTTP_PORT",
    "INTERNAL_PORT",
    "INTERNAL_PORT_NAME",
    "MASTER_KEY",
    "MONITORING_LABEL",
    "TOKEN_ISSUED_ANNOTATION",
    "TOKEN_KEY",
    "VERSION_KEY",
    "WATCHED_LABEL",
    "credential_file",
    "credentials_secret_name",
    "gateway_name",
    "labels_of",
    "pod_labels",
    "pod_selector",
    "token_secret_name",
]

GATEWAY_LABEL = f"{GROUP}/gateway"
MONITORING_LABEL = f"{GROUP}/monitoring"
"""`true` on a namespace: its pods may read the metrics of gateways."""
WATCHED_LABEL = f"{GROUP}/watched"
"""On a Secret: the operator watches it."""

TOKEN_ISSUED_ANNOTATION = f"{GROUP}/token-issued-at"
"""On the Secret with the server's token: since when, RFC 3339."""

CLIENT_PORT = 8000
INTERNAL_PORT = 8001
HTTP_PORT = "http"
INTERNAL_PORT_NAME = "internal"
GATEWAY_CONTAINER = "gateway"

BUNDLE_KEY = "ca.crt"
CONFIG_KEY = "config.yaml"
TOKEN_KEY = "token"  # noqa: S105 - the name of a file
MASTER_KEY = "master-key"
VERSION_KEY = "version"


def gateway_name(name: str) -> str:
    """Of the Service, the Deployment and everything else but Secrets, for a gateway called `name`."""
    return f"{name}-gateway"


def credentials_secret_name(name: str) -> str:
    """Of the Secret with all providers' keys."""
    return f"{gateway_name(name)}-credentials"


def token_secret_name(name: str) -> str:
    """Of the Secret with the server's token and LiteLLM's own master key."""
    return f"{gateway_name(name)}-token"


def credential_file(namespace: str, name: str) -> str:
    """The file of a ModelProvider's key: a legal key of a Secret, at most 127 characters long.

    Neither part holds a dot, so no two providers share one, and none is called `version`.
    """
    return f"{namespace}.{name}"


def labels_of(gateway: InferenceGateway) -> dict[str, str]:
    """The labels of every child."""
    return {
        "app.kubernetes.io/managed-by": "penstock",
        "app.kubernetes.io/name": "litellm",
        "app.kubernetes.io/instance": gateway.metadata.name,
        GATEWAY_LABEL: gateway.metadata.name,
    }


def pod_selector(gateway: InferenceGateway) -> dict[str, str]:
    """What selects the replicas."""
    return {GATEWAY_LABEL: gateway.metadata.name, ROLE_LABEL: "gateway"}


def pod_labels(gateway: InferenceGateway) -> dict[str, str]:
    """By the role, engines let them in."""
    return {**labels_of(gateway), **pod_selector(gateway)}
