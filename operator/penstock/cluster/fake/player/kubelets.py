"""The kubelets of all nodes: one worker for each bound pod, and the switch that takes a node's power away."""

import asyncio
from dataclasses import dataclass, field, replace

from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.objects import Object, is_terminating, place_of
from penstock.cluster.fake.player.pod_worker import PodWorker
from penstock.cluster.fake.player.runtime import Runtime
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["Kubelets"]

_ENDED = frozenset({"Succeeded", "Failed"})

Key = tuple[str, str]


@dataclass(slots=True)
class _Seat:
    """A pod that is being run."""

    uid: str
    node: str
    worker: PodWorker
    task: asyncio.Task[None]


@dataclass(slots=True)
class Kubelets:
    """Starts and ends workers as pods come and go; `dead` nodes do nothing."""

    surroundings: Surroundings
    runtime: Runtime
    group: asyncio.TaskGroup
    inbox: Inbox[Key] = field(default_factory=Inbox)
    dead: set[str] = field(default_factory=set)
    _seats: dict[Key, _Seat] = field(default_factory=dict)

    def heard(self, live: Object) -> None:
        """A pod changed."""
        if live["kind"] == "Pod" and live["spec"].get("nodeName"):
            self.inbox.add(place_of(live))

    def act(self, key: Key) -> None:
        """Start, tell or abandon the pod's worker."""
        pod = self.surroundings.server.get("pods", *key)
        seat = self._seats.get(key)
        if seat is not None and (pod is None or pod["metadata"]["uid"] != seat.uid):
            seat.task.cancel()
            self._seats.pop(key)
            seat = None
        if pod is None or pod["spec"]["nodeName"] in self.dead:
            return
        if seat is not None:
            seat.worker.heard(pod)
        elif is_terminating(pod):
            self.surroundings.server.delete("pods", *key, grace=0)
        elif pod.get("status", {}).get("phase") not in _ENDED:
            self._start(key, pod)

    def kill(self, node: str) -> None:
        """The node is dark: its processes end and it says nothing any more."""
        self.dead.add(node)
        for key, seat in tuple(self._seats.items()):
            if seat.node == node:
                seat.task.cancel()
                del self._seats[key]

    def revive(self, node: str) -> None:
        """It is back, without the processes that it had."""
        self.dead.discard(node)
        for pod in self.surroundings.server.objects("pods"):
            self.heard(pod)

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod, None where it does not run."""
        seat = self._seats.get((namespace, name))
        return seat.worker if seat else None

    def _start(self, key: Key, pod: Object) -> None:
        node = pod["spec"]["nodeName"]
        live = self.surroundings.server.get("nodes", "", node)
        if live is None:
            return
        addresses = live.get("status", {}).get("addresses") or ()
        host = next((each["address"] for each in addresses if each["type"] == "InternalIP"), "")
        surroundings = replace(self.surroundings, clock=self.runtime.clock_of(pod))
        worker = PodWorker(surroundings, self.runtime, pod, host)
        task = self.group.create_task(worker.run(), name=f"pod {key[0]}/{key[1]}")
        self._seats[key] = _Seat(pod["metadata"]["uid"], node, worker, task)
