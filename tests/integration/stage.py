"""An operator that runs in this process against the in-memory API server, and what a test does to both.

Time passes faster for the operator than for the test; waiting is for commits and passes, never for a fixed time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from integration.kubelet import Kubelet
from penstock.cluster.client import Client
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.scope import Extent
from penstock.metrics import Metrics
from penstock.process import Operator, OperatorSettings, Surroundings
from penstock.reconcilers.keys import Key
from penstock.workqueue.workers import Result

__all__ = [
    "CHILDREN",
    "HastyClock",
    "Running",
    "Stage",
    "condition",
    "crds",
    "deployment",
    "node",
    "pool",
    "whole",
]

Object = dict[str, Any]

CRDS = Path(__file__).parents[2] / "crds"
API_VERSION = "penstock.dev/v1alpha1"
CHILDREN = (
    "controllerrevisions",
    "deployments",
    "services",
    "poddisruptionbudgets",
    "networkpolicies",
    "persistentvolumeclaims",
    "jobs",
)
_NAMESPACE = "penstock-system"
_PATIENCE_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.02
_SPEED = 20.0
_PATIENT = 4.0
_BOOKMARK_SECONDS = 0.2
_SOON_SECONDS = 8.0
_LABELS = {
    "H100": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"},
    "A100": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"},
}


class HastyClock:
    """The machine's clock, some times as fast."""

    def __init__(self, speed: float = _SPEED) -> None:
        self.speed = speed
        self._start, self._began = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """The wall clock as the operator sees it."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for a fraction of that."""
        await asyncio.sleep(seconds / self.speed)


def deployment(name: str = "chat", *, namespace: str = "team", model: str = "Qwen/Qwen3-8B", **spec: Any) -> Object:
    """A ModelDeployment that one GPU serves."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": model, **spec},
    }


def pool(name: str, *, countries: tuple[str, ...] = ("DE",), price: str = "2.00", **spec: Any) -> Object:
    """A pool that selects the nodes labelled with its name."""
    content = {"nodeSelector": {"pool": name}, "location": {"countries": list(countries)}, **spec}
    return {
        "apiVersion": API_VERSION,
        "kind": "InferencePool",
        "metadata": {"name": name},
        "spec": {"price": {"perGPUHour": price}, **content},
    }


def node(name: str, *, pool: str = "h100", gpus: int = 8, accelerator: str = "H100", **spec: Any) -> Object:
    """A ready node."""
    resources = {"nvidia.com/gpu": str(gpus), "cpu": "128", "memory": "2Ti"}
    labels = {"pool": pool, "kubernetes.io/hostname": name, **_LABELS[accelerator]}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def whole(revision: str, name: str = "chat", namespace: str = "team") -> set[tuple[str, str, str]]:
    """The children of a deployment with one revision, as `Stage.picture` names them."""
    kinds = ("controllerrevisions", "deployments", "services", "poddisruptionbudgets", "networkpolicies")
    return {("services", namespace, name), *((kind, namespace, f"{name}-{revision}") for kind in kinds)}


def condition(live: Object | None, kind: str) -> Object:
    """A condition of a live object, empty where there is none."""
    found = ((live or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in found if each["type"] == kind), {})


@dataclass(slots=True)
class Running:
    """One operator process: its parts, and the two ways to end it."""

    operator: Operator
    task: "asyncio.Task[None]"

    async def stop(self) -> None:
        """SIGTERM."""
        self.operator.stop.set()
        await self.task

    async def kill(self) -> None:
        """SIGKILL, as nearly as a task can be killed: nothing is given back, nothing is finished."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.operator.client.close()

    @property
    def idle(self) -> bool:
        """True where no key waits, is worked or comes back soon, and no event waits to be sent."""
        queue = self.operator.queue
        due = queue._timers[0][0] if queue._timers else float("inf")
        return queue.idle and due > queue._clock.monotonic() + _SOON_SECONDS and self.operator.events.idle


@dataclass(slots=True)
class Stage:
    """The server, the kubelet beside it, and the operators that run."""

    server: FakeAPIServer
    kubelet: Kubelet
    folder: Path
    clock: HastyClock = field(default_factory=HastyClock)
    operators: list[Running] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, identity: str = "one", *, leader_elect: bool = False, **more: Any) -> Running:
        """Start an operator; it is not waited for. `more` are settings, such as the server's URL."""
        settings = OperatorSettings(
            namespace=_NAMESPACE,
            identity=identity,
            workers=8,
            host="127.0.0.1",
            port=0,
            leader_elect=leader_elect,
            **{"hub_enabled": False, "read_engines": False, **more},
        )
        surroundings = Surroundings(clock=self.clock, random=Random(1), metrics=Metrics())
        config = self.server.kubeconfig(self.folder / "config")
        client = await Client.connect(kubeconfig=str(config), random=Random(2), clock=self.clock)
        operator = Operator.build(settings, surroundings, client, asyncio.Event())
        # Half a second in which this machine does something else are ten here, and would cost the Lease.
        operator.election.duration *= _PATIENT
        operator.election.renew_deadline *= _PATIENT
        for subject, handler in operator.router.handlers.items():
            operator.router.handlers[subject] = self._told(handler)
        running = Running(operator, asyncio.create_task(self._run(operator)))
        self.operators.append(running)
        return running

    async def restart(self) -> Running:
        """Kill the operator that runs, and start another."""
        await self.kill()
        return await self.start()

    async def kill(self) -> None:
        """Kill every operator that runs."""
        while self.operators:
            await self.operators.pop().kill()

    def put(self, *manifests: Object) -> None:
        """Create objects."""
        for manifest in manifests:
            self.server.put(manifest)

    def edit(self, name: str = "chat", *, namespace: str = "team", **spec: Any) -> Object:
        """Change fields of a deployment's spec; None takes one away."""

        def edited(live: Object) -> Object:
            changed = {key: value for key, value in {**live["spec"], **spec}.items() if value is not None}
            return {**live, "spec": changed}

        return self.server.update("modeldeployments", namespace, name, edited)

    def md(self, name: str = "chat", namespace: str = "team") -> Object:
        """A deployment; KeyError where there is none."""
        live = self.server.get("modeldeployments", namespace, name)
        if live is None:
            raise KeyError(name)
        return live

    def reason(self, kind: str, name: str = "chat", namespace: str = "team") -> str:
        """The reason of a condition of a deployment."""
        live = self.server.get("modeldeployments", namespace, name)
        return str(condition(live, kind).get("reason", ""))

    def is_ready(self, name: str = "chat", namespace: str = "team") -> bool:
        """True where the newest generation was looked at and is ready."""
        live = self.server.get("modeldeployments", namespace, name)
        ready = condition(live, "Ready")
        newest = live is not None and ready.get("observedGeneration") == live["metadata"]["generation"]
        return newest and ready.get("status") == "True"

    def children(self, plural: str, name: str = "chat", namespace: str = "team") -> list[Object]:
        """Children of a deployment, those of one kind."""
        found = self.server.objects(plural, namespace)
        return [each for each in found if _labels(each).get("penstock.dev/deployment") == name]

    def revisions(self, name: str = "chat", namespace: str = "team") -> list[str]:
        """The revisions that have a Deployment."""
        return [_labels(each)["penstock.dev/revision"] for each in self.children("deployments", name, namespace)]

    def serving(self, name: str = "chat", namespace: str = "team") -> str:
        """The revision that the ordinary Service selects."""
        service = self.server.get("services", namespace, name)
        return str(service["spec"]["selector"]["penstock.dev/revision"]) if service else ""

    def nodes_of(self, name: str = "chat", namespace: str = "team") -> list[str]:
        """The nodes that its pods are bound to, sorted."""
        return sorted(pod["spec"].get("nodeName", "") for pod in self.children("pods", name, namespace))

    def events(self, reason: str) -> list[str]:
        """The messages of the events with that reason."""
        return [each["message"] for each in self.server.objects("events") if each["reason"] == reason]

    def picture(self) -> dict[tuple[str, str, str], str]:
        """Every child by kind, namespace and name, with its uid: what must not change when nothing does."""
        return {
            (plural, live["metadata"]["namespace"], live["metadata"]["name"]): live["metadata"]["uid"]
            for plural in CHILDREN
            for live in self.server.objects(plural)
        }

    async def sweep(self) -> None:
        """What each operator does every ten minutes: list our kinds, look at every object."""
        for running in self.operators:
            for sweep in running.operator.own.sweeps:
                await sweep.sweep()

    def writes(self) -> int:
        """How many writes came over HTTP, Leases apart."""
        verbs = {"create", "update", "patch", "delete"}
        return sum(
            count for (verb, plural), count in self.server.requests.items() if verb in verbs and plural != "leases"
        )

    async def until(self, predicate: Callable[[], object], *, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until it holds; an operator that dies meanwhile fails the test."""
        end = time.monotonic() + seconds
        while not predicate():
            for running in self.operators:
                if running.task.done():
                    running.task.result()
            if time.monotonic() > end:
                raise AssertionError(self.story())
            self.changed.clear()
            try:
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def rest(self) -> None:
        """Wait until the operators know everything and have nothing left to do."""
        await self.until(lambda: self.operators and all(self._rests(each) for each in self.operators))

    async def ready(self, *names: str) -> None:
        """Wait until these deployments are ready and everything is at rest."""
        await self.until(lambda: all(self.is_ready(name) for name in names or ("chat",)))
        await self.rest()

    def story(self) -> str:
        """What stands, for a test that waited in vain."""
        lines = [
            f"{live['metadata']['name']}: {each['type']}={each['status']} {each['reason']} {each['message']}"
            for live in self.server.objects("modeldeployments")
            for each in live.get("status", {}).get("conditions", ())
        ]
        children = [" ".join(key) for key in self.picture()]
        work = [f"idle={each.idle} {[str(key) for key in each.operator.queue._due]}" for each in self.operators]
        return "\n".join(["waited in vain", *lines, *children, *work, *self._behind()])

    def _behind(self) -> Iterator[str]:
        for running in self.operators:
            sources: tuple[Any, ...] = (*running.operator.informers, *running.operator.own.sweeps)
            for source in sources:
                wanted = {
                    (live["metadata"].get("namespace", ""), live["metadata"]["name"]): live["metadata"][
                        "resourceVersion"
                    ]
                    for live in self.server.objects(source.kind.plural)
                    if _is_watched(live, getattr(source, "labels", "")) and _is_inside(live, source.extent)
                }
                held = {
                    (record.namespace, record.name): record.resource_version
                    for record in source.store
                    if source.extent.covers(record)
                }
                if wanted != held:
                    yield f"{source} is behind: {sorted(set(wanted.items()) ^ set(held.items()))}"

    def _rests(self, running: Running) -> bool:
        operator = running.operator
        synced = operator.watching and all(source.synced.is_set() for source in operator._sources)
        swept = all(sweep.idle for sweep in operator.own.sweeps)
        return synced and swept and running.idle and not any(self._behind())

    def _told(self, handler: Callable[[Key], Any]) -> Callable[[Key], Any]:
        async def handle(key: Key) -> Result:
            try:
                return await handler(key)  # type: ignore[no-any-return] # the router's own type
            finally:
                asyncio.get_running_loop().call_soon(self.changed.set)

        return handle

    async def _run(self, operator: Operator) -> None:
        async with operator.client:
            try:
                await operator.run()
                await operator.election.release()
            finally:
                self.changed.set()


@cache
def crds() -> tuple[Object, ...]:
    """The CRDs as they are committed."""
    return tuple(yaml.load(file.read_text(), Loader=yaml.CSafeLoader) for file in sorted(CRDS.glob("*.yaml")))


def _labels(live: Object) -> dict[str, str]:
    return live["metadata"].get("labels") or {}


def _is_inside(live: Object, extent: Extent) -> bool:
    metadata = live["metadata"]
    return extent.namespace in {None, metadata.get("namespace")} and extent.name in {"", metadata["name"]}


def _is_watched(live: Object, selector: str) -> bool:
    key, wants_value, value = selector.partition("=")
    found = _labels(live).get(key)
    return not selector or (found == value if wants_value else found is not None)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A server with our CRDs, namespaces and one pool of one node; no operator runs yet."""
    async with FakeAPIServer() as server:
        server.set_bookmarks(_BOOKMARK_SECONDS)
        for manifest in crds():
            server.put(manifest)
        for name in ("team", _NAMESPACE):
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made = Stage(server, Kubelet(server), folder)
        ends = [server.subscribe(lambda *_: made.changed.set()), made.kubelet.start()]
        try:
            yield made
        finally:
            await made.kill()
            for end in ends:
                end()
