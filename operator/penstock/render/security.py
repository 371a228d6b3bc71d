"""What Pod Security *restricted* asks of every pod and container that is rendered, and what that user lacks."""

from typing import Any

__all__ = ["container_security", "pod_security", "user_environment"]

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


def user_environment() -> list[dict[str, Any]]:
    """A home and a name: no image lists the user, and Python's `getpass.getuser` fails where neither says who it is.

    Compilers' caches and engines ask for it on their way up.
    """
    return [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the one place that any user may write to
        {"name": "USER", "value": "penstock"},
    ]


def container_security() -> dict[str, Any]:
    """No rights to gain, nothing to write to but the volumes."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
