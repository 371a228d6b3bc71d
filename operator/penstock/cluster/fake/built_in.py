"""What the real API server adds to new and changed objects of built-in kinds, as far as anybody here relies on it."""

import base64
import itertools
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from penstock.cluster.fake.answers import Blame, Cause, invalid, not_implemented
from penstock.cluster.fake.registry import KindInfo

__all__ = ["Addresses", "complete", "immutable_problems", "port_problems", "refuse_crd", "size_problems"]

Object = dict[str, Any]

_LARGEST_DATA = 2**20
_IMMUTABLE = {
    "ControllerRevision": ("data",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.selector", "spec.template"),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeMode"),
    "PriorityClass": ("value",),
    "ReplicaSet": ("spec.selector",),
    "Service": ("spec.clusterIP",),
}


class Addresses:
    """Cluster addresses of Services, on loopback, so that a Service of the demo can be connected to.

    They begin anywhere: servers of other processes on this machine are not to give out the same.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(SystemRandom().randrange(250 * 250))

    def next(self) -> str:
        """One that nobody has had."""
        number = next(self._numbers)
        return f"127.96.{number // 250 % 250}.{number % 250 + 1}"


def complete(info: KindInfo, live: Object, addresses: Addresses) -> Object:
    """The object with its defaults."""
    if info.kind == "Service":
        return _service(live, addresses)
    add = _DEFAULTS.get(info.kind) if not info.custom else None
    return add(live) if add else live


def size_problems(info: KindInfo, live: Object) -> list[Cause]:
    """ConfigMaps and Secrets hold a mebibyte and not more."""
    if info.kind not in {"ConfigMap", "Secret"} or info.custom:
        return []
    total = sum(len(value) for key in ("data", "binaryData") for value in (live.get(key) or {}).values())
    words = f"Too long: may not be more than {_LARGEST_DATA} bytes"
    return [Cause("[]", words, Blame.TOO_LONG)] if total > _LARGEST_DATA else []


def port_problems(info: KindInfo, live: Object) -> list[Cause]:
    """A Service's ports have different names."""
    if info.kind != "Service" or info.custom:
        return []
    seen: set[str] = set()
    found: list[Cause] = []
    for index, port in enumerate(live.get("spec", {}).get("ports") or ()):
        name = port.get("name", "")
        if name in seen:
            found.append(Cause(f"spec.ports[{index}].name", f'Duplicate value: "{name}"', Blame.DUPLICATE))
        seen.add(name)
    return found


def refuse_crd(info: KindInfo, manifest: Object) -> None:
    """Raise for a CRD that cannot be served: 422 where something is missing, 501 for more than one version."""
    if info.kind != "CustomResourceDefinition":
        return
    spec = manifest.get("spec") or {}
    names = spec.get("names") or {}
    needed = {"spec.group": spec.get("group"), "spec.scope": spec.get("scope"), "spec.versions": spec.get("versions")}
    needed |= {"spec.names.plural": names.get("plural"), "spec.names.kind": names.get("kind")}
    missing = [Cause(path, "Required value", Blame.REQUIRED) for path, value in needed.items() if not value]
    versions = [version for version in spec.get("versions") or () if version.get("served")]
    if versions and not versions[0].get("storage"):
        missing.append(Cause("spec.versions", "Invalid value: must have exactly one version marked as storage version"))
    if missing:
        raise invalid(info.kind, info.group, manifest["metadata"].get("name", ""), missing)
    if len(versions) > 1:
        what = "a CRD of more than one served version"
        raise not_implemented(what)


def immutable_problems(info: KindInfo, before: Object, after: Object) -> list[Cause]:
    """Fields that were set and may not be changed any more."""
    paths = () if info.custom else _IMMUTABLE.get(info.kind, ())
    return [
        Cause(path, f"Invalid value: {_at(after, path)}: field is immutable")
        for path in paths
        if _at(before, path) is not None and _at(before, path) != _at(after, path)
    ]


def _at(live: Any, path: str) -> Any:
    for part in path.split("."):
        live = live.get(part) if isinstance(live, dict) else None
    return live


def _workload(live: Object, defaults: Object) -> Object:
    spec = {**defaults, **live.get("spec", {})}
    template = spec.get("template")
    if template:
        spec["template"] = {**template, "spec": _pod_spec(template.get("spec", {}))}
    return {**live, "spec": spec}


def _deployment(live: Object) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    whole = _workload(
        live, {"replicas": 1, "strategy": rolling, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
    )
    strategy = whole["spec"]["strategy"]
    if strategy.get("type") == "RollingUpdate":
        update = {**rolling["rollingUpdate"], **strategy.get("rollingUpdate", {})}  # type: ignore[dict-item]
        whole["spec"]["strategy"] = {**strategy, "rollingUpdate": update}
    return whole


def _replica_set(live: Object) -> Object:
    return _workload(live, {"replicas": 1})


def _job(live: Object) -> Object:
    return _workload(live, {"parallelism": 1, "completions": 1, "backoffLimit": 6})


def _service(live: Object, addresses: Addresses) -> Object:
    spec = {"type": "ClusterIP", "sessionAffinity": "None", **live.get("spec", {})}
    if "clusterIP" not in spec:
        spec["clusterIP"] = addresses.next()
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec["ports"] = [_service_port(port) for port in spec.get("ports") or ()]
    return {**live, "spec": spec, "status": live.get("status") or {"loadBalancer": {}}}


def _service_port(port: Object) -> Object:
    return {"protocol": "TCP", "targetPort": port.get("port"), **port}


def _pod_spec(spec: Object) -> Object:
    defaults = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    containers = {
        key: [_container(item) for item in spec[key]] for key in ("containers", "initContainers") if spec.get(key)
    }
    return {**defaults, **spec, **containers}


def _container(container: Object) -> Object:
    pull = "IfNotPresent" if _is_pinned(container.get("image", "")) else "Always"
    defaults: Object = {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": pull,
    }
    ports = [{"protocol": "TCP", **port} for port in container.get("ports") or ()]
    return {**defaults, **container, **({"ports": ports} if ports else {})}


def _is_pinned(image: str) -> bool:
    """Whether an image has a digest, or a tag other than `latest`."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@" in image or tag not in {"", "latest"}


def _pod(live: Object) -> Object:
    spec = {"enableServiceLinks": True, **_pod_spec(live.get("spec", {}))}
    return {**live, "spec": spec, "status": {"phase": "Pending", **(live.get("status") or {})}}


def _namespace(live: Object) -> Object:
    labels = {"kubernetes.io/metadata.name": live["metadata"]["name"], **(live["metadata"].get("labels") or {})}
    status = live.get("status") or {"phase": "Active"}
    spec = live.get("spec") or {"finalizers": ["kubernetes"]}
    return {**live, "metadata": {**live["metadata"], "labels": labels}, "spec": spec, "status": status}


def _secret(live: Object) -> Object:
    """Plain text goes into `data`, as Base64."""
    plain = {key: base64.b64encode(text.encode()).decode() for key, text in (live.get("stringData") or {}).items()}
    whole = {key: value for key, value in live.items() if key != "stringData"}
    return {"type": "Opaque", **whole, **({"data": {**whole.get("data", {}), **plain}} if plain else {})}


def _claim(live: Object) -> Object:
    spec = {"volumeMode": "Filesystem", **live.get("spec", {})}
    return {**live, "spec": spec, "status": live.get("status") or {"phase": "Pending"}}


def _network_policy(live: Object) -> Object:
    spec = live.get("spec", {})
    types = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return {**live, "spec": {"policyTypes": types, **spec}}


def _crd(live: Object) -> Object:
    """Served at once; a real one takes a moment to get Established."""
    names = live["spec"]["names"]
    stored = [version["name"] for version in live["spec"]["versions"] if version.get("storage")]
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
    spec = {"conversion": {"strategy": "None"}, **live["spec"]}
    return {
        **live,
        "spec": spec,
        "status": {"acceptedNames": names, "conditions": conditions, "storedVersions": stored},
    }


_DEFAULTS: dict[str, Callable[[Object], Object]] = {
    "CustomResourceDefinition": _crd,
    "Deployment": _deployment,
    "Job": _job,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "Secret": _secret,
}
