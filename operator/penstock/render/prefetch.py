"""Filling a revision's volume before its engines read it: a Job that downloads, and the containers that wait for it.

The Job runs once per revision, in the revision's own pool (its countries, its storage zone) and with the engine's
image, which has the hub's library. It writes a marker when everything is there; engines start behind it, offline and
without the hub's token. A Job's pods cannot be changed: all that it is made from is part of the revision's name.
"""

from typing import Any

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.plan import Plan
from penstock.render.names import ROLE_LABEL, child_metadata, labels_of
from penstock.render.scheduling import scheduling
from penstock.render.security import container_security, pod_security, user_environment
from penstock.render.weights import CACHE_DIRECTORY, Storage

__all__ = ["prefetch_seconds", "render_prefetch_job", "waiting_container"]

_MARKER = f"{CACHE_DIRECTORY}/prefetched"
_ATTEMPTS = 6
_CAREFUL_BYTES_PER_SECOND = 100 * 10**6
_SHORTEST_SECONDS = 600
_START_SECONDS = 1800
"""Pulling the engine's image, which counts as time of the pod that downloads."""

_LEFT_OUT = ("original/*", "metal/*", "onnx/*", "*.gguf", "*.pth")
"""The same weights once more, for other programs; the volume is sized for one copy."""

_LEFT_OUT_BESIDE_SAFETENSORS = ("consolidated*", "pytorch_model*", "*.msgpack", "*.h5")
"""The same once more where the checkpoint's own safetensors are there, which alone were counted."""

_DOWNLOAD = """\
import pathlib, sys
from huggingface_hub import HfApi, snapshot_download
model, revision, marker, left_out, beside = sys.argv[1:]
revision, left_out = revision or None, left_out.split()
if {"model.safetensors", "model.safetensors.index.json"} & set(HfApi().list_repo_files(model, revision=revision)):
    left_out += beside.split()
snapshot_download(model, revision=revision, ignore_patterns=left_out)
pathlib.Path(marker).touch()
"""
_WAIT = 'until [ -e "$0" ]; do sleep 5; done'


def prefetch_seconds(plan: Plan) -> int:
    """How long the download may take at a careful rate, in seconds; engines wait that long before they try again."""
    return max(_SHORTEST_SECONDS, -(-plan.checkpoint.weights_bytes // _CAREFUL_BYTES_PER_SECOND))


def render_prefetch_job(
    deployment: ModelDeployment, plan: Plan, pool: InferencePoolSpec, storage: Storage, revision: str
) -> dict[str, Any]:
    """The Job `<deployment>-<revision>`; it stays when it is done, or it would be made again."""
    name = f"{deployment.metadata.name}-{revision}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": {
            "backoffLimit": _ATTEMPTS,
            "template": {
                "metadata": {"labels": _pod_labels(deployment)},
                "spec": {
                    # One attempt: a download that hangs is given up, and the next one goes on where it ended.
                    "activeDeadlineSeconds": _START_SECONDS + prefetch_seconds(plan),
                    "automountServiceAccountToken": False,
                    "containers": [_download(plan, storage)],
                    "enableServiceLinks": False,
                    # Failed attempts stay for their logs.
                    "restartPolicy": "Never",
                    "securityContext": pod_security(),
                    "volumes": [*storage.volumes, {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
                    **scheduling(deployment, pool, plan),
                },
            },
        },
    }


def waiting_container(plan: Plan, storage: Storage) -> dict[str, Any]:
    """An init container that ends when the marker is there; it fails after the download's time and is tried again."""
    return {
        "name": "weights",
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["timeout", str(prefetch_seconds(plan)), "sh", "-c", _WAIT, _MARKER],
        "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [{**mount, "readOnly": True} for mount in storage.mounts],
    }


def _pod_labels(deployment: ModelDeployment) -> dict[str, str]:
    """Without the deployment's and the revision's: Services and budgets select engines by those."""
    return {
        "app.kubernetes.io/managed-by": "penstock",
        "app.kubernetes.io/instance": deployment.metadata.name,
        ROLE_LABEL: "prefetch",
    }


def _download(plan: Plan, storage: Storage) -> dict[str, Any]:
    checkpoint = plan.checkpoint
    left_out = [" ".join(_LEFT_OUT), " ".join(_LEFT_OUT_BESIDE_SAFETENSORS)]
    arguments = [checkpoint.model, checkpoint.revision or "", _MARKER, *left_out]
    return {
        "name": "prefetch",
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", _DOWNLOAD, *arguments],
        "env": [
            *user_environment(),
            *(dict(variable) for variable in storage.prefetch_environment),
        ],
        "resources": {"limits": {"memory": "8Gi"}, "requests": {"cpu": "2", "memory": "8Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [*storage.mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - an emptyDir
    }
