"""What is kept of each watched object."""

from typing import Any

import pytest

from builders.live import gpu_node, gpu_pod, live
from penstock.reconcilers.stored import parse_time, slim_child, slim_node, slim_pod, slim_quota, slim_workload


def waiting(reason: str, *, init: bool = False) -> dict[str, Any]:
    """The status of a pod whose container waits."""
    statuses = [{"name": "engine", "state": {"waiting": {"reason": reason, "message": "because"}}}]
    return {"initContainerStatuses" if init else "containerStatuses": statuses}


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "nothing yet": ({}, ""),
    "a container is being made": (waiting("ContainerCreating"), ""),
    "init containers run": (waiting("PodInitializing"), ""),
    "a crash loop": (waiting("CrashLoopBackOff"), "engine: CrashLoopBackOff: because"),
    "an image that is not there": (waiting("ImagePullBackOff"), "engine: ImagePullBackOff: because"),
    "a prefetch that fails": (waiting("CrashLoopBackOff", init=True), "engine: CrashLoopBackOff: because"),
}


@pytest.mark.parametrize(("status", "want"), TROUBLE.values(), ids=TROUBLE.keys())
def test_trouble(status: dict[str, Any], want: str) -> None:
    """Only what does not pass by itself."""
    assert slim_pod(gpu_pod("p", status=status)).trouble == want


HOLDS: dict[str, tuple[dict[str, Any], bool]] = {
    "bound and running": ({"node": "a"}, True),
    "not bound": ({"phase": "Pending"}, False),
    "succeeded": ({"node": "a", "phase": "Succeeded"}, False),
    "failed": ({"node": "a", "phase": "Failed"}, False),
}


@pytest.mark.parametrize(("fields", "want"), HOLDS.values(), ids=HOLDS.keys())
def test_who_holds_gpus(fields: dict[str, Any], *, want: bool) -> None:
    """As the scheduler counts."""
    assert slim_pod(gpu_pod("p", **fields)).holds_gpus is want


def test_a_pod_that_waits_says_why() -> None:
    """The scheduler's own words."""
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert slim_pod(gpu_pod("p", phase="Pending", status={"conditions": [refused]})).unschedulable == "0/3 nodes"


def test_a_scale_changes_no_digest_of_a_deployment() -> None:
    """`replicas` is compared on its own."""
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:paused": {}}}
    entry = {"manager": "penstock", "operation": "Apply", "fieldsV1": fields}

    def workload(replicas: int, *, paused: bool = False) -> Any:
        found = live("Deployment", "d", namespace="team", spec={"replicas": replicas, "paused": paused})
        found["metadata"]["managedFields"] = [entry]
        return slim_workload(found)

    assert workload(1).digest == workload(5).digest
    assert workload(1).digest != workload(1, paused=True).digest
    assert (workload(1).replicas, workload(5).replicas) == (1, 5)


def test_a_deployment_past_its_deadline_says_so() -> None:
    """With the controller's message."""
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
    found = live("Deployment", "d", namespace="team", spec={}, status={"conditions": [late]})
    assert slim_workload(found).deadline_exceeded == "too late"


def test_only_a_service_selects_a_revision() -> None:
    """A NetworkPolicy's selector is another thing."""
    spec = {"selector": {"penstock.dev/revision": "abc"}}
    assert slim_child(live("Service", "s", namespace="team", spec=spec)).selected_revision == "abc"
    assert slim_child(live("NetworkPolicy", "n", namespace="team", spec=spec)).selected_revision == ""


def test_a_node_without_gpus_has_none() -> None:
    """It is kept, because pools may select it."""
    found = gpu_node("a")
    found["status"] = {"capacity": {"cpu": "4"}}
    record = slim_node(found)
    assert (record.capacity, record.allocatable, record.ready) == ({}, {}, False)


def test_a_quota_is_read_for_gpus_only() -> None:
    """What the status says of `hard` is newer than the spec."""
    found = live(
        "ResourceQuota",
        "q",
        namespace="team",
        spec={"hard": {"requests.nvidia.com/gpu": "4", "pods": "9"}},
        status={"hard": {"requests.nvidia.com/gpu": "2"}, "used": {"requests.nvidia.com/gpu": "1", "pods": "3"}},
    )
    record = slim_quota(found)
    assert (record.hard, record.used) == ({"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 1})


def test_when_an_engine_began_and_how_it_ended() -> None:
    """As the kubelet says it; what it does not say is not known."""
    noon, later = "2026-11-21T12:00:00Z", "2026-11-21T12:03:00Z"
    ended = {"reason": "OOMKilled", "exitCode": 137, "message": "x" * 1000 + "\nno room\n"}
    engine = {"state": {"running": {"startedAt": later}}, "lastState": {"terminated": ended}, "restartCount": 2}
    conditions = [
        {"type": "Initialized", "status": "True", "lastTransitionTime": noon},
        {"type": "Ready", "status": "True", "lastTransitionTime": later},
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
    ]
    pod = slim_pod(gpu_pod("a", status={"conditions": conditions, "containerStatuses": [engine]}))
    assert (pod.initialized, pod.started, pod.ready_since) == (parse_time(noon), parse_time(later), parse_time(later))
    assert (pod.restarts, pod.disrupted) == (2, "PreemptionByScheduler")
    assert pod.last_exit.startswith("OOMKilled, exit code 137: x")
    assert pod.last_exit.endswith("no room")
    assert len(pod.last_exit) < 400
    new = slim_pod(gpu_pod("b"))
    assert (new.initialized, new.started, new.ready_since, new.last_exit, new.disrupted) == (None, None, None, "", "")


def test_an_engines_last_words_tell_no_secret() -> None:
    """A token in a log line does not come into a status."""
    said = {"reason": "Error", "exitCode": 1, "message": "401: Authorization: Bearer hf_abcdefghijkl at start"}
    engine = {"state": {"terminated": said}, "restartCount": 1}
    pod = slim_pod(gpu_pod("a", status={"containerStatuses": [engine]}))
    assert "hf_abcdefghijkl" not in pod.last_exit
    assert pod.last_exit.startswith("Error, exit code 1: 401")
