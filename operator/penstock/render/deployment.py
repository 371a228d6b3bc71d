"""The Deployment of a revision: pods that run one replica each, under Pod Security *restricted*.

Engine images run as root by default; they work as any user once HOME, the caches and /tmp are writable. `replicas` is
left out: it is no part of a revision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.quantities import format_bytes, parse_bytes
from penstock.api.refusals import Refusal, Refused
from penstock.engines.arguments import literal
from penstock.engines.contract import PORT, EngineContainer
from penstock.planner.plan import Assignment, Plan
from penstock.render.names import ENGINE_CONTAINER, HTTP_PORT, ROLE_LABEL, child_metadata, labels_of, pod_selector
from penstock.render.prefetch import prefetch_seconds, waiting_container
from penstock.render.scheduling import scheduling
from penstock.render.security import container_security, pod_security, user_environment
from penstock.render.weights import Storage

__all__ = ["DeploymentRequest", "render_deployment"]

_GIB = 2**30
_CPU_PER_GPU = 4
_MEMORY_PER_GPU = 16 * _GIB
_TEMPORARY_BYTES = 16 * _GIB
_PREFERENCE = 100
_ROLL_OUT_SLACK_SECONDS = 300


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """What the pods are made from."""

    deployment: ModelDeployment
    assignment: Assignment
    pool: InferencePoolSpec
    container: EngineContainer
    storage: Storage


def render_deployment(request: DeploymentRequest, revision: str) -> dict[str, Any]:
    """The Deployment without `replicas`."""
    deployment, plan = request.deployment, request.assignment.plan
    name = f"{deployment.metadata.name}-{revision}"
    deadline = deployment.spec.rollout.progress_deadline_seconds or _longest_seconds(request)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": {
            "selector": {"matchLabels": pod_selector(deployment, revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": deadline,
            "revisionHistoryLimit": 1,
            "template": {"metadata": {"labels": _pod_labels(request, revision)}, "spec": _pod(request)},
        },
    }


def _longest_seconds(request: DeploymentRequest) -> int:
    """Until a replica counts as stuck: the download where a volume is filled first, the start, and some more."""
    download = prefetch_seconds(request.assignment.plan) if request.storage.claim else 0
    return download + request.container.startup_seconds + _ROLL_OUT_SLACK_SECONDS


def _pod_labels(request: DeploymentRequest, revision: str) -> dict[str, str]:
    deployment = request.deployment
    own = {**labels_of(deployment, request.assignment.plan, revision), ROLE_LABEL: "engine"}
    return {**deployment.spec.pod.labels, **own}


def _pod(request: DeploymentRequest) -> dict[str, Any]:
    container = request.container
    pod: dict[str, Any] = {
        "affinity": {"nodeAffinity": _affinity(request)},
        "automountServiceAccountToken": False,
        "containers": [_engine(request)],
        # A Service called vllm would otherwise set VLLM_PORT, which the engine reads.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": container.drain.grace_seconds,
        "volumes": [
            *request.storage.volumes,
            {"name": "tmp", "emptyDir": {"sizeLimit": format_bytes(_TEMPORARY_BYTES)}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": format_bytes(container.shared_memory_bytes)}},
        ],
        **scheduling(request.deployment, request.pool, request.assignment.plan),
    }
    if not pod["affinity"]["nodeAffinity"]:
        del pod["affinity"]
    if request.storage.claim:
        pod["initContainers"] = [waiting_container(request.assignment.plan, request.storage)]
    return pod


def _affinity(request: DeploymentRequest) -> dict[str, Any]:
    """The planned nodes as a preference: small replicas must not scatter over nodes that a TP8 needs."""
    nodes = sorted(set(request.assignment.nodes))
    if not nodes:
        return {}
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}
    preference = {"preference": {"matchExpressions": [expression]}, "weight": _PREFERENCE}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}


def _engine(request: DeploymentRequest) -> dict[str, Any]:
    container, storage = request.container, request.storage
    return {
        "name": ENGINE_CONTAINER,
        "image": container.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(container.command),
        "args": list(container.args),
        "env": [*_environment(request), *_users_environment(request)],
        "ports": [{"name": HTTP_PORT, "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(request),
        "startupProbe": dict(container.startup_probe),
        "readinessProbe": dict(container.readiness_probe),
        "livenessProbe": dict(container.liveness_probe),
        "lifecycle": {"preStop": {"sleep": {"seconds": container.drain.pre_stop_seconds}}},
        "securityContext": container_security(),
        # The engine's last words are why it failed: out of memory is told from a crash by them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *storage.mounts,
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own, an emptyDir
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's own memory
        ],
    }


def _environment(request: DeploymentRequest) -> Iterator[dict[str, Any]]:
    yield from user_environment()
    yield {"name": "XDG_CACHE_HOME", "value": "/cache/xdg"}
    yield {"name": "TRITON_CACHE_DIR", "value": "/cache/triton"}
    yield from (dict(variable) for variable in request.storage.environment)
    yield from (dict(variable) for variable in request.container.environment)


def _users_environment(request: DeploymentRequest) -> Iterator[dict[str, Any]]:
    """Beside Penstock's: the API server refuses a name that is there twice, so that nothing would ever be applied."""
    own = {variable["name"] for variable in _environment(request)}
    for index, variable in enumerate(request.deployment.spec.pod.environment):
        if variable.name in own:
            where = f"spec.pod.environment[{index}].name"
            cure = "Remove it, or change the field that it is made from"
            raise Refused([Refusal(where, variable.name, "Penstock sets this variable for this deployment", cure)])
        yield {"name": variable.name, "value": literal(variable.value)}


def _resources(request: DeploymentRequest) -> dict[str, Any]:
    plan, overrides = request.assignment.plan, request.deployment.spec.pod
    cpu = _larger_cpu(_CPU_PER_GPU * plan.gpus, overrides.cpu)
    memory = format_bytes(max(_memory(plan, request.container), parse_bytes(overrides.memory or "0")))
    requests = {"cpu": cpu, "memory": memory, plan.gpu_resource: str(plan.gpus)}
    if request.storage.scratch_bytes:
        requests["ephemeral-storage"] = format_bytes(request.storage.scratch_bytes + _TEMPORARY_BYTES)
    return {"limits": {"memory": memory, plan.gpu_resource: str(plan.gpus)}, "requests": requests}


def _larger_cpu(planned: int, asked: str | None) -> str:
    """The larger one in cores, or in thousandths where they are not whole, as the API server writes it."""
    text = asked or "0"
    thousandths = Decimal(text.removesuffix("m")) * (1 if text.endswith("m") else 1000)
    most = max(planned * 1000, int(thousandths))
    return f"{most}m" if most % 1000 else str(most // 1000)


def _memory(plan: Plan, container: EngineContainer) -> int:
    """Host memory: a share per GPU, and /dev/shm, which counts against the limit."""
    return _MEMORY_PER_GPU * plan.gpus + container.shared_memory_bytes
