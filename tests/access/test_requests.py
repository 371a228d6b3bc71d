"""What the operator really asks for is within its rights, and what it has a right to it does ask for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.heard import heard
from integration.gateways import consumer, gateway, gateways, provider, route, secret
from integration.stage import Stage, deployment, node, pool, stage
from penstock.access.rights import Asked, Process, Reach, Scope, allowed, granting
from penstock.access.table import RIGHTS

REACH = Reach("penstock-system", frozenset({"team"}))
SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"

NOT_IN_THIS_LIFE = {
    (Scope.OWN, "configmaps", "get"): "the tests have no model hub; tests/reconcilers/test_facts.py",
    (Scope.OWN, "configmaps", "create"): "the same",
    (Scope.OWN, "configmaps", "patch"): "the same",
    (Scope.WATCHED, "events", "patch"): "an event that repeats; tests/cluster/test_events.py",
    (Scope.SECRETS, "secrets", "list"): "without --secret-namespaces they are listed everywhere",
    (Scope.SECRETS, "secrets", "watch"): "the same",
    (Scope.CERTIFICATES, "secrets", "get"): "plain HTTP here",
    (Scope.CERTIFICATES, "secrets", "create"): "the same",
    (Scope.CERTIFICATES, "secrets", "patch"): "the same",
}
"""What these tests do not ask for, and why; e2e's audit log has the rest."""


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> set[Asked]:
    """One life, heard once for all tests."""
    return asyncio.run(a_life(tmp_path_factory.mktemp("life")))


async def a_life(folder: Path) -> set[Asked]:
    """A gateway and what attaches to it; a model is served, scaled down, changed and deleted."""
    with heard() as asked:
        async with stage(folder) as cluster, gateways(cluster, folder) as traffic:
            await traffic.start_server()
            cluster.put(pool("h100"), node("h100-a"), node("h100-b"), *others())
            await traffic.start_operator(leader_elect=True)
            cluster.put(gateway(), secret("hosted", api_key="sk-hosted"), provider(), consumer())
            await traffic.start_replicas()
            await live(cluster)
    return asked


async def live(cluster: Stage) -> None:
    """From its first revision to its end, with a volume of weights and a priority."""
    cluster.put(route(), deployment(replicas=2, pod={"priorityClassName": "urgent"}, weights={"cache": "Volume"}))
    await cluster.ready()
    cluster.edit(replicas=1)
    await cluster.until(lambda: len(cluster.children("pods")) == 1)
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: cluster.serving() not in {"", old} and len(cluster.revisions()) == 1)
    await cluster.ready()
    cluster.server.delete("modeldeployments", "team", "chat")
    await cluster.until(lambda: cluster.server.get("modeldeployments", "team", "chat") is None)


def others() -> list[dict[str, Any]]:
    """A priority, and one of each kind that is not acted on yet."""
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 9}
    samples = [each for path in SAMPLES.glob("0[56]*.yaml") for each in yaml.safe_load_all(path.read_text())]
    found = {each["kind"]: each for each in samples if each["kind"] in {"Budget", "Evaluation"}}
    return [urgent, *({**each, "metadata": {**each["metadata"], "namespace": "team"}} for each in found.values())]


def test_every_request_is_within_the_rights(requests: set[Asked]) -> None:
    refused = {asked for asked in requests if not allowed(asked, Process.OPERATOR, RIGHTS, REACH)}
    # Without --secret-namespaces it asks for the labelled ones of all namespaces, to which the chart gives no right.
    assert refused <= {Asked("list", "", "secrets"), Asked("watch", "", "secrets")}
    assert len(requests) > 40


def test_every_right_is_asked_for(requests: set[Asked]) -> None:
    """What no request ever asks for is no right that it needs."""
    used = {
        (right.scope, asked.path, asked.verb)
        for asked in requests
        for right in granting(asked, Process.OPERATOR, RIGHTS, REACH)
    }
    given = {
        (right.scope, resource, verb)
        for right in RIGHTS
        if right.process is Process.OPERATOR and not right.unaudited
        for resource in right.resources
        for verb in right.verbs
    }
    assert given - used <= set(NOT_IN_THIS_LIFE)
