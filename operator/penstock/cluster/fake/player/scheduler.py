"""The scheduler: gives pods nodes by selectors, taints and what is free, and says why one gets none.

No preemption, no volumes, no spreading; among equals the emptiest node wins, as in Kubernetes' default.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penstock.cluster.fake.player.affinity import admits, preference, repelled_by
from penstock.cluster.fake.player.events import Reporter
from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.objects import (
    Object,
    find_condition,
    is_terminating,
    name_of,
    place_of,
    with_condition,
)
from penstock.cluster.fake.player.resources import allocatable, requests
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["Scheduler", "verdict"]

_ENDED = frozenset({"Succeeded", "Failed"})
_FULL_SCORE = 100


@dataclass(slots=True)
class Room:
    """One node and what is free on it."""

    node: Object
    offered: dict[str, int]
    free: dict[str, int]

    def take(self, wanted: dict[str, int]) -> None:
        """Count a pod against it."""
        for name, amount in wanted.items():
            self.free[name] = self.free.get(name, 0) - amount

    def emptiness(self, wanted: Iterable[str]) -> int:
        """The free share of what is wanted, in percent, on average."""
        shares = [
            _FULL_SCORE * self.free.get(name, 0) // self.offered[name] for name in wanted if self.offered.get(name)
        ]
        return sum(shares) // len(shares) if shares else 0


def verdict(pod: Object, room: Room) -> str:
    """Empty where the pod fits, else why not, in the words of Kubernetes' scheduler."""
    node = room.node
    if node.get("spec", {}).get("unschedulable"):
        return "node(s) were unschedulable"
    if not admits(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    taint = repelled_by(pod, node)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    for name, amount in sorted(requests(pod).items()):
        if room.free.get(name, 0) < amount:
            return "Too many pods" if name == "pods" else f"Insufficient {name}"
    return ""


@dataclass(slots=True)
class Scheduler:
    """Looks at every waiting pod whenever something changed that may free a place."""

    surroundings: Surroundings
    inbox: Inbox[str] = field(default_factory=Inbox)

    def heard(self, live: Object) -> None:
        """A pod or a node changed."""
        if live["kind"] in {"Pod", "Node"}:
            self.inbox.add("all")

    def act(self, _: str) -> None:
        """Bind what fits, the oldest first; say why of the rest."""
        pods = self.surroundings.server.objects("pods")
        waiting = [pod for pod in pods if not pod["spec"].get("nodeName") and not is_terminating(pod)]
        if not waiting:
            return
        rooms = self._rooms(pods)
        for pod in sorted(waiting, key=lambda each: (each["metadata"]["creationTimestamp"], name_of(each))):
            self._place(pod, rooms)

    def _rooms(self, pods: Iterable[Object]) -> list[Room]:
        rooms = {}
        for node in self.surroundings.server.objects("nodes"):
            offered = allocatable(node)
            rooms[name_of(node)] = Room(node, offered, dict(offered))
        for pod in pods:
            room = rooms.get(pod["spec"].get("nodeName", ""))
            if room is not None and pod.get("status", {}).get("phase") not in _ENDED:
                room.take(requests(pod))
        return list(rooms.values())

    def _place(self, pod: Object, rooms: Sequence[Room]) -> None:
        verdicts = [verdict(pod, room) for room in rooms]
        fitting = [room for room, why in zip(rooms, verdicts, strict=True) if not why]
        if not fitting:
            self._refuse(pod, Counter(verdicts), len(rooms))
            return
        wanted = requests(pod)
        best = max(fitting, key=lambda room: (preference(pod, room.node), room.emptiness(wanted), name_of(room.node)))
        best.take(wanted)
        self._bind(pod, name_of(best.node))

    def _bind(self, pod: Object, node: str) -> None:
        server = self.surroundings.server
        server.update("pods", *place_of(pod), lambda live: {**live, "spec": {**live["spec"], "nodeName": node}})
        self._mark(pod, {"type": "PodScheduled", "status": "True"})
        namespace, name = place_of(pod)
        self._reporter.say(pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    def _refuse(self, pod: Object, verdicts: Counter[str], nodes: int) -> None:
        reasons = ", ".join(sorted(f"{count} {why}" for why, count in verdicts.items()))
        message = f"0/{nodes} nodes are available: {reasons}." if nodes else "no nodes available to schedule pods"
        if find_condition(pod, "PodScheduled").get("message") == message:
            return
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._mark(pod, condition)
        self._reporter.say(pod, "FailedScheduling", message, warning=True)

    def _mark(self, pod: Object, condition: Object) -> None:
        now = self.surroundings.clock.now()

        def marked(live: Object) -> Object:
            status = live.get("status") or {}
            conditions = with_condition(status.get("conditions") or (), condition, now=now)
            return {**live, "status": {**status, "conditions": conditions}}

        self.surroundings.server.update("pods", *place_of(pod), marked, subresource="status")

    @property
    def _reporter(self) -> Reporter:
        return Reporter(self.surroundings, "default-scheduler")
