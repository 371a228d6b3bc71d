"""What Pod Security *restricted* asks of every pod and container that is rendered."""

from typing import Any

__all__ = ["container_security", "pod_security"]

_USER = 65532


def pod_security() -> dict[str, Any]:
    """One user without rights for all containers; a large volume is handed over to it only once."""
    return {
        "fsGroup": _USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsGroup": _USER,
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """No rights to gain, nothing to write to but the volumes."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
