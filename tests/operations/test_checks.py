"""Each check on facts of its own: its verdict, and that whatever is wrong has a cure."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.day_two import NOW, chat, gateway, h100_pool, lease, resource, workload
from builders.live import gpu_node, live
from penstock.cluster.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    INFERENCE_GATEWAYS,
    INFERENCE_POOLS,
    LEASES,
    MODEL_DEPLOYMENTS,
    MODEL_PROVIDERS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PRIORITY_CLASSES,
    SECRETS,
    ResourceType,
)
from penstock.operations.certificates import expiry
from penstock.operations.checks import Facts, Needed, Outcome, Reviewed, Verdict
from penstock.operations.cluster_checks import CLUSTER_CHECKS, ENDPOINT_SLICES, STORAGE_CLASSES
from penstock.operations.install_checks import INSTALL_CHECKS
from penstock.operations.node_checks import NODE_CHECKS
from penstock.operations.view import ClusterView, Gap, Listing

Object = dict[str, Any]
_CHECKS = {check.name: check for check in (*CLUSTER_CHECKS, *INSTALL_CHECKS, *NODE_CHECKS)}
ACCOUNT = "system:serviceaccount:penstock-system:penstock-operator"


def facts(listings: dict[ResourceType, tuple[Object, ...]] | None = None, **more: Any) -> Facts:
    view = ClusterView({kind: Listing(items) for kind, items in (listings or {}).items()})
    return Facts(**{"now": NOW, "version": "0.1.0", "kubernetes": {}, "view": view, **more})


def kubernetes(minor: str) -> Facts:
    return facts(kubernetes={"major": "1", "minor": minor, "gitVersion": f"v1.{minor}"})


def definition(description: str = "what is served", *, established: str = "True") -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "description": description, "nullable": False}}
    return {
        "metadata": {"name": "modeldeployments.penstock.dev"},
        "spec": {"versions": [{"name": "v1alpha1", "schema": schema}]},
        "status": {"conditions": [{"type": "Established", "status": established}]},
    }


def crds(*lives: Object) -> Facts:
    wanted = definition()
    return facts({CUSTOM_RESOURCE_DEFINITIONS: lives}, definitions={wanted["metadata"]["name"]: wanted})


def processes(*lives: Object, **more: tuple[Object, ...]) -> Facts:
    found = {"leases": LEASES, "gateways": INFERENCE_GATEWAYS, "providers": MODEL_PROVIDERS}
    return facts({DEPLOYMENTS: lives, **{found[name]: items for name, items in more.items()}})


def told(*words: str) -> Object:
    made = workload()
    made["spec"]["template"]["spec"]["containers"][0]["args"] = ["operator", *words]
    return made


def slices(*ready: bool) -> Facts:
    endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": each}} for each in ready]
    found = live("EndpointSlice", "kube-dns-1", namespace="kube-system", api_version="discovery.k8s.io/v1")
    return facts({ENDPOINT_SLICES: ({**found, "endpoints": endpoints},)})


def storage(*, default: bool = False, phase: str = "") -> Facts:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    kind = {"metadata": {"name": "fast", "annotations": annotations}}
    claim = live("PersistentVolumeClaim", "penstock-server", namespace="penstock-system", status={"phase": phase})
    return facts({STORAGE_CLASSES: (kind,), PERSISTENT_VOLUME_CLAIMS: (claim,) if phase else ()})


def nodes(*lives: Object, pools: tuple[Object, ...] = ()) -> Facts:
    return facts({NODES: lives, INFERENCE_POOLS: pools})


def bare(name: str = "bare") -> Object:
    return gpu_node(name, labels={"pool": "h100"})


def driven(name: str, driver: str) -> Object:
    made = gpu_node(name)
    major, minor = driver.split(".")
    made["metadata"]["labels"] |= {
        "nvidia.com/cuda.driver-version.major": major,
        "nvidia.com/cuda.driver-version.minor": minor,
    }
    return made


def pool(**spec: Any) -> Object:
    made = h100_pool()
    return {**made, "spec": {**made["spec"], "nodeSelector": {"pool": "h100"}, **spec}}


def rights(*answers: bool | None, account: str = "") -> Facts:
    reviewed = tuple(
        Reviewed(Needed(account, "list", "", f"pods{number}"), answer) for number, answer in enumerate(answers)
    )
    return facts(reviewed=reviewed)


def namespaces(**levels: str) -> Facts:
    found = tuple(
        live("Namespace", name.replace("_", "-"), labels={"pod-security.kubernetes.io/enforce": level} if level else {})
        for name, level in levels.items()
    )
    return facts({NAMESPACES: found, MODEL_DEPLOYMENTS: (chat(),), INFERENCE_GATEWAYS: (gateway(),)})


def provider(namespace: str = "ai-platform") -> Object:
    return resource("ModelProvider", "openai", namespace)


CASES: dict[str, tuple[str, Facts, Verdict, str]] = {
    "a new Kubernetes": ("kubernetes", kubernetes("36"), Verdict.OK, "v1.36"),
    "a cloud's Kubernetes": ("kubernetes", kubernetes("33+"), Verdict.OK, "v1.33+"),
    "an old Kubernetes": ("kubernetes", kubernetes("32"), Verdict.FAIL, "older than 1.33"),
    "no version": ("kubernetes", facts(), Verdict.WARN, "cannot be read"),
    "names resolve": ("dns", slices(True, False), Verdict.OK, "1 ready"),
    "names do not resolve": ("dns", slices(False), Verdict.FAIL, "no endpoint"),
    "another DNS": ("dns", facts({ENDPOINT_SLICES: ()}), Verdict.WARN, "there is no Service"),
    "DNS unseen": ("dns", facts(), Verdict.SKIP, ""),
    "a claim is bound": ("storage", storage(phase="Bound"), Verdict.OK, "bound: penstock-server"),
    "a claim waits": ("storage", storage(default=True, phase="Pending"), Verdict.FAIL, "not bound"),
    "a default class": ("storage", storage(default=True), Verdict.OK, "fast"),
    "no default class": ("storage", storage(), Verdict.WARN, "no default StorageClass"),
    "no priority class named": ("priority-classes", facts({PRIORITY_CLASSES: ()}), Verdict.OK, "names one"),
    "a priority class that is missing": (
        "priority-classes",
        facts({PRIORITY_CLASSES: (), MODEL_DEPLOYMENTS: (chat(podOverrides={"priorityClassName": "high"}),)}),
        Verdict.FAIL,
        "high",
    ),
    "network policies": ("network-policies", facts(), Verdict.SKIP, "cannot be seen"),
    "our CRDs": ("crds", crds(definition()), Verdict.OK, "1 kinds"),
    "no CRDs": ("crds", crds(), Verdict.FAIL, "missing: modeldeployments"),
    "CRDs of another version": ("crds", crds(definition("older words")), Verdict.WARN, "another version than 0.1.0"),
    "CRDs not established": ("crds", crds(definition(established="False")), Verdict.FAIL, "not established"),
    "the operator is ready": ("operator", processes(workload()), Verdict.OK, "is ready"),
    "no operator": ("operator", processes(), Verdict.FAIL, "no Deployment"),
    "an operator that crashes": ("operator", processes(workload(ready=0)), Verdict.FAIL, "none of 1"),
    "somebody leads": ("leader", processes(leases=(lease(3),)), Verdict.OK, "pod-1 leads, renewed 3 s ago"),
    "a clock ahead": ("leader", processes(leases=(lease(-5),)), Verdict.OK, "renewed 0 s ago"),
    "nobody leads any more": ("leader", processes(leases=(lease(31),)), Verdict.FAIL, "31 s ago"),
    "nobody has ever led": ("leader", processes(), Verdict.FAIL, "nobody has led yet"),
    "the server is ready": ("server", processes(workload("penstock-server")), Verdict.OK, "is ready"),
    "no server, and none needed": ("server", processes(workload()), Verdict.SKIP, "no gateway needs it"),
    "no server for a gateway": (
        "server",
        processes(workload(), gateways=(gateway(),)),
        Verdict.FAIL,
        "penstock-server",
    ),
    "no server for the operator": (
        "server",
        processes(told("--server-url", "https://penstock-server:8090")),
        Verdict.FAIL,
        "penstock-server",
    ),
    "without TLS": ("certificate", processes(told("--server-url=http://s:8090")), Verdict.WARN, "without TLS"),
    "no certificate": ("certificate", facts({SECRETS: ()}), Verdict.FAIL, "no Secret"),
    "all of one version": ("versions", processes(workload(), workload("penstock-server")), Verdict.OK, "all 2"),
    "an operator left behind": (
        "versions",
        processes(workload(version="0.0.9")),
        Verdict.WARN,
        "penstock-operator 0.0.9",
    ),
    "no version seen": ("versions", processes(), Verdict.SKIP, ""),
    "you may all": ("access", rights(True, True), Verdict.OK, "all of 2"),
    "you may not all": ("access", rights(True, False), Verdict.WARN, "list pods1"),
    "nobody says": ("access", rights(None), Verdict.SKIP, ""),
    "the operator may not": ("operator-access", rights(False, account=ACCOUNT), Verdict.FAIL, "list pods0"),
    "Pod Security everywhere": (
        "namespaces",
        namespaces(penstock_system="restricted", ai_platform="baseline", assistants="restricted", other=""),
        Verdict.OK,
        "assistants: restricted",
    ),
    "no Pod Security": (
        "namespaces",
        namespaces(penstock_system="restricted", ai_platform="", assistants="privileged"),
        Verdict.WARN,
        "ai-platform, assistants",
    ),
    "Secrets are readable": (
        "secret-namespaces",
        processes(told("--secret-namespaces", "ai-platform,x"), providers=(provider(),)),
        Verdict.OK,
        "ai-platform",
    ),
    "Secrets are not readable": (
        "secret-namespaces",
        processes(told("--secret-namespaces="), providers=(provider(),)),
        Verdict.FAIL,
        "ai-platform",
    ),
    "Secrets everywhere": ("secret-namespaces", processes(told()), Verdict.SKIP, ""),
    "GPUs that are known": ("gpu-labels", nodes(gpu_node("a"), gpu_node("b")), Verdict.OK, "2 x H100-SXM-80GB"),
    "GPUs without labels": ("gpu-labels", nodes(bare()), Verdict.FAIL, "bare"),
    "GPUs that a pool names": ("gpu-labels", nodes(bare(), pools=(pool(accelerator="X"),)), Verdict.OK, "pools"),
    "no GPU": ("gpu-labels", nodes(live("Node", "cpu")), Verdict.WARN, "no node has GPUs"),
    "nodes unseen": ("gpu-labels", facts(), Verdict.SKIP, ""),
    "GPUs to have": ("device-plugins", nodes(gpu_node("a")), Verdict.OK, "8 GPUs on 1 nodes"),
    "no device plugin": ("device-plugins", nodes(gpu_node("a", gpus=0)), Verdict.FAIL, "a"),
    "one driver": ("drivers", nodes(driven("a", "580.65"), pools=(pool(),)), Verdict.OK, "1 x NVIDIA 580.65"),
    "two drivers in a pool": (
        "drivers",
        nodes(driven("a", "580.65"), driven("b", "535.10"), pools=(pool(),)),
        Verdict.WARN,
        "in one pool: h100",
    ),
    "no driver stated": ("drivers", nodes(gpu_node("a")), Verdict.SKIP, ""),
    "no RDMA claimed": ("fabric", nodes(gpu_node("a"), pools=(pool(),)), Verdict.OK, "no pool"),
    "RDMA claimed and not there": (
        "fabric",
        nodes(gpu_node("a"), pools=(pool(fabric={"rdmaResource": "rdma/ib"}),)),
        Verdict.FAIL,
        "a has no rdma/ib",
    ),
}


@pytest.mark.parametrize(("name", "seen", "verdict", "said"), CASES.values(), ids=CASES.keys())
def test_check(name: str, seen: Facts, verdict: Verdict, said: str) -> None:
    outcome = _CHECKS[name].judge(seen)
    assert (outcome.verdict, said in outcome.detail) == (verdict, True), outcome
    assert outcome.cure or verdict in {Verdict.OK, Verdict.SKIP}


@pytest.mark.parametrize("name", _CHECKS)
def test_what_may_not_be_seen_breaks_no_check(name: str) -> None:
    kinds = (*(DEPLOYMENTS, LEASES, NODES, NAMESPACES, SECRETS), *(CUSTOM_RESOURCE_DEFINITIONS, INFERENCE_POOLS))
    view = ClusterView({kind: Listing(gap=Gap.FORBIDDEN, message="you may not") for kind in kinds})
    assert isinstance(_CHECKS[name].judge(facts(view=view)), Outcome)


@pytest.mark.parametrize("name", _CHECKS)
def test_objects_of_another_form_break_no_check(name: str) -> None:
    odd: Object = {"metadata": {"name": "odd", "labels": None}, "spec": None, "status": {"conditions": "none"}}
    kinds = (*(DEPLOYMENTS, LEASES, NODES, NAMESPACES, SECRETS), *(CUSTOM_RESOURCE_DEFINITIONS, INFERENCE_POOLS))
    assert isinstance(_CHECKS[name].judge(facts(dict.fromkeys(kinds, (odd,)))), Outcome)


def issued(folder: Path, days: int) -> bytes:
    """A certificate that is good for so many days from now."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl here: install it")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout key.pem -out crt.pem"
    subprocess.run(
        [program, *words.split(), "-days", str(days)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return (folder / "crt.pem").read_bytes()


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(30, Verdict.OK), (3, Verdict.WARN), (36500, Verdict.OK)],
    ids=["good", "about to run out", "after 2050, in the other form of time"],
)
def test_how_long_a_certificate_is_good(tmp_path: Path, days: int, verdict: Verdict) -> None:
    pem, now = issued(tmp_path, days), datetime.now(UTC)
    until = expiry(pem)
    assert until is not None
    assert abs(until - now - timedelta(days=days)) < timedelta(minutes=5)
    data = {"tls.crt": base64.b64encode(pem).decode()}
    secret = {**live("Secret", "penstock-server-tls", namespace="penstock-system"), "data": data}
    check = _CHECKS["certificate"].judge
    assert check(facts({SECRETS: (secret,)}, now=now)).verdict is verdict
    assert check(facts({SECRETS: (secret,)}, now=now + timedelta(days=days + 1))).verdict is Verdict.FAIL


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_has_no_end(content: bytes) -> None:
    assert expiry(content) is None
