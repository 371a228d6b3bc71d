"""Named namespaces: in each mode no request goes beyond what RBAC would allow, and who is left out says so."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from builders.access import Allowed, cluster_wide, namespaced
from integration.gateways import GatewayStage, consumer, gateway, gateways, provider, route, secret
from integration.stage import HastyClock, Stage, condition, deployment, node, pool

OWN = "penstock-system"
HOME, HOSTED = "deployment/team/chat", "provider/team/hosted/large"
CURE = "`secretNamespaces`"

MODES: dict[str, tuple[dict[str, Any], Allowed]] = {
    "cluster-wide, Secrets in one": (
        {"secret_namespaces": ("team",)},
        cluster_wide(secrets=["team"], own=OWN),
    ),
    "cluster-wide, Secrets in two": (
        {"secret_namespaces": ("other", "team")},
        cluster_wide(secrets=["other", "team"], own=OWN),
    ),
    "one namespace": (
        {"watch_namespaces": ("team",)},
        namespaced(watched=["team"], secrets=["team"], own=OWN),
    ),
    "two namespaces, Secrets in one": (
        {"watch_namespaces": ("team", "other"), "secret_namespaces": ("team",)},
        namespaced(watched=["team", "other"], secrets=["team"], own=OWN),
    ),
}


@pytest.fixture
async def stage(empty_cluster: Stage) -> Stage:
    """One pool of one node, a second namespace, and no operator yet."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    empty_cluster.put(pool("h100"), node("h100-a"), namespace)
    return empty_cluster


@pytest.fixture
async def entry(stage: Stage, tmp_path: Path) -> AsyncIterator[GatewayStage]:
    """Nothing of the gateway runs yet."""
    async with gateways(stage, tmp_path) as made:
        yield made


def _why(stage: Stage, plural: str, namespace: str, name: str, kind: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = condition(stage.server.get(plural, namespace, name), kind)
    return str(found.get("status", "")), str(found.get("reason", "")), str(found.get("message", ""))


@pytest.mark.parametrize(("settings", "allowed"), MODES.values(), ids=MODES.keys())
async def test_everything_works_and_nothing_else_is_asked_for(
    entry: GatewayStage, settings: dict[str, Any], allowed: Allowed
) -> None:
    """A deployment that is routed to, a hosted model, a consumer; a rollout and a removal; one leader."""
    stage = entry.cluster
    stage.clock = HastyClock(5)  # a Lease that is renewed twenty times as often is lost on a busy machine
    allowed.refused.clear()
    stage.server.authorizer = allowed
    await entry.up(**settings, leader_elect=True)
    stage.put(secret("hosted", api_key="sk-one"), provider(), consumer(), deployment(), route())
    stage.put(route("large", {"providerRef": {"name": "hosted", "model": "large"}}))
    await stage.until(lambda: entry.is_so("routes", "chat", "Ready") and entry.is_so("consumers", "bot", "Ready"))
    await stage.until(lambda: len(entry.everywhere(HOSTED)) == 2)
    (first,) = stage.revisions()
    stage.edit(engineArgs=["--seed=1"])
    await stage.until(lambda: first not in stage.revisions() and stage.is_ready(), seconds=40)
    stage.server.delete("routes", "team", "chat")
    stage.server.delete("modeldeployments", "team", "chat")
    await stage.until(lambda: not stage.children("pods"), seconds=40)
    await entry.calm()
    assert allowed.refused == []


async def test_outside_of_the_named_namespaces_nothing_is_seen(stage: Stage) -> None:
    """Its deployments are left as they are, its pods' GPUs look free, and the pool says so."""
    stage.put(deployment(), deployment(namespace="other"))
    await stage.start(watch_namespaces=("team",))
    await stage.until(stage.is_ready)
    await stage.rest()
    assert stage.md(namespace="other")["status"] == {"observedGeneration": 0}
    assert {namespace for _, namespace, _ in stage.picture()} == {"team"}
    ready = _why(stage, "inferencepools", "", "h100", "Ready")
    assert ready[:2] == ("True", "Ready")
    assert "`watchNamespaces`" in ready[2]


async def test_a_pool_of_the_whole_cluster_has_nothing_to_add(stage: Stage) -> None:
    """The note is for namespaced mode alone."""
    await stage.start()
    await stage.rest()
    assert _why(stage, "inferencepools", "", "h100", "Ready") == ("True", "Ready", "")


async def test_a_namespace_that_is_added_is_adopted_as_it_is(stage: Stage) -> None:
    """What an operator of the whole cluster made stays, pod by pod, and is looked after from then on."""
    stage.put(deployment(), deployment(namespace="other"))
    await stage.start()
    await stage.until(lambda: stage.is_ready() and stage.is_ready(namespace="other"))
    await stage.rest()
    before = (stage.picture(), _pods(stage))
    await stage.kill()
    await stage.start(watch_namespaces=("team",))
    await stage.rest()
    stage.edit(namespace="other", replicas=2)
    await stage.kill()
    await stage.start(watch_namespaces=("team", "other"))
    await stage.until(lambda: stage.is_ready(namespace="other") and len(_pods(stage)) == 3)
    await stage.rest()
    assert stage.picture() == before[0]
    assert before[1] <= _pods(stage)


async def test_watches_are_as_many_as_before(stage: Stage) -> None:
    """One per kind where the whole cluster is looked at, whatever is said of Secrets."""
    running = await stage.start()
    await stage.rest()
    usual = (len(running.operator.informers), stage.server.watches)
    await stage.kill()
    running = await stage.start(secret_namespaces=("team",))
    await stage.rest()
    assert (len(running.operator.informers), stage.server.watches) == usual
    await stage.kill()
    running = await stage.start(secret_namespaces=())
    await stage.rest()
    assert (len(running.operator.informers), stage.server.watches) == (usual[0] - 1, usual[1] - 1)


class TestWithoutSecrets:
    """No namespace is named."""

    @pytest.fixture
    async def blind(self, entry: GatewayStage) -> GatewayStage:
        """An operator and a server."""
        entry.cluster.server.authorizer = cluster_wide(secrets=[], own=OWN)
        await entry.start_server()
        await entry.start_operator(secret_namespaces=())
        return entry

    async def test_a_gateway(self, blind: GatewayStage) -> None:
        """Nothing of it is made: its pods would wait for a Secret for ever."""
        stage = blind.cluster
        stage.put(gateway())
        await stage.until(lambda: _why(stage, "inferencegateways", "team", "main", "Accepted")[0] == "False")
        _, reason, message = _why(stage, "inferencegateways", "team", "main", "Accepted")
        assert reason == "SecretForbidden"
        for word in ("metadata.namespace", "'team'", CURE):
            assert word in message
        await stage.rest()
        assert stage.server.get("deployments", "team", "main-gateway") is None
        await _quiet(blind)

    async def test_a_provider_and_a_consumer(self, blind: GatewayStage) -> None:
        """Each names its field, the Secret, the namespace and the cure."""
        stage = blind.cluster
        stage.put(secret("hosted", api_key="sk-one"), provider(), consumer())
        for plural, name, kind, field, named in (
            ("modelproviders", "hosted", "CredentialsResolved", "spec.credentialsRef.name", "'hosted'"),
            ("consumers", "bot", "KeyIssued", "spec.keySecretRef.name", "'bot-key'"),
        ):
            await stage.until(lambda: _why(stage, plural, "team", name, kind)[1] == "SecretForbidden")  # noqa: B023 - waited for here
            message = _why(stage, plural, "team", name, kind)[2]
            for word in (field, named, "'team'", CURE):
                assert word in message
        await _quiet(blind)

    async def test_a_deployment_with_credentials(self, blind: GatewayStage) -> None:
        """No revision is made whose pods might wait for a Secret that nobody has looked for."""
        stage = blind.cluster
        stage.put(deployment(credentialsRef={"name": "hub", "key": "token"}), deployment("open"))
        await stage.until(lambda: stage.reason("Ready") == "SecretForbidden")
        message = _why(stage, "modeldeployments", "team", "chat", "Ready")[2]
        for word in ("spec.credentialsRef.name", "'hub'", "'team'", CURE):
            assert word in message
        await stage.until(lambda: stage.is_ready("open"))
        assert stage.children("deployments") == []
        await _quiet(blind)

    async def test_the_namespace_is_named_later(self, blind: GatewayStage) -> None:
        """By a restart with the new flag; everything comes up."""
        stage = blind.cluster
        stage.put(gateway(), consumer())
        await stage.until(lambda: _why(stage, "inferencegateways", "team", "main", "Accepted")[0] == "False")
        await stage.kill()
        stage.server.authorizer = cluster_wide(secrets=["team"], own=OWN)
        await blind.start_operator(secret_namespaces=("team",))
        await blind.start_replicas()
        await stage.until(lambda: blind.is_so("inferencegateways", "main", "Ready"))
        await stage.until(lambda: blind.is_so("consumers", "bot", "KeyIssued"))


async def test_what_serves_goes_on_where_a_namespace_is_not_named_any_more(entry: GatewayStage) -> None:
    """Its tables stay as they are, hosted models in them; nothing is written over them."""
    stage = entry.cluster
    await entry.up()
    stage.put(secret("hosted", api_key="sk-one"), provider(), deployment(), route())
    stage.put(route("large", {"providerRef": {"name": "hosted", "model": "large"}}))
    await stage.until(lambda: len(entry.everywhere(HOSTED)) == 2 and len(entry.everywhere(HOME)) == 2)
    await stage.until(lambda: all(each.endpoints for each in entry.everywhere(HOSTED) + entry.everywhere(HOME)))
    await entry.calm()
    before = {table.generation for table in entry.tables()}
    await stage.kill()
    allowed = stage.server.authorizer = cluster_wide(secrets=[], own=OWN)
    await entry.start_operator(secret_namespaces=())
    await stage.until(lambda: _why(stage, "inferencegateways", "team", "main", "Accepted")[0] == "False")
    await entry.calm()
    assert {table.generation for table in entry.tables()} == before
    assert allowed.refused == []


class TestMissingRole:
    """Named, and the API server refuses all the same: the Role is missing, or the namespace."""

    async def test_of_secrets(self, entry: GatewayStage, caplog: pytest.LogCaptureFixture) -> None:
        """The operator becomes ready, says what helps, and takes up the work once the Role is there."""
        stage = entry.cluster
        stage.server.authorizer = cluster_wide(secrets=[], own=OWN)
        await entry.start_server()
        await entry.start_operator(secret_namespaces=("team", "nowhere"))
        stage.put(gateway(), consumer(), deployment())
        (running,) = stage.operators
        await stage.until(lambda: not running.operator._missing(), seconds=30)
        await stage.until(stage.is_ready)
        for kind, plural, name in (("Accepted", "inferencegateways", "main"), ("KeyIssued", "consumers", "bot")):
            await stage.until(lambda: _why(stage, plural, "team", name, kind)[1] == "SecretForbidden")  # noqa: B023 - waited for here
            assert CURE in _why(stage, plural, "team", name, kind)[2]
        told = [each.getMessage() for each in caplog.records if "going on without" in each.getMessage()]
        assert sorted(each.split("going on without ")[1].split(".")[0] for each in told) == [
            "secrets in nowhere",
            "secrets in team",
        ]
        assert all(CURE in each for each in told)
        stage.server.authorizer = cluster_wide(secrets=["team"], own=OWN)
        await stage.until(lambda: entry.is_so("consumers", "bot", "KeyIssued"), seconds=40)
        await entry.start_replicas()
        await stage.until(lambda: entry.is_so("inferencegateways", "main", "Ready"), seconds=40)

    async def test_of_a_watched_namespace(self, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
        """The others are served; in it nothing is decided until all of it is known."""
        stage.put(deployment(), deployment(namespace="other"))
        stage.server.authorizer = namespaced(watched=["team"], secrets=[], own=OWN)
        await stage.start(watch_namespaces=("team", "other", "nowhere"), secret_namespaces=())
        await stage.until(stage.is_ready, seconds=30)
        assert "pods in other" in caplog.text
        assert "`watchNamespaces`" in caplog.text
        assert stage.md(namespace="other")["status"] == {"observedGeneration": 0}
        stage.server.authorizer = namespaced(watched=["team", "other"], secrets=[], own=OWN)
        await stage.until(lambda: stage.is_ready(namespace="other"), seconds=40)

    async def test_of_half_a_watched_namespace(self, stage: Stage) -> None:
        """Its deployments are seen and its pods are not: whoever decided there now might decide twice."""
        stage.put(deployment())
        allowed = namespaced(watched=["team"], secrets=[], own=OWN)
        stage.server.authorizer = lambda access: access.resource != "pods" and allowed(access)
        running = await stage.start(watch_namespaces=("team",), secret_namespaces=())
        await stage.until(lambda: not running.operator._missing(), seconds=30)
        await stage.until(lambda: running.operator.world.deployments.get("team", "chat"))
        await running.operator.surroundings.clock.sleep(10)
        assert stage.picture() == {}
        stage.server.authorizer = allowed
        await stage.until(stage.is_ready, seconds=40)

    async def test_what_is_published_of_a_hidden_namespace_stays(self, entry: GatewayStage) -> None:
        """A restart that is not shown a namespace makes no table without it."""
        stage = entry.cluster
        await entry.up()
        _admit_all(entry)
        there = route("far", namespace="other")
        there["spec"]["gatewayRef"]["namespace"] = "team"
        there["spec"]["rules"][0]["backends"] = [{"deploymentRef": {"name": "chat"}}]
        stage.put(deployment(namespace="other"), there)
        far = "deployment/other/chat"
        await stage.until(lambda: len(entry.everywhere(far)) == 2 and all(e.endpoints for e in entry.everywhere(far)))
        await entry.calm()
        before = {table.generation for table in entry.tables()}
        await stage.kill()
        stage.server.authorizer = namespaced(watched=["team"], secrets=["team"], own=OWN)
        await entry.start_operator(watch_namespaces=("team", "other"), secret_namespaces=("team",))
        (running,) = stage.operators
        await stage.until(lambda: running.operator.working, seconds=30)
        await running.operator.surroundings.clock.sleep(40)
        assert {table.generation for table in entry.tables()} == before
        stage.server.authorizer = namespaced(watched=["team", "other"], secrets=["team"], own=OWN)
        stage.edit(namespace="other", replicas=2)
        await stage.until(lambda: all(len(e.endpoints) == 2 for e in entry.everywhere(far)), seconds=40)


class TestReferences:
    """Into a namespace that nobody looks at."""

    async def test_of_a_route(self, entry: GatewayStage) -> None:
        """Its backend is not missing, it is unseen."""
        stage = entry.cluster
        await entry.up(watch_namespaces=("team",))
        stage.put(route("chat", {"deploymentRef": {"name": "chat", "namespace": "other"}}))
        await stage.until(lambda: entry.is_so("routes", "chat", "ResolvedRefs", "False"))
        assert "`watchNamespaces`" in entry.why("routes", "chat", "ResolvedRefs")[1]

    async def test_of_a_consumer(self, stage: Stage) -> None:
        """Its gateway, too."""
        stranger = consumer()
        stranger["spec"]["gatewayRef"]["namespace"] = "other"
        stage.put(stranger)
        await stage.start(watch_namespaces=("team",))
        await stage.until(lambda: _why(stage, "consumers", "team", "bot", "Accepted")[1] == "GatewayNotFound")
        message = _why(stage, "consumers", "team", "bot", "Accepted")[2]
        assert "spec.gatewayRef.namespace" in message
        assert "`watchNamespaces`" in message


async def test_a_resource_that_was_applied_as_penstock_keeps_its_spec(entry: GatewayStage) -> None:
    """The finalizer is put on under a name of its own."""
    stage = entry.cluster
    await entry.up()
    (running,) = stage.operators
    await running.operator.client.apply(deployment(replicas=1), field_manager="penstock")
    stage.put(route())
    await stage.until(lambda: entry.is_so("routes", "chat", "Ready"))
    assert stage.md()["metadata"]["finalizers"] == ["penstock.dev/drain"]
    assert deployment(replicas=1)["spec"].items() <= stage.md()["spec"].items()


def _pods(stage: Stage) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stage.server.objects("pods")}


def _admit_all(entry: GatewayStage) -> None:
    allowed = {"allowedRoutes": {"namespaces": {"from": "All"}}}
    entry.cluster.server.update(
        "inferencegateways", "team", "main", lambda live: {**live, "spec": {**live["spec"], **allowed}}
    )


async def _quiet(entry: GatewayStage) -> None:
    """Nothing was refused, because nothing was asked for; and nothing is written any more."""
    await entry.calm()
    before = entry.cluster.writes()
    await entry.cluster.sweep()
    await entry.calm()
    assert entry.cluster.writes() == before
    allowed: Any = entry.cluster.server.authorizer
    assert allowed.refused == []
