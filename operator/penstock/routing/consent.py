"""Consent: whether the owner of a gateway or of a backend admits a namespace, as listeners do in the Gateway API."""

from collections.abc import Mapping

from penstock.api.references import AllowedRoutes, NamespacesFrom

__all__ = ["admits"]


def admits(allowed: AllowedRoutes | None, *, owner: str, namespace: str, labels: Mapping[str, str]) -> bool:
    """True where `allowed`, written in the namespace `owner`, admits `namespace` with its `labels`."""
    rule = (allowed or AllowedRoutes()).namespaces
    match rule.from_:
        case NamespacesFrom.ALL:
            return True
        case NamespacesFrom.SELECTOR:
            return rule.selector is not None and rule.selector.matches(dict(labels))
        case NamespacesFrom.SAME:
            return namespace == owner
