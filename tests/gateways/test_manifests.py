"""What runs a gateway: goldens, Pod Security, the container's command, limits of names, and what rolls its pods."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.gateway_requests import CASES, UID, gateway_request
from penstock.api.kinds import KINDS_BY_NAME
from penstock.api.quantities import format_bytes, parse_bytes
from penstock.gateways.litellm import (
    CLIENT_PORT,
    GATEWAY_LABEL,
    INTERNAL_PORT,
    MONITORING_LABEL,
    GatewayRequest,
    credentials_secret_name,
    render_credentials,
    render_gateway,
    render_token,
    token_secret_name,
)
from penstock_gateway.__main__ import _parser

Object = dict[str, Any]

GOLDEN = Path(__file__).parents[1] / "golden"
RESTRICTED_VOLUMES = frozenset({"configMap", "emptyDir", "secret"})
LONGEST_NAME = "a" + "b" * (KINDS_BY_NAME["InferenceGateway"].longest_name - 1)

every_case = pytest.mark.parametrize("name", CASES)


def by_kind(request: GatewayRequest) -> dict[str, Object]:
    return {manifest["kind"]: manifest for manifest in render_gateway(request)}


def template(request: GatewayRequest) -> Object:
    found: Object = by_kind(request)["Deployment"]["spec"]["template"]
    return found


def container(request: GatewayRequest) -> Object:
    (found,) = template(request)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def secrets_of(request: GatewayRequest) -> tuple[Object, Object]:
    """Both Secrets, with values of their own."""
    return (
        render_credentials(request.gateway, {"team.mistral": "key-of-mistral"}),
        render_token(request.gateway, "token-of-the-server", "key-of-the-master"),
    )


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path."""
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from walk(child, f"{path}.{key}")


@every_case
def test_golden(name: str, update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    """What is applied changes only on purpose: pytest tests/gateways --update-golden, then read the diff."""
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump_all(render_gateway(CASES[name]), sort_keys=True, width=120)
    if update_golden:
        path.write_text(text)
    assert path.read_text() == text


def test_what_there_is() -> None:
    kinds = [manifest["kind"] for manifest in render_gateway(gateway_request())]
    assert kinds == ["ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"]


def test_every_argument_is_one_that_a_replica_knows() -> None:
    """By its own parser, which refuses what it does not know; and each value is where the pod has it."""
    request = gateway_request()
    options = vars(_parser().parse_args(container(request)["args"]))
    assert options.pop("host") == "0.0.0.0"
    assert options == {
        "gateway": "team/main",
        "server": "http://penstock-server.penstock-system:8080",
        "pod_uid": "$(POD_UID)",
        "pod": "$(POD_NAME)",
        "port": CLIENT_PORT,
        "internal_port": INTERNAL_PORT,
        "server_ca_file": None,
        "token_file": Path("/etc/penstock/token/token"),
        "credentials_dir": Path("/etc/penstock/credentials"),
        "litellm_config": Path("/etc/penstock/config/config.yaml"),
        "table_file": Path("/var/lib/penstock/table/table.json"),
        "spool_dir": Path("/var/lib/penstock/spool"),
        "linger_seconds": 5.0,
        "drain_seconds": 300.0,
    }
    assert container(request)["command"] == ["python", "-m", "penstock_gateway"]


def test_variables_of_the_arguments_are_set() -> None:
    variables = {each["name"]: each.get("valueFrom", {}) for each in container(gateway_request())["env"]}
    assert variables["POD_UID"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    assert variables["POD_NAME"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}


def test_files_of_the_arguments_are_mounted() -> None:
    """What a replica writes is writable, and nothing else is."""
    request = gateway_request()
    volumes = {volume["name"]: volume for volume in template(request)["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container(request)["volumeMounts"]}
    paths = [word for word in container(request)["args"] if word.startswith("/")]
    assert len(paths) == 5
    assert all(any(f"{path}/".startswith(f"{folder}/") for folder in mounts) for path in paths)
    for mount in mounts.values():
        assert ("emptyDir" in volumes.pop(mount["name"])) is not mount.get("readOnly", False)
    assert not volumes
    assert "/tmp" in mounts  # noqa: S108 - a mount


def test_mounted_keys_are_there() -> None:
    """Names and keys of ConfigMap and Secrets are those that are rendered; only the credentials may be missing."""
    request = gateway_request()
    manifests = {each["metadata"]["name"]: each for each in (by_kind(request)["ConfigMap"], *secrets_of(request))}
    volumes = {volume["name"]: volume for volume in template(request)["spec"]["volumes"]}
    assert "config.yaml" in manifests[volumes["config"]["configMap"]["name"]]["data"]
    token = volumes["token"]["secret"]
    assert {item["key"] for item in token["items"]} == {"token"}
    assert {"token", "master-key"} == set(manifests[token["secretName"]]["data"])
    credentials = volumes["credentials"]["secret"]
    assert "version" in manifests[credentials["secretName"]]["data"]
    assert [name for name in volumes if volumes[name].get("secret", {}).get("optional")] == ["credentials"]
    (master,) = (each for each in container(request)["env"] if each["name"] == "LITELLM_MASTER_KEY")
    reference = master["valueFrom"]["secretKeyRef"]
    assert reference["key"] in manifests[reference["name"]]["data"]


@every_case
def test_pods_are_restricted(name: str) -> None:
    pod, own = template(CASES[name])["spec"], container(CASES[name])["securityContext"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert own == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    types = {key for volume in pod["volumes"] for key in volume if key != "name"}
    assert types <= RESTRICTED_VOLUMES
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False


@every_case
def test_nothing_grows_without_a_bound(name: str) -> None:
    request = CASES[name]
    resources = container(request)["resources"]
    assert parse_bytes(resources["limits"]["memory"]) >= parse_bytes(resources["requests"]["memory"])
    for volume in template(request)["spec"]["volumes"]:
        assert "emptyDir" not in volume or parse_bytes(volume["emptyDir"]["sizeLimit"]) > 0


def test_a_table_and_the_next_one_fit() -> None:
    """A replica takes tables of 64 MiB and keeps 16 files of 32 MiB."""
    sizes = {
        volume["name"]: parse_bytes(volume["emptyDir"]["sizeLimit"])
        for volume in template(gateway_request())["spec"]["volumes"]
        if "emptyDir" in volume
    }
    assert sizes["table"] > 2 * 64 * 2**20
    assert sizes["spool"] > 16 * 32 * 2**20


@every_case
def test_values_are_as_the_api_server_stores_them(name: str) -> None:
    """No null, nothing empty, sizes in canonical form, ports with their protocol."""
    quantities = 0
    for manifest in render_gateway(CASES[name]):
        for path, value in walk(manifest):
            assert value is not None, path
            assert value not in ({}, []), path
            if path.endswith((".memory", ".sizeLimit")):
                assert format_bytes(parse_bytes(value)) == value, path
                quantities += 1
            if path.endswith(".ports"):
                assert all(port["protocol"] == "TCP" for port in value)
    assert quantities == 5


def test_names_fit() -> None:
    """A Service's name and a label's value are at most 63 characters long."""
    request = gateway_request(LONGEST_NAME)
    for manifest in (*render_gateway(request), *secrets_of(request)):
        longest = 253 if manifest["kind"] == "Secret" else 63
        assert len(manifest["metadata"]["name"]) <= longest
        for path, value in walk(manifest):
            if ".labels." in path or ".matchLabels." in path:
                assert len(value) <= 63


def test_names_are_not_those_of_deployments() -> None:
    """A ModelDeployment `main` owns the Service `main`."""
    request = gateway_request()
    names = {manifest["metadata"]["name"] for manifest in render_gateway(request)}
    assert names == {"main-gateway"}
    assert credentials_secret_name("main") == "main-gateway-credentials"
    assert token_secret_name("main") == "main-gateway-token"


@every_case
def test_children_are_owned_and_labelled(name: str) -> None:
    request = CASES[name]
    for manifest in (*render_gateway(request), *secrets_of(request)):
        metadata = manifest["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == (
            "InferenceGateway",
            request.gateway.metadata.name,
            UID,
        )
        assert owner["controller"] is True
        assert metadata["namespace"] == "team"
        assert (
            metadata["labels"].items()
            >= {
                "app.kubernetes.io/managed-by": "penstock",
                "app.kubernetes.io/name": "litellm",
                "app.kubernetes.io/instance": request.gateway.metadata.name,
                GATEWAY_LABEL: request.gateway.metadata.name,
            }.items()
        )


def test_secrets_are_watched() -> None:
    """Somebody who deletes one has it back at once."""
    for manifest in secrets_of(gateway_request()):
        assert manifest["metadata"]["labels"]["penstock.dev/watched"] == "true"


@every_case
def test_selectors_meet_the_replicas(name: str) -> None:
    found = by_kind(CASES[name])
    labels = template(CASES[name])["metadata"]["labels"]
    assert labels["penstock.dev/role"] == "gateway"
    selectors = [
        found["Service"]["spec"]["selector"],
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in _apart(CASES[name])),
    ]
    assert all(selector == selectors[0] for selector in selectors)
    assert labels.items() >= selectors[0].items()


def _apart(request: GatewayRequest) -> list[Object]:
    """What keeps replicas apart: over zones as a constraint, over nodes as an affinity that is only preferred."""
    spec = template(request)["spec"]
    preferred = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    return [*spec["topologySpreadConstraints"], *(each["podAffinityTerm"] for each in preferred)]


def test_replicas_spread_where_they_can() -> None:
    """A constraint on two labels would count for nothing where nodes have no zone: there is one of each."""
    zones, nodes = _apart(gateway_request())
    assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    assert nodes["topologyKey"] == "kubernetes.io/hostname"
    assert zones["matchLabelKeys"] == nodes["matchLabelKeys"] == ["pod-template-hash"]


@pytest.mark.parametrize("replicas", [1, 7])
def test_replicas_are_the_gateways(replicas: int) -> None:
    request = gateway_request(replicas=replicas)
    found = by_kind(request)
    assert found["Deployment"]["spec"]["replicas"] == replicas
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert template(request) == template(gateway_request())


def test_a_roll_out_takes_nothing_away() -> None:
    strategy = by_kind(gateway_request())["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_kubelet_waits_for_the_drain() -> None:
    request = gateway_request()
    options = _parser().parse_args(container(request)["args"])
    grace = template(request)["spec"]["terminationGracePeriodSeconds"]
    assert grace >= options.linger_seconds + options.drain_seconds + 10


def test_probes_are_of_the_internal_port() -> None:
    """A start has two minutes, and one that is stuck is found within one."""
    found = container(gateway_request())
    probes = {kind: found[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
    paths = {kind: probe["httpGet"]["path"] for kind, probe in probes.items()}
    assert paths == {"startup": "/health/livez", "readiness": "/health/readyz", "liveness": "/health/livez"}
    (internal,) = (port["name"] for port in found["ports"] if port["containerPort"] == INTERNAL_PORT)
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {internal}
    budgets = {kind: probe["periodSeconds"] * probe["failureThreshold"] for kind, probe in probes.items()}
    assert budgets == {"startup": 120, "readiness": 4, "liveness": 60}


def test_clients_come_in_from_anywhere_and_inside_only_ours() -> None:
    clients, inside = by_kind(gateway_request())["NetworkPolicy"]["spec"]["ingress"]
    assert clients == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert inside["ports"] == [{"port": "internal", "protocol": "TCP"}]
    labels = [each["namespaceSelector"]["matchLabels"] for each in inside["from"]]
    assert labels == [{"kubernetes.io/metadata.name": "penstock-system"}, {MONITORING_LABEL: "true"}]


def test_the_service_has_the_clients_port_only() -> None:
    ports = by_kind(gateway_request())["Service"]["spec"]["ports"]
    (http,) = (port for port in container(gateway_request())["ports"] if port["containerPort"] == CLIENT_PORT)
    assert [(port["port"], port["targetPort"]) for port in ports] == [(CLIENT_PORT, http["name"])]


def test_what_rolls_the_pods() -> None:
    """Image and server; neither users' fields that the table carries, nor a Secret."""
    request = gateway_request()
    rolls = {
        "image": replace(request, image="penstock-gateway:v0.2.0"),
        "server": replace(request, server_url="http://elsewhere:8080"),
    }
    stays = {
        "levels": gateway_request(sensitivityLevels=["one", "two"]),
        "routes": gateway_request(allowedRoutes={"namespaces": {"from": "All"}}),
        "grants": gateway_request(modelNameGrants=[{"namespace": "other", "names": ["auto"]}]),
    }
    assert [what for what, each in rolls.items() if template(each) == template(request)] == []
    assert [what for what, each in stays.items() if template(each) != template(request)] == []


def test_another_configuration_rolls_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    before = template(gateway_request())
    monkeypatch.setattr("penstock.gateways.litellm.configuration._settings", lambda: {"model_list": []})
    after = template(gateway_request())
    assert before["spec"] == after["spec"]
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
