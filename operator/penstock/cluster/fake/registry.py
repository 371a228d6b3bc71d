"""The kinds that the server knows: a table of built-in ones, and those that CRDs add."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["BUILT_IN", "KindInfo", "Registry"]


@dataclass(frozen=True, slots=True)
class KindInfo:
    """One kind; `schema` and `columns` are a CRD's own, `list_keys` says how its lists merge."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    scale: dict[str, str] | None = None
    schema: dict[str, Any] | None = field(default=None, hash=False, compare=False)
    columns: tuple[dict[str, Any], ...] = field(default=(), hash=False, compare=False)
    selectable: tuple[str, ...] = ()
    custom: bool = False

    @property
    def api_version(self) -> str:
        """As manifests say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        """Group and plural."""
        return self.group, self.plural


def _core(plural: str, kind: str, *shorts: str, namespaced: bool = True, status: bool = False) -> KindInfo:
    return KindInfo("", "v1", plural, kind, namespaced, kind.lower(), shorts, status=status)


def _grouped(
    group: str, plural: str, kind: str, *shorts: str, namespaced: bool = True, status: bool = False
) -> KindInfo:
    return KindInfo(group, "v1", plural, kind, namespaced, kind.lower(), shorts, status=status)


_DEPLOYMENT_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": "",
}

BUILT_IN = (
    _core("configmaps", "ConfigMap", "cm"),
    _core("events", "Event", "ev"),
    _core("namespaces", "Namespace", "ns", namespaced=False, status=True),
    _core("nodes", "Node", "no", namespaced=False, status=True),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", status=True),
    _core("pods", "Pod", "po", status=True),
    _core("resourcequotas", "ResourceQuota", "quota", status=True),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", "sa"),
    _core("services", "Service", "svc", status=True),
    _grouped("apps", "controllerrevisions", "ControllerRevision"),
    KindInfo("apps", "v1", "deployments", "Deployment", True, "deployment", ("deploy",), (), True, _DEPLOYMENT_SCALE),
    KindInfo("apps", "v1", "replicasets", "ReplicaSet", True, "replicaset", ("rs",), (), True, _DEPLOYMENT_SCALE),
    _grouped("batch", "jobs", "Job", status=True),
    _grouped("coordination.k8s.io", "leases", "Lease"),
    _grouped("discovery.k8s.io", "endpointslices", "EndpointSlice"),
    _grouped("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol"),
    _grouped("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", status=True),
    _grouped("scheduling.k8s.io", "priorityclasses", "PriorityClass", "pc", namespaced=False),
    _grouped(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        namespaced=False,
        status=True,
    ),
)


class Registry:
    """Looks kinds up by group and plural; CRDs come and go."""

    def __init__(self) -> None:
        self._kinds = {info.key: info for info in BUILT_IN}

    def get(self, group: str, plural: str) -> KindInfo | None:
        """The kind, or None."""
        return self._kinds.get((group, plural))

    def all(self) -> tuple[KindInfo, ...]:
        """Every kind."""
        return tuple(self._kinds.values())

    def of_kind(self, api_version: str, kind: str) -> KindInfo | None:
        """By what manifests say."""
        return next((info for info in self.all() if info.api_version == api_version and info.kind == kind), None)

    def by_plural(self, plural: str) -> KindInfo | None:
        """The first of that plural, whatever its group."""
        return next((info for info in self._kinds.values() if info.plural == plural), None)

    def add(self, crd: dict[str, Any]) -> KindInfo:
        """Serve what the CRD defines: its storage version."""
        info = _info_of(crd)
        self._kinds[info.key] = info
        return info

    def remove(self, crd: dict[str, Any]) -> KindInfo | None:
        """Serve it no more."""
        spec = crd["spec"]
        return self._kinds.pop((spec["group"], spec["names"]["plural"]), None)


def _info_of(crd: dict[str, Any]) -> KindInfo:
    spec = crd["spec"]
    names = spec["names"]
    version = next(item for item in spec["versions"] if item.get("storage"))
    subresources = version.get("subresources") or {}
    return KindInfo(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", names["kind"].lower()),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status="status" in subresources,
        scale=subresources.get("scale"),
        schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        selectable=tuple(item["jsonPath"] for item in version.get("selectableFields") or ()),
        custom=True,
    )
