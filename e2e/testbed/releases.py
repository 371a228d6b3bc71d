"""What the test bed is made of: programs, the Go module of each, its version.

The go.mod files in the folders beside this one are the only place where a version is written,
and together with the go.sum files they are the key of the cache.
"""

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Release:
    """One upstream project at one version."""

    folder: str
    module: str

    @property
    def directory(self) -> Path:
        """Where its go.mod lies."""
        return HERE / self.folder

    @property
    def version(self) -> str:
        """The version that its go.mod requires, as in v1.36.3."""
        wanted = rf"^\s*(?:require\s+)?{re.escape(self.module)}\s+(v\S+)"
        found = re.search(wanted, (self.directory / "go.mod").read_text(), re.MULTILINE)
        if found is None:
            message = f"{self.directory / 'go.mod'} does not require {self.module}"
            raise LookupError(message)
        return found.group(1)


@dataclass(frozen=True, slots=True)
class Program:
    """One binary, and the Go package that it is built from."""

    name: str
    release: Release
    package: str


KUBERNETES = Release("kubernetes", "k8s.io/kubernetes")
ETCD = Release("etcd", "go.etcd.io/etcd/server/v3")
KWOK = Release("kwok", "sigs.k8s.io/kwok")
COREDNS = Release("coredns", "github.com/coredns/coredns")
HELM = Release("helm", "helm.sh/helm/v4")
BUILDKIT = Release("buildkit", "github.com/moby/buildkit")
PROMETHEUS = Release("prometheus", "github.com/prometheus/prometheus")
RELEASES = (KUBERNETES, ETCD, KWOK, COREDNS, HELM, BUILDKIT, PROMETHEUS)

CORE = (
    Program("kube-apiserver", KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program("etcd", ETCD, "go.etcd.io/etcd/server/v3"),
    Program("kubectl", KUBERNETES, "k8s.io/kubernetes/cmd/kubectl"),
)
CONTROLLERS = (
    Program("kube-controller-manager", KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Program("kube-scheduler", KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler"),
)
NODES = (Program("kwok", KWOK, "sigs.k8s.io/kwok/cmd/kwok"),)
PROGRAMS = CORE + CONTROLLERS + NODES
"""Of levels 1 and 2."""
CLUSTER = (
    Program("kubelet", KUBERNETES, "k8s.io/kubernetes/cmd/kubelet"),
    Program("kube-proxy", KUBERNETES, "k8s.io/kubernetes/cmd/kube-proxy"),
    Program("coredns", COREDNS, "github.com/coredns/coredns"),
    Program("helm", HELM, "helm.sh/helm/v4/cmd/helm"),
    Program("buildkitd", BUILDKIT, "github.com/moby/buildkit/cmd/buildkitd"),
    Program("buildctl", BUILDKIT, "github.com/moby/buildkit/cmd/buildctl"),
    Program("promtool", PROMETHEUS, "github.com/prometheus/prometheus/cmd/promtool"),
)
"""What level 3, images and charts need beside them."""


def go_platform() -> str:
    """Name this machine as Go and the download sites do, as in linux/amd64."""
    machine = platform.machine().lower()
    return f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}"


def cache_root() -> Path:
    """Tell where built and downloaded programs are kept, for all versions."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "penstock" / "testbed"


def cache_key() -> str:
    """Hash everything that decides what the programs are."""
    digest = hashlib.sha256(go_platform().encode())
    for release in RELEASES:
        for name in ("go.mod", "go.sum"):
            digest.update((release.directory / name).read_bytes())
    return digest.hexdigest()[:16]


def cache_bin() -> Path:
    """Tell where the programs of these very versions are kept."""
    return cache_root() / cache_key() / "bin"
