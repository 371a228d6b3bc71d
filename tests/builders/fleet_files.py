"""Pools, deployments and nodes as people write them in files, and commands that are run on them."""

from pathlib import Path
from typing import Any

import yaml
from click import Command
from click.testing import CliRunner, Result

__all__ = ["DEPLOYMENT", "NODE", "POOL", "changed", "named", "run_on"]

Document = dict[str, Any]

POOL: Document = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "InferencePool",
    "metadata": {"name": "h100"},
    "spec": {
        "nodeSelector": {"pool": "h100"},
        "accelerator": "H100-SXM-80GB",
        "location": {"countries": ["DE"]},
        "price": {"perGPUHour": "2.50"},
    },
}
DEPLOYMENT: Document = {
    "apiVersion": "penstock.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "chat", "namespace": "team"},
    "spec": {"model": "Qwen/Qwen3-8B"},
}
NODE: Document = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "one", "labels": {"pool": "h100"}},
    "spec": {},
    "status": {
        "capacity": {"nvidia.com/gpu": "8"},
        "allocatable": {"nvidia.com/gpu": "8"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


def changed(document: Document, **spec: Any) -> Document:
    """The document with other fields in its spec."""
    return {**document, "spec": {**document["spec"], **spec}}


def named(document: Document, name: str, **spec: Any) -> Document:
    """The same under another name; a pool selects nodes of its own."""
    metadata = {**document["metadata"], "name": name}
    own = {"nodeSelector": {"pool": name}} if document["kind"] == "InferencePool" else {}
    return {**changed(document, **own, **spec), "metadata": metadata}


def run_on(command: Command, folder: Path, *documents: Any, words: tuple[str, ...] = (), columns: int = 0) -> Result:
    """Run the command with `-f` on a file of these documents; `columns` 0: in a pipe."""
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    environment = {"NO_COLOR": "1", "COLUMNS": str(columns) if columns else None, "KUBECONFIG": None}
    return CliRunner(env=environment).invoke(command, [*words, "-f", str(file)])
