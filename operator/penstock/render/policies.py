"""The disruption budget and the NetworkPolicy of a revision."""

from typing import Any

from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.plan import Plan
from penstock.render.names import DEPLOYMENT_LABEL, HTTP_PORT, ROLE_LABEL, child_metadata, labels_of, pod_selector

__all__ = ["render_disruption_budget", "render_network_policy"]


def render_disruption_budget(deployment: ModelDeployment, revision: str, plan: Plan) -> dict[str, Any]:
    """A drained node takes one replica at a time; one that does not serve yet, or no more, keeps no node."""
    name = f"{deployment.metadata.name}-{revision}"
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": pod_selector(deployment, revision)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def render_network_policy(
    deployment: ModelDeployment, revision: str, plan: Plan, operator_namespace: str
) -> dict[str, Any]:
    """Nothing goes round the gateway: its pods, the deployment's own peers and the operator's namespace come in."""
    name = f"{deployment.metadata.name}-{revision}"
    gateways = {
        "namespaceSelector": {},
        "podSelector": {"matchExpressions": [{"key": ROLE_LABEL, "operator": "In", "values": ["gateway", "router"]}]},
    }
    peers = {"podSelector": {"matchLabels": {DEPLOYMENT_LABEL: deployment.metadata.name}}}
    ours = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(deployment, name, labels_of(deployment, plan, revision)),
        "spec": {
            "podSelector": {"matchLabels": pod_selector(deployment, revision)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [gateways, peers, ours], "ports": [{"port": HTTP_PORT, "protocol": "TCP"}]}],
        },
    }
