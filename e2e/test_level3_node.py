"""Level 3's own smoke tests: what a pod, a user and an operator may rely on in the cluster of real nodes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from level3 import images, leftovers, prerequisites
from level3.cluster import Cluster, NodeSpec
from testbed.errors import CommandError

_MISSING = prerequisites.missing()
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(_MISSING), reason=f"no cluster of real nodes here: {'; '.join(_MISSING)}"),
]

Object = dict[str, Any]

_SERVE = "import http.server as h,signal,sys;signal.signal(15,lambda *_:sys.exit());"
_SERVE += "print('serving',flush=True);h.ThreadingHTTPServer(('',8000),h.SimpleHTTPRequestHandler).serve_forever()"
_ASK = "import sys,urllib.request as u;print(*(u.urlopen(url,timeout=5).status for url in sys.argv[1:]))"
_LIST_PODS = """
import ssl, urllib.request as u
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
token = open(folder + "token").read()
url = "https://kubernetes.default/api/v1/namespaces/default/%s"
ask = u.Request(url, headers={"Authorization": "Bearer " + token})
try:
    print(u.urlopen(ask, context=ssl.create_default_context(cafile=folder + "ca.crt"), timeout=5).status)
except u.HTTPError as refused:
    print(refused.code)
"""
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes with GPUs and one without, and an image to run."""
    folder = tmp_path_factory.mktemp("level3")
    archive = folder / "python.tar"
    images.python().save(archive, images.PYTHON)
    with Cluster.start(folder / "c") as running:
        running.import_image(archive, names=("vllm/vllm-openai:v0.33.0",))
        yield running


def container(image: str = images.PYTHON, script: str = _SERVE, **fields: Any) -> Object:
    probe = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}
    more = {"readinessProbe": probe, "securityContext": _RESTRICTED} | fields
    return {"name": "main", "image": image, "args": ["-c", script], "imagePullPolicy": "Never", **more}


def pod(name: str, namespace: str = "default", spec: Object | None = None, **fields: Any) -> Object:
    described = {"containers": [container(**fields)], "terminationGracePeriodSeconds": 2} | (spec or {})
    about = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": described}


def deployment(name: str, replicas: int, spec: Object | None = None, **fields: Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name, spec=spec, **fields)["spec"]}
    about = {"name": name, "namespace": "default"}
    wanted = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": wanted}


def service(name: str) -> Object:
    wanted = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": wanted}


def budget(name: str) -> Object:
    wanted = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}
    about = {"name": name, "namespace": "default"}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": about, "spec": wanted}


def rolled_out(cluster: Cluster, name: str) -> None:
    cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")


def ready(cluster: Cluster, name: str, namespace: str = "default") -> None:
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=60s")


def pods(cluster: Cluster, app: str) -> list[Object]:
    found: list[Object] = json.loads(cluster.kubectl("get", "pods", "-l", f"app={app}", "-o", "json"))["items"]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def nodes_of(cluster: Cluster, app: str) -> set[str]:
    return {each["spec"]["nodeName"] for each in pods(cluster, app)}


def ask(cluster: Cluster, name: str, *urls: str) -> list[str]:
    return cluster.kubectl("exec", name, "--", "python", "-c", _ASK, *urls).split()


def ask_once(cluster: Cluster, name: str, url: str) -> str:
    with contextlib.suppress(CommandError):
        return ask(cluster, name, url)[0]
    return ""


def test_a_service_is_reached_by_name_and_by_address(cluster: Cluster) -> None:
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    constraint = spread | {"labelSelector": {"matchLabels": {"app": "web"}}}
    cluster.apply(deployment("web", 2, {"topologySpreadConstraints": [constraint]}), service("web"), pod("client"))
    rolled_out(cluster, "web")
    ready(cluster, "client")
    cluster.until(lambda: ask_once(cluster, "client", "http://web") == "200", "the Service to answer")
    address = cluster.get("service", "web")["spec"]["clusterIP"]
    assert len(nodes_of(cluster, "web")) == 2
    urls = ("http://web", "http://web.default.svc.cluster.local", f"http://{address}")
    # As often as it takes to meet both replicas, and the client's own node.
    assert ask(cluster, "client", *urls, *urls, *urls, *urls) == ["200"] * 12


def test_a_service_is_reached_from_the_network_and_from_this_machine(cluster: Cluster) -> None:
    cluster.apply(deployment("open", 1), service("open"))
    rolled_out(cluster, "open")
    asking = [sys.executable, "-c", _ASK, "http://open.default"]
    # A ready pod is not yet in every node's rules: kube-proxy hears of it on its own.
    cluster.until(lambda: cluster.in_network(asking, check=False).stdout.strip() == "200", "the Service to answer")
    with pytest.raises(CommandError, match=r"Name or service not known|Temporary failure"):
        cluster.in_network([sys.executable, "-c", _ASK, "http://nobody.default"])
    host, port = cluster.reach("open.default", 80)
    with urllib.request.urlopen(f"http://{host}:{port}", timeout=5) as answer:
        assert answer.status == 200


def test_pods_of_a_restricted_namespace_hold_to_it(cluster: Cluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}})
    with pytest.raises(CommandError, match=r"violates PodSecurity .*runAsNonRoot"):
        cluster.apply(pod("rooted", "strict", securityContext={"runAsUser": 0}))
    cluster.until(lambda: bool(cluster.get("serviceaccount", "default", "strict")), "the service account")
    cluster.apply(pod("held", "strict"))
    ready(cluster, "held", "strict")
    who = cluster.kubectl("exec", "held", "-n", "strict", "--", "python", "-c", "import os;print(os.getuid())")
    assert who.strip() == "65532"


def test_pretend_gpus_are_handed_out_until_none_is_left(cluster: Cluster) -> None:
    gpus = {"limits": {"nvidia.com/gpu": "8", "memory": "512Gi"}, "requests": {"cpu": "64", "memory": "512Gi"}}
    image = "vllm/vllm-openai:v0.33.0"
    cluster.apply(*(pod(f"engine-{number}", image=image, resources=gpus) for number in range(3)))
    try:
        cluster.until(lambda: _phases(cluster) == ["Pending", "Running", "Running"], "two of three engines")
        labels = cluster.get("node", "gpu-a")["metadata"]["labels"]
        assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
        waiting = next(pod for pod in _engines(cluster) if pod["status"]["phase"] == "Pending")
        assert "Insufficient nvidia.com/gpu" in json.dumps(waiting["status"]["conditions"])
    finally:
        cluster.kubectl("delete", "pod", *(f"engine-{number}" for number in range(3)))


def _engines(cluster: Cluster) -> list[Object]:
    return [cluster.get("pod", f"engine-{number}") for number in range(3)]


def _phases(cluster: Cluster) -> list[str]:
    return sorted(engine["status"]["phase"] for engine in _engines(cluster))


def test_gpus_outlive_the_kubelets_updates(cluster: Cluster) -> None:
    def heartbeat() -> str:
        conditions = cluster.get("node", "gpu-a")["status"]["conditions"]
        return str(next(each["lastHeartbeatTime"] for each in conditions if each["type"] == "Ready"))

    before = heartbeat()
    cluster.kubectl("label", "node", "gpu-a", "touched=yes")
    cluster.kubectl(  # a condition of the kubelet's own that it corrects at its next update
        *("patch", "node", "gpu-a", "--subresource=status", "--type=strategic", "-p"),
        '{"status":{"conditions":[{"type":"DiskPressure","status":"Unknown"}]}}',
    )
    cluster.until(lambda: heartbeat() != before, "the kubelet's next update")
    status = cluster.get("node", "gpu-a")["status"]
    assert status["capacity"]["nvidia.com/gpu"] == status["allocatable"]["nvidia.com/gpu"] == "8"
    assert (status["capacity"]["cpu"], status["capacity"]["memory"]) == ("192", "2Ti")


def test_draining_a_node_moves_its_pods(cluster: Cluster) -> None:
    cluster.apply(deployment("moves", 3))
    rolled_out(cluster, "moves")
    drained = min(nodes_of(cluster, "moves"))
    cluster.drain(drained)
    try:
        rolled_out(cluster, "moves")
        assert drained not in nodes_of(cluster, "moves")
        assert len(pods(cluster, "moves")) == 3
    finally:
        cluster.uncordon(drained)


def test_a_disruption_budget_refuses_an_eviction(cluster: Cluster) -> None:
    cluster.apply(deployment("kept", 1), budget("kept"))
    rolled_out(cluster, "kept")
    cluster.until(lambda: cluster.get("pdb", "kept").get("status", {}).get("currentHealthy") == 1, "the budget")
    (kept,) = pods(cluster, "kept")
    with pytest.raises(CommandError, match="Cannot evict pod"):
        cluster.drain(kept["spec"]["nodeName"], "--pod-selector=app=kept", timeout=3)
    cluster.uncordon(kept["spec"]["nodeName"])
    refused = [event for event in cluster.audit() if event.subresource == "eviction" and event.code == 429]
    assert {event.name for event in refused} == {kept["metadata"]["name"]}
    cluster.kubectl("delete", "deployment,pdb", "kept")


def test_logs_and_exec_and_forwarding(cluster: Cluster) -> None:
    cluster.apply(pod("talks"))
    ready(cluster, "talks")
    assert cluster.logs("talks").strip().splitlines()[0] == "serving"
    assert cluster.kubectl("exec", "talks", "--", "python", "-c", "print(6*7)").strip() == "42"
    forward = cluster.start_in_network(
        "forward", [_kubectl(), f"--kubeconfig={cluster.kubeconfig}", "port-forward", "pod/talks", "18000:8000"]
    )
    cluster.until(lambda: "Forwarding from" in forward.tail(), "the forwarding")
    assert cluster.in_network([sys.executable, "-c", _ASK, "http://127.0.0.1:18000"]).stdout.strip() == "200"
    forward.kill()
    cluster.forget("forward")


def _kubectl() -> str:
    return str(prerequisites.check().kubectl)


def test_a_killed_pod_is_started_again(cluster: Cluster) -> None:
    cluster.apply(pod("falls"))
    ready(cluster, "falls")
    cluster.kill_pod("falls")
    cluster.until(lambda: _restarts(cluster, "falls") >= 1, "the restart")
    ready(cluster, "falls")
    assert cluster.get("pod", "falls")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137


def _restarts(cluster: Cluster, name: str) -> int:
    return int(cluster.get("pod", name)["status"]["containerStatuses"][0]["restartCount"])


def test_the_audit_log_shows_what_a_service_account_asked(cluster: Cluster) -> None:
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:default")
    cluster.apply(pod("asks"))
    ready(cluster, "asks")
    for what, code in (("pods", "200"), ("secrets", "403")):
        assert cluster.kubectl("exec", "asks", "--", "python", "-c", _LIST_PODS % what).strip() == code
    account = "system:serviceaccount:default:default"
    seen = [(e.verb, e.resource, e.code, e.decision) for e in cluster.audit() if e.user == account]
    assert ("list", "pods", 200, "allow") in seen
    assert ("list", "secrets", 403, "forbid") in seen


def test_helm_installs_a_chart(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: trivial\nversion: 0.1.0\n")
    manifest = deployment("charted", 1)
    del manifest["metadata"]["namespace"]
    (tmp_path / "templates" / "deployment.yaml").write_text(json.dumps(manifest))
    cluster.helm(
        "install", "charted", str(tmp_path), "--wait", "--timeout=60s", "--namespace=charts", "--create-namespace"
    )
    assert cluster.get("deployment", "charted", "charts")["status"]["readyReplicas"] == 1
    with pytest.raises(CommandError, match=r"cannot (reuse|re-use) a name"):
        cluster.helm("install", "charted", str(tmp_path), "--namespace=charts")


def test_a_node_loses_its_power_and_the_cluster_its_end(tmp_path: Path) -> None:
    with Cluster.start(tmp_path / "c", (NodeSpec("one"), NodeSpec("two"))) as cluster:
        assert cluster.nodes == ("one", "two")
        cluster.power_off("two")
        assert not _left(cluster.folder / "nodes" / "two", f"{cluster.cgroup}/nobody")
        assert _left(cluster.folder / "nodes" / "one", f"{cluster.cgroup}/nobody")
        assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/one", "node/two"]
    assert not _left(cluster.folder, cluster.cgroup)
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".log"}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


_KILLED = """
import sys, signal
from pathlib import Path
from level3.cluster import Cluster, NodeSpec
with Cluster.start(Path(sys.argv[1]), (NodeSpec("one"),)) as cluster:
    print(cluster.cgroup, flush=True)
    signal.pause()
"""


def _started(folder: Path) -> "subprocess.Popen[str]":
    """A process of its own that runs a cluster of one node, and says so."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", _KILLED, str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)


def _left(folder: Path, cgroup: str) -> list[str]:
    """Control groups, and processes but for the guard's."""
    groups = [str(each / cgroup) for each in leftovers.hierarchies() if (each / cgroup).exists()]
    return groups + [
        str(path) for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(folder) in _content(path)
    ]


def test_nothing_is_left_when_the_process_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    with _started(folder) as process:
        assert process.stdout is not None
        cgroup = process.stdout.readline().strip()
        assert cgroup
        process.kill()
    deadline = time.monotonic() + 30
    while folder.exists() or _left(folder, cgroup):
        assert time.monotonic() < deadline, _left(folder, cgroup)
        time.sleep(0.1)


def test_the_next_start_ends_what_even_the_guard_could_not(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    with _started(folder) as process:
        assert process.stdout is not None
        cgroup = process.stdout.readline().strip()
        guard = b"testbed-guard\0" + os.fsencode(folder)
        guards = [path for path in Path("/proc").glob("[0-9]*/cmdline") if guard in _content(path)]
        os.kill(int(guards[0].parent.name), signal.SIGKILL)
        process.kill()
    assert _left(folder, cgroup)
    with Cluster.start(folder, (NodeSpec("one"),)) as cluster:
        assert cluster.cgroup != cgroup
        assert not any((each / cgroup).exists() for each in leftovers.hierarchies())
    assert not _left(folder, cgroup)
