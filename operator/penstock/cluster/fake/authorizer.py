"""Access as RBAC sees it: what a request asks for, and who decides; nobody does unless a test says so."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock.cluster.fake.answers import Answer, forbidden
from penstock.cluster.fake.requests import Target

__all__ = ["Access", "Authorizer", "authorize"]

_USER = "system:serviceaccount:penstock-system:penstock-operator"


@dataclass(frozen=True, slots=True)
class Access:
    """One request; an empty namespace is the whole cluster, an empty name the whole collection.

    A request about one Namespace counts as one inside of it, as the real server has it. `selected` is the one name
    that a list or watch is held to.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    selected: str = ""


Authorizer = Callable[[Access], bool]
"""Whether it may be."""


def authorize(authorizer: Authorizer, verb: str, target: Target, fields: str) -> None:
    """403 where it may not be."""
    info = target.info
    namespaces = info.plural == "namespaces" and not info.group
    selected = fields.removeprefix("metadata.name=") if fields.startswith("metadata.name=") else ""
    access = Access(
        verb=verb,
        resource=info.plural,
        group=info.group,
        namespace=target.name if namespaces else target.namespace,
        name=target.name,
        subresource=target.subresource,
        selected=selected,
    )
    if not authorizer(access):
        raise refusal(access)


def refusal(access: Access) -> Answer:
    """403 in the real one's words."""
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    why = f'User "{_USER}" cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'
    return forbidden(access.resource, access.group, access.name or access.selected, why)
