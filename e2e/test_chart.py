"""The charts on a real API server: what it says of every object, whom the rights let do what, and what is refused."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.access.rights import Process, Right, Scope
from penstock.access.table import RIGHTS
from testbed.binaries import find
from testbed.control_plane import ControlPlane
from testbed.errors import CommandError

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent
CHARTS = ROOT / "charts"
HOME = "penstock-system"
TEAMS = ("ai-platform", "assistants")
VALUES = "secretNamespaces={ai-platform},tls.mode=Operator"
STRICTLY = (
    "apply",
    "--server-side",
    "--field-manager=helm",
    "--force-conflicts",
    "--dry-run=server",
    "--validate=strict",
    "--warnings-as-errors",
)
"""Tried only, and as Helm does it: what it applied before and does not name now goes."""
NOT_HERE = ("cert-manager.io/", "monitoring.coreos.com/")
"""Groups whose definitions are others'."""
CASES: dict[str, list[str]] = {
    "default": [],
    "postgresql": ["server.postgresql.urlSecret.name=database", "secretNamespaces={ai-platform}"],
    "plain-http": ["tls.mode=Off"],
    "cert-manager": ["tls.mode=CertManager", "monitoring.monitors.enabled=true"],
    "namespaced": [
        "watchNamespaces={ai-platform,assistants}",
        "secretNamespaces={ai-platform}",
        "gateways[0].name=main",
        "gateways[0].namespace=ai-platform",
        "gateways[0].spec.sensitivityLevels={low,high}",
        "test.gateway.name=main",
        "test.gateway.namespace=ai-platform",
        "test.gateway.model=chat",
        "test.gateway.keySecret.name=bot",
    ],
}


@dataclass
class Site:
    """A control plane, and Helm with folders of its own."""

    plane: ControlPlane
    program: Path
    folder: Path

    def helm(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run it, whatever comes of it."""
        places = {
            name: str(self.folder / name.lower()) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        }
        return subprocess.run(
            [str(self.program), "--kubeconfig", str(self.plane.kubeconfig), "--namespace", HOME, *arguments],
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """Run it; AssertionError where it refuses."""
        ran = self.helm(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def refused(self, *arguments: str) -> str:
        """Why it refuses."""
        ran = self.helm(*arguments)
        assert ran.returncode != 0, ran.stdout
        return ran.stderr

    def may(self, right: Right, verb: str, resource: str, namespace: str, name: str) -> bool:
        """What a SubjectAccessReview says of the process's account."""
        plural, _, subresource = resource.partition("/")
        asked = {"group": right.group, "resource": plural, "subresource": subresource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{HOME}:penstock-{right.process}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"],
                "resourceAttributes": {**asked, "namespace": namespace, "name": name},
            },
        }
        answer = self.plane.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])


@contextmanager
def cluster(folder: Path) -> Iterator[Site]:
    """With our namespaces and nothing else; Pod Security restricted is enforced, and told of templates."""
    programs = find()
    if programs is None or programs.helm is None:
        pytest.skip("there is no helm: run `python e2e/testbed/binaries.py helm`")
    with ControlPlane.start() as plane:
        levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
        for name in (HOME, *TEAMS):
            plane.kubectl("create", "namespace", name)
            plane.kubectl("label", "namespace", name, *levels)
            # No controller makes it here, and without it no pod is taken.
            plane.kubectl("create", "serviceaccount", "default", "--namespace", name)
        yield Site(plane, programs.helm, folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests but those of a cluster that has nothing."""
    with cluster(tmp_path_factory.mktemp("helm")) as made:
        yield made


@pytest.fixture(scope="module")
def kinds(site: Site) -> Site:
    """With the CRDs' chart."""
    site.done("install", "penstock-crds", str(CHARTS / "penstock-crds"))
    site.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return site


@pytest.fixture(scope="module")
def installed(kinds: Site) -> Site:
    """With both charts."""
    kinds.done("install", "penstock", str(CHARTS / "penstock"), "--set", VALUES)
    return kinds


def test_without_the_kinds_it_is_refused(tmp_path: Path) -> None:
    """Nothing would start."""
    with cluster(tmp_path) as site:
        assert "Install the chart penstock-crds first" in site.refused("install", "penstock", str(CHARTS / "penstock"))


@pytest.mark.parametrize("name", CASES)
def test_the_api_server_takes_every_object_as_it_is(kinds: Site, name: str) -> None:
    """Strictly, field by field, and without a word from Pod Security."""
    options = [option for value in CASES[name] for option in ("--set", value)]
    served = ["--api-versions", "penstock.dev/v1alpha1/InferenceGateway"]
    text = kinds.done("template", "penstock", str(CHARTS / "penstock"), *options, *served)
    objects = [each for each in yaml.safe_load_all(text) if each and not each["apiVersion"].startswith(NOT_HERE)]
    bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    lines = kinds.plane.kubectl(*STRICTLY, "-f", "-", stdin=bundle).splitlines()
    assert len(lines) == len(objects) > 10


def test_the_plain_manifests_are_taken_too(kinds: Site) -> None:
    for name in ("crds.yaml", "penstock.yaml"):
        assert kinds.plane.kubectl(*STRICTLY, "-f", str(ROOT / "manifests" / "install" / name))


def test_every_right_of_the_table_is_given(installed: Site) -> None:
    places = {Scope.WATCHED: "assistants", Scope.SECRETS: "ai-platform", Scope.OWN: HOME, Scope.CERTIFICATES: HOME}
    denied = [
        (right.process, verb, resource)
        for right in RIGHTS
        for resource in right.resources
        for verb in right.verbs
        for name in right.names or ("",)
        if not installed.may(right, verb, resource, places.get(right.scope, ""), name)
    ]
    assert denied == []


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace", "name"),
    [
        ("list", "", "secrets", "", ""),
        ("get", "", "secrets", "assistants", "hugging-face"),
        ("get", "", "secrets", HOME, "database"),
        ("create", "", "secrets", HOME, ""),
        ("delete", "", "secrets", "ai-platform", "bot"),
        ("create", "rbac.authorization.k8s.io", "rolebindings", HOME, ""),
        ("create", "", "pods/exec", "assistants", "chat"),
        ("create", "penstock.dev", "modeldeployments", "assistants", ""),
        ("update", "coordination.k8s.io", "leases", HOME, "another"),
        ("impersonate", "", "users", "", ""),
    ],
)
def test_and_nothing_beside_it(  # noqa: PLR0917 - the columns of the table
    installed: Site, verb: str, group: str, resource: str, namespace: str, name: str
) -> None:
    right = Right(Process.OPERATOR, Scope.CLUSTER, group, (resource,), (verb,), "")
    assert not installed.may(right, verb, resource, namespace, name)


def test_its_own_secrets_are_made_by_name(installed: Site) -> None:
    """A server-side apply that makes an object asks for `create` of that name, which a Role can hold to it."""
    account = f"--as=system:serviceaccount:{HOME}:penstock-operator"
    for name, taken in (("penstock-ca", True), ("penstock-server-tls", True), ("another", False)):
        installed.plane.kubectl("delete", "secret", name, "-n", HOME, "--ignore-not-found")
        command, manifest = ["apply", "--server-side", account, "-f", "-"], json.dumps(_secret(name))
        if taken:
            assert "serverside-applied" in installed.plane.kubectl(*command, stdin=manifest)
        else:
            with pytest.raises(CommandError, match="forbidden"):
                installed.plane.kubectl(*command, stdin=manifest)


def test_an_operator_with_its_own_authority_keeps_it(installed: Site) -> None:
    """cert-manager that comes later does not take over under Auto."""
    installed.plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(_secret("penstock-ca"))
    )
    options = ["--set", "tls.mode=Auto", "--dry-run=server", "--api-versions", "cert-manager.io/v1"]
    shown = installed.done("template", "penstock", str(CHARTS / "penstock"), "--is-upgrade", *options)
    assert "--issue-certificates" in shown
    assert "kind: Certificate" not in shown


def test_an_upgrade_changes_what_was_asked_for(installed: Site) -> None:
    installed.done("upgrade", "penstock", str(CHARTS / "penstock"), "--reuse-values", "--set", "operator.workers=8")
    shown = installed.plane.kubectl("get", "deployment", "penstock-operator", "-n", HOME, "-o", "json")
    arguments = json.loads(shown)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--workers=8" in arguments
    assert "--secret-namespaces=ai-platform" in arguments


def test_a_server_moves_to_postgresql_and_back(installed: Site) -> None:
    """Fields that exclude each other, and a claim that stays."""
    secret = "server.postgresql.urlSecret.name"
    for name, replicas, strategy in (("database", 2, "RollingUpdate"), ("", 1, "Recreate")):
        installed.done("upgrade", "penstock", str(CHARTS / "penstock"), "--reuse-values", "--set", f"{secret}={name}")
        shown = json.loads(installed.plane.kubectl("get", "deployment", "penstock-server", "-n", HOME, "-o", "json"))
        assert (shown["spec"]["replicas"], shown["spec"]["strategy"]["type"]) == (replicas, strategy)
        assert "penstock-server" in installed.plane.kubectl("get", "pvc", "-n", HOME, "-o", "name")


def test_a_second_release_is_refused(installed: Site) -> None:
    for place in (["second"], ["penstock", "--namespace", "assistants"]):
        why = installed.refused("install", *place, str(CHARTS / "penstock"))
        assert f"the release penstock in namespace {HOME}" in why


def test_a_namespace_that_is_not_there_is_refused(installed: Site) -> None:
    why = installed.refused(
        "upgrade", "penstock", str(CHARTS / "penstock"), "--set", "secretNamespaces={ai-platform,absent}"
    )
    assert "secretNamespaces[1]: absent" in why


def test_a_gateway_comes_with_the_release(installed: Site) -> None:
    gateway = CASES["namespaced"][2:5]
    options = [option for value in gateway for option in ("--set", value)]
    installed.done("upgrade", "penstock", str(CHARTS / "penstock"), "--reuse-values", *options)
    live = json.loads(
        installed.plane.kubectl("get", "inferencegateways.penstock.dev", "main", "-n", "ai-platform", "-o", "json")
    )
    assert live["spec"]["sensitivityLevels"] == ["low", "high"]


def test_a_downgrade_that_loses_data_is_refused(installed: Site) -> None:
    """Of a newer schema, and of a field that this chart's lacks; after a backup the user may insist."""
    crd, chart = "crd/routes.penstock.dev", str(CHARTS / "penstock-crds")
    kubectl = installed.plane.kubectl
    kubectl("annotate", crd, "penstock.dev/schema-version=99", "--overwrite")
    why = installed.refused("upgrade", "penstock-crds", chart)
    assert "routes.penstock.dev: the cluster has schema version 99, this chart has 1" in why
    kubectl("annotate", crd, "penstock.dev/schema-version=1", "--overwrite")
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/newerField"
    patch: list[dict[str, Any]] = [{"op": "add", "path": field, "value": {"type": "string"}}]
    kubectl("patch", crd, "--type=json", "-p", json.dumps(patch))
    why = installed.refused("upgrade", "penstock-crds", chart)
    assert "would lose them: spec.newerField. Install a chart that is as new" in why
    installed.done("upgrade", "penstock-crds", chart, "--set", "allowDataLoss=true", "--force-conflicts")
    assert "newerField" not in kubectl("get", crd, "-o", "json")
    installed.done("upgrade", "penstock-crds", chart)


def test_what_goes_and_what_stays(installed: Site) -> None:
    """Kinds and database outlive their releases, and a new one takes them on."""
    installed.done("uninstall", "penstock")
    installed.done("uninstall", "penstock-crds")
    kubectl = installed.plane.kubectl
    assert len(kubectl("get", "crd", "-o", "name").split()) == len(list((ROOT / "crds").glob("*.yaml")))
    assert "penstock-server" in kubectl("get", "pvc", "-n", HOME, "-o", "name")
    assert kubectl("get", "deployments,clusterroles,clusterrolebindings", "-A", "-o", "name").count("penstock") == 0
    installed.done("install", "penstock-crds", str(CHARTS / "penstock-crds"))
    installed.done("install", "penstock", str(CHARTS / "penstock"), "--set", VALUES)


def _secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": HOME}}
