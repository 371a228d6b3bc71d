"""What `penstock operator` refuses before it starts."""

import asyncio

import pytest
from click.testing import CliRunner

from penstock.api.quantities import Money
from penstock.cli import main
from penstock.cli import operator as command
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.spending import SpendingLimit
from penstock.process import OperatorSettings, Surroundings

HTTPS = ("--server-url", "https://penstock-server:8090")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--issue-certificates"], "`--server-url` '': `--issue-certificates` asks for TLS", id="no server"
        ),
        pytest.param(
            ["--server-ca-file", "ca.crt", "--server-url", "http://penstock-server:8090"],
            "'http://penstock-server:8090': `--server-ca-file` asks for TLS. Give an address with https:",
            id="plain HTTP",
        ),
        pytest.param([*HTTPS, "--issue-certificates", "--server-ca-file", "ca.crt"], "give one of them", id="both"),
        pytest.param(["--gateway-token-days", "0"], "1<=x<=365", id="a token for no day"),
    ],
)
def test_options_that_contradict(arguments: list[str], words: str) -> None:
    """In words, with the status of a wrong command line."""
    result = CliRunner().invoke(main, ["operator", *arguments])
    assert result.exit_code == 2
    assert words in result.output


LIMIT = "--namespace-max-price-per-hour"

MONEY: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a base that is none": (("--currency", "dollar"), "`--currency` 'dollar'", "three capital letters"),
    "a rate of nothing": (("--exchange-rate", "EUR"), "`--exchange-rate` 'EUR': is not CURRENCY=AMOUNT", "EUR=1.08"),
    "a rate of zero": (("--exchange-rate", "EUR=0"), "`--exchange-rate` 'EUR=0'", "what one EUR is worth in USD"),
    "a rate in words": (("--exchange-rate", "EUR=abc"), "`--exchange-rate` 'EUR=abc'", "what one EUR is worth in USD"),
    "a negative rate": (("--exchange-rate", "EUR=-1"), "`--exchange-rate` 'EUR=-1'", "what one EUR is worth in USD"),
    "the base against itself": (
        ("--currency", "EUR", "--exchange-rate", "EUR=1.08"),
        "`--exchange-rate` 'EUR=1.08': the base currency is worth 1 of itself",
        "Leave it out",
    ),
    "two rates": (("--exchange-rate", "EUR=1", "--exchange-rate", "EUR=2"), "EUR is given twice: 1 and 2", "Keep one"),
    "a limit in words": (("--max-price-per-hour", "abc"), "`--max-price-per-hour` 'abc'", "Write it as in 90"),
    "a negative limit": (("--max-price-per-hour", "-1"), "`--max-price-per-hour` '-1'", "Write it as in 90"),
    "an endless limit": (("--max-price-per-hour", "9" * 40), "`--max-price-per-hour` '999", "Write it as in 90"),
    "a limit on nobody": ((LIMIT, "30.00"), f"`{LIMIT}` '30.00': is not NAMESPACE=AMOUNT", "team-a=30.00"),
    "a limit of nothing": ((LIMIT, "team-a="), f"`{LIMIT}` 'team-a=': is not NAMESPACE=AMOUNT", "team-a=30.00"),
    "no name of a namespace": ((LIMIT, "Team=3"), f"`{LIMIT}` 'Team=3'", "lower-case letters"),
    "a namespace's limit in words": ((LIMIT, "a=much"), f"`{LIMIT} a` 'much'", "Write it as in 90"),
    "two limits": ((LIMIT, "a=1", LIMIT, "a=2"), f"`{LIMIT}` 'a=2': a is given twice: 1 and 2", "Keep one"),
    "a namespace that nobody watches": (
        ("--watch-namespaces", "b", LIMIT, "a=3"),
        f"`{LIMIT}` 'a=3.00': 'a' is not in --watch-namespaces",
        "Add it there",
    ),
}


@pytest.mark.parametrize(("arguments", "what", "cure"), MONEY.values(), ids=MONEY)
def test_money_that_is_none(arguments: tuple[str, ...], what: str, cure: str) -> None:
    result = CliRunner().invoke(main, ["operator", *arguments])
    assert result.exit_code == 2
    assert what in result.output
    assert cure in result.output


TAKEN: dict[str, tuple[tuple[str, ...], Rates, tuple[SpendingLimit, ...]]] = {
    "nothing": ((), NO_RATES, ()),
    "a base alone compares nothing": (("--currency", "EUR"), NO_RATES, ()),
    "rates": (
        ("--exchange-rate", "EUR=1.08", "--exchange-rate", "GBP=1.35"),
        Rates.parse("USD", {"EUR": "1.08", "GBP": "1.35"}),
        (),
    ),
    "limits in the base": (
        ("--currency", "EUR", "--max-price-per-hour", "120.00", LIMIT, "team-a=30.00", LIMIT, "team-b=5USD"),
        NO_RATES,
        (
            SpendingLimit("fleet", Money.parse("120", "EUR")),
            SpendingLimit("namespace team-a", Money.parse("30", "EUR"), frozenset({"team-a"})),
            SpendingLimit("namespace team-b", Money.parse("5", "USD"), frozenset({"team-b"})),
        ),
    ),
}


@pytest.mark.parametrize(("arguments", "rates", "limits"), TAKEN.values(), ids=TAKEN)
def test_rates_and_limits_reach_the_operator(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], rates: Rates, limits: tuple[SpendingLimit, ...]
) -> None:
    started: list[OperatorSettings] = []

    async def run(settings: OperatorSettings, _surroundings: Surroundings, _stop: asyncio.Event) -> None:
        started.append(settings)

    monkeypatch.setattr(command, "run_operator", run)
    monkeypatch.setattr(command, "_share_the_interpreter", lambda: None)
    monkeypatch.setattr(command, "log_to_stderr", lambda *_given, **_noisy: None)
    assert CliRunner().invoke(main, ["operator", *arguments]).exit_code == 0
    assert [(each.rates, each.limits) for each in started] == [(rates, limits)]
