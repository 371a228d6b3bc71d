"""The real control plane, on machines that have its programs."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import control_plane
from testbed.binaries import find
from testbed.control_plane import ControlPlane, Loading
from testbed.errors import BinariesMissingError, CommandError, StartError
from testbed.gpu_nodes import Manifest, gpu_nodes

_PROGRAMS = find()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        _PROGRAMS is None or None in (_PROGRAMS.kube_scheduler, _PROGRAMS.kube_controller_manager, _PROGRAMS.kwok),
        reason="the test bed's programs are not here: python e2e/testbed/binaries.py",
    ),
]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Run one with two H100 nodes and an MI300X one."""
    with ControlPlane.start(controllers=True, nodes=True, loading=Loading(0.2, 0.6)) as running:
        running.create_nodes([*gpu_nodes("h100", 2), *gpu_nodes("mi300x", 1)])
        yield running


def deployment(name: str, replicas: int, **resources: int) -> Manifest:
    limits = {f"{vendor}.com/gpu": str(count) for vendor, count in resources.items()}
    container = {"name": "engine", "image": "example/engine", "resources": {"limits": limits}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def annotated(manifest: Manifest, **annotations: str) -> Manifest:
    keys = {f"{stage.replace('_', '-')}.stage.kwok.x-k8s.io/delay": value for stage, value in annotations.items()}
    manifest["spec"]["template"]["metadata"]["annotations"] = keys
    return manifest


def apply(plane: ControlPlane, manifest: Manifest) -> None:
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def pods(plane: ControlPlane, app: str) -> list[Manifest]:
    found: list[Manifest] = json.loads(plane.kubectl("get", "pods", "-l", f"app={app}", "-o", "json"))["items"]
    return found


def test_a_deployment_gets_its_gpus(plane: ControlPlane) -> None:
    apply(plane, deployment("fits", 2, nvidia=4))
    plane.kubectl("rollout", "status", "deployment/fits", "--timeout=30s")
    assert {pod["spec"]["nodeName"].split("-")[0] for pod in pods(plane, "fits")} == {"h100"}


def test_what_does_not_fit_stays_pending(plane: ControlPlane) -> None:
    apply(plane, deployment("too-big", 1, amd=16))
    plane.until(lambda: "Unschedulable" in json.dumps(pods(plane, "too-big")), "the scheduler's refusal")


def test_a_pod_runs_before_its_model_is_loaded(plane: ControlPlane) -> None:
    apply(plane, annotated(deployment("loads", 1, amd=1), pod_ready="1h"))
    plane.until(lambda: "Running" in [pod["status"]["phase"] for pod in pods(plane, "loads")], "the pod")
    (pod,) = pods(plane, "loads")
    ready = next(condition for condition in pod["status"]["conditions"] if condition["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert pod["status"]["podIP"]


def test_a_job_finishes(plane: ControlPlane) -> None:
    plane.kubectl("create", "job", "fill-cache", "--image=example/cache")
    plane.kubectl("wait", "--for=condition=complete", "job/fill-cache", "--timeout=20s")


def test_a_drain_takes_its_time(plane: ControlPlane) -> None:
    apply(plane, annotated(deployment("drains", 1, amd=1), pod_delete="1s"))
    plane.kubectl("rollout", "status", "deployment/drains", "--timeout=20s")
    plane.kubectl("delete", "deployment", "drains")
    plane.until(lambda: any("deletionTimestamp" in pod["metadata"] for pod in pods(plane, "drains")), "the drain")
    plane.until(lambda: not pods(plane, "drains"), "the end of the drain")


def test_the_api_server_comes_back_with_its_data(plane: ControlPlane) -> None:
    before = plane.kubectl("get", "nodes", "-o", "name"), plane.url
    plane.restart_api_server()
    assert (plane.kubectl("get", "nodes", "-o", "name"), plane.url) == before


def test_kubectl_says_why_it_failed(plane: ControlPlane) -> None:
    with pytest.raises(CommandError, match=r'kubectl get pod nobody: .*"nobody" not found'):
        plane.kubectl("get", "pod", "nobody")


def test_service_accounts_have_tokens(plane: ControlPlane) -> None:
    assert plane.kubectl("create", "token", "default").count(".") == 2


def test_without_controllers_pods_can_be_made() -> None:
    with ControlPlane.start() as bare:
        bare.kubectl("run", "lonely", "--image=example/engine")
        folder = bare.folder
        assert (folder.stat().st_mode & 0o777, bare.kubeconfig.is_file()) == (0o700, True)
    assert not folder.exists()


def test_a_failed_start_shows_the_log() -> None:
    with pytest.raises(StartError, match=r"(?s)kube-apiserver ended.*unknown flag: --nonsense") as failure:
        ControlPlane.start(api_server_args=["--nonsense"])
    log = next(Path(word) for word in str(failure.value).split() if word.endswith("kube-apiserver.log"))
    assert log.exists()
    shutil.rmtree(log.parent)


def test_missing_programs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "find", lambda: None)
    with pytest.raises(BinariesMissingError, match=r"binaries\.py"):
        ControlPlane.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_parent(number: int) -> None:
    command = [sys.executable, control_plane.__file__, "--keep"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip()).parent
    assert folder.is_dir()
    parent.send_signal(number)
    parent.wait(20)
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while folder.exists() or _processes_in(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _processes_in(folder: Path) -> list[Path]:
    """Find processes by the folder in their command lines."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in _text(path)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has just ended
        return ""
