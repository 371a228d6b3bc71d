"""Request paths from kinds and names; a name that is none never enters a path."""

import re

from penstock.cluster.errors import Invalid
from penstock.cluster.resources import ResourceType

__all__ = ["called", "path_of"]

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.:]{0,251}[a-z0-9])?")


def path_of(kind: ResourceType, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """The path; Invalid where a name or namespace is none, or the namespace of one object is missing."""
    for part in (namespace, name):
        if part is not None and (not _NAME.fullmatch(part) or ".." in part):
            message = f"{part!r} is no name of a {kind.kind} or its namespace"
            raise Invalid(message, reason="InvalidName")
    if kind.namespaced and name is not None and namespace is None:
        message = f"{kind.kind} {name}: the namespace is missing"
        raise Invalid(message, reason="InvalidName")
    return kind.path(namespace, name, subresource)


def called(kind: ResourceType, namespace: str | None, name: str) -> str:
    """As messages say it: `Deployment ns/x`."""
    return f"{kind.kind} {namespace}/{name}" if namespace else f"{kind.kind} {name}"
