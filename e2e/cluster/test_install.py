"""Installed, upgraded, drained, backed up and taken away as users do it, on nodes whose rules are enforced.

The tests stand in the order of a platform's life and share one cluster: each takes what the one before has left.
"""

import base64
import json
import os
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from installed.manifests import GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE
from installed.manifests import platform as resources
from installed.platform import CHART, NODES, Platform
from installed.rights import refused_requests, secrets_read, unused_rules, writes
from installed.upheavals import Upheaval, drained, leader_change, resident_mib, under_load, upgraded
from testbed.binaries import find
from testbed.errors import CommandError

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"
NEW = {"images.penstock.tag": "", "images.gateway.tag": ""}
REPLICAS = 2
ENGINES = 2 * REPLICAS
AT_ONCE = 40
"""Requests that two replicas have under way at once, at the most, at 20 per second."""
IDLE_MIB = 150.0
QUIET_SECONDS = 20.0


def unharmed(seen: Upheaval) -> None:
    """No request failed, no stream broke, no engine's pod is another one."""
    assert (seen.tally.failed, seen.tally.broken, seen.tally.skipped) == (0, 0, 0), seen.tally
    assert not seen.rolled


def test_the_readmes_lines_install_it(platform: Platform) -> None:
    """Two charts, the platform's resources, an answer through the gateway."""
    began = time.monotonic()
    platform.install()
    platform.serve(replicas=REPLICAS)
    platform.until(platform.completes, "the first completion", seconds=300)
    print(f"first completion after {time.monotonic() - began:.1f} s")
    platform.until(lambda: len(platform.engines()) == ENGINES, "all engines are there")
    platform.cluster.kubectl("wait", "-n", MODELS_NAMESPACE, "md", "--all", "--for=condition=Ready", "--timeout=240s")


def test_helm_s_own_test_passes(platform: Platform) -> None:
    """It asks the server over TLS, and the gateway for a completion."""
    said = platform.cluster.helm("test", "penstock", "-n", SYSTEM_NAMESPACE, "--timeout=240s")
    assert "Succeeded" in said


def test_all_pods_run_in_namespaces_that_enforce_restricted(platform: Platform) -> None:
    """Operator, server, gateways and engines, and no warning of admission beside them."""
    for namespace in (SYSTEM_NAMESPACE, GATEWAY_NAMESPACE, MODELS_NAMESPACE):
        labels = platform.get("namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert platform.items("pods", namespace), namespace
    with pytest.raises(CommandError, match="violates PodSecurity"):
        platform.cluster.kubectl("run", "root", "-n", MODELS_NAMESPACE, "--image=pause", "--restart=Never")


def test_a_second_apply_and_diff_show_nothing(platform: Platform) -> None:
    """Of the resources and of the chart: GitOps tools see no drift."""
    before = {kind: _specs(platform, kind) for kind in ("modeldeployments", "routes", "inferencegateways")}
    diff = platform.cluster.kubectl(
        "diff", "--server-side", "--field-manager=platform-team", "-f", "-", stdin=_listed(platform)
    )
    assert diff == ""
    platform.apply(*resources(key=platform.key, replicas=REPLICAS))
    assert {kind: _specs(platform, kind) for kind in before} == before


def _listed(platform: Platform) -> str:
    items = resources(key=platform.key, replicas=REPLICAS)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _specs(platform: Platform, kind: str) -> list[tuple[str, str]]:
    items = json.loads(platform.cluster.kubectl("get", kind, "-A", "-o", "json"))["items"]
    return [(each["metadata"]["name"], each["metadata"]["resourceVersion"]) for each in items]


def test_nothing_is_written_while_nothing_changes(platform: Platform) -> None:
    """But the Lease; by the word of the API server's audit log."""
    time.sleep(QUIET_SECONDS / 2)
    since = datetime.now(UTC).isoformat()
    time.sleep(QUIET_SECONDS)
    assert writes(platform.cluster, since=since) == []


def test_an_upgrade_fails_no_request_and_rolls_no_engine(platform: Platform) -> None:
    """Operator, server and gateways are all replaced."""
    operators = platform.component("operator")
    seen = upgraded(platform, NEW)
    unharmed(seen)
    assert not operators.keys() & platform.component("operator").keys()
    print(f"upgrade: {seen.tally.sent} requests in {seen.seconds:.0f} s")


def test_rolling_back_does_not_either(platform: Platform) -> None:
    """By Helm's own command; and forward again."""
    gateways = platform.gateways()
    with under_load(platform) as seen:
        platform.cluster.helm("rollback", "penstock", "-n", SYSTEM_NAMESPACE, "--wait", "--timeout=300s")
        platform.until(lambda: not gateways.keys() & platform.gateways().keys(), "the older gateways are back")
    unharmed(seen)
    unharmed(upgraded(platform, NEW))


@pytest.mark.parametrize("node", [each.name for each in NODES])
def test_draining_a_node_fails_no_request(platform: Platform, node: str) -> None:
    """Engines, gateways, operator and server move; engines of that node are others then, nothing else."""
    there = {each["metadata"]["name"] for each in platform.items("pods") if each["spec"].get("nodeName") == node}
    seen = drained(platform, node)
    assert (seen.tally.failed, seen.tally.broken) == (0, 0), seen.tally
    assert seen.rolled <= there
    platform.until(lambda: len(platform.engines()) == ENGINES, "all engines are there")
    platform.cluster.kubectl("wait", "-n", MODELS_NAMESPACE, "md", "--all", "--for=condition=Ready", "--timeout=240s")


def test_another_leads_when_the_leader_is_killed(platform: Platform) -> None:
    """Clients notice nothing; the benchmark says how soon."""
    with under_load(platform) as seen:
        took = leader_change(platform)
    unharmed(seen)
    print(f"another leads after {took:.1f} s")


def test_the_idle_operator_is_small(platform: Platform) -> None:
    """Resident memory of both replicas."""
    time.sleep(5)
    resident = resident_mib(platform, "operator")
    print(f"operator: {resident:.0f} MiB")
    assert resident <= IDLE_MIB


def test_every_sample_is_accepted_or_says_why_not(platform: Platform) -> None:
    """All of them on the real API server; none is left without a word."""
    # The namespaces are there, with labels that these would take away.
    files = [
        word
        for path in sorted(SAMPLES.glob("0[0-9]-*.yaml"))
        if "namespaces" not in path.name
        for word in ("-f", str(path))
    ]
    platform.cluster.kubectl("apply", "--server-side", *files)
    platform.until(lambda: not _unanswered(platform), "every sample has a condition Accepted", seconds=60)
    platform.cluster.kubectl("delete", *files, "--ignore-not-found", "--timeout=300s")
    assert platform.completes(), "what was there before still answers"


def _unanswered(platform: Platform) -> list[str]:
    items = json.loads(platform.cluster.kubectl("get", "penstock", "-A", "-o", "json"))["items"]
    return [
        each["metadata"]["name"]
        for each in items
        if not any(it["type"] == "Accepted" for it in each.get("status", {}).get("conditions", []))
    ]


def test_bad_values_are_refused_with_their_path(platform: Platform) -> None:
    """And change nothing that serves."""
    before = platform.component("operator")
    for words, path in (
        ("operator.replica=2", "replica"),
        ("server.replicas=2", "replicas"),
        ("tls.mode=Maybe", "mode"),
    ):
        with pytest.raises(CommandError, match=path):
            platform.upgrade(f"--set={words}")
    assert platform.component("operator") == before


def test_a_second_release_is_refused_with_the_reason(platform: Platform) -> None:
    """One cluster has one Penstock: its pools have one writer."""
    with pytest.raises(CommandError, match="penstock"):
        platform.cluster.helm("install", "other", str(CHART), "-n", "default")


def test_two_servers_on_postgresql_take_over(platform: Platform, database: str) -> None:
    """What SQLite holds is backed up and restored; then the chart is told, under load, and two servers run."""
    platform.penstock("restore", "--input", str(platform.backed_up()), PENSTOCK_DATABASE_URL=database)
    platform.apply(_url_secret(database))
    with under_load(platform) as seen:
        platform.values["server.postgresql.urlSecret.name"] = "penstock-database"
        platform.upgrade()
        platform.until(lambda: len(platform.component("server")) == 2, "two servers")
    unharmed(seen)


def _url_secret(database: str) -> dict[str, object]:
    metadata = {"name": "penstock-database", "namespace": SYSTEM_NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"url": database}}


@pytest.mark.parametrize("component", ["server", "operator"])
def test_killing_a_pod_of_the_control_plane_is_unnoticed(platform: Platform, component: str) -> None:
    """All of its processes at once; and the rest of them rolled right after."""
    with under_load(platform) as seen:
        platform.cluster.kill_pod(next(iter(platform.component(component))), SYSTEM_NAMESPACE)
        words = ("-n", SYSTEM_NAMESPACE, f"deployment/penstock-{component}")
        platform.cluster.kubectl("rollout", "restart", *words)
        platform.cluster.kubectl("rollout", "status", *words, "--timeout=240s")
    unharmed(seen)


def test_a_killed_gateway_takes_only_its_own_requests_along(platform: Platform) -> None:
    """The other one answers; what fails is no more than what the killed process had."""
    with platform.load() as load:
        platform.cluster.kill_pod(next(iter(platform.gateways())), GATEWAY_NAMESPACE)
        answered = load.tally.answered
        platform.until(lambda: load.tally.answered > answered + 100, "the other one answers")
        tally = load.end()
    assert tally.failed + tally.broken <= AT_ONCE, tally
    platform.until(lambda: _ready(platform, "entry"), "both replicas are ready", seconds=60)


def _ready(platform: Platform, name: str) -> bool:
    return platform.condition("inferencegateways", name, "Ready", GATEWAY_NAMESPACE) == "True"


def test_a_replica_that_is_scaled_away_takes_no_request_along(platform: Platform) -> None:
    """It is marked, drained and then deleted, before any other."""
    with under_load(platform) as seen:
        platform.cluster.kubectl("scale", "-n", MODELS_NAMESPACE, "md/spare", "--replicas=1")
        platform.until(lambda: len(platform.engines()) == ENGINES - 1, "one engine is gone")
    assert (seen.tally.failed, seen.tally.broken) == (0, 0), seen.tally
    platform.cluster.kubectl("scale", "-n", MODELS_NAMESPACE, "md/spare", "--replicas=2")
    platform.until(lambda: len(platform.engines()) == ENGINES, "it is back")


def test_a_model_that_only_the_hub_knows_is_served_with_its_priority(platform: Platform) -> None:
    """Its config is read from the hub's mirror and kept in the cluster; the PriorityClass is looked up."""
    name = "acme/private-8b"
    with platform.hub(name) as url:
        platform.apply(_priority(), _private(name, url))
        platform.until(
            lambda: platform.condition("modeldeployments", "private", "Ready") == "True", "it is ready", seconds=180
        )
    (pod,) = platform.items("pods", labels="penstock.dev/deployment=private")
    assert pod["spec"]["priorityClassName"] == "batch"
    assert platform.items("configmaps", SYSTEM_NAMESPACE, "penstock.dev/role=model-facts")
    platform.cluster.kubectl("delete", "md", "private", "-n", MODELS_NAMESPACE, "--timeout=240s")


def _priority() -> dict[str, object]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "batch"},
        "value": 1000,
        "preemptionPolicy": "Never",
    }


def _private(model: str, url: str) -> dict[str, object]:
    source = {"type": "Hub", "hub": {"mirrorURL": url}}
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "private", "namespace": MODELS_NAMESPACE},
        "spec": {"model": model, "source": source, "pod": {"priorityClassName": "batch"}},
    }


def test_status_and_doctor_find_nothing(platform: Platform) -> None:
    """On a platform that is well again: their exit status is 0."""
    platform.until(lambda: platform.penstock("status"), "nothing needs attention", seconds=60)
    assert "Nothing needs attention" in platform.penstock("status")
    assert "fail" not in platform.penstock("doctor")


def test_the_support_bundle_holds_no_secret(platform: Platform) -> None:
    """Nothing of the keys that are known here, in whatever form."""
    path = platform.folder / "bundle.tar.gz"
    platform.penstock("support-bundle", str(path))
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        content = b"".join(file.read() for file in files if file)
    assert len(files) > 20
    tokens = [_decoded(each) for each in _secrets(platform)]
    assert tokens
    assert not [token for token in (platform.key.encode(), *tokens) if token in content]


def _secrets(platform: Platform) -> list[str]:
    spaces = (GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE)
    found = (each for space in spaces for each in platform.items("secrets", space))
    return [
        value
        for secret in found
        for key, value in secret.get("data", {}).items()
        if key not in {"ca.crt", "tls.crt", "version", "release"}
    ]


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)


def test_every_request_was_allowed_and_every_right_was_used(platform: Platform) -> None:
    """By the audit log of all that ran before."""
    assert refused_requests(platform.cluster) == []
    assert secrets_read(platform.cluster) <= {GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE}
    assert [str(each) for each in unused_rules(platform.cluster, platform.reach)] == []


def test_uninstalling_leaves_nothing(platform: Platform) -> None:
    """No resource, no pod, no Secret, Lease, role or definition of ours; the namespaces and the disk are the team's."""
    platform.penstock("uninstall", "--yes", "--helm", "--timeout=300", PATH=_with_helm())
    platform.until(lambda: not (platform.engines() or platform.gateways()), "no pod is there that is not ending")
    kinds = "secrets,leases,configmaps,deployments,services,networkpolicies,poddisruptionbudgets,roles"
    for label in ("app.kubernetes.io/managed-by=penstock", "app.kubernetes.io/name=penstock"):
        assert platform.cluster.kubectl("get", kinds, "-A", "-l", label, "-o", "name") == ""
    wide = platform.cluster.kubectl("get", "crds,clusterroles,clusterrolebindings", "-o", "name")
    assert [each for each in wide.split() if "penstock" in each] == []


def _with_helm() -> str:
    programs = find()
    assert programs is not None
    assert programs.helm is not None
    return f"{programs.helm.parent}{os.pathsep}{os.environ['PATH']}"


def test_the_same_lines_install_it_again(platform: Platform) -> None:
    """On the cluster that was left, with the database that stayed."""
    platform.install()
    platform.serve(replicas=REPLICAS)
    platform.until(platform.completes, "a completion", seconds=180)


def test_it_installs_over_definitions_that_stayed(platform: Platform) -> None:
    """`helm uninstall` alone takes no definition, no resource and no engine along."""
    engines = platform.engines()
    for release in ("penstock", "penstock-crds"):
        platform.cluster.helm("uninstall", release, "-n", SYSTEM_NAMESPACE, "--wait", "--timeout=240s")
    assert platform.completes(), "engines and gateways go on by themselves"
    platform.install()
    platform.until(lambda: _ready(platform, "entry"), "the gateway's replicas are in step", seconds=120)
    assert platform.completes()
    assert platform.engines() == engines
