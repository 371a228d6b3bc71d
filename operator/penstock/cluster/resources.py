"""The kinds that Penstock talks about, and their places in the API."""

from dataclasses import dataclass
from typing import Any

from penstock.api.kinds import KINDS, KINDS_BY_NAME
from penstock.api.meta import GROUP, VERSION

__all__ = [
    "CONFIG_MAPS",
    "CONSUMERS",
    "CONTROLLER_REVISIONS",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "DEPLOYMENTS",
    "EVENTS",
    "INFERENCE_GATEWAYS",
    "INFERENCE_POOLS",
    "JOBS",
    "LEASES",
    "MODEL_DEPLOYMENTS",
    "MODEL_PROVIDERS",
    "NAMESPACES",
    "NETWORK_POLICIES",
    "NODES",
    "OWN_KINDS",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "POD_DISRUPTION_BUDGETS",
    "PRIORITY_CLASSES",
    "REPLICA_SETS",
    "RESOURCE_QUOTAS",
    "ROUTES",
    "SECRETS",
    "SERVICES",
    "SUBJECT_ACCESS_REVIEWS",
    "TOKEN_REVIEWS",
    "ResourceType",
    "resource_of",
]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind: where it lives in the API, and whether in namespaces."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests say it: `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The request path; names are checked by the caller."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        """The full resource name: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap")
EVENTS = ResourceType("", "v1", "events", "Event")
NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = ResourceType("", "v1", "nodes", "Node", namespaced=False)
PERSISTENT_VOLUME_CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS = ResourceType("", "v1", "pods", "Pod")
RESOURCE_QUOTAS = ResourceType("", "v1", "resourcequotas", "ResourceQuota")
SECRETS = ResourceType("", "v1", "secrets", "Secret")
SERVICES = ResourceType("", "v1", "services", "Service")
CONTROLLER_REVISIONS = ResourceType("apps", "v1", "controllerrevisions", "ControllerRevision")
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = ResourceType("apps", "v1", "replicasets", "ReplicaSet")
JOBS = ResourceType("batch", "v1", "jobs", "Job")
LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "Lease")
NETWORK_POLICIES = ResourceType("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
POD_DISRUPTION_BUDGETS = ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
PRIORITY_CLASSES = ResourceType("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)
TOKEN_REVIEWS = ResourceType("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SUBJECT_ACCESS_REVIEWS = ResourceType(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
CUSTOM_RESOURCE_DEFINITIONS = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


def _own(name: str) -> ResourceType:
    kind = KINDS_BY_NAME[name]
    return ResourceType(GROUP, VERSION, kind.plural, kind.name, namespaced=kind.namespaced)


OWN_KINDS = tuple(_own(kind.name) for kind in KINDS)
"""All kinds of `penstock.dev`."""

CONSUMERS = _own("Consumer")
INFERENCE_GATEWAYS = _own("InferenceGateway")
INFERENCE_POOLS = _own("InferencePool")
MODEL_DEPLOYMENTS = _own("ModelDeployment")
MODEL_PROVIDERS = _own("ModelProvider")
ROUTES = _own("Route")

_BY_KIND = {
    (resource.api_version, resource.kind): resource
    for resource in (
        *(CONFIG_MAPS, EVENTS, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SECRETS, SERVICES),
        *(CONTROLLER_REVISIONS, DEPLOYMENTS, REPLICA_SETS, JOBS, LEASES, NETWORK_POLICIES, POD_DISRUPTION_BUDGETS),
        *(PRIORITY_CLASSES, CUSTOM_RESOURCE_DEFINITIONS, TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS),
        *OWN_KINDS,
    )
}


def resource_of(manifest: dict[str, Any]) -> ResourceType:
    """The kind of a manifest; KeyError where it is none of ours."""
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]
