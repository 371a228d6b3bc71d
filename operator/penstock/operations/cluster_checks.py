"""Checks of the cluster around us: its version, names, storage, and what cannot be seen from outside."""

from penstock.cluster.resources import MODEL_DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, PRIORITY_CLASSES, ResourceType
from penstock.operations.checks import Check, Facts, Outcome, fail, fine, skip, some, warn
from penstock.operations.view import name_of, namespace_of, part

__all__ = ["CLUSTER_CHECKS", "DNS_NAMESPACE", "DNS_SERVICE", "ENDPOINT_SLICES", "STORAGE_CLASSES"]

ENDPOINT_SLICES = ResourceType("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
STORAGE_CLASSES = ResourceType("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
DNS_NAMESPACE, DNS_SERVICE = "kube-system", "kube-dns"

_OLDEST = (1, 33)
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _kubernetes(facts: Facts) -> Outcome:
    said = str(facts.kubernetes.get("gitVersion") or "")
    digits = ["".join(filter(str.isdigit, str(facts.kubernetes.get(name) or ""))) for name in ("major", "minor")]
    if not all(digits):
        return warn(f"version {said or 'unknown'} cannot be read", "See what `kubectl version` says")
    if (int(digits[0]), int(digits[1])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        return fail(f"{said} is older than {oldest}", f"Upgrade the cluster to Kubernetes {oldest} or newer")
    return fine(said)


def _dns(facts: Facts) -> Outcome:
    listing = facts.view.listing(ENDPOINT_SLICES)
    if listing.gap is not None:
        return skip(listing.message, "Try `kubectl run` with nslookup instead")
    mine = [live for live in listing.items if namespace_of(live) == DNS_NAMESPACE]
    ready = sum(
        1
        for live in mine
        for endpoint in live.get("endpoints") or ()
        if part(endpoint, "conditions").get("ready") is not False
    )
    if ready:
        return fine(f"{ready} ready endpoints behind {DNS_NAMESPACE}/{DNS_SERVICE}")
    if mine:
        cure = f"See kubectl -n {DNS_NAMESPACE} get pods -l k8s-app=kube-dns: gateways and engines are called by name"
        return fail(f"no endpoint of {DNS_NAMESPACE}/{DNS_SERVICE} is ready", cure)
    return warn(
        f"there is no Service {DNS_NAMESPACE}/{DNS_SERVICE} with endpoints",
        "Where the cluster's DNS is called otherwise this is no fault; see that a pod resolves kubernetes.default.svc",
    )


def _storage(facts: Facts) -> Outcome:
    """The server's SQLite file needs a volume; a claim that is bound settles it."""
    claims = [live for live in facts.view.items(PERSISTENT_VOLUME_CLAIMS) if namespace_of(live) == facts.namespace]
    unbound = [name_of(live) for live in claims if part(live, "status").get("phase") != "Bound"]
    if claims and not unbound:
        return fine(f"bound: {some([name_of(live) for live in claims])}")
    classes = facts.view.listing(STORAGE_CLASSES)
    if classes.gap is not None:
        return skip(classes.message, "See kubectl get storageclass")
    default = [
        name_of(live) for live in classes.items if part(live, "metadata", "annotations").get(_DEFAULT_CLASS) == "true"
    ]
    if unbound:
        cure = "See kubectl describe pvc; name a storage class in the chart's values, or use PostgreSQL"
        return fail(f"not bound in {facts.namespace}: {some(unbound)}", cure)
    if not default:
        cure = "Mark one as default, name one in the chart's values, or give the server PostgreSQL"
        return warn("no default StorageClass, and no claim of the server", cure)
    return fine(f"default StorageClass {some(default)}")


def _priority(facts: Facts) -> Outcome:
    named = {
        str(part(live, "spec").get("priorityClassName") or part(live, "spec", "podOverrides").get("priorityClassName"))
        for live in facts.view.items(MODEL_DEPLOYMENTS)
    } - {"None", ""}
    listing = facts.view.listing(PRIORITY_CLASSES)
    if not named:
        return fine("no deployment names one")
    if listing.gap is not None:
        return skip(listing.message)
    missing = sorted(named - {name_of(live) for live in listing.items})
    if missing:
        return fail(f"named and not there: {some(missing)}", "Make the PriorityClass, or take `priorityClassName` away")
    return fine(f"there: {some(sorted(named))}")


def _network_policies(facts: Facts) -> Outcome:
    """The API takes NetworkPolicies whether anything enforces them or not."""
    del facts
    return skip(
        "whether the network enforces NetworkPolicies cannot be seen from the API",
        "Ask who runs the CNI; without it clients can go round the gateway to an engine",
    )


CLUSTER_CHECKS = (
    Check("kubernetes", "the API server's version", _kubernetes),
    Check("dns", "the cluster's name service", _dns),
    Check("storage", "the server's claim, or a default StorageClass", _storage),
    Check("priority-classes", "PriorityClasses that deployments name", _priority),
    Check("network-policies", "whether the network enforces NetworkPolicies", _network_policies),
)
