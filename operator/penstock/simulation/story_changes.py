"""What happens to those that serve: a node dies, a pool fills up, a model changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from penstock.cluster.fake.player.objects import find_condition, name_of
from penstock.simulation.stage import ClaimFailed, Place, Stage
from penstock.simulation.story_manifests import HELPDESK, RESEARCH, more_context, taker

__all__ = ["a_model_changes", "a_node_dies", "a_pool_fills_up"]

Object = dict[str, Any]

_EXTRACTOR: Place = ("assistants", "small-extractor")
_SHORTEST: Place = ("default", "qwen3-32b")
_HELPDESK: Place = ("assistants", "helpdesk")
_H100 = {"pool": "h100-eu"}
_NVIDIA = "nvidia.com/gpu"
_CONTEXT_TOKENS = 16_384
_CLIENTS = 4
_PAUSE_SECONDS = 0.05


async def a_node_dies(stage: Stage) -> None:
    """Its pods come up on another node; the resources say what moved and why."""
    dead = stage.pods(_EXTRACTOR)[0]["spec"]["nodeName"]
    stage.teller.chapter(f"The node {dead} dies: no heartbeat, its engines are gone, the cloud takes the machine away")
    before = {name_of(pod) for pod in stage.pods(_EXTRACTOR)}
    stage.cluster.kill_node(dead)
    await stage.check(f"Kubernetes finds {dead} unreachable", lambda: _still_ready(stage, dead))
    stage.teller.quote(f"node {dead}", _ready(stage, dead).get("message", ""))
    stage.cluster.remove_node(dead)
    await stage.check(
        f"{_EXTRACTOR[1]} and {_SHORTEST[1]} serve again, on other nodes",
        lambda: _on_node(stage, _EXTRACTOR, dead) or _on_node(stage, _SHORTEST, dead),
    )
    for place in (_EXTRACTOR, _SHORTEST):
        await stage.check(f"{place[1]} is Ready", partial(stage.why_not, place, "Ready"))
        nodes = sorted({pod["spec"]["nodeName"] for pod in stage.pods(place)})
        stage.teller.say(f"{place[1]}: {dead} -> {', '.join(nodes)}, pool {stage.plan(place)['pool']}")
        await stage.check("an event says what moved and why", partial(_unmoved, stage, place, dead))
        stage.teller.quote("event Moved", stage.events(place, "Moved")[-1])
    answer = await stage.ask(_EXTRACTOR)
    stage.require(
        f"a completion comes from a new pod, {answer.pod}",
        holds=answer.pod not in before,
        reason=f"{answer.pod} was there before",
    )


async def a_pool_fills_up(stage: Stage) -> None:
    """Other people's pods hold what a newcomer prefers; it goes to its next preference, and says so."""
    free = stage.pool("h100-eu")["gpus"]["free"]
    stage.teller.chapter(f"The pool h100-eu fills up: another team takes its {free} free GPUs")
    await stage.apply(RESEARCH, taker("training", selector=_H100, resource=_NVIDIA, gpus=free))
    await stage.check("no GPU of h100-eu is free", lambda: _free(stage, "h100-eu"))
    stage.teller.say("Then comes helpdesk: Qwen/Qwen3-32B, pools in order of preference: h100-eu, mi300x-eu")
    await stage.apply(HELPDESK)
    await stage.check("helpdesk serves", lambda: stage.why_not(_HELPDESK, "Ready"))
    pool = stage.plan(_HELPDESK)["pool"]
    stage.require(
        "helpdesk runs in its next preference, mi300x-eu", holds=pool == "mi300x-eu", reason=f"it is in {pool}"
    )
    lost = [each for each in stage.model(_HELPDESK)["status"]["rejected"] if each.get("pool") == "h100-eu"]
    full = next((each for each in lost if each["reason"] == "NoFreeGPUs"), None)
    stage.require(
        "its status says why h100-eu lost: NoFreeGPUs",
        holds=full is not None,
        reason=f"h100-eu lost by {[each['reason'] for each in lost]}",
    )
    stage.teller.quote("it says", full["message"] if full else "")
    answer = await stage.ask(_HELPDESK)
    stage.require("it answers", holds=answer.tokens > 0, reason="the answer is empty")


async def a_model_changes(stage: Stage) -> None:
    """A new revision beside the old one, the Service moved when it serves, the old one drained; no request fails."""
    stage.teller.chapter(f"{_SHORTEST[1]} changes: workload.maxContextTokens becomes {_CONTEXT_TOKENS}")
    before = stage.plan(_SHORTEST)["revision"]
    async with _clients(stage, _SHORTEST) as traffic:
        await stage.apply(more_context(stage.model(_SHORTEST), _CONTEXT_TOKENS))
        await stage.check(
            f"a new revision is made beside {before}, which goes on serving", lambda: _not_beside(stage, before)
        )
        await stage.check("the new revision serves", lambda: _not_followed(stage, before))
        after = stage.plan(_SHORTEST)["revision"]
        await stage.check(f"revision {before} is drained and gone", lambda: _not_gone(stage, before))
        await stage.check("it is Ready", lambda: stage.why_not(_SHORTEST, "Ready"))
        await stage.check(f"{after} answers", lambda: "" if _by(traffic, after) else "no answer from it yet")
    for reason, revision in (("RevisionCreated", after), ("RevisionServes", after), ("RevisionDrained", before)):
        await stage.check(f"an event tells of it: {reason}", partial(_untold, stage, reason, revision))
        stage.teller.quote(f"event {reason}", _told(stage, reason, revision))
    old, new = _by(traffic, before), _by(traffic, after)
    stage.require(
        f"of {old + new} completions meanwhile none failed: {old} from {before}, {new} from {after}",
        holds=not traffic.failures and old > 0,
        reason="; ".join(traffic.failures[:3]) or f"{before} answered none",
    )


@dataclass(slots=True)
class _Traffic:
    """What clients got meanwhile: the pods that answered, and what failed."""

    pods: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def _clients(stage: Stage, place: Place) -> AsyncIterator[_Traffic]:
    """A few clients that ask again and again until the block ends."""
    traffic, stop = _Traffic(), asyncio.Event()

    async def client(*, stream: bool) -> None:
        while not stop.is_set():
            try:
                traffic.pods.append((await stage.ask(place, stream=stream)).pod)
            except ClaimFailed as failed:
                traffic.failures.append(str(failed))
            await stage.clock.sleep(_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(client(stream=number % 2 == 0))
        try:
            yield traffic
        finally:
            stop.set()


def _by(traffic: _Traffic, revision: str) -> int:
    return sum(f"-{revision}-" in pod for pod in traffic.pods)


def _still_ready(stage: Stage, node: str) -> str:
    status = _ready(stage, node).get("status", "")
    return f"node {node} is Ready={status}" if status == "True" else ""


def _ready(stage: Stage, node: str) -> Object:
    return find_condition(stage.cluster.server.get("nodes", "", node) or {}, "Ready")


def _on_node(stage: Stage, place: Place, node: str) -> str:
    pods = stage.pods(place)
    there = [name_of(pod) for pod in pods if pod["spec"].get("nodeName", node) == node]
    if there or not pods:
        return f"{', '.join(there) or 'no pod'} has no other node yet"
    return stage.why_not(place, "Ready")


def _unmoved(stage: Stage, place: Place, node: str) -> str:
    messages = stage.events(place, "Moved")
    return "" if any(node in message for message in messages) else f"no event Moved names {node}: {messages}"


def _free(stage: Stage, pool: str) -> str:
    free = stage.pool(pool)["gpus"]["free"]
    return f"{free} GPUs are free" if free else ""


def _told(stage: Stage, reason: str, revision: str) -> str:
    messages = stage.events(_SHORTEST, reason)
    return next((message for message in messages if message.startswith(f"Revision {revision}")), "")


def _untold(stage: Stage, reason: str, revision: str) -> str:
    return "" if _told(stage, reason, revision) else f"no event {reason} of revision {revision}"


def _revisions(stage: Stage) -> set[str]:
    return {pod["metadata"]["labels"]["penstock.dev/revision"] for pod in stage.pods(_SHORTEST)}


def _not_beside(stage: Stage, before: str) -> str:
    revisions = _revisions(stage)
    if before not in revisions:
        return f"{before} has no pod any more"
    return "" if len(revisions) > 1 else "there are pods of one revision only"


def _not_followed(stage: Stage, before: str) -> str:
    return f"{before} still serves" if stage.plan(_SHORTEST).get("revision") == before else ""


def _not_gone(stage: Stage, before: str) -> str:
    if before in _revisions(stage):
        return f"pods of {before} are there"
    live = stage.cluster.server.get("deployments", _SHORTEST[0], f"{_SHORTEST[1]}-{before}")
    return f"Deployment {_SHORTEST[1]}-{before} is there" if live else ""
