"""What the chart renders: goldens, Pod Security, rights, networks, arguments that the commands know."""

from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from builders.charts import CASES, Object, containers, named, pod_specs, render
from penstock.access.rights import Scope
from penstock.access.table import RIGHTS
from penstock.cli.operator import operator
from penstock.cli.server import server
from penstock.reconcilers.inferencegateway import DEFAULT_GATEWAY_IMAGE

GOLDEN = Path(__file__).parents[1] / "golden" / "charts"
COMMANDS: dict[str, click.Command] = {"operator": operator, "server": server}
OF_THE_CONTRACT = {
    "--secret-namespaces",
    "--watch-namespaces",
    "--issue-certificates",
    "--server-ca-file",
    "--gateway-token-days",
    "--tls-cert-file",
    "--tls-key-file",
}
"""Flags that the chart may give before the commands have them; when they do, this set goes."""
RESTRICTED_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}

every_case = pytest.mark.parametrize("name", CASES)


def arguments(objects: list[Object], component: str) -> list[str]:
    pod = named(objects, "Deployment", f"penstock-{component}")["spec"]["template"]["spec"]
    found: list[str] = pod["containers"][0]["args"]
    return found


def rules(role: Object) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def table(*scopes: Scope, process: str = "operator") -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (right.group, resource, verb, right.names)
        for right in RIGHTS
        if right.process == process and right.scope in scopes
        for resource in right.resources
        for verb in right.verbs
    }


@every_case
def test_golden(name: str, update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    """What is installed changes only on purpose: pytest tests/charts --update-golden, then read the diff."""
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump_all(render(CASES[name]), sort_keys=True, width=120)
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text


@every_case
def test_pods_are_restricted(name: str) -> None:
    found = pod_specs(render(CASES[name]))
    assert found
    for pod in found.values():
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert {key for volume in pod["volumes"] for key in volume if key != "name"} <= RESTRICTED_VOLUMES
        for container in containers(pod):
            own = container["securityContext"]
            assert own == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108 - a mount


@every_case
def test_only_operator_and_server_have_a_token(name: str) -> None:
    objects = render(CASES[name])
    tokens = {title: pod["automountServiceAccountToken"] for title, pod in pod_specs(objects).items()}
    assert {title for title, has in tokens.items() if has} == {title for title in tokens if title.startswith("Deploy")}
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert accounts
    assert not [each for each in accounts if each["automountServiceAccountToken"]]


@every_case
def test_every_argument_is_known_to_its_command(name: str) -> None:
    objects = render(CASES[name])
    deployments = {each["metadata"]["name"] for each in objects if each["kind"] == "Deployment"}
    for component, command in COMMANDS.items():
        if f"penstock-{component}" not in deployments:
            continue
        first, *given = arguments(objects, component)
        known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        assert first == component
        mine = [each for each in given if each.partition("=")[0] in known]
        assert {each.partition("=")[0] for each in given if each not in mine} <= OF_THE_CONTRACT
        with command.make_context(component, [*mine, *(["--database-url=sqlite://"] if component == "server" else [])]):
            pass


@every_case
def test_secrets_are_in_no_arguments(name: str) -> None:
    for pod in pod_specs(render(CASES[name])).values():
        for container in containers(pod):
            for variable in container["env"]:
                assert "value" not in variable or not any(word in variable["name"] for word in ("KEY", "TOKEN"))


def test_the_images_are_those_of_the_release() -> None:
    objects = render({})
    assert f"--gateway-image={DEFAULT_GATEWAY_IMAGE}" in arguments(objects, "operator")
    images = {container["image"] for pod in pod_specs(objects).values() for container in containers(pod)}
    assert images == {DEFAULT_GATEWAY_IMAGE.replace("/gateway:", "/penstock:")}


def test_cluster_wide_mode_has_the_table() -> None:
    objects = render({"secretNamespaces": ["ai-platform"], "tls": {"mode": "Operator"}})
    assert rules(named(objects, "ClusterRole", "penstock-operator")) == table(
        Scope.CLUSTER, Scope.NAMESPACES, Scope.WATCHED
    )
    assert rules(named(objects, "Role", "penstock-operator-own")) == table(Scope.OWN, Scope.CERTIFICATES)
    assert rules(named(objects, "Role", "penstock-operator-secrets")) == table(Scope.SECRETS)
    assert rules(named(objects, "ClusterRole", "penstock-server")) == table(Scope.CLUSTER, process="server")


def test_namespaced_mode_has_only_pools_and_reading_cluster_wide() -> None:
    objects = render({"watchNamespaces": ["a", "b"], "secretNamespaces": ["b"]})
    wide = rules(named(objects, "ClusterRole", "penstock-operator"))
    named_ones = {(group, resource, verb, ("a", "b")) for group, resource, verb, _ in table(Scope.NAMESPACES)}
    assert wide == table(Scope.CLUSTER) | named_ones
    assert {verb for _, resource, verb, _ in wide if not resource.startswith("inferencepools")} <= {
        "get",
        "list",
        "watch",
    }
    roles = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): rules(each)
        for each in objects
        if each["kind"] == "Role"
    }
    assert roles["a", "penstock-operator"] == roles["b", "penstock-operator"] == table(Scope.WATCHED)
    assert roles["b", "penstock-operator-secrets"] == table(Scope.SECRETS)
    assert ("a", "penstock-operator-secrets") not in roles


@every_case
def test_no_cluster_role_reaches_secrets(name: str) -> None:
    wide = [each for each in render(CASES[name]) if each["kind"] == "ClusterRole"]
    assert wide
    assert not [rule for role in wide for rule in rules(role) if rule[1] == "secrets" or "*" in rule]


@every_case
def test_every_role_is_bound_to_its_process(name: str) -> None:
    objects = [
        each
        for each in render(CASES[name])
        if each["metadata"]["name"] not in {"penstock-admin", "penstock-edit", "penstock-view"}
    ]
    for kind in ("Role", "ClusterRole"):
        given = {_place(each) for each in objects if each["kind"] == kind}
        bound = {
            (each["metadata"].get("namespace"), each["roleRef"]["name"])
            for each in objects
            if each["kind"] == f"{kind}Binding"
        }
        assert given == bound


def test_only_the_issuing_operator_may_write_certificates() -> None:
    for mode, expected in (("Operator", True), ("CertManager", False), ("Off", False)):
        objects = render({"tls": {"mode": mode}})
        role = named(objects, "Role", "penstock-operator-own")
        assert any(resource == "secrets" for _, resource, _, _ in rules(role)) is expected, mode
        assert ("--issue-certificates" in arguments(objects, "operator")) is expected, mode


def test_cert_manager_is_taken_where_it_is_served() -> None:
    without, with_it = render({}), render({}, "penstock", "--api-versions", "cert-manager.io/v1")
    assert not [each for each in without if each["kind"] == "Certificate"]
    assert named(with_it, "Certificate", "penstock-server")["spec"]["secretName"] == "penstock-server-tls"
    assert "--server-ca-file=/etc/penstock/server-ca/ca.crt" in arguments(with_it, "operator")


def test_probes_speak_as_the_server_listens() -> None:
    for mode, scheme, port in (("Operator", "HTTPS", "https"), ("Off", "HTTP", "http")):
        objects = render({"tls": {"mode": mode}})
        (container,) = named(objects, "Deployment", "penstock-server")["spec"]["template"]["spec"]["containers"]
        assert [each["name"] for each in container["ports"]] == [port]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert (container[probe]["httpGet"]["scheme"], container[probe]["httpGet"]["port"]) == (scheme, port)
        (service,) = named(objects, "Service", "penstock-server")["spec"]["ports"]
        assert (service["name"], service["port"], service["targetPort"]) == (port, 8090, port)


def test_one_server_has_a_file_and_several_have_a_database() -> None:
    one, two = render({}), render({"server": {"postgresql": {"urlSecret": {"name": "database"}}}})
    assert named(one, "Deployment", "penstock-server")["spec"]["strategy"] == {"type": "Recreate"}
    assert named(one, "Deployment", "penstock-server")["spec"]["replicas"] == 1
    assert named(one, "PersistentVolumeClaim", "penstock-server")["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }
    spec = named(two, "Deployment", "penstock-server")["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    assert not [each for each in two if each["kind"] == "PersistentVolumeClaim"]
    environment = spec["template"]["spec"]["containers"][0]["env"]
    (url,) = (each for each in environment if each["name"] == "PENSTOCK_DATABASE_URL")
    assert url["valueFrom"] == {"secretKeyRef": {"name": "database", "key": "url"}}


@every_case
def test_selectors_match_their_pods_and_no_others(name: str) -> None:
    objects = render(CASES[name])
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in objects
        if each["kind"] == "Deployment"
    }
    checked = 0
    for each in objects:
        selector = _selector(each)
        if selector and each["metadata"]["name"] in {"penstock-operator", "penstock-server"}:
            matched = {owner for owner, found in labels.items() if selector.items() <= found.items()}
            assert matched == {each["metadata"]["name"]}, _place(each)
            checked += 1
    assert checked >= 3


def test_policies_deny_what_they_do_not_list() -> None:
    objects = render({"secretNamespaces": ["ai-platform"]})
    for component in ("operator", "server"):
        spec = named(objects, "NetworkPolicy", f"penstock-{component}")["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["from"] and rule["ports"] for rule in spec["ingress"])
        assert all(rule["ports"] for rule in spec["egress"])


def test_labels_make_no_object_of_the_chart_a_child_of_the_operator() -> None:
    """It watches, and compares, what is labelled as managed by penstock."""
    for each in render(CASES["namespaced-air-gapped"]):
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("kind", ["admin", "edit", "view"])
def test_users_roles_aggregate(kind: str) -> None:
    role = named(render({}), "ClusterRole", f"penstock-{kind}")
    assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{kind}"] == "true"
    assert not [rule for rule in rules(role) if rule[1].startswith("inferencepools")]


def _selector(live: Object) -> dict[str, Any]:
    spec = live.get("spec", {})
    if live["kind"] == "Service":
        return dict(spec["selector"])
    selector = spec.get("podSelector") if live["kind"] == "NetworkPolicy" else spec.get("selector")
    return dict((selector or {}).get("matchLabels", {})) if isinstance(selector, dict) else {}


def _place(live: Object) -> tuple[str | None, str]:
    return live["metadata"].get("namespace"), live["metadata"]["name"]
