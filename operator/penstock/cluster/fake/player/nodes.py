"""Nodes as the cluster sees them: heartbeats, what happens when they stop, and pods of nodes that are gone.

A silent node becomes Unknown and tainted after `silence_seconds`; its pods are evicted when their toleration is over,
but nobody ends them there: they stay Terminating until the Node is deleted or comes back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from penstock.cluster.fake.player.objects import (
    Object,
    find_condition,
    is_active,
    is_ready,
    name_of,
    place_of,
    stamp,
    with_condition,
)
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["NodeLife", "NodeSettings"]

_UNREACHABLE = "node.kubernetes.io/unreachable"
_LEASES = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Kubernetes' own defaults, in seconds; `eviction_seconds` is for pods that tolerate nothing themselves."""

    heartbeat_seconds: float = 10.0
    silence_seconds: float = 40.0
    eviction_seconds: float = 300.0


@dataclass(slots=True)
class NodeLife:
    """One round of heartbeats and checks at a time; `dead` is shared with the kubelets."""

    surroundings: Surroundings
    settings: NodeSettings
    dead: set[str]
    _heard_at: dict[str, float] = field(default_factory=dict)
    _unreachable_since: dict[str, float] = field(default_factory=dict)

    def beat(self) -> None:
        """Every node that lives says so; the others are judged."""
        nodes = self.surroundings.server.objects("nodes")
        now = self.surroundings.clock.monotonic()
        for node in nodes:
            self._one(node, now)
        names = {name_of(node) for node in nodes}
        for memory in (self._heard_at, self._unreachable_since):
            for gone in set(memory) - names:
                del memory[gone]
        self._evict(now)
        self._collect(names)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self.beat()
            await self.surroundings.clock.sleep(self.settings.heartbeat_seconds)

    def _one(self, node: Object, now: float) -> None:
        name = name_of(node)
        if name not in self.dead:
            self._heard_at[name] = now
            self._renew(name)
        if now - self._heard_at.setdefault(name, now) <= self.settings.silence_seconds:
            if name not in self.dead:
                self._well(node)
        elif name not in self._unreachable_since:
            self._unreachable_since[name] = now
            self._lost(node)

    def _renew(self, name: str) -> None:
        """The node's Lease, which is what heartbeats are."""
        server, time = self.surroundings.server, _precise(self.surroundings.clock.now())
        if server.get("leases", _LEASES, name) is None:
            spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": time}
            metadata = {"name": name, "namespace": _LEASES}
            server.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
            return
        server.update("leases", _LEASES, name, lambda live: {**live, "spec": {**live["spec"], "renewTime": time}})

    def _well(self, node: Object) -> None:
        self._unreachable_since.pop(name_of(node), None)
        if not is_ready(node):
            self._set_ready(node, "True", "KubeletReady", "kubelet is posting ready status")
        self._set_taints(node, [each for each in _taints(node) if each["key"] != _UNREACHABLE])

    def _lost(self, node: Object) -> None:
        self._set_ready(node, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
        time = stamp(self.surroundings.clock.now())
        effects = ("NoSchedule", "NoExecute")
        added = [{"key": _UNREACHABLE, "effect": effect, "timeAdded": time} for effect in effects]
        self._set_taints(node, [*_taints(node), *added])
        for pod in self._pods_of(name_of(node)):
            self._not_ready(pod)

    def _evict(self, now: float) -> None:
        for name, since in self._unreachable_since.items():
            for pod in self._pods_of(name):
                patience = self._patience(pod)
                if patience is not None and now - since >= patience and is_active(pod):
                    self.surroundings.server.delete("pods", *place_of(pod))

    def _collect(self, nodes: set[str]) -> None:
        """Pods of nodes that are no more go at once."""
        for pod in self.surroundings.server.objects("pods"):
            if pod["spec"].get("nodeName") and pod["spec"]["nodeName"] not in nodes:
                self.surroundings.server.delete("pods", *place_of(pod), grace=0)

    def _patience(self, pod: Object) -> float | None:
        """How long the pod stays on an unreachable node; None for ever."""
        tolerations: Iterable[Object] = pod["spec"].get("tolerations") or ()
        for each in tolerations:
            covers = each.get("key", "") in {"", _UNREACHABLE} and each.get("effect") in {None, "", "NoExecute"}
            if covers and each.get("operator") == "Exists":
                seconds = each.get("tolerationSeconds")
                return None if seconds is None else float(seconds)
        return self.settings.eviction_seconds

    def _pods_of(self, node: str) -> list[Object]:
        return [pod for pod in self.surroundings.server.objects("pods") if pod["spec"].get("nodeName") == node]

    def _set_ready(self, node: Object, status: str, reason: str, message: str) -> None:
        condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
        now = self.surroundings.clock.now()

        def judged(live: Object) -> Object:
            found = live.get("status") or {}
            conditions = with_condition(found.get("conditions") or (), condition, now=now)
            return {**live, "status": {**found, "conditions": conditions}}

        self.surroundings.server.update("nodes", "", name_of(node), judged, subresource="status")

    def _set_taints(self, node: Object, taints: list[Object]) -> None:
        if taints != _taints(node):
            self.surroundings.server.update(
                "nodes", "", name_of(node), lambda live: {**live, "spec": {**live.get("spec", {}), "taints": taints}}
            )

    def _not_ready(self, pod: Object) -> None:
        if not find_condition(pod, "Ready"):
            return
        condition = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
        conditions = with_condition(pod["status"]["conditions"], condition, now=self.surroundings.clock.now())
        self.surroundings.server.update(
            "pods",
            *place_of(pod),
            lambda live: {**live, "status": {**live["status"], "conditions": conditions}},
            subresource="status",
        )


def _taints(node: Object) -> list[Object]:
    return list(node.get("spec", {}).get("taints") or ())


def _precise(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
