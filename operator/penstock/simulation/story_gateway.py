"""The gateway: it comes up in step with its table, answers with a Consumer's key, and follows a Route that changes."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from penstock.cluster.fake.player.objects import find_condition
from penstock.cluster.resources import CONSUMERS, INFERENCE_GATEWAYS, MODEL_PROVIDERS, ROUTES
from penstock.simulation.entry import Reply
from penstock.simulation.load import Counts, SteadyLoad
from penstock.simulation.stage import Place, Stage
from penstock.simulation.story_manifests import GATEWAY, WEB_SHOP, chat

__all__ = [
    "CHAT",
    "PER_SECOND",
    "SHOP",
    "a_route_changes",
    "none_failed",
    "tell_marks",
    "tell_route",
    "the_gateway_is_up",
]

Object = dict[str, Any]

CHAT: Place = ("assistants", "chat")
SHOP: Place = ("assistants", "web-shop")
PER_SECOND = 60.0
_REPLICAS = 2
_HUNDRED = 100
_ASSISTANT: Place = ("assistants", "assistant")
_BOT: Place = ("assistants", "support-bot")
_HOME = "deployment/assistants/llama-70b"
_PROVIDERS = ("anthropic", "mistral", "in-house")
_BEFORE = {"helpdesk": 90, "small-extractor": 10}
_AFTER = {"helpdesk": 20, "small-extractor": 80}
_RULE = re.compile(r" (?=Rule ')")
_OUTCOMES = ("answered", "failed", "broken")
_SLACK_PERCENT = 20
"""How far the share of a hundred draws may be off: five standard deviations and more."""


async def the_gateway_is_up(stage: Stage) -> None:
    """Two replicas in step, a key that was made; requests are answered and refused by what the sample's Route says."""
    stage.teller.chapter("InferenceGateway main: two replicas of the edge around LiteLLM, and one `penstock server`")
    await _replicas_are_in_step(stage)
    await stage.check("Consumer support-bot has a key, which the operator made", lambda: _issued(stage, _BOT))
    await stage.check("Route assistant is Programmed and Ready", lambda: _programmed(stage, _ASSISTANT))
    tell_route(stage, _ASSISTANT)
    await _is_answered(stage)
    await _is_translated(stage)
    await _is_refused(stage)
    await _lack_their_keys(stage)


async def a_route_changes(stage: Stage) -> None:
    """Both replicas decide by the new weights within moments, and the shares follow."""
    stage.teller.chapter(f"Route chat changes its weights under load: {_told(_BEFORE)} becomes {_told(_AFTER)}")
    await stage.apply(WEB_SHOP, chat(_BEFORE))
    await stage.check("Route chat is Programmed and Ready", lambda: _programmed(stage, CHAT))
    await stage.check("Consumer web-shop has a key", lambda: _issued(stage, SHOP))
    await stage.check("both replicas know it", lambda: stage.entry.behind(partial(_knows, SHOP)))
    async with stage.entry.load(CHAT, stage.entry.key(SHOP), per_second=PER_SECOND) as load:
        await _shares_are(stage, load, _BEFORE)
        before = load.begin()
        await stage.apply(chat(_AFTER))
        seconds = await stage.check(
            "both replicas decide by the new weights", lambda: stage.entry.behind(partial(_has_weights, _AFTER))
        )
        stage.teller.say(f"{seconds * 1000:.0f} ms after they were applied, by the word of each replica to the server")
        meanwhile = load.begin()
        await _shares_are(stage, load, _AFTER)
    none_failed(stage, before, meanwhile, load.counts)
    await stage.check("Route chat says so: Programmed", lambda: _programmed(stage, CHAT))


def none_failed(stage: Stage, *stretches: Counts, may_break: bool = False) -> None:
    """Of what was sent in these stretches of time, after the load has ended; streams that had begun are told apart."""
    answered, failed, broken = (sum(getattr(each, name) for each in stretches) for name in _OUTCOMES)
    problems = sum((each.problems for each in stretches), Counter[str]())
    stage.completions += answered
    if may_break:
        stage.teller.say(f"Streams that had begun there and broke: {broken}")
    stage.require(
        f"of {answered + failed + broken} requests meanwhile none failed",
        holds=answered > 0 and not failed and (may_break or not broken),
        reason=", ".join(f"{number} x {problem}" for problem, number in problems.items()) or "none was answered",
    )


def tell_marks(stage: Stage, reply: Reply) -> None:
    """What the edge's response headers say of the answer."""
    shown = ("route", "rule", "backend", "attempts", "why", "generation")
    told = ", ".join(f"{name}: {reply.marks[name]}" for name in shown if name in reply.marks)
    stage.teller.quote("headers x-penstock-...", told)


def tell_route(stage: Stage, place: Place) -> None:
    """What a Route says of each of its rules."""
    message = find_condition(stage.resource(ROUTES, place), "Ready")["message"]
    for sentence in _RULE.split(message):
        stage.teller.quote(f"Route {place[1]}", sentence)


async def _replicas_are_in_step(stage: Stage) -> None:
    if not stage.entry.translates:
        stage.teller.say(
            "LiteLLM is not installed here (`make gateway` does it): nothing is translated, all else works"
        )
    await stage.check("the gateway is Ready", lambda: stage.why_not(GATEWAY, "Ready", of=INFERENCE_GATEWAYS), within=60)
    await stage.check("every replica has the published table", stage.entry.behind)
    replicas = await stage.entry.replicas()
    stage.require("there are two", holds=len(replicas) == _REPLICAS, reason=f"the server hears {len(replicas)}")
    rows = [
        (each.pod, str(stage.entry.process(each.pod)), each.state, f"generation {each.generation}") for each in replicas
    ]
    stage.teller.table(("replica", "process", "state", "has applied"), rows)


async def _is_answered(stage: Stage) -> None:
    """By the backend that the Route names, as a whole and as a stream; the key's models are listed."""
    key = stage.entry.key(_BOT)
    reply = await stage.entry.ask("assistant", key)
    stage.require(
        f"model assistant is answered with that key, from pod {reply.pod}",
        holds=reply.status == HTTPStatus.OK and reply.marks.get("backend") == _HOME,
        reason=f"status {reply.status}, {dict(reply.marks)} {reply.refusal}",
    )
    tell_marks(stage, reply)
    streamed = await stage.entry.ask("assistant", key, stream=True)
    stage.require(
        f"and streamed, in {streamed.chunks} pieces", holds=streamed.chunks > 1, reason=f"status {streamed.status}"
    )
    names = await stage.entry.models(key)
    stage.require(
        f"GET /v1/models lists what the key may call: {', '.join(names)}",
        holds="assistant" in names,
        reason="assistant is missing",
    )


async def _is_translated(stage: Stage) -> None:
    """The one thing that LiteLLM is needed for here; it is imported when the first such request comes."""
    if not stage.entry.translates:
        return
    began = stage.clock.monotonic()
    with stage.teller.waiting("LiteLLM is imported"):
        reply = await stage.entry.message("assistant", stage.entry.key(_BOT))
    stage.require(
        "a client of Anthropic's Messages API is answered by the same engine: LiteLLM translates",
        holds=reply.content.get("type") == "message" and reply.marks.get("backend") == _HOME,
        reason=f"status {reply.status}, {dict(reply.marks)} {reply.refusal}",
    )
    stage.teller.say(
        f"{stage.clock.monotonic() - began:.1f} s: this first one waited for LiteLLM's import, no other did"
    )


async def _is_refused(stage: Stage) -> None:
    """Nobody without a key; and no rule that this release cannot keep in full."""
    reply = await stage.entry.ask("assistant", "")
    stage.require(
        "without a key it is 401", holds=reply.status == HTTPStatus.UNAUTHORIZED, reason=f"it is {reply.status}"
    )
    stage.teller.quote("it says", reply.refusal)
    reply = await stage.entry.ask("assistant", stage.entry.key(_BOT), headers={"x-penstock-task": "legal"})
    stage.require(
        "task legal is refused: its answers were to be checked, and nothing checks them yet",
        holds=reply.status == HTTPStatus.SERVICE_UNAVAILABLE and reply.marks.get("rule") == "legal",
        reason=f"status {reply.status}, rule {reply.marks.get('rule')}",
    )
    stage.teller.quote("it says", reply.refusal)


async def _lack_their_keys(stage: Stage) -> None:
    """The samples' hosted APIs are real ones, and nobody has made the Secrets with their keys here."""
    places = [(GATEWAY[0], name) for name in _PROVIDERS]
    await stage.check(
        f"the ModelProviders {', '.join(_PROVIDERS)} say that their Secrets are missing",
        lambda: next((reason for place in places if (reason := _has_its_key(stage, place))), ""),
    )
    provider = stage.resource(MODEL_PROVIDERS, (GATEWAY[0], _PROVIDERS[0]))
    stage.teller.quote(_PROVIDERS[0], find_condition(provider, "CredentialsResolved")["message"])


async def _shares_are(stage: Stage, load: SteadyLoad, weights: Mapping[str, int]) -> None:
    """Of the next hundred answers, counted anew."""
    await stage.check("a hundred requests are answered", lambda: _fewer(load, _HUNDRED))
    counts = load.counts
    shares = {name: counts.backends[f"deployment/assistants/{name}"] for name in weights}
    off = [name for name in weights if abs(100 * shares[name] / counts.answered - weights[name]) > _SLACK_PERCENT]
    stage.require(f"they went to {_told(shares)}", holds=not off, reason=f"the weights are {_told(weights)}")


def _issued(stage: Stage, consumer: Place) -> str:
    kinds = ("KeyIssued", "Ready")
    return next((reason for kind in kinds if (reason := stage.why_not(consumer, kind, of=CONSUMERS))), "")


def _programmed(stage: Stage, route: Place) -> str:
    kinds = ("Programmed", "Ready")
    return next((reason for kind in kinds if (reason := stage.why_not(route, kind, of=ROUTES))), "")


def _has_its_key(stage: Stage, place: Place) -> str:
    if wrong := stage.why_not(place, "CredentialsResolved", "False", of=MODEL_PROVIDERS):
        return wrong
    reason = find_condition(stage.resource(MODEL_PROVIDERS, place), "CredentialsResolved")["reason"]
    return "" if reason == "SecretNotFound" else f"its reason is {reason}"


def _knows(consumer: Place, table: Object) -> bool:
    """Whether the table has the consumer's key."""
    name = "/".join(consumer)
    return any(each["name"] == name and each.get("key_sha256") for each in table.get("consumers", ()))


def _has_weights(weights: Mapping[str, int], table: Object) -> bool:
    """Whether the table has Route chat with them."""
    wanted = {f"deployment/assistants/{name}": weight for name, weight in weights.items()}
    rules = (rule for route in table.get("routes", ()) if route["name"] == "/".join(CHAT) for rule in route["rules"])
    return any({share["backend"]: share.get("weight") for share in rule["shares"]} == wanted for rule in rules)


def _fewer(load: SteadyLoad, answers: int) -> str:
    answered = load.counts.answered
    return "" if answered >= answers else f"{answered} are answered, {dict(load.counts.problems)}"


def _told(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in weights.items())
