"""What a test allows the operator, as RBAC would: rules by verb, resource and place; and what it asked for in vain."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock.cluster.fake.authorizer import Access

__all__ = ["Allowed", "Rule", "cluster_wide", "namespaced"]

OURS = "modeldeployments inferencegateways modelproviders routes consumers budgets evaluations"
CHILDREN = "services poddisruptionbudgets networkpolicies persistentvolumeclaims jobs configmaps deployments"


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources, apart by spaces; no namespace: the whole cluster, as a ClusterRoleBinding gives it.

    `names`: only these objects, and lists that are held to one of them.
    """

    verbs: str
    resources: str
    namespace: str = ""
    names: frozenset[str] = frozenset()

    def allows(self, access: Access) -> bool:
        """As RBAC decides."""
        resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        named = not self.names or (access.name or access.selected) in self.names
        inside = self.namespace in {"", access.namespace}
        return inside and named and access.verb in self.verbs.split() and resource in self.resources.split()


@dataclass(slots=True)
class Allowed:
    """An authorizer; `refused` is what it was asked for in vain."""

    rules: list[Rule]
    refused: list[Access] = field(default_factory=list)

    def __call__(self, access: Access) -> bool:
        """Whether any rule allows it."""
        if any(rule.allows(access) for rule in self.rules):
            return True
        self.refused.append(access)
        return False


def cluster_wide(*, secrets: Iterable[str], own: str) -> Allowed:
    """All but Secrets everywhere, Secrets in these namespaces; the Lease and caches in its own."""
    return Allowed([*_everywhere(), *_work(""), *_secrets(secrets), *_home(own)])


def namespaced(*, watched: Iterable[str], secrets: Iterable[str], own: str) -> Allowed:
    """Only nodes, pools, and what is named, cluster-wide."""
    watched = tuple(watched)
    namespaces = Rule("list watch", "namespaces", names=frozenset(watched))
    inside = [rule for name in watched for rule in _work(name)]
    return Allowed([*_everywhere(), namespaces, *inside, *_secrets(secrets), *_home(own)])


def _everywhere() -> list[Rule]:
    return [
        Rule("list watch", "nodes inferencepools"),
        Rule("patch", "inferencepools/status"),
        Rule("get", "priorityclasses"),
    ]


def _work(namespace: str) -> list[Rule]:
    """In one namespace, or in all."""
    also = [] if namespace else [Rule("list watch", "namespaces")]
    return [
        *also,
        Rule("list watch", f"{OURS} pods resourcequotas", namespace),
        Rule("get patch", OURS, namespace),
        Rule("patch", " ".join(f"{kind}/status" for kind in OURS.split()), namespace),
        Rule("patch", "pods", namespace),
        Rule("list watch create patch delete", CHILDREN, namespace),
        Rule("get list watch create patch delete", "controllerrevisions", namespace),
        Rule("create patch", "events", namespace),
    ]


def _secrets(namespaces: Iterable[str]) -> list[Rule]:
    return [Rule("get list watch create patch", "secrets", name) for name in namespaces]


def _home(own: str) -> list[Rule]:
    return [Rule("get create update", "leases", own), Rule("get create patch", "configmaps", own)]
