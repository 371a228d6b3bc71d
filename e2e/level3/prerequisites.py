"""What this machine must have for a cluster of real nodes, and what to do where it does not."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from level3 import leftovers
from level3.nodes import NodeSpec
from testbed.binaries import Binaries, find
from testbed.errors import BinariesMissingError, TestbedError
from testbed.gpu_nodes import GPUS

_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
"""The Debian and Ubuntu packages of the commands."""
_PROGRAMS = ("kubelet", "kube_proxy", "coredns", "helm", "kube_controller_manager", "kube_scheduler")
_LONGEST_FOLDER = 90
"""etcd's socket lies in it, and its path may have 107 characters."""
_HIDDEN = ("/run", "/var/run", "/var/lib", "/var/log")
"""Places of which each node has its own."""


_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


class NodesError(TestbedError):
    """The nodes that were asked for cannot be."""


class UnfitMachineError(TestbedError):
    """This machine lacks something that containers need."""


def missing() -> list[str]:
    """Say what is missing, and the cure; empty where a cluster can be started."""
    return [*_rights(), *_commands(), *_kernel(), *_programs()]


def check() -> Binaries:
    """Find the programs; UnfitMachineError names everything that is missing."""
    if complaints := missing():
        raise UnfitMachineError(
            "a cluster of real nodes cannot run here:\n" + "\n".join(f"- {each}" for each in complaints)
        )
    programs = find()
    if programs is None:  # they were there a moment ago
        message = "the test bed's programs are gone"
        raise BinariesMissingError(message)
    return programs


def check_folder(folder: Path) -> None:
    """Refuse a folder that a node's programs could not use."""
    if len(str(folder)) > _LONGEST_FOLDER:
        message = (
            f"{folder} has {len(str(folder))} characters; a socket in it allows {_LONGEST_FOLDER}. Take a shorter one"
        )
        raise UnfitMachineError(message)
    if any(folder.is_relative_to(place) for place in _HIDDEN):
        message = f"{folder}: each node has a {', '.join(_HIDDEN)} of its own. Take a folder elsewhere, as below /tmp"
        raise UnfitMachineError(message)


def check_nodes(specs: Sequence[NodeSpec]) -> None:
    """Refuse what could be no cluster's nodes."""
    names = [spec.name for spec in specs]
    wrong = {
        "none": not names,
        f"{', '.join(names)}: names must differ": len(set(names)) < len(names),
        **{f"{name}: no name of a node, such as gpu-a": not _NODE_NAME.fullmatch(name) for name in names},
        **{f"{spec.gpus}: kinds are {', '.join(GPUS)}": spec.gpus[0] not in GPUS for spec in specs if spec.gpus},
    }
    if complaints := [complaint for complaint, is_so in wrong.items() if is_so]:
        raise NodesError("nodes: " + "; ".join(complaints))


def _rights() -> Iterator[str]:
    if os.geteuid():
        yield "not root: namespaces, mounts and control groups need it. Run this as root, or use level 2"


def _commands() -> Iterator[str]:
    lacking = [command for command in _PACKAGES if shutil.which(command) is None]
    packages = {_PACKAGES[command] for command in lacking}
    if not any(Path(place, "ptp").exists() for place in ("/usr/lib/cni", "/opt/cni/bin")):
        lacking.append("the CNI plug-in ptp")
        packages.add("containernetworking-plugins")
    if lacking:
        yield f"no {', '.join(lacking)}: apt-get install {' '.join(sorted(packages))} (or what your system calls them)"


def _kernel() -> Iterator[str]:
    if not Path("/proc/self/ns/net").exists():
        yield "no network namespaces in this kernel (CONFIG_NET_NS)"
    if not leftovers.HIERARCHIES.is_dir() or not list(leftovers.hierarchies()):
        yield f"no control groups below {leftovers.HIERARCHIES}: mount cgroup2 there"
    elif not os.access(next(iter(leftovers.hierarchies())), os.W_OK):
        yield f"control groups below {leftovers.HIERARCHIES} are read-only: run this outside an unprivileged container"


def _programs() -> Iterator[str]:
    programs = find()
    lacking = [name for name in _PROGRAMS if programs is None or getattr(programs, name) is None]
    if lacking:
        yield f"no {', '.join(lacking)}: run `python e2e/testbed/binaries.py --cluster`"
