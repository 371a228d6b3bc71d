"""The demo: a simulated cluster, the real operator on it, and a story whose every claim is checked."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from penstock.cluster.client import Client
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.pod_process import ProcessSettings
from penstock.simulation.stage import Stage
from penstock.simulation.story_changes import a_model_changes, a_node_dies, a_pool_fills_up
from penstock.simulation.story_refusals import bound_to_the_eu, fits_nowhere, summary
from penstock.simulation.story_serving import samples_are_served, the_fleet
from penstock.simulation.teller import Teller
from penstock.workqueue.clock import Clock

__all__ = ["StorySettings", "tell"]

_LEAST_SECONDS = 10.0

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StorySettings:
    """What is played, where its files go, and whether it stays up until it is cancelled."""

    samples: Sequence[Object]
    folder: Path
    speed: float = 20.0
    keep: bool = False


async def tell(settings: StorySettings, *, teller: Teller, clock: Clock, random: Random) -> None:
    """Play it to its end; ClaimFailed where something is not as told. Nothing is left running, however it ends."""
    async with contextlib.AsyncExitStack() as stack:
        stage = await _set(stack, settings, teller=teller, clock=clock, random=random)
        began = clock.monotonic()
        for chapter in _chapters(settings.samples):
            await chapter(stage)
        summary(stage, clock.monotonic() - began)
        if settings.keep:
            _how_to_look(stage, settings)
            await asyncio.Event().wait()


def _chapters(samples: Sequence[Object]) -> Sequence[Callable[[Stage], Awaitable[None]]]:
    async def served(stage: Stage) -> None:
        await samples_are_served(stage, samples)

    return (the_fleet, served, a_node_dies, a_pool_fills_up, a_model_changes, fits_nowhere, bound_to_the_eu)


async def _set(
    stack: contextlib.AsyncExitStack, settings: StorySettings, *, teller: Teller, clock: Clock, random: Random
) -> Stage:
    """Start everything; the stack ends it in the opposite order."""
    processes = ProcessSettings(folder=settings.folder / "pods")
    simulation = SimulationSettings(speed=settings.speed, processes=processes)
    cluster = await stack.enter_async_context(SimulatedCluster(simulation, random=random))
    kubeconfig = cluster.kubeconfig(settings.folder / "kubeconfig")
    operator = OperatorProcess(kubeconfig, settings.folder / "operator.log")
    await stack.enter_async_context(operator)
    connection = await Client.connect(kubeconfig=str(kubeconfig), field_manager="penstock-demo")
    client = await stack.enter_async_context(connection)
    # A connection for each request, as from many clients: a Service spreads connections, not requests.
    connector = aiohttp.TCPConnector(force_close=True)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    return Stage(cluster, client, operator, session, teller, clock, least_seconds=_LEAST_SECONDS)


def _how_to_look(stage: Stage, settings: StorySettings) -> None:
    namespace, name = "default", "qwen3-32b"
    stage.teller.say("")
    stage.teller.say("It stays up until Ctrl-C. From another terminal:")
    for line in (
        f"export KUBECONFIG={settings.folder / 'kubeconfig'}",
        "kubectl get inferencepools.penstock.dev,modeldeployments.penstock.dev -A",
        "kubectl describe md llama-70b -n assistants",
        "kubectl apply --server-side -f manifests/samples/00-shortest.yaml",
        f"curl {stage.cluster.service_url(namespace, name)}/v1/models",
        f"tail -f {settings.folder / 'operator.log'}",
    ):
        stage.teller.say(f"  {line}")
