"""What the real API server adds to built-in kinds, as far as Penstock and kubectl rely on it."""

import itertools
from typing import Any

from penstock.cluster.fake.registry import KindInfo

__all__ = ["complete", "generation_relevant"]

Object = dict[str, Any]

_addresses = itertools.count(1)
_NOT_SPEC = frozenset({"metadata", "status", "apiVersion", "kind"})


def complete(info: KindInfo, live: Object) -> Object:
    """Defaults of a new or changed object."""
    add = _DEFAULTS.get(info.kind)
    return add(live) if add else live


def _deployment(live: Object) -> Object:
    return {**live, "spec": {"replicas": 1, **live.get("spec", {})}}


def _service(live: Object) -> Object:
    spec = {"type": "ClusterIP", **live.get("spec", {})}
    if "clusterIP" not in spec:
        number = next(_addresses)
        spec["clusterIP"] = f"127.96.{number // 250 % 250}.{number % 250 + 1}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    return {**live, "spec": spec}


def _pod(live: Object) -> Object:
    spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **live.get("spec", {})}
    return {**live, "spec": spec, "status": {"phase": "Pending", **(live.get("status") or {})}}


def _namespace(live: Object) -> Object:
    labels = {"kubernetes.io/metadata.name": live["metadata"]["name"], **(live["metadata"].get("labels") or {})}
    status = live.get("status") or {"phase": "Active"}
    return {**live, "metadata": {**live["metadata"], "labels": labels}, "status": status}


def _crd(live: Object) -> Object:
    names = live["spec"]["names"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": live["metadata"]["creationTimestamp"],
        }
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    return {**live, "status": {"acceptedNames": names, "conditions": conditions, "storedVersions": ["v1alpha1"]}}


_DEFAULTS = {
    "Deployment": _deployment,
    "ReplicaSet": _deployment,
    "Service": _service,
    "Pod": _pod,
    "Namespace": _namespace,
    "CustomResourceDefinition": _crd,
}


def generation_relevant(info: KindInfo, before: Object, after: Object) -> bool:
    """True where something other than metadata and status differs, for kinds that count generations."""
    if info.key in {("", "configmaps"), ("", "secrets"), ("", "events"), ("", "namespaces"), ("", "nodes")}:
        return False
    return any(before.get(key) != after.get(key) for key in {*before, *after} - _NOT_SPEC)
