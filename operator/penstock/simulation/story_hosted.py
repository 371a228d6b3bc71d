"""Where requests may not go, and where they go when nobody at home is left: borders, and a hosted provider."""

from functools import partial
from http import HTTPStatus
from typing import Any

from penstock.cluster.resources import MODEL_PROVIDERS, ROUTES
from penstock.simulation.load import SteadyLoad
from penstock.simulation.stage import Place, Stage
from penstock.simulation.story_gateway import CHAT, PER_SECOND, SHOP, none_failed, tell_marks, tell_route
from penstock.simulation.story_losses import drained
from penstock.simulation.story_manifests import GATEWAY, HOSTED_MODEL, chat, cloud, cloud_key, letters

__all__ = ["a_border_is_kept", "a_provider_takes_over"]

Object = dict[str, Any]

_LETTERS: Place = ("assistants", "letters")
_INSIDE: Place = ("assistants", "llama-70b-eu")
_OUTSIDE: Place = ("assistants", "llama-70b")
_EXTRACTOR: Place = ("assistants", "small-extractor")
_CLOUD: Place = (GATEWAY[0], "cloud")
_CLOUD_BACKEND = f"provider/{'/'.join(_CLOUD)}/{HOSTED_MODEL}"
_MICROS_IN, _MICROS_OUT = 2, 6
"""Of a token, in millionths of a dollar: what `cloud` states for a million of them, in dollars."""
_MICRO = 10**6
_ANSWERS = 30


async def a_border_is_kept(stage: Stage) -> None:
    """A rule bound to the EU would rather refuse than be answered by the American deployment that it names too."""
    stage.teller.chapter("Route letters may not leave the EU: llama-70b-eu answers, llama-70b in the US stands by")
    await stage.apply(letters([_INSIDE[1], _OUTSIDE[1]]))
    await stage.check("Route letters is programmed", lambda: stage.why_not(_LETTERS, "Programmed", of=ROUTES))
    tell_route(stage, _LETTERS)
    key = stage.entry.key(SHOP)
    reply = await stage.entry.ask("/".join(_LETTERS), key)
    stage.require(
        "it is answered in the EU",
        holds=reply.marks.get("backend") == _backend(_INSIDE),
        reason=f"status {reply.status}, {dict(reply.marks)} {reply.refusal}",
    )
    stage.teller.say("Then llama-70b-eu is deleted, and only the American one is left")
    await drained(stage, _INSIDE)
    before = await _completions(stage, _OUTSIDE)
    reply = await stage.entry.ask("/".join(_LETTERS), key)
    stage.require("the request is refused: 403", holds=reply.status == HTTPStatus.FORBIDDEN, reason=f"{reply.status}")
    stage.teller.quote("it says", reply.refusal)
    tell_marks(stage, reply)
    after = await _completions(stage, _OUTSIDE)
    stage.require(
        f"nothing reached llama-70b: its engine counts {after} completions, as before",
        holds=after == before > 0,
        reason=f"it counted {before}",
    )


async def a_provider_takes_over(stage: Stage) -> None:
    """It is the fall-back once its key is there; when nobody at home is left, it answers, and each answer is billed."""
    stage.teller.chapter("A hosted provider, simulated here, is the fall-back of Route chat")
    await stage.apply(cloud(stage.hosted.url), chat({_EXTRACTOR[1]: 100}, hosted=True))
    await stage.check(
        "without its Secret it says so: CredentialsResolved=False",
        lambda: stage.why_not(_CLOUD, "CredentialsResolved", "False", of=MODEL_PROVIDERS),
    )
    await stage.apply(cloud_key(stage.hosted.key))
    await stage.check(
        "its Secret is made and found: CredentialsResolved=True",
        lambda: stage.why_not(_CLOUD, "CredentialsResolved", of=MODEL_PROVIDERS),
    )
    await stage.check("both replicas have its key, and a table that needs it", lambda: _keyless(stage))
    async with stage.entry.load(CHAT, stage.entry.key(SHOP), per_second=PER_SECOND) as load:
        await stage.check("small-extractor answers", lambda: _unanswered(load, _backend(_EXTRACTOR), 1))
        await drained(stage, _EXTRACTOR)
        await stage.check("the provider answers", lambda: _unanswered(load, _CLOUD_BACKEND, _ANSWERS))
    none_failed(stage, load.counts)
    await _is_billed(stage, load.counts.backends[_CLOUD_BACKEND])


async def _completions(stage: Stage, place: Place) -> int:
    """What the engine itself counts, by its metrics."""
    async with stage.session.get(f"{stage.cluster.service_url(*place)}/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith("vllm:request_success_total"))


async def _is_billed(stage: Stage, answers: int) -> None:
    """The ledger of a later release will collect these records; here they are read from the replicas' disks."""
    await stage.check(
        f"the usage records have each of its {answers} answers", partial(_differs, stage, answers), within=5
    )
    records = stage.entry.records(_CLOUD_BACKEND)
    read, written = (sum(each[name] for each in records) for name in ("tokensIn", "tokensOut"))
    billed = sum(each["costMicros"] for each in records)
    stage.require(
        f"the bill: {read} tokens in and {written} out, at 2.00 and 6.00 USD per million: {billed / _MICRO:.6f} USD",
        holds=billed == read * _MICROS_IN + written * _MICROS_OUT and billed > 0,
        reason=f"it should be {(read * _MICROS_IN + written * _MICROS_OUT) / _MICRO:.6f} USD",
    )


async def _keyless(stage: Stage) -> str:
    """Which replica lacks the version of the keys that the published table needs."""
    version = (await stage.entry.table()).get("credential_version", "")
    late = [each.pod for each in await stage.entry.replicas() if each.credential_version != version]
    if late or not version:
        return f"{', '.join(late)} lacks them" if version else "the published table needs no key"
    return await stage.entry.behind(partial(_is_live, _CLOUD_BACKEND))


def _is_live(backend: str, table: Object) -> bool:
    return any(each["name"] == backend and each.get("endpoints") for each in table.get("backends", ()))


def _unanswered(load: SteadyLoad, backend: str, wanted: int) -> str:
    answered = load.counts.backends[backend]
    return "" if answered >= wanted else f"it answered {answered}: {dict(load.counts.problems)}"


def _differs(stage: Stage, answers: int) -> str:
    found = len(stage.entry.records(_CLOUD_BACKEND))
    return "" if found == answers else f"they have {found}"


def _backend(place: Place) -> str:
    return f"deployment/{'/'.join(place)}"
