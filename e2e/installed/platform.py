"""A cluster of three nodes with Penstock's own images on it, and what its users do: install, serve, load, upgrade."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from installed.images import Images
from installed.load import Tally, read
from installed.manifests import GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE, namespaces, platform
from level3.cluster import Cluster, NodeSpec
from testbed.errors import CommandError

__all__ = ["CHART", "CRDS_CHART", "NODES", "Load", "NotInTime", "Platform", "running"]

Object = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
CHART = _ROOT / "charts" / "penstock"
CRDS_CHART = _ROOT / "charts" / "penstock-crds"
NODES = (
    NodeSpec("gpu-a", gpus=("h100", 8), labels={"pool": "h100"}),
    NodeSpec("gpu-b", gpus=("h200", 8), labels={"pool": "h200"}),
    NodeSpec("cpu-a"),
)

_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.25
_KEY_BYTES = 24
_FAREWELL_SECONDS = 60.0
_POLICY = Path(__file__).with_name("small-engines.yaml")


class NotInTime(AssertionError):
    """What was waited for did not come; says what stood instead."""


@dataclass(slots=True)
class Load:
    """A load process; `tally` is what it has counted so far."""

    process: "subprocess.Popen[bytes]"
    report: Path

    @property
    def tally(self) -> Tally:
        """As of a moment ago."""
        return read(self.report)

    def end(self) -> Tally:
        """Ask it to end, and take its last word: every request that was sent is answered, failed or broken by then."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(_FAREWELL_SECONDS)
        tally = self.tally
        if not tally.over:
            message = f"the load ended with {self.process.returncode}, in the middle: {tally}"
            raise NotInTime(message)
        return tally


@dataclass(slots=True)
class Platform:
    """One cluster; `values` are what the chart is given at each install and upgrade."""

    cluster: Cluster
    folder: Path
    images: Images
    key: str = field(default_factory=lambda: secrets.token_urlsafe(_KEY_BYTES), repr=False)
    values: dict[str, str] = field(default_factory=dict)

    def apply(self, *manifests: Object) -> None:
        """Server-side, as a GitOps tool does."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.cluster.kubectl("apply", "--server-side", "--field-manager=platform-team", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str = MODELS_NAMESPACE) -> Object:
        """One object, or an empty one."""
        text = self.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        found: Object = json.loads(text or "{}")
        return found

    def items(self, kind: str, namespace: str = MODELS_NAMESPACE, labels: str = "") -> list[Object]:
        """All of a kind in a namespace."""
        text = self.cluster.kubectl("get", kind, "-n", namespace, "-l", labels, "-o", "json")
        found: list[Object] = json.loads(text)["items"]
        return found

    def condition(self, kind: str, name: str, which: str, namespace: str = MODELS_NAMESPACE) -> str:
        """Its status: True, False, Unknown, or nothing."""
        conditions = self.get(kind, name, namespace).get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == which), "")

    def install(self, *words: str) -> None:
        """By the README's two lines; `words` are further arguments of the second."""
        self.cluster.helm("upgrade", "--install", "penstock-crds", str(CRDS_CHART), *_HERE)
        self.upgrade(*words)

    def upgrade(self, *words: str, wait: bool = True) -> None:
        """The chart as it is in this checkout, with the values of this platform."""
        sets = [f"--set={name}={value}" for name, value in self.values.items()]
        waiting = ("--wait", "--timeout=180s") if wait else ()
        self.cluster.helm("upgrade", "--install", "penstock", str(CHART), *_HERE, *sets, *waiting, *words)

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
        service = self.get("service", "main-gateway", GATEWAY_NAMESPACE)
        return f"http://{service['spec']['clusterIP']}:8000"

    def completes(self) -> bool:
        """Whether a client with its key gets an answer from the model `chat`, now."""
        if not self.get("service", "main-gateway", GATEWAY_NAMESPACE):
            return False
        asked = self.cluster.in_network(
            [sys.executable, "-m", "installed.ask", self.entry, "chat", "--key-file", str(self._key_file())],
            env=_environment(),
            check=False,
            capture_output=True,
        )
        return asked.returncode == 0

    @contextmanager
    def load(self, *, per_second: float = 20.0) -> Iterator[Load]:
        """A steady load on `chat` as long as the block runs."""
        report = self.folder / f"load-{time.monotonic_ns()}.json"
        command = [sys.executable, "-m", "installed.load", self.entry, "chat", "--report", str(report)]
        words = ["--key-file", str(self._key_file()), "--per-second", str(per_second)]
        process = self.cluster.start_in_network([*command, *words], env=_environment())
        load = Load(process, report)
        try:
            self.until(lambda: load.tally.answered > 0, "the load is answered", seconds=30)
            yield load
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(_FAREWELL_SECONDS)

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


_HERE = (f"--namespace={SYSTEM_NAMESPACE}",)


def _environment() -> dict[str, str]:
    """This checkout's packages, for processes that run in the cluster's network."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(_ROOT / each) for each in ("operator", "e2e"))}


@contextmanager
def running(folder: Path, *, nodes: Sequence[NodeSpec] = NODES) -> Iterator[Platform]:
    """A cluster with our images on every node and the namespaces made; nothing is installed yet."""
    images = Images.built(folder)
    with Cluster.start(folder / "cluster", nodes=nodes) as cluster:
        images.put_on(cluster)
        made = Platform(cluster, folder, images, values=images.values())
        cluster.kubectl("apply", "-f", str(_POLICY))
        made.apply(*namespaces())
        yield made
