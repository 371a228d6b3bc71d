"""One node: what it pretends to be, where its files are, and what its programs are told.

A node has processes and mounts of its own, in the one network that all nodes share. So each has its own /var/lib, /run
and /var/log, its programs run as they do anywhere, and when its first process ends, all of it is gone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from level3 import machine
from level3.images import PAUSE
from level3.network import Network
from testbed.binaries import Binaries
from testbed.gpu_nodes import GPUS

SANDBOX_NAMESPACE = "k8s.io"
"""Where containerd keeps what the kubelet uses."""

_FIRST_PROCESS = """
set -eu
read -r pid rest < /proc/self/stat
mount --make-rshared /
mount --bind "$1/lib" /var/lib
mkdir /var/lib/containerd
[ -z "$2" ] || mount -t tmpfs -o "mode=0711,size=$2g" tmpfs /var/lib/containerd
mount --bind "$1/log" /var/log
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t proc proc /proc
mount --bind "$1/machine/meminfo" /proc/meminfo
mount --bind "$1/machine/node" /sys/devices/system/node
echo "$pid" > "$1/init.new"
mv "$1/init.new" "$1/init"
while :; do sleep 3600 & wait $!; done
"""
"""Its id is read before /proc is the node's own; `wait` takes in the children of processes that have ended.

Images are a hundred thousand files: where there is memory for them no disk is waited for, neither when they are loaded
nor, for up to a minute, when they are removed.
"""
_IMAGES_GIB = 6
_ROOMY_GIB = 12
"""Four nodes hold some 3 GiB of our images; what is free is for the pods and for whatever else runs here."""

_SOCKET = "/run/containerd/containerd.sock"
_STORAGE = "7Ti"
_CNI_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a node pretends to be. `gpus` is a kind of `testbed.gpu_nodes.GPUS` and how many; `memory` is in GiB."""

    name: str
    gpus: tuple[str, int] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    cpus: int = 192
    memory: int = 2048

    def all_labels(self) -> dict[str, str]:
        """Those of the vendor's node labeller, then its own."""
        vendors = GPUS[self.gpus[0]].labels(self.gpus[1]) if self.gpus else {}
        return {**vendors, **self.labels}

    def pretended(self) -> dict[str, str]:
        """What the kubelet does not count by itself: a disk that models fit on, and GPUs."""
        gpus = {GPUS[self.gpus[0]].resource: str(self.gpus[1])} if self.gpus else {}
        return {"ephemeral-storage": _STORAGE, **gpus}


@dataclass(frozen=True, slots=True)
class Node:
    """The node of that number in the cluster, with its folder and the control group of its pods."""

    spec: NodeSpec
    number: int
    folder: Path
    cgroup: str

    @property
    def name(self) -> str:
        """As in the API."""
        return self.spec.name

    @property
    def address(self) -> str:
        """Where its kubelet listens."""
        return Network.node_address(self.number)

    @property
    def socket(self) -> Path:
        """Where its containerd listens, as it is reached from outside the node; a path short enough for any folder."""
        return Path(f"/proc/{self.init.read_text().strip()}/root{_SOCKET}")

    @property
    def kubeconfig(self) -> Path:
        """With which its kubelet is system:node:NAME."""
        return self.folder / "kubeconfig"

    @property
    def init(self) -> Path:
        """Holds the id of its first process as soon as everything is mounted."""
        return self.folder / "init"

    def prepare(self, authority: Path) -> None:
        """Write the files that its programs read."""
        for name in ("lib", "log", "cni", "tmp"):
            (self.folder / name).mkdir(parents=True)
        machine.write(self.folder / "machine", cpus=self.spec.cpus, memory=self.spec.memory)
        (self.folder / "resolv.conf").touch()  # pods ask the cluster's name server and nobody behind it
        (self.folder / "containerd.toml").write_text(self._containerd())
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(self._pod_network()))
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet(authority)))

    def first_process(self) -> list[str]:
        """Make its namespaces; they end with this process, and it with the one that started it."""
        namespaces = ["unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child=KILL"]
        in_memory = str(_IMAGES_GIB) if machine.available_gib() >= _ROOMY_GIB else ""
        return [*namespaces, "/bin/sh", "-c", _FIRST_PROCESS, "node", str(self.folder), in_memory]

    def containerd(self) -> list[str]:
        """Run containers."""
        return [*self._inside(), "containerd", f"--config={self.folder / 'containerd.toml'}"]

    def kubelet(self, programs: Binaries) -> list[str]:
        """Run pods."""
        return [
            *self._inside(),
            str(programs.kubelet),
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self.kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
        ]

    def ctr(self, *args: str) -> list[str]:
        """Speak with its containerd."""
        return ["ctr", f"--address={self.socket}", f"--namespace={SANDBOX_NAMESPACE}", *args]

    def patches(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is put into the node object, and into its status; the kubelet lets both be."""
        pretended = self.spec.pretended()
        return {"metadata": {"labels": self.spec.all_labels()}}, {
            "status": {"capacity": pretended, "allocatable": pretended}
        }

    def _inside(self) -> list[str]:
        """Enter the namespaces; what is entered for ends with the process that entered, which is the one we see."""
        return [
            *("nsenter", f"--target={self.init.read_text().strip()}", "--mount", "--pid", "--net"),
            *("setpriv", "--pdeathsig", "KILL", "env", f"TMPDIR={self.folder / 'tmp'}"),
        ]

    def _containerd(self) -> str:
        snapshotter = "overlayfs" if "\toverlay\n" in Path("/proc/filesystems").read_text() else "native"
        plugins = next((place for place in _CNI_PLUGINS if Path(place, "host-local").exists()), _CNI_PLUGINS[0])
        return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{self.folder / "cni"}"
"""

    def _pod_network(self) -> dict[str, Any]:
        """Each pod on a wire of its own: on a bridge, neighbours' answers would miss the Service's translation."""
        wire = {
            "type": "ptp",
            "mtu": 1500,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": Network.pods_of_node(self.number)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        port_map = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [wire, port_map]}

    def _kubelet(self, authority: Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "healthzBindAddress": self.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": False,
            # The machine's disk is not the test's business.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "clusterDNS": [Network.DNS_SERVICE],
            "clusterDomain": Network.DOMAIN,
            "resolvConf": str(self.folder / "resolv.conf"),
            "registerWithTaints": [dict(taint) for taint in self.spec.taints],
            "maxPods": 110,
        }
