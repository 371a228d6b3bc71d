"""Our charts, rendered by the real Helm; tests skip where there is none."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.binaries import find

__all__ = ["CASES", "CHARTS", "Object", "attempt", "containers", "helm", "kubectl", "named", "pod_specs", "render"]

CHARTS = Path(__file__).parents[2] / "charts"
SERVED = ("penstock.dev/v1alpha1/InferenceGateway",)
_RELEASE, _NAMESPACE = "penstock", "penstock-system"
_SECONDS = 30

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]

CASES: Mapping[str, Object] = {
    "default": {},
    "cert-manager-postgresql": {
        "tls": {"mode": "CertManager"},
        "secretNamespaces": ["ai-platform"],
        "planner": {
            "exchangeRates": {"GBP": "1.35", "EUR": "1.08"},
            "maxPricePerHour": "120.00",
            "namespaceMaxPricePerHour": {"team-b": "12.50", "team-a": "30.00"},
        },
        "server": {"postgresql": {"urlSecret": {"name": "database"}}, "gatewayURL": "https://control.example.com"},
        "operator": {
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
        },
        "networkPolicy": {
            "apiServer": {"ports": [6443], "cidrs": ["10.0.0.0/28"]},
            "database": {"cidrs": ["10.1.0.5/32"]},
        },
        "monitoring": {
            "monitors": {"enabled": True, "labels": {"release": "prometheus"}},
            "rules": {"enabled": True},
            "dashboards": {"enabled": True},
        },
    },
    "namespaced-air-gapped": {
        "images": {
            "registry": "registry.example.internal/penstock",
            "pullSecrets": ["registry"],
            "gateway": {"digest": "sha256:" + "0" * 64},
        },
        "watchNamespaces": ["ai-platform", "assistants"],
        "secretNamespaces": ["ai-platform", "assistants"],
        "operator": {"hub": {"enabled": False}},
        "tls": {"mode": "Operator"},
        "gateways": [
            {"name": "main", "namespace": "ai-platform", "spec": {"replicas": 2, "sensitivityLevels": ["low", "high"]}}
        ],
        "test": {
            "gateway": {"name": "main", "namespace": "ai-platform", "model": "chat", "keySecret": {"name": "bot-key"}}
        },
    },
    "plain-http": {"tls": {"mode": "Off"}, "networkPolicy": {"enabled": False}, "userRoles": False},
    "operator-alone": {"server": {"enabled": False}, "secretNamespaces": ["assistants"]},
}
"""Values by name, as the goldens have them."""


@cache
def helm() -> Path:
    """Skips where it is missing."""
    programs = find()
    if programs is None or programs.helm is None:
        pytest.skip("there is no helm: run `python e2e/testbed/binaries.py helm`")
    return programs.helm


@cache
def kubectl() -> Path:
    """Skips where it is missing."""
    programs = find()
    if programs is None:
        pytest.skip("there is no kubectl: run `python e2e/testbed/binaries.py`")
    return programs.kubectl


def attempt(
    values: Mapping[str, Any], chart: str = "penstock", *options: str, served: Sequence[str] = SERVED
) -> "subprocess.CompletedProcess[str]":
    """Render with these values, whatever comes of it; `served` are kinds that the cluster would have."""
    command = [str(helm()), "template", _RELEASE, str(CHARTS / chart), "--namespace", _NAMESPACE, "--values", "-"]
    kinds = [option for kind in served for option in ("--api-versions", kind)]
    return subprocess.run(
        [*command, *kinds, *options],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def render(values: Mapping[str, Any], chart: str = "penstock", *options: str) -> list[Object]:
    """The objects; AssertionError with Helm's words where it refuses."""
    return _rendered(json.dumps(values), chart, options)


@cache
def _rendered(values: str, chart: str, options: tuple[str, ...]) -> list[Object]:
    """Once for all tests, which only read it."""
    ran = attempt(json.loads(values), chart, *options)
    assert ran.returncode == 0, ran.stderr
    return [each for each in yaml.load_all(ran.stdout, _Loader) if each]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """One of them."""
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pod_specs(objects: Sequence[Object]) -> dict[str, Object]:
    """The pod specs of everything that runs, by kind and name."""
    bare = {_title(each): each["spec"] for each in objects if each["kind"] == "Pod"}
    return bare | {_title(each): each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"}


def containers(pod: Object) -> list[Object]:
    """All of a pod's."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _title(live: Object) -> str:
    return f"{live['kind']}/{live['metadata']['name']}"
