"""The status of a pod as its kubelet reports it; one container that matters, the others go with it."""

from dataclasses import dataclass, field
from datetime import datetime

from penstock.cluster.fake.player.objects import Object, stamp, with_condition

__all__ = ["PodState"]


@dataclass(slots=True)
class PodState:
    """What the kubelet knows of one pod; `state` is the container's, in the API's form."""

    address: str = ""
    host_address: str = ""
    phase: str = "Pending"
    started_at: str = ""
    initialised: int = 0
    initialising: bool = False
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    restarts: int = 0
    started: bool = False
    ready: bool = False

    def waits(self, reason: str, message: str = "") -> None:
        """It does not run, and why."""
        self.started = self.ready = False
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def runs(self, now: datetime) -> None:
        """The container was started."""
        self.phase = "Running"
        self.state = {"running": {"startedAt": stamp(now)}}

    def exited(self, status: int, message: str, now: datetime) -> None:
        """The container ended; the next state is the caller's to say."""
        began = self.state.get("running", {}).get("startedAt", stamp(now))
        terminated = {
            "exitCode": status,
            "reason": "Completed" if status == 0 else "Error",
            "startedAt": began,
            "finishedAt": stamp(now),
            **({"message": message} if message else {}),
        }
        self.started = self.ready = False
        self.state = {"terminated": terminated}
        self.last_state = {"terminated": terminated}

    def render(self, live: Object, now: datetime) -> Object:
        """The whole status; what the scheduler said of the pod stays."""
        spec, before = live["spec"], live.get("status") or {}
        inits = spec.get("initContainers") or []
        conditions = before.get("conditions") or []
        for kind, holds in self._conditions(len(inits)).items():
            conditions = with_condition(conditions, _condition(kind, holds=holds), now=now)
        status = {
            "phase": self.phase,
            "conditions": conditions,
            "startTime": before.get("startTime", stamp(now)),
            "containerStatuses": [self._container(container) for container in spec["containers"]],
            "qosClass": "Burstable",
        }
        if inits:
            status["initContainerStatuses"] = [self._init(index, container) for index, container in enumerate(inits)]
        if self.host_address:
            status["hostIP"] = self.host_address
        if self.address:
            status |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        return status

    def _conditions(self, inits: int) -> dict[str, bool]:
        return {
            "PodReadyToStartContainers": bool(self.address),
            "Initialized": self.initialised == inits,
            "ContainersReady": self.ready,
            "Ready": self.ready,
        }

    def _container(self, container: Object) -> Object:
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    def _init(self, index: int, container: Object) -> Object:
        if index < self.initialised:
            state: Object = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        elif index == self.initialised and self.initialising:
            state = {"running": {}}
        else:
            state = {"waiting": {"reason": "PodInitializing"}}
        done = index < self.initialised
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": done,
            "restartCount": 0,
            "state": state,
        }


def _condition(kind: str, *, holds: bool) -> Object:
    if holds:
        return {"type": kind, "status": "True"}
    reason = {"Initialized": "ContainersNotInitialized"}.get(kind, "ContainersNotReady")
    return {"type": kind, "status": "False", "reason": reason}
