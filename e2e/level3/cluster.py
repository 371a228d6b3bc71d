"""A real cluster on this machine: control plane, nodes with kubelet and containerd, Services and names.

    with Cluster.start(tmp_path / "c", nodes=(NodeSpec("gpu-a", gpus=("h100", 8)), NodeSpec("cpu-a"))) as cluster:
        cluster.import_image(Path("penstock.tar"), names=("ghcr.io/penstock-dev/penstock:0.1.0",))
        cluster.helm("install", "penstock", "charts/penstock")

Everything is in namespaces: the machine's own network, mounts and folders are left alone, and any number of clusters
run side by side. `python -m level3 --keep` runs one until Ctrl-C.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from level3 import audit, images, leftovers, prerequisites
from level3.audit import AuditEvent
from level3.command_lines import ADMINISTRATOR, Place, name_service
from level3.network import Network
from level3.nodes import Node, NodeSpec
from testbed.binaries import Binaries
from testbed.command_lines import Site, etcd
from testbed.commands import run
from testbed.connection import Connection
from testbed.errors import CommandError, NotReadyError, StartError, TestbedError
from testbed.processes import Daemon, Group, OfDaemons

__all__ = ["NODES", "AuditEvent", "Cluster", "NodeSpec"]

NODES = (NodeSpec("gpu-a", gpus=("h100", 8)), NodeSpec("gpu-b", gpus=("h100", 8)), NodeSpec("cpu-a"))
API_SERVER = "kube-apiserver"

_HERE = Path(__file__).resolve().parent
_PATIENCE_SECONDS = 120.0


class Cluster(OfDaemons):
    """A running cluster; `start` makes one, the end of the `with` block ends it."""

    def __init__(self, programs: Binaries, folder: Path, nodes: Sequence[NodeSpec]) -> None:
        self.cgroup = f"penstock-{secrets.token_hex(4)}"
        self._listener = _listen()
        self._place = Place(programs, Site(folder, self._listener.getsockname()[1]))
        self._nodes = {spec.name: self._node(spec, number) for number, spec in enumerate(nodes, 1)}
        self._group = Group(folder, sweep=(sys.executable, str(_HERE / "leftovers.py"), str(folder)))
        self._network = Network(0)
        self._connection: Connection | None = None

    @classmethod
    def start(cls, folder: Path, nodes: Sequence[NodeSpec] = NODES) -> Self:
        """Start one and wait until all nodes are Ready.

        The folder is made; what an earlier cluster left in it, or of it, is removed. UnfitMachineError tells what this
        machine lacks, StartError why the cluster did not come up.
        """
        prerequisites.check_nodes(nodes)
        programs = prerequisites.check()
        folder = folder.resolve()
        prerequisites.check_folder(folder)
        _make_room(folder)
        cluster = cls(programs, folder, nodes)
        try:
            cluster._boot()
        except NotReadyError as error:
            cluster.stop()
            message = f"{error}\nthe logs stay in {folder}"
            raise StartError(message) from error
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @property
    def kubeconfig(self) -> Path:
        """The file to connect with as a member of system:masters, from this machine and from the cluster's network."""
        return self._place.site.kubeconfig

    @property
    def url(self) -> str:
        """Where the API server answers, likewise."""
        return self._place.url()

    @property
    def folder(self) -> Path:
        """Where logs and data are; after `stop` the logs alone."""
        return self._place.folder

    @property
    def enter(self) -> tuple[str, ...]:
        """The command in front of another one that is to run in the cluster's network."""
        return tuple(self._network.inside(()))

    @property
    def nodes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._nodes)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints."""
        place = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'kubectl'}"]
        return run([str(self._place.programs.kubectl), *place, *args], more={"KUBERC": "off"}, stdin=stdin)

    def helm(self, *args: str, stdin: str | None = None) -> str:
        """Run Helm, with folders of its own for what it keeps, and return what it prints."""
        kept = {f"HELM_{name}_HOME": str(self.folder / "helm" / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return run(
            [str(self._place.programs.helm), *args], more=kept | {"KUBECONFIG": str(self.kubeconfig)}, stdin=stdin
        )

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Server-side apply as users do it."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One object, or an empty one where it is absent."""
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def logs(self, what: str, namespace: str = "default", *args: str) -> str:
        """What a pod's containers print, or those of `deployment/NAME`."""
        return self.kubectl("logs", what, "-n", namespace, "--all-containers", *args)

    def import_image(self, archive: Path, names: Sequence[str] = (), nodes: Sequence[str] = ()) -> None:
        """Load an image archive into the containerd of every node, or of some, under its own name and under others."""
        own = images.names_in(archive)
        if not own:
            message = f"{archive} names no image. Save it under a name, as with docker save NAME:TAG"
            raise CommandError(message)
        chosen = [self._nodes[name] for name in nodes or self._nodes]
        with ThreadPoolExecutor(len(chosen)) as pool:
            for done in [pool.submit(_import, node, archive, own[0], names) for node in chosen]:
                done.result()

    def audit(self) -> Iterator[AuditEvent]:
        """Every request that the API server has answered since the start, oldest first."""
        return audit.read(self._place.audit_log)

    def in_network(
        self, argv: Sequence[str], *, timeout: float | None = None, stdin: str | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command where pods' addresses, cluster IPs and Services' names are known; paths must be absolute.

        CommandError where `check` is set and the command fails.
        """
        ran = subprocess.run(
            self._network.inside(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and ran.returncode:
            message = f"{' '.join(argv)}: {ran.stderr.strip()}"
            raise CommandError(message)
        return ran

    def start_in_network(self, name: str, argv: Sequence[str]) -> Daemon:
        """Start a program there, which ends with the cluster; its output goes to NAME.log."""
        return self._group.start(name, self._network.inside(argv))

    def forget(self, name: str) -> None:
        """Take a program that was ended on purpose out of what is watched."""
        self._group.forget(name)

    def reach(self, host: str, port: int) -> tuple[str, int]:
        """Make an address of the cluster, a Service's name for one, reachable from this machine; return where."""
        with _listen() as listener:
            address, found = listener.getsockname()
            self._relay(f"relay-{found}", listener, host, port)
        return str(address), int(found)

    def drain(self, node: str, *args: str, timeout: float = 120.0) -> str:
        """Evict a node's pods, as before maintenance; CommandError where a disruption budget holds one for too long."""
        words = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={timeout:.0f}s")
        return self.kubectl("drain", node, *words, *args)

    def uncordon(self, node: str) -> None:
        """Let pods come to it again."""
        self.kubectl("uncordon", node)

    def kill_pod(self, pod: str, namespace: str = "default") -> None:
        """Kill all processes of a pod at once, as the kernel does when memory is out; its kubelet starts it again."""
        found = self.get("pod", pod, namespace)
        if not found:
            message = f"no pod {namespace}/{pod} to kill"
            raise CommandError(message)
        for pid in _processes(self.cgroup, found["metadata"]["uid"]):
            os.kill(pid, signal.SIGKILL)

    def power_off(self, node: str) -> None:
        """End a node and all that runs on it at once; the others notice after the node monitor's grace period."""
        for name in ("kubelet", "containerd", "node"):
            self._group[f"{name}-{node}"].kill()
            self._group.forget(f"{name}-{node}")

    def until(self, condition: Callable[[], bool], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait for something; NotReadyError with the ends of the logs when it takes too long or a program has ended."""
        self._group.until(condition, what, seconds)

    def stop(self) -> None:
        """End everything; logs and the audit log stay in the folder."""
        if self._connection is not None:
            self._connection.close()
        # Nothing of it is used again, so nobody is asked to finish.
        self._group.stop(0.0)
        self._listener.close()
        leftovers.sweep(self.folder)
        _remove_all_but_logs(self.folder)

    def _node(self, spec: NodeSpec, number: int) -> Node:
        return Node(spec, number, self._place.folder / "nodes" / spec.name, f"{self.cgroup}/{spec.name}")

    def _boot(self) -> None:
        self._prepare()
        holder = self._group.start("network", Network.holder(self.folder, len(self._nodes)))
        leftovers.record(self.folder, "network", holder.process.pid)
        self._network = Network(holder.process.pid)
        self.until(lambda: Network.made(self.folder), "the network")
        self._run("etcd", etcd(self._place.programs, self._place.site))
        for node in self._nodes.values():
            self._run(f"node-{node.name}", node.first_process())
        self.until(self._place.site.etcd_socket.is_socket, "etcd")
        self._run(API_SERVER, self._place.api_server())
        self._relay("relay", self._listener, "127.0.0.1", self._place.site.port)
        self._start_containerds()
        self.until(lambda: self._api().answers("/readyz"), "the API server")
        self._start_others()
        self.until(self._complete, "some node")

    def _prepare(self) -> None:
        self._place.certify()
        self._place.allow(list(self._nodes))
        self._place.write_kubeconfig(ADMINISTRATOR, self.kubeconfig)
        self._place.audit_policy.write_text(json.dumps(audit.POLICY))
        (self.folder / leftovers.CGROUP).write_text(self.cgroup)
        images.pause().save(self.folder / "pause.tar", images.PAUSE)
        for node in self._nodes.values():
            node.prepare(self._place.authority.certificate)
            self._place.write_kubeconfig(f"system:node:{node.name}", node.kubeconfig)
            for hierarchy in leftovers.hierarchies():
                (hierarchy / node.cgroup).mkdir(parents=True)

    def _start_containerds(self) -> None:
        for node in self._nodes.values():
            self.until(node.init.exists, f"node {node.name}")
            leftovers.record(self.folder, f"init-{node.name}", int(node.init.read_text()))
            self._group.start(f"containerd-{node.name}", node.containerd())
        for node in self._nodes.values():
            self.until(node.socket.is_socket, f"containerd of {node.name}")
        self.import_image(self.folder / "pause.tar")

    def _start_others(self) -> None:
        self._run("kube-controller-manager", self._place.controller_manager())
        self._run("kube-scheduler", self._place.scheduler())
        for node in self._nodes.values():
            self._group.start(f"kubelet-{node.name}", node.kubelet(self._place.programs))
        self.apply(*name_service())
        self._run("coredns", self._place.names())
        self._run("kube-proxy", self._place.proxy(self.nodes[0]))
        self.until(lambda: self._registered() == set(self.nodes), "the kubelets")
        for node in self._nodes.values():
            about, status = node.patches()
            self.kubectl("patch", "node", node.name, "--type=merge", "-p", json.dumps(about))
            self.kubectl("patch", "node", node.name, "--subresource=status", "--type=merge", "-p", json.dumps(status))

    def _registered(self) -> set[str]:
        return {node["metadata"]["name"] for node in self._api().read("/api/v1/nodes")["items"]}

    def _complete(self) -> bool:
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        nodes = self._api().read("/api/v1/nodes")["items"]
        return all(map(self._is_complete, nodes)) and self._api().answers(account)

    def _is_complete(self, node: dict[str, Any]) -> bool:
        pretended = self._nodes[node["metadata"]["name"]].spec.pretended()
        allocatable = node["status"].get("allocatable", {})
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        # The lifecycle controller takes this taint away a moment after the node is Ready.
        barred = any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", ()))
        return ready and not barred and pretended.items() <= allocatable.items()

    def _run(self, name: str, argv: Sequence[str]) -> None:
        daemon = self._group.start(name, self._network.inside(argv))
        leftovers.record(self.folder, name, daemon.process.pid)

    def _relay(self, name: str, listener: socket.socket, host: str, port: int) -> None:
        relay = [sys.executable, str(_HERE / "relay.py"), str(listener.fileno()), host, str(port)]
        daemon = self._group.start(name, self._network.inside(relay), pass_fds=(listener.fileno(),))
        leftovers.record(self.folder, name, daemon.process.pid)

    def _api(self) -> Connection:
        if self._connection is None:
            token = self._place.tokens[ADMINISTRATOR]
            self._connection = Connection(self._place.site.port, token, self._place.authority.certificate)
        return self._connection


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _import(node: Node, archive: Path, own: str, names: Sequence[str]) -> None:
    run(node.ctr("images", "import", str(archive.resolve())))
    for name in names:
        if images.full_name(name) != images.full_name(own):
            run(node.ctr("images", "tag", "--force", images.full_name(own), images.full_name(name)))


def _processes(cgroup: str, uid: str) -> set[int]:
    """All processes of a pod, by its control group."""
    hierarchy = next(iter(leftovers.hierarchies()))
    files = (path for pod in (hierarchy / cgroup).rglob(f"pod{uid}") for path in pod.rglob("cgroup.procs"))
    return {int(line) for path in files for line in path.read_text().split()}


def _make_room(folder: Path) -> None:
    """Remove what an earlier cluster left there; refuse a folder that is somebody else's."""
    if folder.exists() and any(folder.iterdir()):
        if not any((folder / name).exists() for name in (leftovers.CGROUP, leftovers.PIDS, "tokens.csv", "audit.log")):
            message = f"{folder} holds files that are no cluster's. Name a folder that is empty or does not exist yet"
            raise TestbedError(message)
        leftovers.sweep(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _remove_all_but_logs(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".log":
            path.unlink(missing_ok=True)
