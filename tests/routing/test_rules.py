"""Rules: what is left out never loosens one, and a rule that cannot hold refuses what it takes."""

from dataclasses import replace
from typing import Any

import pytest

from builders.routing import (
    ALL,
    ask,
    deployment,
    gateway,
    hosted,
    inputs,
    local,
    provider,
    revision,
    route,
    rule,
    rule_of,
)
from penstock.catalogue.blocs import countries_of
from penstock.routing.build import Built, build_table
from penstock.routing.inputs import Inputs
from penstock.routing.problems import Kind, ProblemReason
from penstock_policy.decision import Decision, Reason, Refusal
from penstock_policy.table import Limits, Match, Share

_CHECKS = {"checks": [{"type": "CitationsRequired"}]}


def _with(*rules: dict[str, Any], **changes: Any) -> Inputs:
    parts = (deployment(), deployment("backup"), provider(), provider("bedrock", type="Bedrock"))
    return inputs(route("assistant", *rules), *parts, **changes)


def _problems(built: Built) -> list[tuple[ProblemReason, str, str, bool]]:
    found = [each for each in built.problems if each.kind is Kind.ROUTE and each.rule]
    return [(each.reason, each.refusal.field, each.refusal.value, each.refuses) for each in found]


REFUSED: dict[str, tuple[dict[str, Any], ProblemReason, str, str]] = {
    "verify": (rule(verify=_CHECKS), ProblemReason.NOT_SUPPORTED, "verify", "CitationsRequired"),
    "an unknown jurisdiction": (
        rule(constraints={"jurisdictions": ["ZZ"]}),
        ProblemReason.JURISDICTION_UNKNOWN,
        "constraints.jurisdictions[0]",
        "ZZ",
    ),
    "an unknown jurisdiction beside a known one": (
        rule(constraints={"jurisdictions": ["EU", "EUROPE"]}),
        ProblemReason.JURISDICTION_UNKNOWN,
        "constraints.jurisdictions[1]",
        "EUROPE",
    ),
    "a ceiling in another currency": (
        rule(constraints={"maxPricePerMillionTokens": {"amount": "1", "currency": "EUR"}}),
        ProblemReason.PRICE_NOT_COMPARABLE,
        "constraints.maxPricePerMillionTokens.currency",
        "EUR",
    ),
    "an unknown level": (
        rule(match={"sensitivities": ["low", "secret"]}),
        ProblemReason.LEVEL_UNKNOWN,
        "match.sensitivities[1]",
        "secret",
    ),
    "no weight": (
        rule("all", local(weight=0), local("backup", weight=0)),
        ProblemReason.NO_WEIGHT,
        "backends",
        "0",
    ),
}


@pytest.mark.parametrize(("asked", "reason", "field", "value"), REFUSED.values(), ids=REFUSED)
def test_a_rule_that_would_be_loosened_refuses(
    asked: dict[str, Any], reason: ProblemReason, field: str, value: str
) -> None:
    built = build_table(_with(rule("first", match={"tasks": ["never"]}), asked), 1)
    assert _problems(built) == [(reason, f"spec.rules[1].{field}", value, True)]
    refused = ask(built.table)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.reason, refused.rule) == (503, Reason.RULE_DEGRADED, "all")
    assert f"`spec.rules[1].{field}`" in refused.message
    # The Route's other rules go on.
    assert isinstance(ask(built.table, task="never"), Decision)


@pytest.mark.parametrize("asked", [asked for asked, *_ in REFUSED.values()], ids=REFUSED)
def test_nothing_slips_from_it_to_a_laxer_rule(asked: dict[str, Any]) -> None:
    built = build_table(_with(asked | {"match": asked.get("match", {"tasks": ["x"]})}, rule("lax")), 1)
    for level in ("low", "medium", "high"):
        refused = ask(built.table, task="x", sensitivity_asked=level)
        assert isinstance(refused, Refusal)
        assert refused.rule == "all"


def test_a_cache_is_not_supported_and_its_rule_answers_all_the_same() -> None:
    """Without it, answers are only made anew."""
    for mode, want in (("Exact", True), ("Semantic", True), ("Disabled", False)):
        built = build_table(_with(rule(cache={"mode": mode})), 1)
        found = [(ProblemReason.NOT_SUPPORTED, "spec.rules[0].cache.mode", mode, False)]
        assert _problems(built) == found * want
        assert isinstance(ask(built.table), Decision)


LEADING_NOWHERE: dict[str, tuple[dict[str, Any], ProblemReason, str, str]] = {
    "no such deployment": (local("gone"), ProblemReason.BACKEND_NOT_FOUND, "deploymentRef.name", "team/gone"),
    "no such provider": (hosted("gone"), ProblemReason.BACKEND_NOT_FOUND, "providerRef.name", "team/gone"),
    "no such model": (hosted(model="gone"), ProblemReason.MODEL_NOT_FOUND, "providerRef.model", "gone"),
    "a provider that cannot be used": (
        hosted("bedrock"),
        ProblemReason.BACKEND_UNUSABLE,
        "providerRef.name",
        "team/bedrock",
    ),
    "another namespace": (
        local(namespace="others"),
        ProblemReason.BACKEND_NOT_PERMITTED,
        "deploymentRef.name",
        "others/chat",
    ),
}


@pytest.mark.parametrize("asked", [local("chat", namespace="far"), hosted("mistral", namespace="far")])
@pytest.mark.parametrize(
    ("watched", "cure"), [(("team",), "`watchNamespaces`"), (("team", "far"), "`spec.allowedRoutes`")]
)
def test_a_backend_where_nobody_looks_is_unseen_and_not_missing(
    asked: dict[str, Any], watched: tuple[str, ...], cure: str
) -> None:
    """What would help is another thing."""
    built = build_table(replace(_with(rule(backends=[asked])), watched=watched), 1)
    (told,) = [each for each in built.problems if each.kind is Kind.ROUTE and each.rule]
    assert cure in str(told)


@pytest.mark.parametrize(("reference", "reason", "field", "value"), LEADING_NOWHERE.values(), ids=LEADING_NOWHERE)
def test_one_missing_backend_among_several_is_left_out_and_told(
    reference: dict[str, Any], reason: ProblemReason, field: str, value: str
) -> None:
    built = build_table(_with(rule("all", reference | {"weight": 9}, local()), rule_with_fallback(reference)), 1)
    assert rule_of(built.table).shares == (Share("deployment/team/chat"),)
    assert rule_of(built.table, "last").fallback == ("deployment/team/backup",)
    assert [rule_of(built.table, name).problem for name in ("all", "last")] == ["", ""]
    assert _problems(built) == [
        (reason, f"spec.rules[0].backends[0].{field}", value, False),
        (reason, f"spec.rules[1].fallback[0].{field}", value, False),
    ]
    assert isinstance(ask(built.table), Decision)


def rule_with_fallback(*fallback: dict[str, Any]) -> dict[str, Any]:
    """The last rule, which fails over to these and to `backup`."""
    return rule("last", local(), fallback=[*fallback, local("backup")])


@pytest.mark.parametrize(("reference", "reason", "field", "value"), LEADING_NOWHERE.values(), ids=LEADING_NOWHERE)
def test_a_rule_of_which_nothing_is_left_refuses(
    reference: dict[str, Any], reason: ProblemReason, field: str, value: str
) -> None:
    built = build_table(_with(rule("all", reference)), 1)
    assert _problems(built) == [(reason, f"spec.rules[0].backends[0].{field}", value, False)]
    refused = ask(built.table)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.reason) == (503, Reason.RULE_DEGRADED)
    assert value in refused.message


def test_a_fallback_alone_is_something_left() -> None:
    built = build_table(_with(rule("all", local("gone"), fallback=[local()])), 1)
    answered = ask(built.table)
    assert isinstance(answered, Decision)
    assert [hop.name for hop in answered.hops] == ["deployment/team/chat"]


def test_guardrails_that_nothing_acts_on_stop_every_rule() -> None:
    of = gateway(guardrails=[{"name": "pii", "type": "PIIRedaction"}])
    built = build_table(_with(rule(), of=of), 1)
    assert isinstance(ask(built.table), Refusal)
    told = [(each.kind, each.name, each.reason, each.refuses) for each in built.problems if each.kind is Kind.GATEWAY]
    assert told == [(Kind.GATEWAY, "gateway/main", ProblemReason.NOT_SUPPORTED, True)]


def test_weights_and_fallback_keep_their_order() -> None:
    asked = rule("all", local("backup", weight=3), local(weight=0), fallback=[hosted(), local("backup")])
    built = rule_of(build_table(_with(asked), 1).table)
    assert built.shares == (Share("deployment/team/backup", 3), Share("deployment/team/chat", 0))
    assert built.fallback == ("provider/team/openai/large", "deployment/team/backup")


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_a_backend_of_weight_0_is_only_for_failing_over(draw: float) -> None:
    built = build_table(_with(rule("all", local(weight=0), local("backup", weight=1))), 1)
    answered = ask(built.table, draw=draw)
    assert isinstance(answered, Decision)
    assert [hop.name for hop in answered.hops] == ["deployment/team/backup", "deployment/team/chat"]


def test_a_match_says_all_that_the_route_says() -> None:
    match = {
        "tasks": ["legal"],
        "sensitivities": ["low", "high"],
        "tiers": ["gold"],
        "teams": ["support", "sales"],
        "headers": [{"name": "X-B", "value": "Two"}, {"name": "x-a", "value": "1"}],
        "promptTokens": {"minimum": 10, "maximum": 99},
    }
    built = build_table(_with(rule("some", match=match), rule("open", match={"promptTokens": {}}), rule()), 1).table
    assert rule_of(built, "some").match == Match(
        tasks=frozenset({"legal"}),
        sensitivities=frozenset({0, 2}),
        tiers=frozenset({"gold"}),
        teams=frozenset({"support", "sales"}),
        headers=(("x-a", "1"), ("x-b", "Two")),
        min_prompt_tokens=10,
        max_prompt_tokens=99,
    )
    assert rule_of(built, "open").match == rule_of(built).match == Match()


def test_constraints_are_resolved() -> None:
    asked = {"jurisdictions": ["EU", "CH"], "maxPricePerMillionTokens": {"amount": "7.5"}}
    built = build_table(_with(rule("bound", match={"tasks": ["x"]}, constraints=asked), rule()), 1).table
    assert rule_of(built, "bound").countries == (countries_of("EU") or frozenset()) | {"CH"}
    assert rule_of(built, "bound").max_price_micros == 7_500_000
    assert (rule_of(built).countries, rule_of(built).max_price_micros) == (None, None)


def test_a_rule_that_nobody_may_answer_lawfully_says_why_with_each_request() -> None:
    """Nothing is missing, so the decision itself refuses, and as forbidden."""
    parts = (deployment("chat", revision("r", ["US"])), provider())
    asked = rule("all", local(), hosted(), constraints={"jurisdictions": ["EU"]})
    built = build_table(inputs(route("assistant", asked), *parts), 1)
    assert rule_of(built.table).problem == ""
    refused = ask(built.table)
    assert isinstance(refused, Refusal)
    assert (refused.status, {each.reason for each in refused.rejected}) == (403, {Reason.JURISDICTION})


LIMITS: dict[str, tuple[dict[str, Any], Limits]] = {
    "nothing is stated": ({}, Limits()),
    "timeouts": ({"timeouts": {"requestSeconds": 60, "firstTokenSeconds": 5}}, Limits(60.0, 5.0)),
    "constraints in milliseconds": (
        {"constraints": {"timeToFirstTokenMilliseconds": 1500, "totalLatencyMilliseconds": 15000}},
        Limits(15.0, 1.5),
    ),
    "the smaller of both": (
        {
            "timeouts": {"requestSeconds": 10, "firstTokenSeconds": 5},
            "constraints": {"timeToFirstTokenMilliseconds": 1500, "totalLatencyMilliseconds": 15000},
        },
        Limits(10.0, 1.5),
    ),
    "a retry is a further attempt": ({"retries": {"attempts": 3}}, Limits(attempts=4)),
    "no retries": ({"retries": {"attempts": 0}}, Limits(attempts=1)),
    "retries as they are by default": ({"retries": {}}, Limits(attempts=2)),
}


@pytest.mark.parametrize(("fields", "want"), LIMITS.values(), ids=LIMITS)
def test_limits(fields: dict[str, Any], want: Limits) -> None:
    built = build_table(_with(rule(**fields)), 1)
    assert rule_of(built.table).limits == want
    assert _problems(built) == []


CROSSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "by constraints": (
        {"constraints": {"timeToFirstTokenMilliseconds": 2000, "totalLatencyMilliseconds": 2000}},
        "constraints.totalLatencyMilliseconds",
        "2000",
    ),
    "by timeouts": ({"timeouts": {"requestSeconds": 5, "firstTokenSeconds": 9}}, "timeouts.requestSeconds", "5"),
    "by one of each": (
        {"timeouts": {"firstTokenSeconds": 9}, "constraints": {"totalLatencyMilliseconds": 800}},
        "constraints.totalLatencyMilliseconds",
        "800",
    ),
}


@pytest.mark.parametrize(("fields", "field", "value"), CROSSED.values(), ids=CROSSED)
def test_a_request_that_ends_before_its_first_token_is_late(fields: dict[str, Any], field: str, value: str) -> None:
    built = build_table(_with(rule(**fields)), 1)
    assert _problems(built) == [(ProblemReason.LIMITS_CROSSED, f"spec.rules[0].{field}", value, False)]
    assert isinstance(ask(built.table), Decision)


def test_problems_teach() -> None:
    """Field, value, reason and cure, in one line."""
    (problem,) = build_table(_with(rule("all", local("gone"), local())), 1).problems[-1:]
    assert str(problem) == (
        "all: `spec.rules[0].backends[0].deploymentRef.name` 'team/gone': namespace 'team' has no ModelDeployment of "
        "this name. Make it, or correct the name."
    )
    (other,) = (each for each in build_table(inputs(route(), deployment(), of=gateway()), 1).problems)
    assert str(other).startswith("`spec.modelNames[0]` 'assistant': is not granted to namespace 'team'")


def test_consent_is_asked_for_the_route_and_not_for_who_wrote_the_rule_first() -> None:
    shared = deployment(namespace="others", allowed_routes=ALL)
    built = build_table(inputs(route("assistant", rule("all", local(namespace="others"))), shared), 1)
    assert isinstance(ask(built.table), Decision)
