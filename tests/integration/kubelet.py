"""A cluster's other half in one small pass: pods for Deployments, nodes for pods, readiness, and what is orphaned.

It plays no time: what it can do it does at once, after the commit that asks for it. Tests hold pods back or make
them fail; nothing here knows Penstock.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from penstock.cluster.fake import FakeAPIServer

__all__ = ["Kubelet"]

Object = dict[str, Any]

_WATCHED = frozenset({"Deployment", "Pod", "Node"})
_COLLECTED = (
    *("controllerrevisions", "deployments", "services", "poddisruptionbudgets", "networkpolicies"),
    *("configmaps", "secrets"),
)
_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")


def _nothing_wrong(_pod: Object) -> str:
    return ""


def _at_once(_pod: Object) -> bool:
    return True


def _never_ended(_pod: Object) -> tuple[int, Object]:
    return 0, {}


@dataclass(slots=True)
class Kubelet:
    """`ready` holds pods back, `trouble` names the waiting reason of a pod's engine; `poke` looks again.

    `ended` says how often a pod's engine was started anew, and its last end as `lastState.terminated` has it.
    """

    server: FakeAPIServer
    ready: Callable[[Object], bool] = _at_once
    trouble: Callable[[Object], str] = _nothing_wrong
    ended: Callable[[Object], tuple[int, Object]] = _never_ended
    _numbers: Any = field(default_factory=count)
    _addresses: dict[str, str] = field(default_factory=dict)
    _due: bool = False

    def start(self) -> Callable[[], None]:
        """Listen to the server; returns what ends that."""
        self.poke()
        return self.server.subscribe(self._heard)

    def poke(self) -> None:
        """Look at everything soon."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._pass)

    def _heard(self, kind: str, live: Object, _before: Object | None) -> None:
        if live["kind"] in _WATCHED or (kind == "ADDED" and "ownerReferences" in live["metadata"]):
            self.poke()

    def _pass(self) -> None:
        self._due = False
        self._collect()
        self._bury()
        for deployment in self.server.objects("deployments"):
            self._scale(deployment)
        for pod in self.server.objects("pods"):
            self._run(pod)
        for deployment in self.server.objects("deployments"):
            self._report(deployment)

    def _collect(self) -> None:
        """Children that were made after their owner was gone: the garbage collector's part."""
        kinds = ("modeldeployments", "inferencegateways", "consumers")
        owners = {each["metadata"]["uid"] for kind in kinds for each in self.server.objects(kind)}
        for plural in _COLLECTED:
            for live in self.server.objects(plural):
                if _owner(live) and _owner(live) not in owners:
                    self.server.delete(plural, live["metadata"]["namespace"], live["metadata"]["name"])

    def _bury(self) -> None:
        """Pods that were told to end, or lost their node or their Deployment."""
        nodes = {node["metadata"]["name"] for node in self.server.objects("nodes")}
        owners = {each["metadata"]["uid"] for each in self.server.objects("deployments")}
        for pod in self.server.objects("pods"):
            owner = _owner(pod)
            orphan = bool(owner) and owner not in owners
            homeless = pod["spec"].get("nodeName", "") not in {"", *nodes}
            if "deletionTimestamp" in pod["metadata"] or orphan or homeless:
                self.server.delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], grace=0)

    def _scale(self, deployment: Object) -> None:
        pods = self._pods(deployment)
        for _ in range(deployment["spec"].get("replicas", 1) - len(pods)):
            self._make(deployment)
        for pod in sorted(pods, key=_deletion_cost, reverse=True)[deployment["spec"].get("replicas", 1) :]:
            self.server.delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], grace=0)

    def _make(self, deployment: Object) -> None:
        metadata, template = deployment["metadata"], deployment["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
        self.server.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-{next(self._numbers)}",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"]["labels"],
                    "ownerReferences": [{**owner, "controller": True}],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending"},
            }
        )

    def _run(self, pod: Object) -> None:
        if not _owner(pod):
            return
        if not pod["spec"].get("nodeName"):
            self._bind(pod)
            return
        why, healthy = self.trouble(pod), self._node_ready(pod["spec"]["nodeName"])
        ready = not why and healthy and self.ready(pod)
        waiting = {"reason": why, "message": "it said so"}
        restarts, last = self.ended(pod)
        engine: Object = {"name": "engine", "ready": ready, "state": {"waiting": waiting} if why else {}}
        if restarts:
            engine |= {"restartCount": restarts, "lastState": {"terminated": last}}
        status: Object = {
            "phase": "Running",
            "podIP": self._address(pod),
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [engine],
        }
        self._write("pods", pod, status)

    def _address(self, pod: Object) -> str:
        """As long as it lives."""
        third, fourth = divmod(len(self._addresses), 250)
        return self._addresses.setdefault(pod["metadata"]["uid"], f"10.0.{third}.{fourth + 1}")

    def _node_ready(self, name: str) -> bool:
        node = self.server.get("nodes", "", name) or {}
        return any(each == {"type": "Ready", "status": "True"} for each in node.get("status", {}).get("conditions", ()))

    def _bind(self, pod: Object) -> None:
        used = self._used()
        nodes = [node for node in self.server.objects("nodes") if _fits(pod, node, used)]
        if not nodes:
            message = "0 nodes are available: insufficient GPUs"
            unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            self._write("pods", pod, {"phase": "Pending", "conditions": [unscheduled]})
            return
        best = max(nodes, key=lambda node: (node["metadata"]["name"] in _preferred(pod), node["metadata"]["name"]))
        place = pod["metadata"]["namespace"], pod["metadata"]["name"]
        bound = {**pod["spec"], "nodeName": best["metadata"]["name"]}
        self.server.update("pods", *place, lambda live: {**live, "spec": bound})

    def _used(self) -> Counter[tuple[str, str]]:
        used: Counter[tuple[str, str]] = Counter()
        for pod in self.server.objects("pods"):
            for resource, wanted in _wanted(pod).items():
                used[pod["spec"].get("nodeName", ""), resource] += wanted
        return used

    def _report(self, deployment: Object) -> None:
        pods = self._pods(deployment)
        ready = sum(
            any(each == {"type": "Ready", "status": "True"} for each in pod["status"].get("conditions", ()))
            for pod in pods
        )
        status = {**deployment.get("status", {}), "replicas": len(pods), "readyReplicas": ready}
        status["availableReplicas"] = ready
        self._write("deployments", deployment, status)

    def _pods(self, deployment: Object) -> list[Object]:
        uid, namespace = deployment["metadata"]["uid"], deployment["metadata"]["namespace"]
        return [pod for pod in self.server.objects("pods", namespace) if _owner(pod) == uid]

    def _write(self, plural: str, live: Object, status: Object) -> None:
        place = live["metadata"]["namespace"], live["metadata"]["name"]
        if status != live.get("status") and self.server.get(plural, *place) is not None:
            self.server.update(plural, *place, lambda now: {**now, "status": status}, subresource="status")


def _deletion_cost(pod: Object) -> int:
    annotations = pod["metadata"].get("annotations") or {}
    return int(annotations.get("controller.kubernetes.io/pod-deletion-cost", 0))


def _owner(live: Object) -> str:
    owners = live["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


def _wanted(pod: Object) -> dict[str, int]:
    limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
    return {resource: int(limits[resource]) for resource in _RESOURCES if resource in limits}


def _fits(pod: Object, node: Object, used: Counter[tuple[str, str]]) -> bool:
    labels, name = node["metadata"].get("labels", {}), node["metadata"]["name"]
    if any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints", ())):
        return False
    if node["spec"].get("unschedulable") or any(
        labels.get(key) != value for key, value in pod["spec"].get("nodeSelector", {}).items()
    ):
        return False
    if not any(each == {"type": "Ready", "status": "True"} for each in node["status"]["conditions"]):
        return False
    room = node["status"]["allocatable"]
    return all(int(room.get(resource, 0)) - used[name, resource] >= n for resource, n in _wanted(pod).items())


def _preferred(pod: Object) -> list[str]:
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", ())
    return [name for term in terms for name in term["preference"]["matchExpressions"][0]["values"]]
