"""The table: every right that the operator and the server have, and why.

There is no `*`, no `escalate`, `bind` or `impersonate`, and no right to Secrets of the whole cluster; tests/access
holds that, and that every request of the integration tests is covered. Where server-side apply makes an object, it
needs `create` beside `patch`.
"""

from penstock.access.names import AUTHORITY_SECRET, LEASE, SERVER_SECRET
from penstock.access.rights import Process, Right, Scope
from penstock.api.kinds import KINDS
from penstock.api.meta import GROUP

__all__ = ["RIGHTS"]


_CORE = ""
_NAMESPACED = tuple(kind.plural for kind in KINDS if kind.namespaced)
_CLUSTER_WIDE = tuple(kind.plural for kind in KINDS if not kind.namespaced)
_OWNERS = ("consumers", "inferencegateways", "modeldeployments")
_SEEN = ("list", "watch")
_KEPT = (*_SEEN, "create", "patch", "delete")
_BY_THE_SERVER = "the server asks Kubernetes by SubjectAccessReview; nothing serves this subresource"
_BY_ADMISSION = "asked by the admission plugin OwnerReferencesPermissionEnforcement, where a cluster runs it"


def _operator(
    scope: Scope,
    group: str,
    resources: tuple[str, ...],
    verbs: tuple[str, ...],
    why: str,
    *,
    names: tuple[str, ...] = (),
    unaudited: str = "",
) -> Right:
    return Right(Process.OPERATOR, scope, group, resources, verbs, why, names, unaudited)


def _status(plurals: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{plural}/status" for plural in plurals)


_OWN_KINDS = (
    _operator(Scope.CLUSTER, GROUP, _CLUSTER_WIDE, _SEEN, "pools are watched"),
    _operator(Scope.CLUSTER, GROUP, _status(_CLUSTER_WIDE), ("patch",), "and their status is reported"),
    _operator(Scope.WATCHED, GROUP, _NAMESPACED, _SEEN, "all other kinds of ours are watched"),
    _operator(Scope.WATCHED, GROUP, _status(_NAMESPACED), ("patch",), "and their status is reported"),
    _operator(
        Scope.WATCHED,
        GROUP,
        ("inferencegateways", "modeldeployments"),
        ("get",),
        "a parent that is gone already must get no children",
    ),
    _operator(
        Scope.WATCHED, GROUP, ("modeldeployments",), ("patch",), "the finalizer that drains it before it is deleted"
    ),
    _operator(
        Scope.WATCHED,
        GROUP,
        tuple(f"{plural}/finalizers" for plural in _OWNERS),
        ("update",),
        "children name their owner with blockOwnerDeletion",
        unaudited=_BY_ADMISSION,
    ),
    _operator(
        Scope.WATCHED,
        GROUP,
        ("inferencegateways/table",),
        ("get", "update"),
        "routing tables and tokens at the control-plane server",
        unaudited=_BY_THE_SERVER,
    ),
    _operator(
        Scope.WATCHED,
        GROUP,
        ("inferencegateways/replicas",),
        ("get",),
        "what gateway replicas have acknowledged, at the control-plane server",
        unaudited=_BY_THE_SERVER,
    ),
)

_SURROUNDINGS = (
    _operator(Scope.CLUSTER, _CORE, ("nodes",), _SEEN, "GPUs, labels and taints decide where a model fits"),
    _operator(Scope.NAMESPACES, _CORE, ("namespaces",), _SEEN, "pools and gateways admit namespaces by label"),
    _operator(Scope.CLUSTER, "scheduling.k8s.io", ("priorityclasses",), ("get",), "one that is named must be there"),
    _operator(Scope.WATCHED, _CORE, ("resourcequotas",), _SEEN, "a quota that binds is told as such"),
    _operator(Scope.WATCHED, _CORE, ("pods",), _SEEN, "who takes GPUs, and which pods serve"),
    _operator(Scope.WATCHED, _CORE, ("pods",), ("patch",), "pods that are to go first are marked"),
    _operator(Scope.WATCHED, _CORE, ("events",), ("create", "patch"), "what happened, for kubectl describe"),
)

_CHILDREN = (
    _operator(Scope.WATCHED, "apps", ("deployments",), _KEPT, "engines and gateways"),
    _operator(
        Scope.WATCHED, "apps", ("controllerrevisions",), ("get", *_KEPT), "what was rendered, pinned by revision"
    ),
    _operator(Scope.WATCHED, _CORE, ("services", "persistentvolumeclaims"), _KEPT, "addresses, and volumes of weights"),
    _operator(Scope.WATCHED, _CORE, ("configmaps",), (*_SEEN, "create", "patch"), "configuration of gateways"),
    _operator(Scope.WATCHED, "batch", ("jobs",), _KEPT, "weights that are fetched ahead"),
    _operator(Scope.WATCHED, "policy", ("poddisruptionbudgets",), _KEPT, "one replica at a time"),
    _operator(Scope.WATCHED, "networking.k8s.io", ("networkpolicies",), _KEPT, "nothing goes round a gateway"),
)

_SECRETS = (
    _operator(
        Scope.SECRETS,
        _CORE,
        ("secrets",),
        ("get", *_SEEN, "create", "patch"),
        "keys of providers and consumers are read; those of consumers, gateways' credentials and tokens are made",
    ),
)

_OWN_NAMESPACE = (
    _operator(Scope.OWN, "coordination.k8s.io", ("leases",), ("create",), "the leader's Lease is made once"),
    _operator(
        Scope.OWN, "coordination.k8s.io", ("leases",), ("get", "update"), "and renewed by who leads", names=(LEASE,)
    ),
    _operator(
        Scope.OWN,
        _CORE,
        ("configmaps",),
        ("get", "create", "patch"),
        "what the model hub said of a checkpoint, and what engines taught",
    ),
    _operator(
        Scope.CERTIFICATES,
        _CORE,
        ("secrets",),
        ("get", "create", "patch"),
        "the certificate authority, and the server's certificate",
        names=(AUTHORITY_SECRET, SERVER_SECRET),
    ),
    _operator(
        Scope.CERTIFICATES,
        _CORE,
        ("events",),
        ("create", "patch"),
        "that one of these Secrets is somebody else's; in namespaced mode its own namespace is not watched",
        unaudited="an event that only a foreign Secret causes",
    ),
)

_SERVER = (
    Right(
        Process.SERVER,
        Scope.CLUSTER,
        "authentication.k8s.io",
        ("tokenreviews",),
        ("create",),
        "whose a bearer token is",
    ),
    Right(
        Process.SERVER,
        Scope.CLUSTER,
        "authorization.k8s.io",
        ("subjectaccessreviews",),
        ("create",),
        "and what they may do",
    ),
)

RIGHTS: tuple[Right, ...] = (*_OWN_KINDS, *_SURROUNDINGS, *_CHILDREN, *_SECRETS, *_OWN_NAMESPACE, *_SERVER)
"""All of them, in the order in which the chart lists them."""
