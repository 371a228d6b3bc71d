"""The decision: the first rule that matches, its backends by weight and then in order, and no border crossed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.decisions import backend, consumer, index, request, rule, table
from penstock_policy.decision import Decision, Index, Reason, Refusal, Request, decide
from penstock_policy.table import Match, Rule, Share

DRAWS = st.floats(0, 1, exclude_max=True)


def names(decided: Decision | Refusal) -> Sequence[str]:
    """Of the hops; none of a refusal."""
    return [hop.name for hop in decided.hops] if isinstance(decided, Decision) else []


def refused(decided: Decision | Refusal) -> Refusal:
    """It must be one."""
    assert isinstance(decided, Refusal)
    return decided


MATCHES: dict[str, tuple[Match, dict[str, Any], bool]] = {
    "nothing stated": (Match(), {}, True),
    "a task": (Match(tasks=frozenset({"legal", "tax"})), {"task": "tax"}, True),
    "another task": (Match(tasks=frozenset({"legal"})), {"task": "tax"}, False),
    "no task": (Match(tasks=frozenset({"legal"})), {}, False),
    "a level": (Match(sensitivities=frozenset({1})), {"sensitivity_asked": "medium"}, True),
    "a higher level": (Match(sensitivities=frozenset({1})), {"sensitivity_asked": "high"}, False),
    "a tier": (Match(tiers=frozenset({"standard"})), {}, True),
    "another tier": (Match(tiers=frozenset({"gold"})), {}, False),
    "a team": (Match(teams=frozenset({"search"})), {}, True),
    "another team": (Match(teams=frozenset({"sales"})), {}, False),
    "a header": (Match(headers=(("x-app", "a"),)), {"headers": {"x-app": "a"}}, True),
    "another value": (Match(headers=(("x-app", "a"),)), {"headers": {"x-app": "b"}}, False),
    "no header": (Match(headers=(("x-app", "a"),)), {}, False),
    "both headers": (Match(headers=(("x-a", "1"), ("x-b", "2"))), {"headers": {"x-a": "1"}}, False),
    "at the lower end": (Match(min_prompt_tokens=10), {"prompt_tokens": 10}, True),
    "below it": (Match(min_prompt_tokens=10), {"prompt_tokens": 9}, False),
    "at the upper end": (Match(max_prompt_tokens=10), {"prompt_tokens": 10}, True),
    "above it": (Match(max_prompt_tokens=10), {"prompt_tokens": 11}, False),
    "task but not tier": (Match(tasks=frozenset({"t"}), tiers=frozenset({"gold"})), {"task": "t"}, False),
}


@pytest.mark.parametrize(("match", "facts", "taken"), MATCHES.values(), ids=MATCHES)
def test_what_a_rule_takes(match: Match, facts: dict[str, Any], taken: bool) -> None:  # noqa: FBT001 - a table's column
    """All that is stated must hold."""
    decided = decide(index(rule(match=match)), request(**facts), 0)
    assert isinstance(decided, Decision) == taken
    assert taken or refused(decided).reason is Reason.NO_RULE_MATCHES


def test_the_first_rule_that_matches_wins() -> None:
    """Later ones are not looked at, even where the first one then refuses."""
    rules = rule("strict", "hosted", countries=frozenset({"DE"})), rule("lax", "home")
    assert refused(decide(index(*rules), request(), 0)).rule == "strict"


def test_a_degraded_rule_keeps_its_requests() -> None:
    """Otherwise what it forbids would be allowed by the next one."""
    told = refused(decide(index(rule(problem="no consent"), rule("lax")), request(), 0))
    assert (told.status, told.reason, told.message) == (503, Reason.RULE_DEGRADED, "no consent")


WHY_NOT: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], Reason, int]] = {
    "not serving": ({"endpoints": ()}, {}, {}, Reason.NOT_SERVING, 503),
    "too sensitive": ({"max_sensitivity": 1}, {}, {"sensitivity_asked": "high"}, Reason.SENSITIVITY, 403),
    "outside": ({}, {"countries": frozenset({"FR"})}, {}, Reason.JURISDICTION, 403),
    "half outside": (
        {"countries": frozenset({"DE", "US"})},
        {"countries": frozenset({"DE"})},
        {},
        Reason.JURISDICTION,
        403,
    ),
    "nowhere": ({"countries": frozenset()}, {"countries": frozenset({"DE"})}, {}, Reason.JURISDICTION, 403),
    "too dear": ({}, {"max_price_micros": 1_599_999}, {}, Reason.PRICE, 403),
    "no price": ({"price": None}, {"max_price_micros": 10**12}, {}, Reason.PRICE, 403),
    "another operation": ({"operations": ("embeddings",)}, {}, {}, Reason.OPERATION, 400),
    "too long": ({"context_tokens": 100}, {}, {"prompt_tokens": 101}, Reason.CONTEXT_LENGTH, 400),
}


@pytest.mark.parametrize(("of_backend", "of_rule", "facts", "reason", "status"), WHY_NOT.values(), ids=WHY_NOT)
def test_why_a_backend_may_not_answer(
    of_backend: dict[str, Any], of_rule: dict[str, Any], facts: dict[str, Any], reason: Reason, status: int
) -> None:
    """The refusal says which and why, and its status whether it helps to come again."""
    made = index(rule(**of_rule), backends=(backend(**of_backend),))
    told = refused(decide(made, request(**facts), 0))
    assert [(each.backend, each.reason) for each in told.rejected] == [("home", reason)]
    assert (told.status, told.reason) == (status, Reason.NO_BACKEND)
    assert f"home: {reason}" in told.message


def test_borders_are_named_before_capacity() -> None:
    """A backend that is forbidden and away is forbidden."""
    made = index(
        rule("r", "hosted", countries=frozenset({"DE"})),
        backends=(backend("hosted", endpoints=(), countries=frozenset({"US"})),),
    )
    assert refused(decide(made, request(), 0)).status == 403


def test_one_that_may_serve_again_makes_it_503() -> None:
    """The EU backend is away, the US one forbidden: nobody goes there, and coming again may help."""
    made = index(
        rule("r", "home", "hosted", countries=frozenset({"DE"})),
        backends=(backend(endpoints=()), backend("hosted", countries=frozenset({"US"}))),
    )
    assert refused(decide(made, request(), 0)).status == 503


LEVELS: dict[str, tuple[int, dict[str, str], int]] = {
    "nobody says": (0, {}, 0),
    "the key's floor": (1, {}, 1),
    "the client raises": (0, {"sensitivity_asked": "high"}, 2),
    "the client cannot lower": (1, {"sensitivity_asked": "low"}, 1),
    "the classifier raises": (0, {"sensitivity_found": "medium"}, 1),
    "the highest of all": (1, {"sensitivity_asked": "low", "sensitivity_found": "high"}, 2),
    "a level that nobody knows": (0, {"sensitivity_asked": "sevret"}, 2),
}


@pytest.mark.parametrize(("floor", "said", "level"), LEVELS.values(), ids=LEVELS)
def test_the_level_of_a_request(floor: int, said: dict[str, str], level: int) -> None:
    """The highest of what is said; what nobody knows is the highest there is."""
    decided = decide(index(), request(consumer=consumer(sensitivity_floor=floor), **said), 0)
    assert isinstance(decided, Decision)
    assert decided.level == level


def test_weights_share_the_requests() -> None:
    """As they stand to each other; 0 comes only after the others."""
    shares = (Share("home", 3), Share("away", 1), Share("hosted", 0))
    made = index(replace(rule(), shares=shares))
    drawn = Counter(names(decide(made, request(), draw / 1000))[0] for draw in range(1000))
    assert drawn == {"home": 750, "away": 250}
    assert names(decide(made, request(), 0.9)) == ["away", "home", "hosted"]


def test_the_share_of_one_that_is_away_goes_to_the_others() -> None:
    """Nobody waits for it."""
    shares = (Share("home", 9), Share("away", 1))
    made = index(replace(rule(), shares=shares), backends=(backend(endpoints=()), backend("away")))
    assert {tuple(names(decide(made, request(), draw / 10))) for draw in range(10)} == {("away",)}


def test_the_fallback_comes_last_in_its_order() -> None:
    """Each backend once, wherever it stands."""
    made = index(replace(rule("r", "home"), fallback=("hosted", "home", "away")))
    assert names(decide(made, request(), 0)) == ["home", "hosted", "away"]


def test_a_fallback_is_checked_like_any_other() -> None:
    """It never widens what the rule or the level allows."""
    made = index(replace(rule("r", "home"), fallback=("hosted", "away"), countries=frozenset({"DE", "FR"})))
    decided = decide(made, request(), 0)
    assert names(decided) == ["home", "away"]
    assert isinstance(decided, Decision)
    assert [each.reason for each in decided.rejected] == [Reason.JURISDICTION]


def test_a_model_that_no_route_has() -> None:
    """The refusal names it."""
    told = refused(decide(index(), request(model="gpt"), 0))
    assert (told.status, told.reason) == (404, Reason.MODEL_UNKNOWN)
    assert "'gpt'" in told.message


def test_a_route_that_the_key_may_not_call() -> None:
    """The Consumer says which it may."""
    told = refused(decide(index(), request(consumer=consumer(routes=frozenset({"team/other"}))), 0))
    assert (told.status, told.reason, told.route) == (403, Reason.ROUTE_NOT_ALLOWED, "team/chat")


@pytest.mark.parametrize(
    ("routes", "may"),
    [({"team/chat"}, True), ({"team/*"}, True), ({"tea/*"}, False), ({"team"}, False), ({"*"}, False), (set(), False)],
    ids=str,
)
def test_which_routes_a_consumer_may_call(routes: set[str], *, may: bool) -> None:
    """By name, or all of one namespace; nothing else reads as a pattern."""
    assert consumer(routes=frozenset(routes)).may_call("team/chat") is may


def test_a_backend_that_the_table_lacks() -> None:
    """A table that was cut short lets nothing through."""
    told = refused(decide(index(rule("r", "ghost")), request(), 0))
    assert told.rejected[0].reason is Reason.BACKEND_UNKNOWN


def test_of_two_routes_with_one_name_the_first_has_it() -> None:
    """The operator puts the older one first."""
    made = table()
    second = replace(made.routes[0], name="team/later")
    assert Index.of(replace(made, routes=(*made.routes, second))).routes["chat"].name == "team/chat"


COUNTRIES = st.frozensets(st.sampled_from(["DE", "FR", "US"]))
BACKENDS = st.builds(
    backend,
    st.sampled_from("abcd"),
    countries=COUNTRIES,
    max_sensitivity=st.integers(0, 2),
    endpoints=st.sampled_from([(), ("http://pod",)]),
    context_tokens=st.none() | st.integers(1, 100),
)
RULES = st.builds(
    Rule,
    st.just("r"),
    st.lists(st.builds(Share, st.sampled_from("abcde"), st.integers(0, 3)), max_size=4).map(tuple),
    fallback=st.lists(st.sampled_from("abcde"), max_size=3).map(tuple),
    countries=st.none() | COUNTRIES,
    max_price_micros=st.none() | st.integers(0, 2_000_000),
)
REQUESTS = st.builds(
    request,
    consumer=st.builds(consumer, sensitivity_floor=st.integers(0, 2)),
    sensitivity_asked=st.sampled_from(["", "low", "medium", "high", "odd"]),
    prompt_tokens=st.integers(0, 120),
)


@given(st.lists(BACKENDS, max_size=4), RULES, REQUESTS, DRAWS)
def test_no_hop_crosses_a_border(backends: list[Any], made: Rule, asked: Request, draw: float) -> None:
    """Whatever the table says: every hop that is returned may answer."""
    decided = decide(index(made, backends=tuple(backends)), asked, draw)
    for hop in decided.hops if isinstance(decided, Decision) else ():
        wanted = {"": 0, "low": 0, "medium": 1, "high": 2, "odd": 2}[asked.sensitivity_asked]
        assert hop.max_sensitivity >= max(wanted, asked.consumer.sensitivity_floor)
        assert made.countries is None or (hop.countries and not hop.countries - made.countries)
        assert made.max_price_micros is None or (hop.price and hop.price.output_micros <= made.max_price_micros)
        assert hop.endpoints
        assert hop.context_tokens is None or asked.prompt_tokens <= hop.context_tokens


@given(st.lists(BACKENDS, max_size=4), RULES, REQUESTS, DRAWS)
def test_every_backend_of_the_rule_is_a_hop_or_rejected(
    backends: list[Any], made: Rule, asked: Request, draw: float
) -> None:
    """Once, and with a reason: nothing gets lost."""
    decided = decide(index(made, backends=tuple(backends)), asked, draw)
    told = [*names(decided), *(each.backend for each in decided.rejected)]
    assert sorted(told) == sorted({*(share.backend for share in made.shares), *made.fallback})
    assert names(decided) or isinstance(decided, Refusal)
