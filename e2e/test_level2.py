"""What serves is what is routed to: real control plane, operator, servers and gateways, under a steady load."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from level2.cluster import Level2, backend_of, endpoints_of, running, weights_of
from level2.kubelet import kill
from level2.manifests import changed, deployment, gateway, provider, route, secret
from penstock.simulation.load import Counts
from penstock.simulation.openai import BadRequest
from penstock.simulation.provider import HostedProvider, ProviderSettings
from penstock_policy.table import Table

PYTHON = Path(__file__).parents[1] / ".venv-gateway" / "bin" / "python"
WITHIN_SECONDS = 5.0
"""Generous for a shared machine; the benchmark measures."""
SERVER_AWAY_SECONDS = 20.0
SLOW = 40.0
"""Streams take four seconds: some are under way when the last replica acknowledges."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="LiteLLM's environment is missing: `make gateway` makes it"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def level2(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Level2]:
    """Two replicas in step, and the Route `chat` over `one` and `two`, three to one."""
    async with running(tmp_path_factory.mktemp("level2") / "parts") as made:
        await made.apply(deployment("one"), deployment("two"), route("chat", {"one": 3, "two": 1}))
        await made.routed("one", "two")
        yield made


@asynccontextmanager
async def unharmed(level2: Level2, model: str = "chat", **more: Any) -> AsyncIterator[Counts]:
    """A load on that model, of which nothing fails and nothing breaks."""
    async with level2.load(model, **more) as load:
        yield load.counts
    assert (load.counts.failed, load.counts.broken) == (0, 0), load.counts
    assert load.counts.answered > 0


def sends_to(table: Table, *names: str) -> bool:
    """Whether these, and no other of the deployments, are sent to."""
    sent = {each.name for each in table.backends if each.kind == "Deployment" and each.endpoints}
    return sent == {backend_of(name) for name in names}


async def test_weights_are_kept_while_they_change(level2: Level2) -> None:
    """Answers come by weight, and each change is in force on both replicas at once."""
    async with unharmed(level2) as counts:
        await level2.until(lambda: counts.answered >= 80, "80 answers")
        share = counts.backends[backend_of("one")] / counts.answered
        for weight in (1, 5, 2, 7, 3):
            await level2.apply(route("chat", {"one": weight, "two": 1}))
            began = time.monotonic()
            wanted = {backend_of("one"): weight, backend_of("two"): 1}
            await level2.published.until(_has(wanted), seconds=WITHIN_SECONDS)
            assert time.monotonic() - began < WITHIN_SECONDS
    assert 0.55 < share < 0.95, counts.backends


def _has(wanted: dict[str, int]) -> Any:
    return lambda table: weights_of(table, "chat") == wanted


async def test_a_deleted_deployment_is_drained_before_it_goes(level2: Level2) -> None:
    """Nothing new reaches it after the last acknowledgement, what it answers is finished, then its pods go."""
    await level2.apply(deployment("doomed"), route("drains", {"one": 1, "doomed": 1}))
    await level2.routed("doomed")
    engine = level2.engine("doomed")
    engine.faults.slow = SLOW
    async with unharmed(level2, "drains", per_second=6.0, streams=1.0) as counts:
        await level2.until(lambda: engine.asked >= 3, "the deployment answers")
        await level2.delete("doomed")
        await level2.published.until(lambda table: not endpoints_of(table, "doomed"), seconds=WITHIN_SECONDS)
        asked = engine.asked
        assert not level2.leaving("doomed"), "streams are under way"
        await level2.until(lambda: level2.leaving("doomed"), "its pods go", seconds=30)
        answered = counts.answered
        await level2.until(lambda: counts.answered > answered, "the others go on")
    assert (engine.asked, engine.interrupted) == (asked, 0)


async def test_scaling_down_takes_no_request_with_it(level2: Level2) -> None:
    """The pod that is taken away gets nothing new before it is."""
    await level2.apply(deployment("scaled", replicas=2), route("scales", {"scaled": 1}))
    await level2.routed("scaled", pods=2)
    async with unharmed(level2, "scales", tokens=20):
        await level2.apply(deployment("scaled", replicas=1))
        table = await level2.routed("scaled", pods=1)
        (kept,) = endpoints_of(table, "scaled")
        (leaves,) = (life for life in level2.kubelet.engines("scaled") if life.address not in kept)
        asked = leaves.asked
        await level2.until(leaves.leaving.is_set, "the other pod goes")
        await level2.rest(1.0)
    assert (leaves.asked, leaves.interrupted) == (asked, 0)
    await level2.delete("scaled")


async def test_a_new_revision_takes_over_under_load(level2: Level2) -> None:
    """The old one is drained when the new one is routed to."""
    await level2.apply(deployment("rolled"), route("rolls", {"rolled": 1}))
    await level2.routed("rolled")
    old = level2.engine("rolled")
    async with unharmed(level2, "rolls", tokens=20) as counts:
        await level2.until(lambda: old.asked > 0, "the old revision answers")
        await level2.apply(changed(deployment("rolled"), workload={"maxContextTokens": 8192}))
        await level2.until(old.leaving.is_set, "the old revision goes")
        asked, answered = old.asked, counts.answered
        await level2.until(lambda: counts.answered > answered + 10, "the new revision answers")
    assert (old.asked, old.interrupted) == (asked, 0)
    await level2.delete("rolled")


async def test_a_third_replica_is_in_step_before_it_is_ready(level2: Level2) -> None:
    """No connection comes to it before it has the table; one that is killed takes only its own requests along."""
    async with unharmed(level2):
        await level2.apply(gateway(3))
        await level2.until(lambda: sum(life.ready for life in level2.kubelet.gateways()) == 3, "it is ready")
        table, replicas = await level2.published.table(), await level2.published.replicas()
        assert [each.generation for each in replicas] == [table.generation] * 3
    async with level2.load() as load:
        await level2.until(lambda: load.counts.answered > 10, "some answers")
        under_way = load.counts.in_flight
        kill(level2.kubelet.gateways()[0])
        before = load.begin()
        await level2.until(lambda: load.counts.answered > 40, "the others answer")
    assert before.failed + before.broken <= under_way
    assert (load.counts.failed, load.counts.broken) == (0, 0), load.counts
    async with unharmed(level2):
        await level2.apply(gateway(2))
        await level2.until(lambda: sum(life.leaving.is_set() for life in level2.kubelet.gateways()) == 1, "one goes")
        await level2.until(lambda: len(level2.kubelet.gateways()) == 2, "it is gone", seconds=30)


async def test_the_server_is_away(level2: Level2) -> None:
    """Requests go on; what is deleted meanwhile goes on serving, as nobody knows who sends there."""
    await level2.apply(deployment("late"), route("lasts", {"one": 1, "late": 1}))
    await level2.routed("late")
    engine = level2.engine("late")
    async with unharmed(level2, "lasts") as counts:
        async with without_servers(level2):
            await level2.delete("late")
            before = counts.answered
            await level2.rest(SERVER_AWAY_SECONDS)
            assert counts.answered > before
            assert not engine.leaving.is_set()
        await level2.until(lambda: level2.leaving("late"), "its pods go", seconds=40)
    table = await level2.published.until(lambda table: not endpoints_of(table, "late"))
    assert endpoints_of(table, "one")


@asynccontextmanager
async def without_servers(level2: Level2) -> AsyncIterator[None]:
    """They are killed, and started again whatever happens."""
    for server in level2.servers:
        await server.kill()
    try:
        yield
    finally:
        for server in level2.servers:
            await server.start()


@asynccontextmanager
async def without_operator(level2: Level2) -> AsyncIterator[None]:
    """It is killed, and another one started whatever happens."""
    await level2.operators[-1].kill()
    try:
        yield
    finally:
        await level2.start_operator()


async def test_the_operator_is_killed_in_the_middle_of_a_drain(level2: Level2) -> None:
    """Another one finishes it, and does not begin before what is under way is over."""
    await level2.apply(deployment("held"), route("holds", {"one": 1, "held": 1}))
    await level2.routed("held")
    engine = level2.engine("held")
    engine.faults.slow = SLOW
    async with unharmed(level2, "holds", per_second=6.0, streams=1.0):
        await level2.until(lambda: engine.asked >= 3, "the deployment answers")
        await level2.delete("held")
        await level2.published.until(lambda table: not endpoints_of(table, "held"), seconds=WITHIN_SECONDS)
        asked = engine.asked
        async with without_operator(level2):
            assert not level2.leaving("held"), "streams are under way"
        await level2.until(lambda: level2.leaving("held"), "its pods go")
        assert (engine.asked, engine.interrupted) == (asked, 0)


async def test_borders_hold_when_nothing_inside_is_left(level2: Level2) -> None:
    """The answer is 403 with the reasons, and nothing crosses the border."""
    await level2.apply(deployment("near"), deployment("abroad", country="US"))
    await level2.apply(route("legal", {"near": 1, "abroad": 1}, constraints={"jurisdictions": ["EU"]}))
    await level2.routed("near")
    await level2.until(lambda: all(life.ready for life in level2.kubelet.engines("abroad")), "the other is ready")
    async with unharmed(level2, "legal") as counts:
        await level2.until(lambda: counts.answered > 10, "some answers")
    abroad = level2.engine("abroad")
    await level2.delete("near")
    await level2.published.until(lambda table: not endpoints_of(table, "near"), seconds=WITHIN_SECONDS)
    # As long as the one inside is only without a pod, somebody may ask again soon.
    assert {status for status, _ in [await level2.ask("legal") for _ in range(4)]} <= {403, 503}
    await level2.published.until(lambda table: backend_of("near") not in {each.name for each in table.backends})
    answers = [await level2.ask("legal") for _ in range(4)]
    assert {status for status, _ in answers} == {403}, answers
    assert "abroad" in str(answers[0][1]), answers[0][1]
    assert abroad.asked == 0
    await level2.delete("abroad")


class Overlapping(HostedProvider):
    """A provider that takes an old and a new key for a while, as they do."""

    keys: tuple[str, ...] = ()

    def _admit(self, request: web.Request) -> None:
        for key in self.keys[:-1]:
            self._settings = replace(self._settings, key=key)
            try:
                return super()._admit(request)
            except BadRequest:
                continue
        self._settings = replace(self._settings, key=self.keys[-1])
        return super()._admit(request)


async def test_a_hosted_provider_takes_over_and_its_key_is_rotated(level2: Level2) -> None:
    """While the deployment fails, the fallback answers, with the old key and with the new one."""
    settings = ProviderSettings(name="hosted", models=("large",), key="")
    async with Overlapping(settings) as hosted:
        hosted.keys = ("sk-old",)
        last = {"providerRef": {"name": "hosted", "model": "large"}}
        await level2.apply(secret("hosted", "sk-old"), provider("hosted", f"{hosted.url}/v1"))
        await level2.apply(deployment("ill"), route("falls", {"ill": 1}, fallback=(last,)))
        await level2.routed("ill")
        first = (await level2.published.until(lambda table: bool(table.credential_version))).credential_version
        await level2.published.until_keys(first)
        level2.engine("ill").faults.error = True
        async with unharmed(level2, "falls") as counts:
            await level2.until(lambda: counts.backends["provider/team/hosted/large"] > 10, "the provider answers")
            hosted.keys = ("sk-old", "sk-new")
            await level2.apply(secret("hosted", "sk-new"))
            table = await level2.published.until(lambda table: table.credential_version not in {"", first})
            await level2.published.until_keys(table.credential_version)
            hosted.keys = ("sk-new",)
            before = counts.answered
            await level2.until(lambda: counts.answered > before + 20, "it answers with the new key")
    assert not hosted.refused
    await level2.delete("ill")


async def test_in_the_end_nothing_else_serves(level2: Level2) -> None:
    """In the end what serves is what is routed to, and nothing else runs."""
    await level2.published.until(lambda table: sends_to(table, "one", "two"))
    others = {life.label("penstock.dev/deployment") for life in level2.kubelet.lives.values()} - {"one", "two", ""}
    await level2.until(lambda: all(level2.leaving(name) for name in others), "no other engine is left")
