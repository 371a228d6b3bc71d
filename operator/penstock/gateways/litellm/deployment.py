"""The Deployment of a gateway: replicas without rights in Kubernetes, under Pod Security *restricted*.

A replica is ready once it has a table, and is replaced only by one that is: a new image that never gets there takes
nothing away.
"""

from collections.abc import Iterator
from typing import Any

from penstock.api.inferencegateway import InferenceGateway
from penstock.api.meta import GROUP
from penstock.gateways.litellm.command import COMMAND, FOLDERS, GRACE_SECONDS, arguments_of
from penstock.gateways.litellm.configuration import MASTER_KEY_VARIABLE, configuration_digest
from penstock.gateways.litellm.names import (
    CLIENT_PORT,
    GATEWAY_CONTAINER,
    HTTP_PORT,
    INTERNAL_PORT,
    INTERNAL_PORT_NAME,
    MASTER_KEY,
    TOKEN_KEY,
    credentials_secret_name,
    gateway_name,
    labels_of,
    pod_labels,
    pod_selector,
    token_secret_name,
)
from penstock.gateways.litellm.request import GatewayRequest
from penstock.render.names import child_metadata
from penstock.render.scheduling import pull_secrets
from penstock.render.security import container_security, pod_security, user_environment

__all__ = ["CONFIG_DIGEST_ANNOTATION", "render_deployment"]

CONFIG_DIGEST_ANNOTATION = f"{GROUP}/config-digest"

_PROGRESS_SECONDS = 300
_GROUP_READS = 0o440
_WRITABLE = {
    # A table has up to 64 MiB, and the next one is written beside it.
    "table": "256Mi",
    # 16 files of 32 MiB, and what is written while the oldest goes.
    "spool": "640Mi",
    # Uploads to LiteLLM's paths of audio and files.
    "tmp": "1Gi",
}


def render_deployment(request: GatewayRequest) -> dict[str, Any]:
    """The Deployment with `replicas`, which are the gateway's own to say."""
    gateway = request.gateway
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(gateway, gateway_name(gateway.metadata.name), labels_of(gateway)),
        "spec": {
            "replicas": gateway.spec.replicas,
            "selector": {"matchLabels": pod_selector(gateway)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": _PROGRESS_SECONDS,
            "revisionHistoryLimit": 1,
            "template": {"metadata": _pod_metadata(gateway), "spec": _pod(request)},
        },
    }


def _pod_metadata(gateway: InferenceGateway) -> dict[str, Any]:
    """LiteLLM reads its configuration once, so another one needs other pods; keys are read as they change."""
    return {"labels": pod_labels(gateway), "annotations": {CONFIG_DIGEST_ANNOTATION: configuration_digest()}}


def _pod(request: GatewayRequest) -> dict[str, Any]:
    return {
        "affinity": _affinity(request.gateway),
        "automountServiceAccountToken": False,
        "containers": [_container(request)],
        # A Service called penstock or litellm would otherwise set variables that are read for settings.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "topologySpreadConstraints": [_spread(request.gateway)],
        "volumes": list(_volumes(request.gateway.metadata.name)),
        **pull_secrets(request.gateway.spec.image_pull_secret_names),
    }


def _affinity(gateway: InferenceGateway) -> dict[str, Any]:
    """On other nodes where there are any, else together: a gateway on one node is better than none.

    Not as a constraint beside that of the zones: scheduling leaves nodes that lack the label of one constraint out of
    the scores of all of them, and a machine room has no zones.
    """
    term = {
        "labelSelector": {"matchLabels": pod_selector(gateway)},
        # While a roll-out runs, pods that are about to leave must not push the new ones together.
        "matchLabelKeys": ["pod-template-hash"],
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"podAffinityTerm": term, "weight": 100}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _spread(gateway: InferenceGateway) -> dict[str, Any]:
    """Over zones, where there are several."""
    return {
        "labelSelector": {"matchLabels": pod_selector(gateway)},
        "matchLabelKeys": ["pod-template-hash"],
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
    }


def _volumes(name: str) -> Iterator[dict[str, Any]]:
    token = {"secretName": token_secret_name(name), "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}]}
    # Without providers it is not there; the kubelet brings it when it comes.
    credentials = {"secretName": credentials_secret_name(name), "optional": True}
    yield {"name": "config", "configMap": {"name": gateway_name(name), "defaultMode": _GROUP_READS}}
    yield {"name": "credentials", "secret": {**credentials, "defaultMode": _GROUP_READS}}
    yield {"name": "token", "secret": {**token, "defaultMode": _GROUP_READS}}
    for volume, size in _WRITABLE.items():
        yield {"name": volume, "emptyDir": {"sizeLimit": size}}


def _container(request: GatewayRequest) -> dict[str, Any]:
    return {
        "name": GATEWAY_CONTAINER,
        "image": request.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(COMMAND),
        "args": arguments_of(request),
        "env": list(_environment(request.gateway.metadata.name)),
        "ports": [
            {"name": HTTP_PORT, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": INTERNAL_PORT_NAME, "containerPort": INTERNAL_PORT, "protocol": "TCP"},
        ],
        "resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "768Mi"}},
        # LiteLLM's import is not waited for, a table of 64 MiB is.
        "startupProbe": _probe("/health/livez", period=1, failures=120, timeout=2),
        "readinessProbe": _probe("/health/readyz", period=2, failures=2, timeout=2),
        # Slow under load is not dead: a restart would break every stream.
        "livenessProbe": _probe("/health/livez", period=10, failures=6, timeout=5),
        "securityContext": container_security(),
        "volumeMounts": [_mount(volume, folder) for volume, folder in FOLDERS.items()],
    }


def _environment(name: str) -> Iterator[dict[str, Any]]:
    yield from user_environment()
    for variable, path in (("POD_NAME", "metadata.name"), ("POD_UID", "metadata.uid")):
        # Owned whole, so that the version which the API server would add is said.
        yield {"name": variable, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
    # Otherwise LiteLLM asks the Internet for prices before it does anything.
    yield {"name": "LITELLM_LOCAL_MODEL_COST_MAP", "value": "True"}
    yield {"name": "DISABLE_ADMIN_UI", "value": "True"}
    reference = {"name": token_secret_name(name), "key": MASTER_KEY}
    yield {"name": MASTER_KEY_VARIABLE, "valueFrom": {"secretKeyRef": reference}}


def _mount(volume: str, folder: str) -> dict[str, Any]:
    mount = {"name": volume, "mountPath": folder}
    return mount if volume in _WRITABLE else {**mount, "readOnly": True}


def _probe(path: str, *, period: int, failures: int, timeout: int) -> dict[str, Any]:
    """Of the internal port; times in seconds."""
    return {
        "httpGet": {"path": path, "port": INTERNAL_PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
        "successThreshold": 1,
    }
