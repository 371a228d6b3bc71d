"""The demo: a simulated cluster, the real operator on it, and a story whose every claim is checked."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from penstock.cluster.client import Client
from penstock.server_client.client import ServerClient
from penstock.server_client.tokens import TokenFile
from penstock.simulation.cluster import SimulatedCluster, SimulationSettings
from penstock.simulation.entry import Entry
from penstock.simulation.operator_process import OperatorProcess
from penstock.simulation.pod_process import ProcessSettings
from penstock.simulation.provider import HostedProvider, ProviderSettings
from penstock.simulation.server_process import ServerProcess
from penstock.simulation.stage import Stage
from penstock.simulation.story_changes import a_model_changes, a_node_dies, a_pool_fills_up
from penstock.simulation.story_gateway import a_route_changes, the_gateway_is_up
from penstock.simulation.story_hosted import a_border_is_kept, a_provider_takes_over
from penstock.simulation.story_losses import a_deployment_is_deleted, an_engine_dies
from penstock.simulation.story_manifests import GATEWAY, HOSTED_MODEL
from penstock.simulation.story_refusals import bound_to_the_eu, fits_nowhere, summary
from penstock.simulation.story_serving import samples_are_served, the_fleet
from penstock.simulation.teller import Teller
from penstock.workqueue.clock import Clock

__all__ = ["StorySettings", "tell"]

_LEAST_SECONDS = 10.0
_QUESTION = """{"model": "assistants/chat", "messages": [{"role": "user", "content": "What is a penstock?"}]}"""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StorySettings:
    """What is played, where its files go, and whether it stays up until it is cancelled.

    Gateways run with `gateway_python`; None takes what `make gateway` made, and where that is missing our own.
    """

    samples: Sequence[Object]
    folder: Path
    speed: float = 20.0
    keep: bool = False
    gateway_python: Path | None = None


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

    return (
        *(the_fleet, served, a_node_dies, a_pool_fills_up, a_model_changes, fits_nowhere, bound_to_the_eu),
        *(the_gateway_is_up, a_route_changes, an_engine_dies, a_deployment_is_deleted),
        *(a_border_is_kept, a_provider_takes_over),
    )


async def _set(
    stack: contextlib.AsyncExitStack, settings: StorySettings, *, teller: Teller, clock: Clock, random: Random
) -> Stage:
    """Start everything; the stack ends it in the opposite order."""
    enter = stack.enter_async_context
    edge = _edge(settings)
    simulation = SimulationSettings(speed=settings.speed, processes=edge)
    cluster = await enter(SimulatedCluster(simulation, random=random))
    kubeconfig = cluster.kubeconfig(settings.folder / "kubeconfig")
    server = await enter(ServerProcess(settings.folder))
    control = ServerClient(server.url, TokenFile(server.token_file))
    stack.push_async_callback(control.close)
    to_server = ("--server-url", server.url, "--server-token-file", str(server.token_file))
    operator = await enter(OperatorProcess(kubeconfig, settings.folder / "operator.log", to_server))
    client = await enter(await Client.connect(kubeconfig=str(kubeconfig), field_manager="penstock-demo"))
    hosted = await enter(HostedProvider(_hosted()))
    # A connection for each request, as from many clients: a Service spreads connections, not requests.
    connector = aiohttp.TCPConnector(force_close=True)
    session = await enter(aiohttp.ClientSession(connector=connector))
    entry = Entry(GATEWAY, cluster, session, control, translates=_has_litellm(edge.python))
    return Stage(
        *(cluster, client, operator, server, entry, hosted, session, teller, clock), least_seconds=_LEAST_SECONDS
    )


def _edge(settings: StorySettings) -> ProcessSettings:
    """Gateways in their own environment; where that is missing in ours, which has all that they need but LiteLLM."""
    edge = ProcessSettings(folder=settings.folder / "pods")
    own = edge.python if _has_litellm(edge.python) else Path(sys.executable)
    return replace(edge, python=settings.gateway_python or own)


def _has_litellm(python: Path) -> bool:
    return any(python.parent.parent.glob("lib/python*/site-packages/litellm"))


def _hosted() -> ProviderSettings:
    return ProviderSettings(name="hosted", models=(HOSTED_MODEL,), key=f"sk-{secrets.token_urlsafe()}")


def _how_to_look(stage: Stage, settings: StorySettings) -> None:
    stage.teller.say("")
    stage.teller.say("It stays up until Ctrl-C. From another terminal:")
    for line in (
        f"export KUBECONFIG={settings.folder / 'kubeconfig'}",
        "kubectl get inferencepools.penstock.dev,modeldeployments.penstock.dev -A",
        "kubectl describe md llama-70b -n assistants",
        "kubectl apply --server-side -f manifests/samples/00-shortest.yaml",
        f"curl {stage.cluster.service_url('default', 'qwen3-32b')}/v1/models",
        "kubectl get inferencegateways.penstock.dev,routes.penstock.dev,consumers.penstock.dev -A",
        "KEY=$(kubectl get secret web-shop-key -n assistants -o jsonpath='{.data.key}' | base64 -d)",
        f"curl -i {stage.entry.url}/v1/chat/completions -H \"Authorization: Bearer $KEY\" -d '{_QUESTION}'",
        f"tail -f {settings.folder / 'operator.log'}",
    ):
        stage.teller.say(f"  {line}")
