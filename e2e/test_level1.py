"""What a platform team sees on a real control plane: placed, served, moved, drained, refused, restarted."""

import signal
from typing import Any

import pytest

from conftest import Cluster

pytestmark = pytest.mark.real


def model(name: str, model: str = "Qwen/Qwen3-8B", **spec: Any) -> dict[str, Any]:
    """A deployment in the samples' namespace."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "assistants"},
        "spec": {"model": model, **spec},
    }


def ready(cluster: Cluster, name: str) -> bool:
    """All of it serves."""
    return cluster.condition(name, "Ready")[0] == "True"


def plan(cluster: Cluster, name: str) -> dict[str, Any]:
    """The plan that serves."""
    found: dict[str, Any] = cluster.get("modeldeployments.penstock.dev", name).get("status", {}).get("plan", {})
    return found


def test_a_deployment_is_placed_and_gets_ready(cluster: Cluster) -> None:
    """From seven lines to ready pods on the pool that was planned."""
    cluster.apply(model("first"))
    cluster.until(lambda: ready(cluster, "first"), "first is ready")
    pods = [pod for pod in cluster.items("pods") if pod["metadata"]["labels"]["penstock.dev/deployment"] == "first"]
    assert [pod["spec"]["nodeName"].startswith("a100") for pod in pods] == [True], "the cheapest pool that fits"
    assert plan(cluster, "first")["pool"] == "a100-spot"


def test_nothing_is_written_while_nothing_changes(cluster: Cluster) -> None:
    """Invariant 3: versions stand still on a real API server."""
    cluster.apply(model("quiet"))
    cluster.until(lambda: ready(cluster, "quiet"), "quiet is ready")

    def versions() -> dict[str, str]:
        kinds = "modeldeployments.penstock.dev,deployments,services,controllerrevisions,"
        kinds += "poddisruptionbudgets,networkpolicies"
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for item in cluster.items(kinds)
        }

    before = versions()
    # Something that the operator hears of and has nothing to do about.
    cluster.plane.kubectl("annotate", "namespace", "assistants", "test/touched=yes", "--overwrite")
    cluster.plane.kubectl("label", "node", "h100-0", "test-touched=yes", "--overwrite")
    cluster.rest(5.0)
    assert versions() == before


def test_an_edit_of_a_child_is_undone(cluster: Cluster) -> None:
    """Drift of what we own is seen and put right; what others own stays."""
    cluster.apply(model("drift"))
    cluster.until(lambda: ready(cluster, "drift"), "drift is ready")
    patch = '{"spec":{"ports":[{"name":"http","port":8000,"protocol":"TCP","targetPort":1}]}}'
    cluster.plane.kubectl("patch", "service", "drift", "-n", "assistants", "--type=merge", "-p", patch)
    cluster.until(
        lambda: cluster.get("service", "drift")["spec"]["ports"][0]["targetPort"] == "http", "the Service is put right"
    )


def test_a_change_makes_a_new_revision_beside_the_old(cluster: Cluster) -> None:
    """The old one serves until the new one does, and goes after."""
    cluster.apply(model("changes"))
    cluster.until(lambda: ready(cluster, "changes"), "changes is ready")
    before = plan(cluster, "changes")["revision"]
    cluster.apply(model("changes", workload={"maxContextTokens": 8192}))
    cluster.until(lambda: plan(cluster, "changes").get("revision") != before, "the new revision serves")
    cluster.until(lambda: ready(cluster, "changes"), "changes is ready again")
    cluster.until(lambda: not cluster.get("deployment", f"changes-{before}"), "the old revision is gone", patience=120)


def test_scaling_rolls_no_pod(cluster: Cluster) -> None:
    """`kubectl scale` reaches the Deployment through the scale subresource; the revision stays."""
    cluster.apply(model("scales"))
    cluster.until(lambda: ready(cluster, "scales"), "scales is ready")
    before = plan(cluster, "scales")["revision"]
    cluster.plane.kubectl("scale", "modeldeployments.penstock.dev/scales", "-n", "assistants", "--replicas=2")
    cluster.until(
        lambda: cluster.get("deployment", f"scales-{before}")["status"].get("readyReplicas") == 2, "two replicas"
    )
    assert plan(cluster, "scales")["revision"] == before


def test_a_border_without_capacity_inside_is_a_refusal(cluster: Cluster) -> None:
    """Invariant 5: never the nearest match."""
    cluster.apply(model("japan", placement={"jurisdictions": ["JP"]}))
    cluster.until(lambda: cluster.condition("japan", "Placed")[0] == "False", "japan is refused")
    assert not [pod for pod in cluster.items("pods") if pod["metadata"]["labels"]["penstock.dev/deployment"] == "japan"]


def test_the_api_server_is_down_for_a_while(cluster: Cluster) -> None:
    """The operator outlives it and goes on."""
    cluster.plane.restart_api_server(down=2.0)
    cluster.apply(model("after-the-outage"))
    cluster.until(lambda: ready(cluster, "after-the-outage"), "after-the-outage is ready", patience=120)


def test_a_killed_operator_is_followed_by_another(cluster: Cluster) -> None:
    """After kill -9 the standby takes the Lease; nothing is made twice."""
    cluster.start_operator()
    leader = cluster.operators[-2]
    leader.send_signal(signal.SIGKILL)
    leader.wait(10)
    cluster.apply(model("after-the-kill"))
    cluster.until(lambda: ready(cluster, "after-the-kill"), "after-the-kill is ready", patience=120)
    mine = [
        d
        for d in cluster.items("deployments")
        if d["metadata"]["labels"]["penstock.dev/deployment"] == "after-the-kill"
    ]
    assert len(mine) == 1


def test_deleting_takes_everything_with_it(cluster: Cluster) -> None:
    """No orphan is left: the garbage collector takes the children."""
    cluster.apply(model("leaves"))
    cluster.until(lambda: ready(cluster, "leaves"), "leaves is ready")
    cluster.plane.kubectl("delete", "modeldeployments.penstock.dev", "leaves", "-n", "assistants", "--wait=true")
    kinds = "deployments,services,controllerrevisions,poddisruptionbudgets,networkpolicies,pods"
    cluster.until(
        lambda: (
            not [
                i
                for i in cluster.items(kinds)
                if i["metadata"].get("labels", {}).get("penstock.dev/deployment") == "leaves"
            ]
        ),
        "no child is left",
    )
