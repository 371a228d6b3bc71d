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
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.stage import ClaimFailed, Stage
from penstock.simulation.teller import Teller


@pytest.fixture
def output() -> io.StringIO:
    """What was told."""
    return io.StringIO()


@pytest.fixture
async def stage(tmp_path: Path, output: io.StringIO) -> Stage:
    """A stage on a cluster that was not started, with an operator that never ran."""
    cluster = SimulatedCluster(SimulationSettings(nodes={}), random=Random(1))
    client = await Client.connect(kubeconfig=str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    await client.close()
    return Stage(
        cluster=cluster,
        client=client,
        operator=OperatorProcess(tmp_path / "kubeconfig", tmp_path / "log"),
        session=aiohttp.ClientSession(),
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


async def test_what_is_gone_is_a_failed_claim(stage: Stage) -> None:
    stage.cluster._install()
    with pytest.raises(ClaimFailed, match="a/b is gone"):
        stage.model(("a", "b"))
    with pytest.raises(ClaimFailed, match="asking a/b"):
        await stage.ask(("a", "b"))
