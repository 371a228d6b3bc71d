"""A kubelet of processes: what the scheduler bound to a pretend node runs here, at the address that KWOK gave it.

KWOK only starts pods; readiness, restarts and the end with its grace are here. It looks at all pods every 100 ms.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from level2.engines import EngineRoom, RunningEngine
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import NotFound
from penstock.cluster.fake.player.racing import first_of
from penstock.cluster.fake.player.runtime import Container
from penstock.cluster.resources import CONFIG_MAPS, PODS, SECRETS
from penstock.errors import ClusterError
from penstock.simulation.faults import Faults
from penstock.simulation.pod_process import PodProcess, ProcessPods, ProcessSandbox
from penstock.simulation.pod_words import runs_gateway
from penstock.simulation.serving import Timing
from penstock.simulation.volumes import Volumes

__all__ = ["Kubelet", "Life", "kill", "look_up_with"]

Object = dict[str, Any]

_GATEWAY_LABEL = "penstock.dev/gateway"
_DEPLOYMENT_LABEL = "penstock.dev/deployment"
_LOOK_SECONDS = 0.1
_PROBE_SECONDS = 0.2
_PROBE_PATIENCE_SECONDS = 2.0
_AGAIN_SECONDS = 0.5
_KINDS = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS}


@dataclass(slots=True)
class Life:
    """One pod that runs here: what was seen of it last, whether it is ready, and its container.

    `interrupted` are the completions that its engine was busy with when it was told to end.
    """

    pod: Object
    room: ProcessSandbox | EngineRoom
    ready: bool = False
    gone: bool = False
    restarts: int = 0
    interrupted: int = 0
    container: Container | None = None
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def name(self) -> str:
        """The pod's."""
        return str(self.pod["metadata"]["name"])

    @property
    def address(self) -> str:
        """The pod's."""
        return str(self.pod["status"]["podIP"])

    @property
    def asked(self) -> int:
        """Completions that its engine was asked for in this life."""
        return self.container.asked if isinstance(self.container, RunningEngine) else 0

    @property
    def faults(self) -> Faults:
        """What its engine does wrong; TypeError where none runs."""
        if not isinstance(self.container, RunningEngine):
            message = f"{self.name} runs no engine"
            raise TypeError(message)
        return self.container.engine.faults

    def leave(self) -> None:
        """It was told to end, or is gone already."""
        if not self.leaving.is_set():
            self.interrupted = self.container.under_way if isinstance(self.container, RunningEngine) else 0
            self.leaving.set()

    def label(self, name: str) -> str:
        """A label of the pod, empty where it has none of that name."""
        return str((self.pod["metadata"].get("labels") or {}).get(name, ""))


def look_up_with(client: Client) -> Any:
    """Secrets and ConfigMaps as `ProcessPods` wants to be told of them."""

    async def look_up(kind: str, namespace: str, name: str) -> Object | None:
        try:
            return {**await client.get(_KINDS[kind], name, namespace), "kind": kind}
        except NotFound:
            return None

    return look_up


@dataclass(slots=True)
class Kubelet:
    """`run` never ends by itself; `lives` are the pods that run here, by uid."""

    client: Client
    processes: ProcessPods
    timing: Timing
    lives: dict[str, Life] = field(default_factory=dict)

    async def run(self) -> None:
        """Look at the pods again and again; when it ends, so does all that runs."""
        try:
            while True:
                with contextlib.suppress(ClusterError):
                    self._see((await self.client.list(PODS)).items)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._end_all()

    def gateways(self) -> list[Life]:
        """Of gateways, by name."""
        return self._with(_GATEWAY_LABEL)

    def engines(self, deployment: str) -> list[Life]:
        """Of that deployment, by name."""
        return [life for life in self._with(_DEPLOYMENT_LABEL) if life.label(_DEPLOYMENT_LABEL) == deployment]

    def _with(self, label: str) -> list[Life]:
        return sorted((life for life in self.lives.values() if life.label(label)), key=lambda life: life.name)

    def _see(self, pods: Sequence[Object]) -> None:
        there = {pod["metadata"]["uid"]: pod for pod in pods}
        for uid in self.lives.keys() - there.keys():
            self.lives[uid].gone = True
            self.lives[uid].leave()
        for uid, pod in there.items():
            life = self.lives.get(uid)
            if life is None and _is_ours(pod):
                life = self.lives[uid] = Life(pod, self._room(pod))
                life.task = asyncio.create_task(self._live(uid, life), name=f"pod {life.name}")
            if life is not None:
                life.pod = pod
                if "deletionTimestamp" in pod["metadata"]:
                    life.leave()

    def _room(self, pod: Object) -> ProcessSandbox | EngineRoom:
        if not runs_gateway(pod):
            return EngineRoom(pod, self.timing, self.processes.session)
        metadata, home = pod["metadata"], self.processes.settings.folder
        folder = Path(tempfile.mkdtemp(prefix=f"{metadata['name']}-", dir=home))
        volumes = Volumes(pod, folder / "volumes", self.processes.look_up)
        log = home / f"{metadata['namespace']}.{metadata['name']}.log"
        return ProcessSandbox(self.processes, pod, pod["status"]["podIP"], folder, volumes, log)

    async def _live(self, uid: str, life: Life) -> None:
        """Until the pod has to go, and then to its end."""
        try:
            await first_of(self._keep_running(life), self._probe(life), life.leaving.wait())
            if not life.gone:
                await first_of(self._end(life), self._probe(life))
        finally:
            await life.room.close()
            if not life.gone:
                await self._bury(life)
            self.lives.pop(uid, None)

    async def _keep_running(self, life: Life) -> None:
        while True:
            life.container = await life.room.start()
            await life.container.wait()
            life.restarts += 1
            await self._say(life, ready=False)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _probe(self, life: Life) -> None:
        """More often than manifests ask for: what is waited for here is not the probe."""
        probe = life.pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]
        port = next(_ports(life.pod, probe["port"]))
        while True:
            container = life.container
            ready = container is not None and await container.probe(probe["path"], port, _PROBE_PATIENCE_SECONDS)
            if ready != life.ready:
                await self._say(life, ready=ready)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _say(self, life: Life, *, ready: bool) -> None:
        """Not heard at once where the API server is away; the next probe says it again."""
        metadata, body = life.pod["metadata"], {"status": _status(life, ready=ready)}
        with contextlib.suppress(ClusterError):
            await self.client.patch(
                PODS,
                metadata["name"],
                metadata["namespace"],
                body,
                content_type=PatchType.MERGE,
                subresource="status",
            )
            life.ready = ready

    async def _end(self, life: Life) -> None:
        """The preStop hook, SIGTERM, and SIGKILL when the grace is over."""
        container, spec = life.container, life.pod["spec"]
        if container is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(spec.get("terminationGracePeriodSeconds", 30)):
                await asyncio.sleep(_pre_stop_seconds(spec["containers"][0]))
                container.terminate()
                await container.wait()

    async def _bury(self, life: Life) -> None:
        metadata = life.pod["metadata"]
        path = PODS.path(metadata["namespace"], metadata["name"])
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        with contextlib.suppress(ClusterError):
            await self.client.raw("DELETE", path, body=options)

    async def _end_all(self) -> None:
        tasks = [life.task for life in self.lives.values() if life.task]
        for life in self.lives.values():
            life.gone = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def kill(life: Life) -> int:
    """SIGKILL for a gateway's process, whose id is returned."""
    if not isinstance(life.container, PodProcess):
        message = f"{life.name} runs no process"
        raise TypeError(message)
    life.container.kill()
    return life.container.identity


def _is_ours(pod: Object) -> bool:
    """Bound, started by KWOK, and not on its way already."""
    labels = pod["metadata"].get("labels") or {}
    known = _GATEWAY_LABEL in labels or _DEPLOYMENT_LABEL in labels
    return known and bool(pod.get("status", {}).get("podIP")) and "deletionTimestamp" not in pod["metadata"]


def _ports(pod: Object, named: str | int) -> Iterator[int]:
    if isinstance(named, int):
        yield named
    for port in pod["spec"]["containers"][0].get("ports") or ():
        if port.get("name") == named:
            yield port["containerPort"]


def _pre_stop_seconds(container: Object) -> float:
    sleep = ((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}
    return float(sleep.get("seconds", 0))


def _status(life: Life, *, ready: bool) -> Object:
    """What a merge patch replaces: whole lists."""
    now, status = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), life.pod["status"]
    about = {"status": str(ready), "lastTransitionTime": now, "reason": "", "message": ""}
    conditions = [
        {**each, **about} if each["type"] in {"Ready", "ContainersReady"} else each for each in status["conditions"]
    ]
    containers = [{**each, "ready": ready, "restartCount": life.restarts} for each in status["containerStatuses"]]
    return {"conditions": conditions, "containerStatuses": containers}
