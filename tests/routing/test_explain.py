"""A Route in words: who answers, who does not, and why."""

from typing import Any

import pytest

from builders.routing import deployment, gateway, hosted, inputs, local, provider, revision, route, rule
from penstock.routing.build import build_table
from penstock.routing.explain import Absence, RouteExplanation, explain, explain_all
from penstock.routing.inputs import Credentials, Deployment, ProviderInput
from penstock_policy.table import Price

_CHAT, _OPENAI = "deployment/team/chat", "provider/team/openai/large"


def _explain(*rules: dict[str, Any], parts: tuple[Deployment | ProviderInput, ...], **changes: Any) -> RouteExplanation:
    asked = route("assistant", *rules, names=["team/assistant"])
    told = explain(build_table(inputs(asked, *parts, **changes), 1), "team/assistant")
    assert told is not None
    return told


ABSENT: dict[str, tuple[Deployment | ProviderInput, dict[str, Any], str]] = {
    "draining": (deployment(draining=True), {}, "it is being drained"),
    "not serving": (deployment("chat", revision("r", serving=False)), {}, "it has no ready pod that serves"),
    "no credential": (provider(), {}, "its API key is not among the gateway's credentials yet"),
    "sensitivity": (
        deployment(max_sensitivity="low"),
        {"match": {"sensitivities": ["high", "medium"]}},
        "it may see nothing above 'low'",
    ),
    "jurisdiction": (
        deployment("chat", revision("r", ["DE"], ["US"])),
        {"constraints": {"jurisdictions": ["EU"]}},
        "it may answer in US, outside the rule's jurisdictions",
    ),
    "no country": (
        deployment("chat", revision("r", [])),
        {"constraints": {"jurisdictions": ["EU"]}},
        "nobody said in which countries it answers, which passes no jurisdiction",
    ),
    "price": (
        deployment(price=Price(1_000_000, 3_000_000)),
        {"constraints": {"maxPricePerMillionTokens": {"amount": "2.5"}}},
        "a million tokens cost up to 3.00 USD, above 2.50 USD",
    ),
    "no price": (
        deployment(),
        {"constraints": {"maxPricePerMillionTokens": {"amount": "2.5"}}},
        "its price is not known, which passes no ceiling",
    ),
    "context": (
        deployment(context_tokens=4096),
        {"match": {"promptTokens": {"minimum": 5000}}},
        "it takes at most 4096 tokens",
    ),
}


@pytest.mark.parametrize(("part", "fields", "why"), ABSENT.values(), ids=ABSENT)
def test_why_a_backend_does_not_answer(part: Deployment | ProviderInput, fields: dict[str, Any], why: str) -> None:
    reference, name = (local(), _CHAT) if isinstance(part, Deployment) else (hosted(), _OPENAI)
    told = _explain(rule("all", reference, **fields), parts=(part,), credentials=Credentials("1"))
    assert (told.rules[0].live, told.rules[0].absent) == ((), (Absence(name, why),))
    assert told.headline == f"0 of 1 rules answer. Rule 'all' has nobody to answer; not by {name}: {why}."
    assert told.degraded


def test_who_answers_and_who_does_not() -> None:
    asked = rule("all", local("down"), local(), fallback=[hosted()])
    told = _explain(asked, parts=(deployment(), deployment("down", draining=True), provider()))
    assert told.rules[0].answers
    assert told.rules[0].sentence == (
        f"Rule 'all' is answered by {_CHAT}, {_OPENAI}; not by deployment/team/down: it is being drained."
    )
    assert told.degraded


def test_a_route_that_does_all_that_it_says() -> None:
    told = _explain(rule(), parts=(deployment(),))
    assert (told.degraded, told.headline, told.model_names) == (False, "1 of 1 rules answer.", ("team/assistant",))


def test_what_was_left_out_is_told_after_who_answers() -> None:
    told = _explain(rule("all", local(), local("gone")), parts=(deployment(),))
    assert told.degraded
    assert told.rules[0].sentence == (
        f"Rule 'all' is answered by {_CHAT}. `spec.rules[0].backends[1].deploymentRef.name` 'team/gone': namespace "
        "'team' has no ModelDeployment of this name. Make it, or correct the name."
    )


def test_a_rule_that_refuses_says_why_once() -> None:
    asked = rule("legal", local(), match={"tasks": ["legal"]}, verify={"checks": [{"type": "CitationsRequired"}]})
    told = _explain(asked, rule(), parts=(deployment(),))
    assert (told.rules[0].answers, told.rules[1].answers) == (False, True)
    assert told.headline == (
        "1 of 2 rules answer. Rule 'legal' refuses what it takes: `spec.rules[0].verify` 'CitationsRequired': is not "
        "acted on by this release. Remove it, and check the answers at the client."
    )


def test_what_is_of_no_single_rule_is_told_too() -> None:
    built = build_table(inputs(route("a", age=1), route("b", age=2), deployment()), 1)
    told = explain_all(built)
    assert list(told) == ["team/a", "team/b"]
    assert [len(each.problems) for each in told.values()] == [1, 2]
    assert told["team/b"].degraded
    assert "belongs to Route team/a" in told["team/b"].headline


def test_a_route_that_the_table_lacks_has_no_explanation() -> None:
    built = build_table(inputs(route(), of=gateway(allowedRoutes=None)), 1)
    assert explain(built, "team/assistant") is None
    assert explain_all(built) == {}
