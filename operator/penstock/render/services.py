"""The ordinary Service that clients use, and the headless one that addresses a revision's pods."""

from typing import Any

from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.plan import Assignment, Plan
from penstock.render.names import HTTP_PORT, child_metadata, labels_of, pod_selector

__all__ = ["SERVICE_PORT", "render_headless_service", "render_service"]

SERVICE_PORT = 8000


def render_service(deployment: ModelDeployment, revision: str, assignment: Assignment) -> dict[str, Any]:
    """The stable address; it selects the revision that serves."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(deployment, deployment.metadata.name, labels_of(deployment, assignment.plan)),
        "spec": {"type": "ClusterIP", "selector": pod_selector(deployment, revision), "ports": [_port()]},
    }


def render_headless_service(deployment: ModelDeployment, revision: str, plan: Plan) -> dict[str, Any]:
    """One address per ready pod: clients that keep connections alive balance by themselves.

    It has the revision's own name: a longer one would not fit 63 characters for the longest deployment name.
    """
    name = f"{deployment.metadata.name}-{revision}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": {"clusterIP": "None", "selector": pod_selector(deployment, revision), "ports": [_port()]},
    }


def _port() -> dict[str, Any]:
    return {"name": HTTP_PORT, "port": SERVICE_PORT, "protocol": "TCP", "targetPort": HTTP_PORT}
