"""What a gateway's clients do not notice: an engine that dies under load, a deployment that is deleted under load."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from penstock.cluster.fake.player.objects import find_condition, is_ready, name_of
from penstock.cluster.resources import MODEL_DEPLOYMENTS
from penstock.render.names import DEPLOYMENT_LABEL
from penstock.simulation.entry import Reply
from penstock.simulation.load import SteadyLoad
from penstock.simulation.stage import Place, Stage
from penstock.simulation.story_gateway import CHAT, PER_SECOND, SHOP, none_failed, tell_marks

__all__ = ["a_deployment_is_deleted", "an_engine_dies", "drained"]

Object = dict[str, Any]

_EXTRACTOR: Place = ("assistants", "small-extractor")
_HELPDESK: Place = ("assistants", "helpdesk")
_CLINIC: Place = ("assistants", "clinic")
_ENGINES = 2
_ENDS = "its first pod is told to end"
_LONG_ANSWERS = 24
_LONG_TOKENS = 2000
_BEGIN_SECONDS = 0.15
"""Until all of the long answers are under way, and none is over."""
_ANSWERS_AFTER = 30


async def an_engine_dies(stage: Stage) -> None:
    """What it was asked is asked again elsewhere, in the same request; its pod leaves the table and comes back."""
    victim = min(name_of(pod) for pod in stage.pods(_EXTRACTOR))
    stage.teller.chapter("One of the two engines of small-extractor dies by SIGKILL, under load")
    async with stage.entry.load(CHAT, stage.entry.key(SHOP), per_second=PER_SECOND) as load:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_ask_long(stage)) for _ in range(_LONG_ANSWERS)]
            await stage.clock.sleep(_BEGIN_SECONDS)
            _kill_engine(stage, victim)
            await stage.check("its pod is not ready", lambda: _is_ready(stage, victim))
        _all_were_answered(stage, [task.result() for task in asked])
        await stage.check("its container is restarted, and ready again", lambda: _is_not_ready(stage, victim))
        await stage.check("both replicas send to both engines again", lambda: stage.entry.behind(_sends_to_both))
    none_failed(stage, load.counts, may_break=True)


async def a_deployment_is_deleted(stage: Stage) -> None:
    """It leaves the table, every replica says so, what is in flight ends; only then its pods go and its GPU is free."""
    plan = stage.plan(_HELPDESK)
    stage.teller.chapter("helpdesk is deleted under load")
    async with stage.entry.load(CHAT, stage.entry.key(SHOP), per_second=PER_SECOND) as load:
        await stage.check("helpdesk answers a part of it", lambda: _idle(load, _HELPDESK))
        for line in await drained(stage, _HELPDESK):
            stage.teller.quote(_HELPDESK[1], line)
        meanwhile = load.begin()
        await stage.check("small-extractor answers all of it", lambda: _fewer(load, _ANSWERS_AFTER))
    none_failed(stage, meanwhile, load.counts)
    await stage.check(
        f"clinic, bound to the EU, has its GPU in {plan['pool']} and serves", lambda: stage.why_not(_CLINIC, "Ready")
    )


async def drained(stage: Stage, place: Place) -> list[str]:
    """Delete a deployment; what it said on its way out."""
    with _told_of(stage, place) as told:
        await stage.client.delete(MODEL_DEPLOYMENTS, place[1], place[0])
        await stage.check("both replicas have a table without it", lambda: stage.entry.behind(partial(_lacks, place)))
        await stage.check(f"{place[1]} and its pods are gone", lambda: _not_gone(stage, place))
    stage.require(
        "its engines were told to end only after that",
        holds=told[1:] != [] and told[-1] == _ENDS and told.count(_ENDS) == 1,
        reason=f"it went {told}",
    )
    return told


@contextmanager
def _told_of(stage: Stage, place: Place) -> Iterator[list[str]]:
    """What its condition Drained says, each time that it says something else, and when its first pod has to end."""
    told: list[str] = []

    def heard(_: str, live: Object, __: Object | None) -> None:
        line = _drain_of(live) if _is(live, place) else _ENDS if _is_ended(live, place) else ""
        if line and line not in told:
            told.append(line)

    end = stage.cluster.server.subscribe(heard)
    try:
        yield told
    finally:
        end()


def _drain_of(live: Object) -> str:
    condition = find_condition(live, "Drained")
    return f"Drained={condition['status']} {condition['reason']}: {condition['message']}" if condition else ""


def _is_ended(live: Object, place: Place) -> bool:
    metadata = live["metadata"]
    owner = (metadata.get("namespace", ""), (metadata.get("labels") or {}).get(DEPLOYMENT_LABEL, ""))
    return live["kind"] == "Pod" and owner == place and "deletionTimestamp" in metadata


def _is(live: Object, place: Place) -> bool:
    metadata = live["metadata"]
    return live["kind"] == MODEL_DEPLOYMENTS.kind and (metadata.get("namespace", ""), metadata["name"]) == place


async def _ask_long(stage: Stage) -> Reply:
    return await stage.entry.ask("/".join(CHAT), stage.entry.key(SHOP), tokens=_LONG_TOKENS)


def _kill_engine(stage: Stage, pod: str) -> None:
    engine = stage.cluster.engine(_EXTRACTOR[0], pod)
    stage.require(f"the engine of {pod} is killed", holds=engine is not None, reason="it does not run")
    if engine is not None:
        engine.kill()


def _all_were_answered(stage: Stage, replies: list[Reply]) -> None:
    failed = [reply.refusal or str(reply.status) for reply in replies if reply.status != HTTPStatus.OK]
    again = [reply for reply in replies if reply.marks.get("attempts") not in {None, "1"}]
    stage.completions += len(replies) - len(failed)
    stage.require(
        f"{len(replies)} long answers were under way: {len(again)} were asked for again elsewhere, none failed",
        holds=not failed and bool(again),
        reason="; ".join(failed[:3]) or "none had to be asked for again",
    )
    tell_marks(stage, again[0])


def _is_ready(stage: Stage, name: str) -> str:
    return "it is still ready" if name in _ready_pods(stage) else ""


def _is_not_ready(stage: Stage, name: str) -> str:
    return "" if name in _ready_pods(stage) else "it is not"


def _ready_pods(stage: Stage) -> set[str]:
    return {name_of(pod) for pod in stage.pods(_EXTRACTOR) if is_ready(pod)}


def _sends_to_both(table: Object) -> bool:
    name = f"deployment/{'/'.join(_EXTRACTOR)}"
    return any(each["name"] == name and len(each.get("endpoints", ())) == _ENGINES for each in table["backends"])


def _lacks(place: Place, table: Object) -> bool:
    return not any(each["name"] == f"deployment/{'/'.join(place)}" for each in table["backends"])


def _idle(load: SteadyLoad, place: Place) -> str:
    return "" if load.counts.backends[f"deployment/{'/'.join(place)}"] else "it has answered nothing yet"


def _fewer(load: SteadyLoad, wanted: int) -> str:
    counts = load.counts
    others = {name: number for name, number in counts.backends.items() if not name.endswith(_EXTRACTOR[1])}
    if others:
        return f"others answered: {others}"
    return "" if counts.answered >= wanted else f"{counts.answered} are answered"


def _not_gone(stage: Stage, place: Place) -> str:
    left = [name_of(pod) for pod in stage.pods(place)]
    if left:
        return f"there is {', '.join(left)}"
    return "the resource is there" if stage.cluster.server.get(MODEL_DEPLOYMENTS.plural, *place) else ""
