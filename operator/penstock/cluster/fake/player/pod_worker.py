"""One pod on its node: pull, initialise, run, probe, restart, and end with grace.

The life of a pod is one task; cancelling it is the death of the node, which writes nothing any more.
"""

import asyncio
from dataclasses import dataclass, field

from penstock.cluster.fake.player.events import Reporter
from penstock.cluster.fake.player.objects import Object
from penstock.cluster.fake.player.pod_status import PodState
from penstock.cluster.fake.player.probes import Prober
from penstock.cluster.fake.player.racing import first_of
from penstock.cluster.fake.player.runtime import Container, PullFailed, Runtime, Sandbox
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["PodWorker"]

_FIRST_BACK_OFF_SECONDS = 10.0
_LONGEST_BACK_OFF_SECONDS = 300.0
_WELL_AFTER_SECONDS = 600.0


@dataclass(slots=True)
class PodWorker:
    """Runs one pod; `delete` when its deletion was asked for."""

    surroundings: Surroundings
    runtime: Runtime
    pod: Object
    host_address: str
    deleted: asyncio.Event = field(default_factory=asyncio.Event)
    container: Container | None = None
    _state: PodState = field(default_factory=PodState)

    def heard(self, pod: Object) -> None:
        """The pod's object changed."""
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self.deleted.set()

    async def run(self) -> None:
        """Until the pod is gone from the server, or this task is cancelled."""
        self._state.host_address = self.host_address
        sandbox = await self.runtime.sandbox(self.pod)
        try:
            await first_of(self._live(sandbox), self._end())
        finally:
            # Reached by cancellation, too: a dead node's processes are dead.
            if self.container is not None:
                self.container.kill()
            await sandbox.close()
        self.surroundings.server.delete("pods", *self._place, grace=0)

    async def _live(self, sandbox: Sandbox) -> None:
        await self._pull()
        self._state.address = sandbox.address
        await self._initialise()
        await self._keep_running(sandbox)
        # What ran to its end stays until somebody deletes it.
        await asyncio.Event().wait()

    async def _pull(self) -> None:
        self._write()
        image = self._spec["image"]
        delay = _FIRST_BACK_OFF_SECONDS
        while True:
            try:
                await self.runtime.pull(image)
            except PullFailed as problem:
                self._say("Failed", str(problem), warning=True)
                self._wait("ErrImagePull", str(problem))
                await asyncio.sleep(0)
                self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": {problem}')
                await self.surroundings.clock.sleep(delay)
                delay = min(2 * delay, _LONGEST_BACK_OFF_SECONDS)
            else:
                self._say("Pulled", f'Successfully pulled image "{image}"')
                return

    async def _initialise(self) -> None:
        for container in self.pod["spec"].get("initContainers") or ():
            self._state.initialising = True
            self._wait("PodInitializing")
            await self.runtime.initialise(self.pod, container)
            self._state.initialised += 1
        self._state.initialising = False

    async def _keep_running(self, sandbox: Sandbox) -> None:
        """Start it again whenever it ends, after a while that doubles; as the restart policy says."""
        clock, delay = self.surroundings.clock, 0.0
        while True:
            began = clock.monotonic()
            status = await self._run_once(sandbox)
            if self._is_over(status):
                self._state.phase = "Succeeded" if status == 0 else "Failed"
                self._write()
                return
            if clock.monotonic() - began > _WELL_AFTER_SECONDS:
                delay = 0.0
            if delay:
                name, pod = self._spec["name"], self.pod["metadata"]["name"]
                words = f"back-off {delay:.0f}s restarting failed container={name} pod={pod}"
                self._say("BackOff", f"Back-off restarting failed container {name}", warning=True)
                self._wait("CrashLoopBackOff", words)
                await clock.sleep(delay)
            delay = min(max(2 * delay, _FIRST_BACK_OFF_SECONDS), _LONGEST_BACK_OFF_SECONDS)
            self._state.restarts += 1

    async def _run_once(self, sandbox: Sandbox) -> int:
        container = await sandbox.start()
        self.container = container
        self._state.runs(self.surroundings.clock.now())
        self._write()
        self._say("Started", f"Started container {self._spec['name']}")
        probing = asyncio.create_task(self._probe(container))
        try:
            status = await container.wait()
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        self.container = None
        self._state.exited(status, container.message, self.surroundings.clock.now())
        self._write()
        return status

    def _is_over(self, status: int) -> bool:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        return self.deleted.is_set() or policy == "Never" or (policy == "OnFailure" and status == 0)

    async def _probe(self, container: Container) -> None:
        prober = Prober(self.surroundings.clock, container, self._spec, self._started, self._ready)
        reason = await prober.run()
        self._say("Killing", reason, warning=True)
        await self._end_container(container, self._grace)

    def _started(self) -> None:
        self._state.started = True
        self._write()

    def _ready(self, ready: bool) -> None:  # noqa: FBT001 - a callback
        self._state.ready = ready
        if not ready:
            self._say("Unhealthy", "Readiness probe failed", warning=True)
        self._write()

    async def _end(self) -> None:
        """After the deletion: preStop, SIGTERM, and SIGKILL when the grace is over."""
        await self.deleted.wait()
        container = self.container
        if container is not None:
            self._say("Killing", f"Stopping container {self._spec['name']}")
            grace = self.pod["metadata"].get("deletionGracePeriodSeconds", self._grace)
            await self._end_container(container, grace, pre_stop=True)

    async def _end_container(self, container: Container, grace: float, *, pre_stop: bool = False) -> None:
        async def gracefully() -> None:
            if pre_stop:
                await self.surroundings.clock.sleep(self._pre_stop_seconds)
            container.terminate()
            await container.wait()

        await first_of(gracefully(), self.surroundings.clock.sleep(grace))
        container.kill()

    @property
    def _spec(self) -> Object:
        spec: Object = self.pod["spec"]["containers"][0]
        return spec

    @property
    def _place(self) -> tuple[str, str]:
        return self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]

    @property
    def _grace(self) -> float:
        return float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))

    @property
    def _pre_stop_seconds(self) -> float:
        hook = (self._spec.get("lifecycle") or {}).get("preStop") or {}
        return float((hook.get("sleep") or {}).get("seconds", 0))

    def _wait(self, reason: str, message: str = "") -> None:
        self._state.waits(reason, message)
        self._write()

    def _say(self, reason: str, message: str, *, warning: bool = False) -> None:
        Reporter(self.surroundings, "kubelet").say(self.pod, reason, message, warning=warning)

    def _write(self) -> None:
        """Report the status where it differs, and only of this very pod."""
        server, now = self.surroundings.server, self.surroundings.clock.now()
        live = server.get("pods", *self._place)
        if live is None or live["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return
        status = self._state.render(live, now)
        if status != live.get("status"):
            server.update("pods", *self._place, lambda each: {**each, "status": status}, subresource="status")
