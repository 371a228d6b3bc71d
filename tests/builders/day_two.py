"""A fleet as its operator left it, on the in-memory API server, and commands that are run against it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from click import Command
from click.testing import CliRunner, Result

from penstock.cluster.fake import FakeAPIServer

__all__ = [
    "NOW",
    "chat",
    "condition",
    "data_of",
    "gateway",
    "h100_pool",
    "installed",
    "invoke",
    "lease",
    "resource",
    "route",
    "workload",
]

Object = dict[str, Any]

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
_CRDS = Path(__file__).parents[2] / "crds"


@cache
def _definitions() -> str:
    return json.dumps([yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in sorted(_CRDS.glob("*.yaml"))])


def installed(server: FakeAPIServer, *manifests: Object) -> FakeAPIServer:
    """Our CRDs, and these objects with their namespaces."""
    for manifest in (*json.loads(_definitions()), *manifests):
        namespace = manifest["metadata"].get("namespace")
        if namespace and server.get("namespaces", "", namespace) is None:
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        server.put(manifest)
    return server


async def invoke(
    command: Command, server: FakeAPIServer, folder: Path, *words: str, stdin: str = "", columns: int = 160
) -> Result:
    """Run the command in a thread: it brings its own event loop, and the server needs this one."""
    config = server.kubeconfig(folder / "config")
    runner = CliRunner(env={"COLUMNS": str(columns), "KUBECONFIG": "", "NO_COLOR": "1"})
    arguments = ["--kubeconfig", str(config), *words]
    return await asyncio.to_thread(runner.invoke, command, arguments, input=stdin)


def data_of(result: Result) -> Any:
    """What `-o json` printed."""
    return json.loads(result.stdout)


def condition(
    kind: str, status: str = "True", reason: str = "", message: str = "", *, minutes: float = 60, now: datetime = NOW
) -> Object:
    """One that flipped so many minutes ago."""
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": (now - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z"),
    }


def resource(
    kind: str,
    name: str,
    namespace: str = "",
    *,
    spec: Object | None = None,
    conditions: Sequence[Object] = (),
    **status: Any,
) -> Object:
    """A resource of ours whose newest spec the operator has seen."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    said = {"observedGeneration": 1, "conditions": list(conditions), **status} if conditions else {}
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec or {},
        **({"status": said} if said else {}),
    }


def h100_pool(*conditions: Object, name: str = "h100") -> Object:
    """Two nodes of eight H100s, twelve of them free."""
    return resource(
        "InferencePool",
        name,
        spec={"nodeSelector": {"pool": name}},
        conditions=conditions or (condition("Accepted"), condition("Ready")),
        accelerator="H100-SXM-80GB",
        nodes=2,
        readyNodes=2,
        gpus={"total": 16, "allocatable": 16, "allocated": 4, "free": 12},
        costPerHour="40.00 USD",
    )


def chat(*conditions: Object, name: str = "chat", namespace: str = "assistants", ready: int = 2, **spec: Any) -> Object:
    """A deployment that serves with two replicas, unless its conditions say otherwise."""
    return resource(
        "ModelDeployment",
        name,
        namespace,
        spec={"model": "Qwen/Qwen3-8B", "replicas": 2, **spec},
        conditions=conditions or tuple(map(condition, ("Accepted", "Placed", "Available", "Ready"))),
        replicas=2,
        readyReplicas=ready,
        plan={
            "pool": "h100",
            "engine": "vLLM",
            "precision": "BF16",
            "gpusPerReplica": 1,
            "costPerHour": "5.00 USD",
            "revision": "abc",
        },
    )


def gateway(*conditions: Object, name: str = "main", live: Sequence[Object] | None = None) -> Object:
    """Two replicas that have table 7."""
    heard = [{"pod": f"{name}-{number}", "state": "Serving"} for number in range(2)]
    return resource(
        "InferenceGateway",
        name,
        "ai-platform",
        spec={"replicas": 2, "sensitivityLevels": ["public", "secret"]},
        conditions=conditions or tuple(map(condition, ("Accepted", "Programmed", "Available", "Ready"))),
        address=f"http://{name}-gateway.ai-platform.svc:8000/v1",
        replicas=2,
        readyReplicas=2,
        table={"generation": 7},
        liveReplicas=list(heard if live is None else live),
    )


def route(*conditions: Object, name: str = "chat", backends: Sequence[str] = ("assistants/chat",)) -> Object:
    """One rule, answered by the backends."""
    names = ("Accepted", "ResolvedRefs", "Programmed", "Ready")
    return resource(
        "Route",
        name,
        "assistants",
        spec={
            "gatewayRef": {"name": "main", "namespace": "ai-platform"},
            "modelNames": ["chat"],
            "rules": [{"name": "all", "backends": [{"deployment": {"name": "chat"}}]}],
        },
        conditions=conditions or tuple(map(condition, names)),
        modelNames=["chat"],
        answeringRules=int(bool(backends)),
        rules=[{"name": "all", "liveBackends": list(backends)}],
    )


def workload(name: str = "penstock-operator", *, ready: int = 1, version: str = "0.1.0") -> Object:
    """A Deployment of the chart."""
    component = name.removeprefix("penstock-")
    labels = {"app.kubernetes.io/name": "penstock", "app.kubernetes.io/component": component}
    container = {"name": component, "image": f"ghcr.io/penstock-dev/penstock:{version}", "args": [component]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "penstock-system", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "status": {"replicas": 1, "readyReplicas": ready},
    }


def lease(seconds_ago: float = 2, *, now: datetime = NOW) -> Object:
    """The leader's, renewed so many seconds ago."""
    renewed = (now - timedelta(seconds=seconds_ago)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "penstock-operator", "namespace": "penstock-system"},
        "spec": {"holderIdentity": "pod-1", "leaseDurationSeconds": 15, "renewTime": renewed, "leaseTransitions": 3},
    }
