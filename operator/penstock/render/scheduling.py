"""Onto which nodes a pod may go: the pool's, whose taints it tolerates, and with which pull secrets."""

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.references import Toleration
from penstock.planner.plan import Plan

__all__ = ["pull_secrets", "scheduling"]


def scheduling(deployment: ModelDeployment, pool: InferencePoolSpec, plan: Plan) -> dict[str, Any]:
    """The fields of a pod that keep it in its pool."""
    fields: dict[str, Any] = {
        "nodeSelector": dict(pool.node_selector),
        "tolerations": list(_tolerations(deployment, pool, plan)),
    }
    if deployment.spec.pod.priority_class_name is not None:
        fields["priorityClassName"] = deployment.spec.pod.priority_class_name
    return fields | pull_secrets(pool.image_pull_secret_names)


def pull_secrets(names: Sequence[str]) -> dict[str, Any]:
    """The field of a pod that names what its images are pulled with; nothing where nothing is named."""
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _tolerations(deployment: ModelDeployment, pool: InferencePoolSpec, plan: Plan) -> Iterator[dict[str, Any]]:
    """The GPU taint whatever its value (it differs by provider), then the pool's and the user's."""
    yield {"key": plan.gpu_resource, "operator": "Exists"}
    for toleration in (*pool.tolerations, *deployment.spec.pod.tolerations):
        yield _toleration(toleration)


def _toleration(toleration: Toleration) -> dict[str, Any]:
    content = {"key": toleration.key, "value": toleration.value, "effect": toleration.effect}
    return {"operator": str(toleration.operator), **{key: value for key, value in content.items() if value}}
