"""Installed, upgraded, drained, backed up and taken away as users do it, on nodes whose rules are enforced.

The tests stand in the order of a platform's life and share one cluster: each takes what the one before has left.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from installed.manifests import GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE
from installed.manifests import platform as resources
from installed.platform import CHART, NODES, Platform
from installed.rights import refused_requests, secrets_read, unused_rules, writes
from installed.upheavals import Upheaval, drained, leader_change, resident_mib, under_load, upgraded
from testbed.errors import CommandError

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"
NEW = {"images.penstock.tag": "", "images.gateway.tag": ""}
REPLICAS = 2
ENGINES = 2 * REPLICAS
LEADER_SECONDS = 20.0
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
    platform.cluster.kubectl("wait", "-n", MODELS_NAMESPACE, "md", "--all", "--for=condition=Ready", "--timeout=120s")


def test_helm_s_own_test_passes(platform: Platform) -> None:
    """It asks the server over TLS, and the gateway for a completion."""
    said = platform.cluster.helm("test", "penstock", "-n", SYSTEM_NAMESPACE, "--timeout=120s")
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
        platform.cluster.helm("rollback", "penstock", "-n", SYSTEM_NAMESPACE, "--wait", "--timeout=180s")
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
    platform.cluster.kubectl("wait", "-n", MODELS_NAMESPACE, "md", "--all", "--for=condition=Ready", "--timeout=120s")


def test_another_leads_when_the_leader_is_killed(platform: Platform) -> None:
    """Within 20 s, and clients notice nothing."""
    with under_load(platform) as seen:
        took = leader_change(platform)
    unharmed(seen)
    print(f"another leads after {took:.1f} s")
    assert took <= LEADER_SECONDS


def test_the_idle_operator_is_small(platform: Platform) -> None:
    """Resident memory of both replicas."""
    time.sleep(5)
    resident = resident_mib(platform, "operator")
    print(f"operator: {resident:.0f} MiB")
    assert resident <= IDLE_MIB


def test_every_sample_is_accepted_or_says_why_not(platform: Platform) -> None:
    """All of them on the real API server; none is left without a word."""
    platform.cluster.kubectl("apply", "--server-side", "-f", str(SAMPLES))
    try:
        platform.until(lambda: not _unanswered(platform), "every sample has a condition Accepted", seconds=60)
    finally:
        platform.cluster.kubectl("delete", "-f", str(SAMPLES), "--ignore-not-found", "--timeout=180s")
        platform.serve(replicas=REPLICAS)
    platform.until(platform.completes, "the platform answers again", seconds=180)


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


def test_every_request_was_allowed_and_every_right_was_used(platform: Platform) -> None:
    """By the audit log of all that ran before."""
    assert refused_requests(platform.cluster) == []
    assert secrets_read(platform.cluster) <= {GATEWAY_NAMESPACE, MODELS_NAMESPACE, SYSTEM_NAMESPACE}
    assert unused_rules(platform.cluster, platform.reach) == []
