"""Level 1: a real control plane, KWOK's nodes and kubelets, and the operator as a process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.simulation.network import free_port
from testbed.control_plane import ControlPlane, Loading
from testbed.gpu_nodes import gpu_nodes

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_SECONDS = 60.0


@dataclass
class Cluster:
    """A real cluster with the operator on it."""

    plane: ControlPlane
    folder: Path
    operators: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_operator(self) -> subprocess.Popen[bytes]:
        """One more replica."""
        command = ["-m", "penstock", "operator", "--kubeconfig", str(self.plane.kubeconfig), "--no-hub"]
        with (self.folder / f"operator-{len(self.operators)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command, "--health-host", "127.0.0.1", "--health-port", str(free_port())],
                stdout=log,
                stderr=log,
            )
        self.operators.append(process)
        return process

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Server-side apply as users do it."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def get(self, kind: str, name: str, namespace: str = "assistants") -> dict[str, Any]:
        """One object, or an empty one where it is absent."""
        text = self.plane.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def items(self, kind: str, namespace: str = "assistants") -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        found: list[dict[str, Any]] = json.loads(self.plane.kubectl("get", kind, "-n", namespace, "-o", "json"))[
            "items"
        ]
        return found

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        """Status and reason of a deployment's condition."""
        conditions = self.get("modeldeployments.penstock.dev", name).get("status", {}).get("conditions", [])
        found: dict[str, str] = next((item for item in conditions if item["type"] == kind), {})
        return found.get("status", ""), found.get("reason", "")

    def until(self, claim: Callable[[], bool], what: str, *, patience: float = _PATIENCE_SECONDS) -> None:
        """Wait for the claim; fail with the operator's last lines."""
        deadline = time.monotonic() + patience
        while not claim():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("operator-*.log")))
                pytest.fail(f"not within {patience:.0f} s: {what}\n{logs}")
            time.sleep(0.2)

    def rest(self, seconds: float) -> None:
        """Let real time pass, where the claim is that nothing happens meanwhile."""
        time.sleep(seconds)

    def stop(self) -> None:
        """End the operators by their ids."""
        for process in self.operators:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.operators:
            process.wait(30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Pools and nodes as in the samples, CRDs installed, one operator."""
    with ControlPlane.start(controllers=True, nodes=True, loading=Loading(0.5, 1.5)) as plane:
        plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        plane.create_nodes(
            [
                *gpu_nodes("h100", 2, prefix="h100", labels={"pool": "h100-eu"}),
                *gpu_nodes("b200", 1, prefix="b200", labels={"cloud.google.com/gke-accelerator": "nvidia-b200"}),
                *gpu_nodes("mi300x", 1, prefix="mi300x"),
                *gpu_nodes("a100-80", 1, prefix="a100", labels={"pool": "a100-spot"}),
            ]
        )
        for name in ("00-namespaces.yaml", "01-pools.yaml"):
            plane.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "samples" / name))
        plane.kubectl("create", "namespace", "penstock-system")
        plane.kubectl("create", "secret", "generic", "hugging-face", "-n", "assistants", "--from-literal=token=pretend")
        made = Cluster(plane, tmp_path_factory.mktemp("operators"))
        made.start_operator()
        try:
            yield made
        finally:
            made.stop()
