"""The ReplicaSet controller: as many pods of a template as are wanted, and the count of those that are ready."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.cluster.fake.player.events import Reporter
from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.objects import (
    Object,
    controller_of,
    is_active,
    is_ready,
    is_terminating,
    name_of,
    owner_reference,
    place_of,
)
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["ReplicaSetController"]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

Key = tuple[str, str]


@dataclass(slots=True)
class ReplicaSetController:
    """Acts on one ReplicaSet at a time."""

    surroundings: Surroundings
    inbox: Inbox[Key] = field(default_factory=Inbox)

    def heard(self, live: Object) -> None:
        """A set or one of its pods changed."""
        if live["kind"] == "ReplicaSet":
            self.inbox.add(place_of(live))
        elif live["kind"] == "Pod" and controller_of(live).get("kind") == "ReplicaSet":
            self.inbox.add((place_of(live)[0], controller_of(live)["name"]))

    def act(self, key: Key) -> None:
        """Make the missing pods, end the surplus, count."""
        live = self.surroundings.server.get("replicasets", *key)
        if live is None or is_terminating(live):
            return
        pods = self._pods(live)
        surplus = len(pods) - live["spec"]["replicas"]
        for _ in range(-surplus):
            self._make(live)
        for pod in sorted(pods, key=_worth)[: max(0, surplus)]:
            self.surroundings.server.delete("pods", *place_of(pod))
        self._report(live, self._pods(live))

    def _pods(self, live: Object) -> list[Object]:
        namespace, uid = place_of(live)[0], live["metadata"]["uid"]
        pods = self.surroundings.server.objects("pods", namespace)
        return [pod for pod in pods if controller_of(pod).get("uid") == uid and is_active(pod)]

    def _make(self, live: Object) -> None:
        template = live["spec"]["template"]
        suffix = "".join(self.surroundings.random.choices(_ALPHABET, k=_SUFFIX_LENGTH))
        metadata = {
            **template["metadata"],
            "name": f"{name_of(live)}-{suffix}",
            "generateName": f"{name_of(live)}-",
            "namespace": place_of(live)[0],
            "ownerReferences": [owner_reference(live)],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        self.surroundings.server.put(pod)
        reporter = Reporter(self.surroundings, "replicaset-controller")
        reporter.say(live, "SuccessfulCreate", f"Created pod: {metadata['name']}")

    def _report(self, live: Object, pods: Sequence[Object]) -> None:
        ready = sum(is_ready(pod) for pod in pods)
        counts = {"fullyLabeledReplicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        status = {
            "replicas": len(pods),
            **{name: count for name, count in counts.items() if count},
            "observedGeneration": live["metadata"].get("generation", 1),
        }
        if status != live.get("status"):
            self.surroundings.server.update(
                "replicasets", *place_of(live), lambda each: {**each, "status": status}, subresource="status"
            )


def _worth(pod: Object) -> tuple[bool, bool, int, str]:
    """What goes first sorts first: pods without a node, those that are not ready, the cheapest to delete, by name."""
    annotations = pod["metadata"].get("annotations") or {}
    return bool(pod["spec"].get("nodeName")), is_ready(pod), int(annotations.get(_DELETION_COST, 0)), name_of(pod)
