"""Claims of the story hold, or end it with the reason."""

import asyncio
import io
from pathlib import Path
from random import Random

import aiohttp
import pytest
from rich.console import Console

from builders.clock import FakeClock
from penstock.cluster.client import Client
from penstock.cluster.resources import ROUTES
from penstock.server_client.client import ServerClient
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.entry import Entry
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.provider import HostedProvider, ProviderSettings
from penstock.simulation.server_process import ServerProcess
from penstock.simulation.stage import ClaimFailed, Stage
from penstock.simulation.teller import Teller


@pytest.fixture
def output() -> io.StringIO:
    """What was told."""
    return io.StringIO()


@pytest.fixture
async def stage(tmp_path: Path, output: io.StringIO) -> Stage:
    """A stage on a cluster that was not started, with an operator and a server that never ran."""
    cluster = SimulatedCluster(SimulationSettings(nodes={}), random=Random(1))
    client = await Client.connect(kubeconfig=str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    await client.close()
    server, session = ServerProcess(tmp_path), aiohttp.ClientSession()
    control = ServerClient(server.url, str)
    await control.close()
    return Stage(
        cluster=cluster,
        client=client,
        operator=OperatorProcess(tmp_path / "kubeconfig", tmp_path / "log"),
        server=server,
        entry=Entry(("gateway", "main"), cluster, session, control, translates=False),
        hosted=HostedProvider(ProviderSettings(name="hosted", models=("large",), key="sk-1")),
        session=session,
        teller=Teller(Console(file=output)),
        clock=FakeClock(),
    )


@pytest.fixture(autouse=True)
async def closed(stage: Stage) -> None:
    """No test here makes requests."""
    await stage.session.close()


async def test_a_claim_that_holds_is_counted_and_told(stage: Stage, output: io.StringIO) -> None:
    await stage.check("water is wet", lambda: "")
    stage.require("two is two", holds=True, reason="")
    assert stage.claims == 2
    assert "✓ water is wet (0.0 s)" in output.getvalue()


async def test_a_claim_may_come_true_in_time(stage: Stage) -> None:
    reasons = iter(["not yet", "not yet", ""])
    checking = asyncio.create_task(stage.check("it comes", lambda: next(reasons)))
    assert isinstance(stage.clock, FakeClock)
    await stage.clock.advance(1)
    await checking
    assert stage.claims == 1


async def test_a_claim_may_have_to_ask_somebody(stage: Stage) -> None:
    """And it says how long it took."""
    reasons = iter(["not yet", ""])

    async def ask() -> str:
        return next(reasons)

    checking = asyncio.create_task(stage.check("it comes", ask))
    assert isinstance(stage.clock, FakeClock)
    await stage.clock.advance(1)
    assert 0 < await checking <= 1


async def test_a_claim_that_never_holds_ends_the_story_with_its_reason(stage: Stage, output: io.StringIO) -> None:
    checking = asyncio.create_task(stage.check("pigs fly", lambda: "they have no wings", within=5))
    assert isinstance(stage.clock, FakeClock)
    await stage.clock.advance(6)
    with pytest.raises(ClaimFailed, match="pigs fly: they have no wings"):
        await checking
    assert stage.claims == 0
    assert "✗ pigs fly" in output.getvalue()
    assert "they have no wings" in output.getvalue()


async def test_an_operator_that_died_fails_a_claim_at_once(stage: Stage, tmp_path: Path) -> None:
    """Without waiting until the claim's time is over, and with its last words."""
    (tmp_path / "kubeconfig").write_text("no kubeconfig at all: [")
    async with stage.operator:
        await stage.operator.ended()
        with pytest.raises(ClaimFailed, match="the operator exited with 1"):
            await stage.check("it works", lambda: "")


async def test_a_server_that_died_fails_a_claim_at_once(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "operator-token").write_text("too short")
    stage.server.ready = _at_once  # type: ignore[method-assign] # it will never be
    async with stage.server:
        await stage.server.ended()
        with pytest.raises(ClaimFailed, match="the server exited with"):
            await stage.check("it works", lambda: "")


_HOLDS = {
    "type": "Ready",
    "status": "True",
    "observedGeneration": 1,
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
_DOES_NOT = {**_HOLDS, "status": "False", "reason": "NothingAnswers", "message": "nobody answers"}
CONDITIONS = {
    "it holds": ([_HOLDS], ""),
    "it says nothing yet": ([], "Ready says nothing of generation 1 yet"),
    "it is about an older spec": ([{**_HOLDS, "observedGeneration": 0}], "Ready says nothing of generation 1 yet"),
    "it does not hold": ([_DOES_NOT], "Ready=False NothingAnswers: nobody answers"),
}


@pytest.mark.parametrize(("conditions", "reason"), CONDITIONS.values(), ids=CONDITIONS)
async def test_a_condition_of_any_kind(stage: Stage, conditions: list[dict[str, object]], reason: str) -> None:
    stage.cluster._install()
    stage.cluster.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    metadata = {"name": "chat", "namespace": "team"}
    rules = [{"name": "all", "backends": [{"deploymentRef": {"name": "chat"}}]}]
    spec = {"gatewayRef": {"name": "main"}, "modelNames": ["team/chat"], "rules": rules}
    route = {"apiVersion": ROUTES.api_version, "kind": ROUTES.kind, "metadata": metadata, "spec": spec}
    stage.cluster.server.put({**route, "status": {"conditions": conditions}})
    assert stage.why_not(("team", "chat"), "Ready", of=ROUTES) == reason


async def test_what_is_gone_is_a_failed_claim(stage: Stage) -> None:
    stage.cluster._install()
    with pytest.raises(ClaimFailed, match="a/b is gone"):
        stage.model(("a", "b"))
    with pytest.raises(ClaimFailed, match="asking a/b"):
        await stage.ask(("a", "b"))


async def _at_once() -> None:
    """Nothing is waited for."""
