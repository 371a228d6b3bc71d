"""Backends: where they are, what may reach them, and when nothing is sent to them."""

from collections.abc import Sequence
from typing import Any

import pytest

from builders.routing import (
    backend_of,
    deployment,
    gateway,
    hosted,
    inputs,
    local,
    provider,
    revision,
    route,
    rule,
)
from penstock.routing.backends import Idle
from penstock.routing.build import Built, build_table
from penstock.routing.inputs import Credentials, Deployment, ProviderInput, Revision
from penstock.routing.problems import Kind, ProblemReason
from penstock_policy.table import ANY_OPERATION, Backend, Price

_HOSTED = "provider/team/openai/large"


def _local(one: Deployment) -> tuple[Built, Backend]:
    built = build_table(inputs(route(), one), 1)
    return built, backend_of(built.table)


def _hosted(one: ProviderInput, **changes: Any) -> tuple[Built, Backend]:
    built = build_table(inputs(route("assistant", rule("all", hosted())), one, **changes), 1)
    return built, backend_of(built.table, _HOSTED)


def _reasons(built: Built, kind: Kind) -> list[tuple[ProblemReason, str, str, bool]]:
    found = [each for each in built.problems if each.kind is kind]
    return [(each.reason, each.refusal.field, each.refusal.value, each.refuses) for each in found]


def test_a_deployment_as_the_table_has_it() -> None:
    price = Price(400_000, 400_000)
    one = deployment("chat", revision("r1", pods=2), model="org/m", context_tokens=8192, price=price)
    assert _local(one)[1] == Backend(
        name="deployment/team/chat",
        kind="Deployment",
        protocol="OpenAI",
        model="org/m",
        endpoints=("http://r1-0:8000", "http://r1-1:8000"),
        max_sensitivity=2,
        countries=frozenset({"DE"}),
        operations=ANY_OPERATION,
        context_tokens=8192,
        price=price,
    )


ENDPOINTS: dict[str, tuple[Sequence[Revision], Sequence[str], Idle | None]] = {
    "of all revisions that serve": (
        [revision("r2"), revision("r1")],
        ["http://r1-0:8000", "http://r2-0:8000"],
        None,
    ),
    "of no other": ([revision("r2"), revision("r1", serving=False)], ["http://r2-0:8000"], None),
    "none serves yet": ([revision("r1", serving=False)], [], Idle.NOT_SERVING),
    "no ready pod": ([revision("r1", pods=0)], [], Idle.NOT_SERVING),
    "no revision": ([], [], Idle.NOT_SERVING),
}


@pytest.mark.parametrize(("revisions", "want", "idle"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoints(revisions: Sequence[Revision], want: Sequence[str], idle: Idle | None) -> None:
    one = Deployment("team", "chat", "chat", tuple(revisions))
    built, backend = _local(one)
    assert backend.endpoints == tuple(want)
    assert built.idle == ({} if idle is None else {"deployment/team/chat": idle})


def test_a_deployment_being_drained_keeps_its_entry_without_endpoints() -> None:
    built, backend = _local(deployment(draining=True))
    assert (backend.endpoints, backend.countries) == ((), frozenset({"DE"}))
    assert built.idle == {"deployment/team/chat": Idle.DRAINING}
    assert built.table.routes[0].rules[0].problem == ""


COUNTRIES: dict[str, tuple[Sequence[Revision], set[str]]] = {
    "of its pool": ([revision("a", ["DE", "FR"])], {"DE", "FR"}),
    "of all pools of a revision": ([revision("a", ["DE"], ["US"])], {"DE", "US"}),
    "of all revisions": ([revision("a", ["DE"]), revision("b", ["US"])], {"DE", "US"}),
    "none where one pool states none": ([revision("a", ["DE"]), revision("b", [])], set()),
    "none where one pool of a revision states none": ([revision("a", ["DE"], [])], set()),
    "none where nobody knows the pool": ([revision("a"), Revision("b", (), ("http://b-0:8000",))], set()),
    "none without a revision": ([], set()),
}


@pytest.mark.parametrize(("revisions", "want"), COUNTRIES.values(), ids=COUNTRIES)
def test_countries_of_a_deployment(revisions: Sequence[Revision], want: set[str]) -> None:
    assert _local(Deployment("team", "chat", "chat", tuple(revisions)))[1].countries == want


CLEARANCES: dict[str, tuple[str | None, int, int, bool]] = {
    "left out: all of it at home, the least elsewhere": (None, 2, 0, False),
    "a level": ("medium", 1, 1, False),
    "the highest": ("high", 2, 2, False),
    "a level that nobody knows: the lowest": ("secret", 0, 0, True),
}


@pytest.mark.parametrize(("level", "at_home", "elsewhere", "unknown"), CLEARANCES.values(), ids=CLEARANCES)
def test_the_highest_level_that_may_reach_it(level: str | None, at_home: int, elsewhere: int, *, unknown: bool) -> None:
    home, own = _local(deployment(max_sensitivity=level))
    away, theirs = _hosted(provider(maxSensitivity=level))
    assert (own.max_sensitivity, theirs.max_sensitivity) == (at_home, elsewhere)
    told = [(ProblemReason.LEVEL_UNKNOWN, "spec.maxSensitivity", "secret", False)] * unknown
    assert (_reasons(home, Kind.DEPLOYMENT), _reasons(away, Kind.PROVIDER)) == (told, told)


def test_a_level_that_is_there_twice_is_read_strictly() -> None:
    of = gateway(sensitivityLevels=["low", "high", "low"])
    built = build_table(inputs(route(), deployment(max_sensitivity="low"), of=of), 1)
    assert backend_of(built.table).max_sensitivity == 0


TYPES: dict[str, tuple[dict[str, Any], str, str, tuple[str, ...]]] = {
    "OpenAI": (
        {"type": "OpenAI"},
        "OpenAI",
        "https://api.openai.com",
        ("chat/completions", "completions", "embeddings", "responses"),
    ),
    "Anthropic": (
        {"type": "Anthropic"},
        "Anthropic",
        "https://api.anthropic.com",
        ("chat/completions", "messages"),
    ),
    "Mistral": ({"type": "Mistral"}, "mistral", "https://api.mistral.ai", ("chat/completions", "embeddings")),
    "a server of one's own": (
        {"type": "OpenAICompatible", "url": "https://llm.internal:8443/v1"},
        "OpenAI",
        "https://llm.internal:8443",
        ("chat/completions", "completions", "embeddings", "responses"),
    ),
    "a proxy before a hosted one": (
        {"type": "Mistral", "url": "http://proxy.internal/mistral/v1/"},
        "mistral",
        "http://proxy.internal/mistral",
        ("chat/completions", "embeddings"),
    ),
    "a URL without v1": (
        {"type": "OpenAICompatible", "url": "https://llm.internal/"},
        "OpenAI",
        "https://llm.internal",
        ("chat/completions", "completions", "embeddings", "responses"),
    ),
}


@pytest.mark.parametrize(("spec", "protocol", "url", "operations"), TYPES.values(), ids=TYPES)
def test_types_of_providers(spec: dict[str, Any], protocol: str, url: str, operations: tuple[str, ...]) -> None:
    built, backend = _hosted(provider(**spec))
    assert (backend.protocol, backend.endpoints, backend.operations) == (protocol, (url,), operations)
    assert _reasons(built, Kind.PROVIDER) == []


def test_a_provider_as_the_table_has_it() -> None:
    model = {
        "name": "large",
        "providerModel": "large-2026",
        "contextTokens": 200_000,
        "price": {"perMillionInputTokens": "3.00", "perMillionOutputTokens": "15"},
    }
    built, backend = _hosted(provider(models=[model], maxSensitivity="medium", countries=["US", "CA"]))
    assert backend == Backend(
        name=_HOSTED,
        kind="Provider",
        protocol="OpenAI",
        model="large-2026",
        endpoints=("https://api.openai.com",),
        max_sensitivity=1,
        countries=frozenset({"US", "CA"}),
        operations=("chat/completions", "completions", "embeddings", "responses"),
        credential="team/openai.key",
        context_tokens=200_000,
        price=Price(3_000_000, 15_000_000),
    )
    assert built.table.credential_version == "7"


def test_a_provider_whose_key_the_replicas_cannot_have_yet_is_not_live() -> None:
    built, backend = _hosted(provider(), credentials=Credentials("7", {"team/other": "other.key"}))
    assert (backend.endpoints, backend.credential) == ((), "")
    assert built.idle == {_HOSTED: Idle.CREDENTIAL_UNKNOWN}
    # No replica waits for a version of which nothing is used.
    assert built.table.credential_version == ""


UNUSABLE: dict[str, tuple[dict[str, Any], ProblemReason, str, str]] = {
    "a type to come": ({"type": "Bedrock"}, ProblemReason.NOT_SUPPORTED, "spec.type", "Bedrock"),
    "the gateway itself": (
        {"url": "http://main.gateway.svc:4000/v1"},
        ProblemReason.LOOP,
        "spec.url",
        "http://main.gateway.svc:4000/v1",
    ),
    "the gateway itself, spelled otherwise": (
        {"url": "https://AI.example.internal.:443/any"},
        ProblemReason.LOOP,
        "spec.url",
        "https://AI.example.internal.:443/any",
    ),
    "a password": (
        {"url": "https://me:secret@llm.internal/v1"},
        ProblemReason.URL_INVALID,
        "spec.url",
        "https://...@llm.internal/v1",
    ),
    "a query": ({"url": "https://llm.internal/v1?"}, ProblemReason.URL_INVALID, "spec.url", "https://llm.internal/v1?"),
    "another version": (
        {"url": "https://llm.internal/v2beta"},
        ProblemReason.URL_INVALID,
        "spec.url",
        "https://llm.internal/v2beta",
    ),
    "no host": ({"url": "https:///v1"}, ProblemReason.URL_INVALID, "spec.url", "https:///v1"),
    "no port": ({"url": "https://a:x/v1"}, ProblemReason.URL_INVALID, "spec.url", "https://a:x/v1"),
    "no address": ({"url": "https://[::1/v1"}, ProblemReason.URL_INVALID, "spec.url", "https://[::1/v1"),
}


@pytest.mark.parametrize(("spec", "reason", "field", "value"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_provider_that_cannot_be_used(spec: dict[str, Any], reason: ProblemReason, field: str, value: str) -> None:
    of = gateway(addresses=["http://main.gateway.svc:4000", "https://ai.example.internal"])
    asked = route("assistant", rule("all", hosted()))
    built = build_table(inputs(asked, provider(**spec), of=of), 1)
    assert built.table.backends == ()
    assert _reasons(built, Kind.PROVIDER) == [(reason, field, value, True)]
    assert "secret" not in repr(built)
    assert built.table.routes[0].rules[0].problem


def test_the_gateways_host_at_another_port_is_not_the_gateway() -> None:
    built, backend = _hosted(provider(url="http://main.gateway.svc:5000/v1"))
    assert backend.endpoints == ("http://main.gateway.svc:5000",)
    assert _reasons(built, Kind.PROVIDER) == []


def test_countries_that_are_none_are_told_and_pass_no_jurisdiction() -> None:
    built, backend = _hosted(provider(countries=["DE", "EU"]))
    assert _reasons(built, Kind.PROVIDER) == [(ProblemReason.COUNTRY_UNKNOWN, "spec.countries[1]", "EU", False)]
    assert backend.countries == {"DE", "EU"}


PRICES: dict[str, tuple[dict[str, str] | None, str, Price | None, bool]] = {
    "unknown": (None, "USD", None, False),
    "of both": (
        {"perMillionInputTokens": "0.01", "perMillionOutputTokens": "0.000001"},
        "USD",
        Price(10_000, 1),
        False,
    ),
    "of the prompt alone": ({"perMillionInputTokens": "2"}, "USD", Price(2_000_000, 0), False),
    "in another currency": ({"perMillionInputTokens": "2"}, "EUR", None, True),
    "in the gateway's": ({"perMillionInputTokens": "2", "currency": "EUR"}, "EUR", Price(2_000_000, 0), False),
}


@pytest.mark.parametrize(("price", "currency", "want", "told"), PRICES.values(), ids=PRICES)
def test_prices(price: dict[str, str] | None, currency: str, want: Price | None, *, told: bool) -> None:
    model = {"name": "large", "providerModel": "m", "price": price}
    built, backend = _hosted(provider(models=[model]), currency=currency)
    assert (backend.price, built.table.currency) == (want, currency)
    field = "spec.models[0].price.currency"
    assert _reasons(built, Kind.PROVIDER) == [(ProblemReason.PRICE_NOT_COMPARABLE, field, "USD", False)] * told


def test_only_what_is_referred_to_is_in_the_table_and_sorted_by_name() -> None:
    asked = route("assistant", rule("all", local("z"), local("a"), hosted()))
    parts = (deployment("z"), deployment("a"), deployment("unused"), provider(), provider("other"))
    built = build_table(inputs(asked, *parts), 1)
    assert [each.name for each in built.table.backends] == ["deployment/team/a", "deployment/team/z", _HOSTED]
