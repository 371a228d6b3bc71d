"""A cluster of four nodes with Penstock's own images on it, and what its users do: install, serve, load, upgrade."""

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installed.images import Images
from installed.load import Tally, read
from installed.manifests import (
    CONSUMER_KEY,
    GATEWAY_NAMESPACE,
    MODELS_NAMESPACE,
    SYSTEM_NAMESPACE,
    namespaces,
    platform,
    volume,
)
from level3.cluster import Cluster, NodeSpec
from level3.network import Network
from penstock.access.rights import Reach
from testbed.binaries import find
from testbed.errors import CommandError
from testbed.processes import Daemon

__all__ = ["CHART", "MANAGER", "NODES", "Load", "NotInTime", "Platform", "listed", "running"]

Object = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
CHART = _ROOT / "charts" / "penstock"
_FOR_GPUS = ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},)
NODES = (
    NodeSpec("gpu-a", gpus=("h100", 8), labels={"pool": "h100"}, taints=_FOR_GPUS),
    NodeSpec("gpu-b", gpus=("h100", 8), labels={"pool": "h100"}, taints=_FOR_GPUS),
    NodeSpec("cpu-a"),
    NodeSpec("cpu-b"),
)

MANAGER = "platform-team"
"""The field manager of the platform's own resources."""

_PATIENCE_SECONDS = 180.0
_LOOK_SECONDS = 0.25
_KEY_BYTES = 24
_FAREWELL_SECONDS = 60.0
_HUB_PORT = 8333
_USER = 65532
_ENV = "/usr/bin/env"


_VALUES: Mapping[str, str] = {
    "test.gateway.name": "entry",
    "test.gateway.namespace": GATEWAY_NAMESPACE,
    "test.gateway.model": "chat",
    "test.gateway.keySecret.name": CONSUMER_KEY[0],
    "test.gateway.keySecret.namespace": MODELS_NAMESPACE,
}


class NotInTime(AssertionError):
    """What was waited for did not come; says what stood instead."""


@dataclass(slots=True)
class Load:
    """A load process; `tally` is what it has counted so far."""

    daemon: Daemon
    report: Path

    @property
    def tally(self) -> Tally:
        """As of a moment ago."""
        return read(self.report)

    def end(self) -> Tally:
        """Ask it to end, and take its last word: every request that was sent is answered, failed or broken by then."""
        self.stop()
        tally = self.tally
        if not tally.over:
            message = f"the load ended in the middle: {tally}\n{self.daemon.tail()}"
            raise NotInTime(message)
        return tally

    def stop(self) -> None:
        """For good, once or several times."""
        if self.daemon.alive:
            self.daemon.stop(_FAREWELL_SECONDS)


@dataclass(slots=True)
class Platform:
    """One cluster; `values` are what the chart is given at each install and upgrade."""

    cluster: Cluster
    folder: Path
    images: Images
    key: str = field(default_factory=lambda: secrets.token_urlsafe(_KEY_BYTES), repr=False)
    values: dict[str, str] = field(default_factory=lambda: dict(_VALUES))

    def apply(self, *manifests: Object) -> None:
        """Server-side, as a GitOps tool does."""
        self.cluster.kubectl(
            "apply", "--server-side", f"--field-manager={MANAGER}", "-f", "-", stdin=listed(*manifests)
        )

    def get(self, kind: str, name: str, namespace: str = MODELS_NAMESPACE) -> Object:
        """One object, or an empty one."""
        return self.cluster.get(kind, name, namespace)

    def items(self, kind: str, namespace: str = MODELS_NAMESPACE, labels: str = "") -> list[Object]:
        """All of a kind in a namespace."""
        text = self.cluster.kubectl("get", kind, "-n", namespace, "-l", labels, "-o", "json")
        found: list[Object] = json.loads(text)["items"]
        return found

    def condition(self, kind: str, name: str, which: str, namespace: str = MODELS_NAMESPACE) -> str:
        """Its status: True, False, Unknown, or nothing."""
        conditions = self.get(kind, name, namespace).get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == which), "")

    def install(self) -> None:
        """By the README's two lines."""
        definitions, _ = _lines()
        self.cluster.helm(*definitions)
        self.upgrade()

    def upgrade(self, *words: str) -> None:
        """By the second of them, with the values of this platform and further arguments."""
        sets = [f"--set={name}={value}" for name, value in self.values.items()]
        self.cluster.helm(*_lines()[1], "--timeout=300s", *sets, *words)

    def serve(self, *, replicas: int = 2) -> None:
        """The platform's resources; they are served some time later."""
        self.apply(*platform(key=self.key, replicas=replicas))

    def until(self, claim: Callable[[], object], what: str, *, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait for it; NotInTime with the state of all pods."""
        end = time.monotonic() + seconds
        while not self._holds(claim):
            if time.monotonic() > end:
                message = f"not within {seconds:g} s: {what}\n{self.story()}"
                raise NotInTime(message)
            time.sleep(_LOOK_SECONDS)

    @staticmethod
    def _holds(claim: Callable[[], object]) -> bool:
        """An API server that hiccups says nothing against the claim."""
        try:
            return bool(claim())
        except CommandError:
            return False

    def penstock(self, *words: str, **variables: str) -> str:
        """Our own command line, of this checkout, in the cluster's network; CommandError where its status is not 0."""
        place = {"KUBECONFIG": str(self.cluster.kubeconfig), **variables}
        stated = [f"{name}={value}" for name, value in place.items()]
        return self.cluster.in_network([_ENV, *stated, *_python("penstock", *words)]).stdout

    def backed_up(self) -> Path:
        """The server's database in a file, by the line that the documentation has."""
        programs = find()
        assert programs is not None
        inside = ["exec", "-n", SYSTEM_NAMESPACE, "deploy/penstock-server", "--", "penstock", "backup", "--output", "-"]
        path = self.folder / "penstock.backup"
        with path.open("wb") as file:
            command = [str(programs.kubectl), f"--kubeconfig={self.cluster.kubeconfig}", *inside]
            subprocess.run(command, check=True, stdout=file)
        return path

    def story(self) -> str:
        """For whoever waited in vain."""
        pods = self.cluster.kubectl("get", "pods", "-A", "-o", "wide")
        ours = self.cluster.kubectl("get", "penstock", "-A")
        events = self.cluster.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp")
        logs = self.cluster.kubectl(
            "logs", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/name=penstock", "--prefix", "--tail=15"
        )
        return "\n".join([pods, ours, *events.splitlines()[-25:], logs])

    @property
    def entry(self) -> str:
        """The gateway's URL, for processes in the cluster's network."""
        service = self.get("service", "entry-gateway", GATEWAY_NAMESPACE)
        return f"http://{service['spec']['clusterIP']}:8000"

    def completes(self) -> bool:
        """Whether a client with its key gets an answer from the model `chat`, now."""
        if not self.get("service", "entry-gateway", GATEWAY_NAMESPACE):
            return False
        command = _python("installed.ask", self.entry, "chat", "--key-file", str(self._key_file()))
        return self.cluster.in_network(command, check=False).returncode == 0

    @contextmanager
    def load(self, *, per_second: float = 20.0) -> Iterator[Load]:
        """A steady load on `chat` as long as the block runs."""
        name = f"load-{time.monotonic_ns()}"
        report = self.folder / f"{name}.json"
        words = ("--key-file", str(self._key_file()), "--per-second", str(per_second), "--report", str(report))
        load = Load(self.cluster.start_in_network(name, _python("installed.load", self.entry, "chat", *words)), report)
        try:
            self.until(lambda: load.tally.answered > 0, "the load is answered", seconds=30)
            yield load
        finally:
            load.stop()
            self.cluster.forget(name)

    @property
    def reach(self) -> Reach:
        """Which namespaces the chart's values give the operator."""
        return Reach(SYSTEM_NAMESPACE, frozenset({GATEWAY_NAMESPACE, MODELS_NAMESPACE}))

    @contextmanager
    def hub(self, model: str) -> Iterator[str]:
        """The URL of a model hub in the cluster's network that has this one model."""
        words = ("--address", Network.HOST, "--port", str(_HUB_PORT))
        daemon = self.cluster.start_in_network("hub", _python("installed.hub", model, *words))
        try:
            yield f"http://{Network.HOST}:{_HUB_PORT}"
        finally:
            daemon.stop(_FAREWELL_SECONDS)
            self.cluster.forget("hub")

    def engines(self) -> Mapping[str, str]:
        """Uid by name of every engine's pod that is not being deleted."""
        return self._pods(MODELS_NAMESPACE, "penstock.dev/role=engine")

    def gateways(self) -> Mapping[str, str]:
        """The same of the gateway's replicas."""
        return self._pods(GATEWAY_NAMESPACE, "penstock.dev/role=gateway")

    def component(self, name: str) -> Mapping[str, str]:
        """The same of `operator` or `server`."""
        return self._pods(SYSTEM_NAMESPACE, f"app.kubernetes.io/name=penstock,app.kubernetes.io/component={name}")

    def leader(self) -> str:
        """The pod whose Lease it is."""
        lease = self.get("lease", "penstock-operator", SYSTEM_NAMESPACE)
        return str(lease.get("spec", {}).get("holderIdentity", "")).rpartition("_")[0]

    def _pods(self, namespace: str, labels: str) -> Mapping[str, str]:
        metadata = [each["metadata"] for each in self.items("pods", namespace, labels)]
        return {each["name"]: each["uid"] for each in metadata if "deletionTimestamp" not in each}

    def _key_file(self) -> Path:
        path = self.folder / "key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(self.key)
        return path


def _lines() -> list[list[str]]:
    """Helm's arguments as the README has them; the charts are this checkout's."""
    text = (_ROOT / "README.md").read_text()
    found = [shlex.split(line) for line in re.findall(r"^    helm (upgrade .*)$", text, re.MULTILINE)]
    return [[str(_ROOT / word) if word.startswith("charts/") else word for word in words] for words in found]


def listed(*manifests: Object) -> str:
    """As kubectl reads them."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def _python(module: str, *words: str) -> list[str]:
    """A module of this checkout, for the cluster's network."""
    packages = os.pathsep.join(str(_ROOT / each) for each in ("operator", "e2e"))
    return [_ENV, f"PYTHONPATH={packages}", sys.executable, "-m", module, *words]


def _disk(folder: Path) -> Path:
    """Owned by the user of our images."""
    disk = folder / "disk"
    disk.mkdir()
    os.chown(disk, _USER, _USER)
    return disk


@contextmanager
def running(folder: Path, *, nodes: Sequence[NodeSpec] = NODES) -> Iterator[Platform]:
    """A cluster with our images on every node and the namespaces made; nothing is installed yet."""
    images = Images.built(folder)
    with Cluster.start(folder / "cluster", nodes=nodes) as cluster:
        images.put_on(cluster)
        made = Platform(cluster, folder, images)
        made.apply(*namespaces(), volume(_disk(folder)))
        yield made
