"""Gateways: what serves is what is routed to, on every replica; with the real server and the real pullers."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integration.gateways import GatewayStage, consumer, gateway, gateways, provider, route, secret
from integration.stage import Stage, deployment

HOME = "deployment/team/chat"
HOSTED = "provider/team/hosted/large"


@pytest.fixture
async def entry(cluster: Stage, tmp_path: Path) -> AsyncIterator[GatewayStage]:
    """Nothing of the gateway runs yet, and no operator either: it wants to know the server."""
    await cluster.kill()
    async with gateways(cluster, tmp_path) as made:
        yield made


@pytest.fixture
async def serving(entry: GatewayStage) -> GatewayStage:
    """A gateway with two replicas, one deployment that is ready, and a Route to it."""
    await entry.up()
    entry.cluster.put(deployment(), route())
    await entry.cluster.until(lambda: _sent_to(entry, HOME))
    return entry


def _sent_to(entry: GatewayStage, backend: str) -> bool:
    """Every replica sends there."""
    found = entry.everywhere(backend)
    return len(found) == len(entry.replicas) and all(each.endpoints for each in found)


def _data(live: dict[str, Any] | None) -> dict[str, str]:
    data = (live or {}).get("data") or {}
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


class TestGateway:
    """What runs it."""

    async def test_comes_up(self, entry: GatewayStage) -> None:
        """Its children are there, and it is ready once its replicas have the table; then nothing is written."""
        await entry.up()
        server = entry.cluster.server
        assert server.get("deployments", "team", "main-gateway") is not None
        assert server.get("services", "team", "main-gateway") is not None
        assert server.get("poddisruptionbudgets", "team", "main-gateway") is not None
        assert server.get("networkpolicies", "team", "main-gateway") is not None
        await entry.calm()
        before = entry.cluster.writes()
        await entry.cluster.sweep()
        await entry.calm()
        assert entry.cluster.writes() == before

    async def test_without_a_server(self, cluster: Stage) -> None:
        """It says so, and nothing is made."""
        cluster.put(gateway())
        await cluster.until(lambda: _reason(cluster, "inferencegateways", "main", "Programmed") == "NoServer")
        assert cluster.server.get("deployments", "team", "main-gateway") is None

    async def test_what_is_not_acted_on(self, serving: GatewayStage) -> None:
        """It is refused, and what serves goes on."""
        spec = {"store": {"redisRef": {"name": "redis", "key": "url"}}}
        _edit(serving, "inferencegateways", "main", **spec)
        await serving.cluster.until(lambda: serving.is_so("inferencegateways", "main", "Accepted", "False"))
        assert serving.why("inferencegateways", "main", "Accepted")[0] == "NotSupported"
        assert _sent_to(serving, HOME)

    async def test_guardrails(self, serving: GatewayStage) -> None:
        """Nothing checks requests in this release: each is refused, and gateway and Route say so."""
        _edit(serving, "inferencegateways", "main", guardrails=[{"name": "pii", "type": "PIIRedaction"}])
        await serving.cluster.until(lambda: serving.is_so("inferencegateways", "main", "Accepted", "False"))
        assert "spec.guardrails" in serving.why("inferencegateways", "main", "Accepted")[1]
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Ready", "False"))

    async def test_drift_is_mended(self, serving: GatewayStage) -> None:
        """What somebody took away or changed comes back."""
        server = serving.cluster.server
        server.delete("services", "team", "main-gateway")
        server.update(
            "deployments", "team", "main-gateway", lambda live: {**live, "spec": {**live["spec"], "replicas": 5}}
        )
        await serving.cluster.until(lambda: server.get("services", "team", "main-gateway") is not None)
        await serving.cluster.until(lambda: _replicas(serving) == 2)

    async def test_scaled(self, serving: GatewayStage) -> None:
        """More replicas, the same table; it is not in step before the last of them has it."""
        _edit(serving, "inferencegateways", "main", replicas=3)
        await serving.cluster.until(lambda: len(serving.pods()) == 3)
        await serving.start_replicas()
        await serving.cluster.until(lambda: len(serving.everywhere(HOME)) == 3)

    async def test_goes_and_comes_back(self, serving: GatewayStage) -> None:
        """A namesake begins anew, above the generation of the former one."""
        generation = max(table.generation for table in serving.tables())
        serving.cluster.server.delete("inferencegateways", "team", "main")
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Ready", "False"))
        for puppet in serving.replicas.values():
            await puppet.end()
        serving.replicas.clear()
        await serving.cluster.until(lambda: not serving.pods())
        serving.cluster.put(gateway())
        await serving.start_replicas()
        await serving.cluster.until(lambda: _sent_to(serving, HOME))
        assert min(table.generation for table in serving.tables()) > generation


class TestRoute:
    """From the API to every replica's table."""

    async def test_reaches_every_replica(self, serving: GatewayStage) -> None:
        """The pods' own addresses, and the statuses say so."""
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Programmed"))
        await serving.cluster.until(lambda: serving.is_so("modeldeployments", "chat", "Routable"))
        assert serving.is_so("routes", "chat", "Ready")

    async def test_weights(self, serving: GatewayStage) -> None:
        """A change reaches both; the Route is programmed again after it."""
        serving.cluster.put(deployment("other"))
        await serving.cluster.until(lambda: serving.cluster.is_ready("other"))
        backends = [{"deploymentRef": {"name": "chat"}, "weight": 9}, {"deploymentRef": {"name": "other"}}]
        _edit(serving, "routes", "chat", rules=[{"name": "all", "backends": backends}])
        wanted = {(HOME, 9), ("deployment/team/other", 1)}
        await serving.cluster.until(lambda: all(_shares(table) == wanted for table in serving.tables()))
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Programmed"))

    async def test_to_nothing(self, serving: GatewayStage) -> None:
        """The rule refuses, and the Route says which field, what, why and what would help."""
        serving.cluster.put(route("lost", "nowhere"))
        await serving.cluster.until(lambda: serving.is_so("routes", "lost", "ResolvedRefs", "False"))
        reason, message = serving.why("routes", "lost", "ResolvedRefs")
        assert reason == "BackendNotFound"
        assert "nowhere" in message

    async def test_one_name_twice(self, serving: GatewayStage) -> None:
        """The older has it, the newer says so."""
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Ready"))
        late = route("late")
        late["spec"]["modelNames"] = ["chat", "late"]
        serving.cluster.put(late)
        await serving.cluster.until(lambda: serving.why("routes", "late", "Ready")[0] == "PartlyAnswers")
        assert "modelNames[0]" in serving.why("routes", "late", "Ready")[1]
        claimed = {row.name: row.model_names for table in serving.tables() for row in table.routes}
        assert claimed == {"team/chat": ("chat", "team/chat"), "team/late": ("late", "team/late")}

    async def test_goes(self, serving: GatewayStage) -> None:
        """Nothing is sent to the deployment any more, which goes on serving and holds nothing back."""
        serving.cluster.server.delete("routes", "team", "chat")
        await serving.cluster.until(lambda: not serving.everywhere(HOME))
        await serving.cluster.until(lambda: not serving.cluster.md()["metadata"].get("finalizers"))

    async def test_a_pod_comes_and_goes(self, serving: GatewayStage) -> None:
        """Tables hold what is ready; the Route's status has nothing to say of it."""
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Programmed"))
        await serving.calm()
        before = serving.cluster.server.get("routes", "team", "chat")
        serving.cluster.edit(replicas=2)
        await serving.cluster.until(lambda: all(len(each.endpoints) == 2 for each in serving.everywhere(HOME)))
        await serving.calm()
        after = serving.cluster.server.get("routes", "team", "chat")
        assert before is not None
        assert after is not None
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


class TestConsumer:
    """Who calls."""

    async def test_its_key_is_made(self, serving: GatewayStage) -> None:
        """In its Secret; the tables have the SHA-256, and nothing else has anything of it."""
        serving.cluster.put(consumer())
        await serving.cluster.until(lambda: serving.is_so("consumers", "bot", "Ready"))
        key = _data(serving.cluster.server.get("secrets", "team", "bot-key"))["api-key"]
        digest = hashlib.sha256(key.encode()).hexdigest()
        await serving.cluster.until(lambda: all(_digests(table) == {digest} for table in serving.tables()))
        said = json.dumps([serving.cluster.server.objects(each) for each in ("consumers", "events", "routes")])
        assert key not in said
        assert digest not in said

    async def test_its_key_is_rotated(self, serving: GatewayStage) -> None:
        """A Secret that was deleted is made anew with another key; one that was changed is read."""
        serving.cluster.put(consumer())
        await serving.cluster.until(lambda: serving.is_so("consumers", "bot", "Ready"))
        server = serving.cluster.server
        first = _data(server.get("secrets", "team", "bot-key"))["api-key"]
        server.delete("secrets", "team", "bot-key")
        await serving.cluster.until(
            lambda: _data(server.get("secrets", "team", "bot-key")).get("api-key", first) != first
        )
        server.update("secrets", "team", "bot-key", lambda live: {**live, "data": secret("x", api_key="mine")["data"]})
        mine = hashlib.sha256(b"mine").hexdigest()
        await serving.cluster.until(lambda: all(_digests(table) == {mine} for table in serving.tables()))

    async def test_its_own_key(self, serving: GatewayStage) -> None:
        """A Secret that is there is read, and left as it is."""
        serving.cluster.put(secret("bot-key", watched=False, api_key="users-own"))
        serving.cluster.put(consumer())
        own = hashlib.sha256(b"users-own").hexdigest()
        await serving.cluster.until(lambda: all(_digests(table) == {own} for table in serving.tables()))
        live = serving.cluster.server.get("secrets", "team", "bot-key")
        assert live is not None
        assert not live["metadata"].get("ownerReferences")


class TestProvider:
    """Hosted models and their keys."""

    async def test_nothing_is_sent_without_a_key(self, serving: GatewayStage) -> None:
        """With it, the merged Secret has it and the table waits for that version; rotated, for another one."""
        serving.cluster.put(provider(), route("large", {"providerRef": {"name": "hosted", "model": "large"}}))
        await serving.cluster.until(lambda: serving.is_so("modelproviders", "hosted", "CredentialsResolved", "False"))
        assert serving.why("modelproviders", "hosted", "CredentialsResolved")[0] == "SecretNotFound"
        await serving.cluster.until(lambda: len(serving.everywhere(HOSTED)) == 2)
        assert not _sent_to(serving, HOSTED)
        serving.cluster.put(secret("hosted", watched=False, api_key="sk-one"))
        await serving.cluster.until(lambda: _sent_to(serving, HOSTED), seconds=30)
        first = _merged(serving)
        assert "sk-one" in first.values()
        assert {table.credential_version for table in serving.tables()} == {first["version"]}
        assert "sk-one" not in json.dumps(serving.cluster.server.objects("modelproviders"))

    async def test_rotation(self, serving: GatewayStage) -> None:
        """A watched Secret is seen at once."""
        serving.cluster.put(secret("hosted", api_key="sk-one"), provider())
        serving.cluster.put(route("large", {"providerRef": {"name": "hosted", "model": "large"}}))
        await serving.cluster.until(lambda: _sent_to(serving, HOSTED))
        before = _merged(serving)["version"]
        rotated = secret("hosted", api_key="sk-two")["data"]
        serving.cluster.server.update("secrets", "team", "hosted", lambda live: {**live, "data": rotated})
        await serving.cluster.until(lambda: "sk-two" in _merged(serving).values())
        after = _merged(serving)["version"]
        assert after != before
        await serving.cluster.until(lambda: {table.credential_version for table in serving.tables()} == {after})

    async def test_what_no_route_uses_goes_nowhere(self, serving: GatewayStage) -> None:
        """Its key is in no gateway's Secret."""
        serving.cluster.put(secret("hosted", api_key="sk-one"), provider())
        await serving.cluster.until(lambda: serving.is_so("modelproviders", "hosted", "Accepted"))
        await serving.cluster.rest()
        assert "sk-one" not in _merged(serving).values()


class TestFaults:
    """Nothing that serves changes while something is away."""

    async def test_the_operator_restarts(self, serving: GatewayStage) -> None:
        """Nothing is published and nothing written: the table is the same."""
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Programmed"))
        await serving.calm()
        generations, writes = {table.generation for table in serving.tables()}, serving.cluster.writes()
        await serving.cluster.kill()
        await serving.start_operator()
        await serving.calm()
        assert {table.generation for table in serving.tables()} == generations
        assert serving.cluster.writes() == writes

    async def test_the_server_is_away(self, serving: GatewayStage) -> None:
        """Replicas go on with what they have; what changed meanwhile reaches them after."""
        await serving.cluster.until(lambda: serving.is_so("routes", "chat", "Programmed"))
        await serving.stop_server()
        serving.cluster.put(deployment("other"), route("more", "other"))
        await serving.cluster.until(lambda: serving.cluster.is_ready("other"))
        assert _sent_to(serving, HOME)
        await serving.start_server()
        await serving.cluster.until(lambda: _sent_to(serving, "deployment/team/other"), seconds=30)

    async def test_the_database_is_lost(self, serving: GatewayStage) -> None:
        """Replicas know greater generations: the new line of tables goes above them, and their token is made anew."""
        serving.cluster.edit(replicas=2)
        await serving.cluster.until(lambda: all(len(each.endpoints) == 2 for each in serving.everywhere(HOME)))
        reached = max(table.generation for table in serving.tables())
        assert reached > 1
        await serving.stop_server()
        serving.cluster.put(deployment("other"), route("more", "other"))
        await serving.start_server("another.db")
        token = serving._token()
        await serving.cluster.until(lambda: serving._token() != token, seconds=30)
        for pod in serving.replicas:
            (serving.folder / pod / "token").write_text(serving._token())
        await serving.cluster.until(lambda: _sent_to(serving, "deployment/team/other"), seconds=30)
        assert min(table.generation for table in serving.tables()) > reached

    async def test_a_backup_of_yesterday(self, serving: GatewayStage) -> None:
        """The older table is found in the way of the next one, and gone above."""
        await serving.stop_server()
        yesterday = (serving.folder / "server.db").read_bytes()
        await serving.start_server()
        serving.cluster.edit(replicas=2)
        await serving.cluster.until(lambda: all(len(each.endpoints) == 2 for each in serving.everywhere(HOME)))
        reached = max(table.generation for table in serving.tables())
        await serving.stop_server()
        for each in serving.folder.glob("server.db*"):
            each.unlink()
        (serving.folder / "server.db").write_bytes(yesterday)
        await serving.start_server()
        serving.cluster.edit(replicas=1)
        await serving.cluster.until(
            lambda: all(len(each.endpoints) == 1 for each in serving.everywhere(HOME)), seconds=30
        )
        assert min(table.generation for table in serving.tables()) > reached

    async def test_another_leader_has_published_since(self, serving: GatewayStage) -> None:
        """One that leads without knowing that it does no more is refused, and what is published stays."""
        await serving.cluster.kill()
        await serving.start_operator("two", leader_elect=True)
        serving.cluster.edit(replicas=2)
        await serving.cluster.until(lambda: all(len(each.endpoints) == 2 for each in serving.everywhere(HOME)))


def _reason(cluster: Stage, plural: str, name: str, kind: str) -> str:
    live = cluster.server.get(plural, "team", name) or {}
    found = (each for each in live.get("status", {}).get("conditions", ()) if each["type"] == kind)
    return str(next(found, {}).get("reason", ""))


def _edit(serving: GatewayStage, plural: str, name: str, **spec: Any) -> None:
    serving.cluster.server.update(plural, "team", name, lambda live: {**live, "spec": {**live["spec"], **spec}})


def _replicas(serving: GatewayStage) -> int:
    live = serving.cluster.server.get("deployments", "team", "main-gateway")
    return int(live["spec"]["replicas"]) if live else 0


def _shares(table: Any) -> set[tuple[str, int]]:
    return {(share.backend, share.weight) for row in table.routes for rule in row.rules for share in rule.shares}


def _digests(table: Any) -> set[str]:
    return {each.key_sha256 for each in table.consumers}


def _merged(serving: GatewayStage) -> dict[str, str]:
    return _data(serving.cluster.server.get("secrets", "team", "main-gateway-credentials"))
