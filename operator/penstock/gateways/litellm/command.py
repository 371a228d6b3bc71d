"""The command line of a replica, and where its files are in the container.

Secrets are files or variables from Secrets, never arguments.
"""

from collections.abc import Mapping
from types import MappingProxyType

from penstock.gateways.litellm.names import BUNDLE_KEY, CLIENT_PORT, CONFIG_KEY, INTERNAL_PORT, TOKEN_KEY
from penstock.gateways.litellm.request import GatewayRequest

__all__ = ["COMMAND", "FOLDERS", "GRACE_SECONDS", "arguments_of"]

COMMAND = ("python", "-m", "penstock_gateway")
FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "config": "/etc/penstock/config",
        "credentials": "/etc/penstock/credentials",
        "token": "/etc/penstock/token",
        "spool": "/var/lib/penstock/spool",
        "table": "/var/lib/penstock/table",
        "tmp": "/tmp",  # noqa: S108 - the pod's own, an emptyDir
    }
)
"""Where each volume is mounted."""

_LINGER_SECONDS = 5
"""Clients learn late that a replica leaves: endpoints go through the API server to every node."""
_DRAIN_SECONDS = 300
"""The longest answers are streams of minutes."""
_SLACK_SECONDS = 15
"""For words of farewell to the server and the last records."""

GRACE_SECONDS = _LINGER_SECONDS + _DRAIN_SECONDS + _SLACK_SECONDS


def arguments_of(request: GatewayRequest) -> list[str]:
    """Flags and values; `$(...)` are variables of the container."""
    return [word for flag, value in _values(request).items() for word in (f"--{flag}", value)]


def _values(request: GatewayRequest) -> dict[str, str]:
    metadata = request.gateway.metadata
    trust = {"server-ca-file": f"{FOLDERS['config']}/{BUNDLE_KEY}"} if request.server_bundle else {}
    return {
        "gateway": f"{metadata.namespace or 'default'}/{metadata.name}",
        "pod-uid": "$(POD_UID)",
        "pod": "$(POD_NAME)",
        "port": str(CLIENT_PORT),
        "internal-port": str(INTERNAL_PORT),
        "server": request.server_url,
        **trust,
        "token-file": f"{FOLDERS['token']}/{TOKEN_KEY}",
        "credentials-dir": FOLDERS["credentials"],
        "litellm-config": f"{FOLDERS['config']}/{CONFIG_KEY}",
        "table-file": f"{FOLDERS['table']}/table.json",
        "spool-dir": FOLDERS["spool"],
        "linger-seconds": str(_LINGER_SECONDS),
        "drain-seconds": str(_DRAIN_SECONDS),
    }
