"""The status of a Route: what reaches it, who answers, and whether every replica has it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from builders.attached import route_custom, verdicts_of
from builders.routing import deployment, gateway, hosted, inputs, local, provider, revision, route, rule
from penstock.api.refusals import Refusal
from penstock.api.route import RouteStatus
from penstock.reconcilers.route_status import RouteSeen, route_status
from penstock.reconcilers.standing import Standing
from penstock.rollout.drain import GatewayState, Replica
from penstock.routing.build import build_table
from penstock.routing.explain import explain
from penstock.routing.inputs import Gateway
from penstock.routing.problems import Finding, Kind, Problem, ProblemReason

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW.replace(hour=13)
NAME = "team/assistant"
EVERYWHERE = GatewayState("gateway/main", 4, (Replica("a", 5), Replica("b", 4)))
LAGGING = GatewayState("gateway/main", 4, (Replica("a", 5), Replica("b", 3)))
UNPUBLISHED = GatewayState("gateway/main", 0, (Replica("a", 5),))
EMPTY = GatewayState("gateway/main", 4, ())
AWAY = GatewayState("gateway/main", 4, None)
CHECKED = {"verify": {"checks": [{"type": "CitationsRequired"}]}}


def _seen(
    *parts: Any,
    rules: tuple[dict[str, Any], ...] = (),
    names: tuple[str, ...] = ("team/assistant",),
    state: GatewayState | None = EVERYWHERE,
    of: Gateway | None = None,
) -> RouteSeen:
    """What a table of these parts says of the Route; a deployment `chat` serves where none are given."""
    asked = route("assistant", *rules, names=names, age=10)
    built = build_table(inputs(asked, *(parts or (deployment(),)), of=of or gateway()), 1)
    problems = tuple(each for each in built.problems if each.kind is Kind.ROUTE and each.name == NAME)
    return RouteSeen(Standing("gateway/main", problems=problems), explain(built, NAME), state)


def _status(seen: RouteSeen, before: dict[str, Any] | None = None, now: datetime = NOW) -> dict[str, Any]:
    return route_status(route_custom(before), seen, now=now)


def _message(status: dict[str, Any], kind: str) -> str:
    return str(next(each["message"] for each in status["conditions"] if each["type"] == kind))


def _away(state: GatewayState | None = AWAY) -> RouteSeen:
    return _seen(state=state)


PARTLY = (rule("first", match={"tasks": ["law"]}), rule("second", local("gone")))
SCENES: dict[str, tuple[RouteSeen, dict[str, tuple[str, str]]]] = {
    "every rule answers on every replica": (
        _seen(),
        {
            "Accepted": ("True", "Accepted"),
            "ResolvedRefs": ("True", "ResolvedRefs"),
            "Programmed": ("True", "Programmed"),
            "Ready": ("True", "Ready"),
        },
    ),
    "no such gateway": (
        RouteSeen(Standing("gateway/main", found=False, has_table=False)),
        {
            "Accepted": ("False", "GatewayNotFound"),
            "ResolvedRefs": ("Unknown", "NotAccepted"),
            "Programmed": ("False", "NotAccepted"),
            "Ready": ("False", "GatewayNotFound"),
        },
    ),
    "no table yet": (
        RouteSeen(Standing("gateway/main", has_table=False)),
        {"Accepted": ("Unknown", "Pending"), "Programmed": ("False", "Pending"), "Ready": ("False", "Pending")},
    ),
    "the next table will have it": (RouteSeen(Standing("gateway/main")), {"Accepted": ("Unknown", "Pending")}),
    "not admitted": (
        _seen(of=gateway(allowedRoutes={"namespaces": {"from": "Same"}})),
        {"Accepted": ("False", "NotAdmitted"), "Programmed": ("False", "NotAccepted")},
    ),
    "no rule can be acted on": (
        _seen(deployment(), rules=(rule("only", **CHECKED),)),
        {"Accepted": ("False", "NotSupported"), "Ready": ("False", "NotSupported")},
    ),
    "one rule of two cannot be acted on": (
        _seen(deployment(), rules=(rule("first", match={"tasks": ["law"]}, **CHECKED), rule("second"))),
        {"Accepted": ("True", "PartlyAccepted"), "Ready": ("True", "PartlyAnswers")},
    ),
    "a bare name was not granted": (
        _seen(names=("assistant",)),
        {"Accepted": ("True", "PartlyAccepted"), "Ready": ("True", "PartlyAnswers")},
    ),
    "an older Route has its only name": (
        _seen(route("elder", names=("team/assistant",)), deployment()),
        {"Accepted": ("False", "NameTaken"), "Ready": ("False", "NameTaken")},
    ),
    "a backend is not there": (
        _seen(deployment(), rules=(rule("all", local("chat"), local("gone")),)),
        {"ResolvedRefs": ("False", "BackendNotFound"), "Ready": ("True", "PartlyAnswers")},
    ),
    "a model is not there": (
        _seen(provider(), rules=(rule("all", hosted(model="small")),)),
        {"ResolvedRefs": ("False", "ModelNotFound"), "Ready": ("False", "NothingAnswers")},
    ),
    "some rules answer": (
        _seen(deployment(), rules=PARTLY),
        {"Accepted": ("True", "Accepted"), "Ready": ("True", "PartlyAnswers")},
    ),
    "nobody serves": (
        _seen(deployment("chat", revision("r", pods=0))),
        {"ResolvedRefs": ("True", "ResolvedRefs"), "Ready": ("False", "NothingAnswers")},
    ),
    "not published": (_seen(state=UNPUBLISHED), {"Programmed": ("False", "NotPublished")}),
    "a replica lags": (
        _seen(state=LAGGING),
        {"Programmed": ("False", "NotAcknowledged"), "Ready": ("False", "NotAcknowledged")},
    ),
    "no replica lives": (_seen(state=EMPTY), {"Programmed": ("False", "NoReplica")}),
    "the server is away": (_away(), {"Programmed": ("Unknown", "ServerAway"), "Ready": ("False", "ServerAway")}),
    "nothing was read yet": (_away(None), {"Programmed": ("Unknown", "ServerAway")}),
}


@pytest.mark.parametrize(("seen", "want"), SCENES.values(), ids=SCENES.keys())
def test_conditions(seen: RouteSeen, want: dict[str, tuple[str, str]]) -> None:
    """Each case by name; conditions that it does not name are not its point."""
    found = verdicts_of(_status(seen))
    assert [kind for kind in found if kind != "Stalled"] == ["Accepted", "ResolvedRefs", "Programmed", "Ready"]
    assert {kind: found[kind] for kind in want} == want


@pytest.mark.parametrize("seen", [scene[0] for scene in SCENES.values()], ids=SCENES.keys())
def test_a_status_that_says_the_same_keeps_its_times(seen: RouteSeen) -> None:
    """Nothing is written while nothing changes, and what is written keeps to its bounds."""
    first = _status(seen)
    assert _status(seen, first, LATER) == first
    assert RouteStatus.model_validate(first)


def test_no_server() -> None:
    """It was not given to the operator: nothing is ever published."""
    seen = _seen()
    found = _status(RouteSeen(seen.standing, seen.explanation, None, has_server=False))
    assert verdicts_of(found)["Programmed"] == ("False", "NoServer")


def test_a_spec_that_cannot_be_read() -> None:
    """Refused by field, whatever the gateway has of it."""
    found = route_status(route_custom(rules=[]), RouteSeen(Standing("", found=False)), now=NOW)
    assert verdicts_of(found)["Accepted"] == ("False", "Invalid")
    assert "spec.rules" in _message(found, "Accepted")


def test_rules_say_who_answers_and_why_not() -> None:
    """In their order; the one that does all that it says has nothing to say."""
    found = _status(_seen(deployment(), rules=PARTLY))
    assert found["answeringRules"] == 1
    assert found["modelNames"] == ["team/assistant"]
    assert found["rules"][0] == {"name": "first", "liveBackends": ["deployment/team/chat"], "message": ""}
    assert (found["rules"][1]["name"], found["rules"][1]["liveBackends"]) == ("second", [])
    assert "'team/gone'" in found["rules"][1]["message"]


def test_a_rule_that_refuses_has_nobody_live() -> None:
    """Whoever is ready behind it."""
    found = _status(_seen(deployment(), rules=(rule("only", **CHECKED),)))
    assert found["rules"][0]["liveBackends"] == []
    assert found["answeringRules"] == 0


def test_the_headline_is_the_message() -> None:
    """Partly: how many rules answer, and what is wrong with the others."""
    found = _status(_seen(deployment(), rules=PARTLY))
    assert _message(found, "Ready").startswith("1 of 2 rules answer. Rule 'second'")


def test_messages_are_bounded() -> None:
    """Of thirty-two rules that are all wrong, too."""
    lost = [hosted(f"{'p' * 50}-{number}", "m" * 90, namespace="n" * 60) for number in range(16)]
    rules = tuple(rule(f"rule-{number}", *lost, match={"tasks": ["law"]}) for number in range(31))
    found = _status(_seen(deployment(), rules=(*rules, rule("last", *lost))))
    assert max(len(each["message"]) for each in found["rules"]) == 1024
    assert max(len(each["message"]) for each in found["conditions"]) == 4096


def test_who_lags_is_not_named_for_each_route() -> None:
    """The message stays while one replica after the other follows."""
    other = GatewayState("gateway/main", 4, (Replica("a", 3), Replica("b", 3)))
    first = _status(_seen(state=other))
    assert _status(_seen(state=LAGGING), first, LATER) == first


def test_it_recovers() -> None:
    """When the last replica has it."""
    behind = _status(_seen(state=LAGGING))
    found = _status(_seen(), behind, LATER)
    assert verdicts_of(found)["Ready"] == ("True", "Ready")
    assert found["conditions"][2]["lastTransitionTime"] == "2026-11-21T13:00:00Z"
    assert found["conditions"][0]["lastTransitionTime"] == "2026-11-21T12:00:00Z"


@pytest.mark.parametrize("state", [AWAY, None], ids=["the server is away", "after a restart"])
def test_what_every_replica_had_they_go_on_with(state: GatewayState | None) -> None:
    """While nobody says so, nothing is published that could change it."""
    first = _status(_seen())
    assert _status(_away(state), first, LATER) == first


def test_what_is_new_is_not_taken_for_programmed() -> None:
    """The Route as it is was never published, and the server is away."""
    first = _status(_seen())
    found = _status(_away(GatewayState("gateway/main", 0, None)), first, LATER)
    assert verdicts_of(found)["Programmed"] == ("Unknown", "ServerAway")


def test_an_edited_route_is_not_taken_for_programmed() -> None:
    """The status answers an older generation."""
    first = {**_status(_seen()), "observedGeneration": 0}
    assert verdicts_of(_status(_away(None), first, LATER))["Programmed"] == ("Unknown", "ServerAway")


def test_a_restart_of_the_operator_is_not_seen() -> None:
    """Before the first table is made the status stays as it is."""
    first = _status(_seen(deployment(), rules=PARTLY))
    assert _status(RouteSeen(Standing("gateway/main", has_table=False)), first, LATER) == first


def test_what_an_older_release_refused_waits_for_a_table() -> None:
    """Its NotSupported is no answer any more."""
    refused = [{"type": kind, "status": "False", "reason": "NotSupported"} for kind in ("Accepted", "Ready")]
    before = {"conditions": refused, "observedGeneration": 1}
    found = _status(RouteSeen(Standing("gateway/main", has_table=False)), before)
    assert verdicts_of(found)["Accepted"] == ("Unknown", "Pending")


def test_no_model_name_at_all() -> None:
    """A table that gives it none without a word is told all the same."""
    taken = _seen(route("elder", names=("team/assistant",)), deployment())
    found = _status(RouteSeen(Standing("gateway/main"), taken.explanation, EVERYWHERE))
    assert verdicts_of(found)["Accepted"] == ("False", "NoModelName")


def test_each_thing_is_said_once() -> None:
    """A problem that two parts of the table tell."""
    refusal = Refusal("spec.gatewayRef.name", "gateway/main", "does not admit it", "Ask its owner")
    problem: Problem = Finding(ProblemReason.NOT_ADMITTED, refusal, refuses=True).of(Kind.ROUTE, NAME)
    found = _status(RouteSeen(Standing("gateway/main", problems=(problem, problem))))
    assert _message(found, "Accepted") == str(refusal)
