"""Prices of different currencies: converted by given rates, else not compared; and what the fleet may cost."""

from dataclasses import replace

import pytest

from builders.fleet import NOW, fleet, place_one, pool, settled, tenant
from penstock.api.quantities import Money
from penstock.api.refusals import Refused
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fleet import FleetSnapshot
from penstock.planner.placement import place
from penstock.planner.plan import Plan
from penstock.planner.spending import Purse, SpendingLimit

RATES = Rates.parse("USD", {"EUR": "1.08", "GBP": "1.35", "USD": "1"})


CONVERTED = {
    "to the base": ("1.00", "EUR", "USD", 1_080_000),
    "from the base, to the nearest": ("1.00", "USD", "EUR", 925_926),
    "across": ("2.00", "GBP", "EUR", 2_500_000),
    "to itself without a rate": ("3.00", "SEK", "SEK", 3_000_000),
    "nobody gave this rate": ("3.00", "SEK", "USD", None),
    "nobody gave that rate": ("3.00", "USD", "SEK", None),
}


@pytest.mark.parametrize(("amount", "given", "wanted", "want"), CONVERTED.values(), ids=CONVERTED)
def test_conversion(amount: str, given: str, wanted: str, want: int | None) -> None:
    assert RATES.convert(Money.parse(amount, given), wanted) == want


REFUSED = {
    "no number": ("USD", {"EUR": "abc"}, "rates.EUR"),
    "nothing": ("USD", {"EUR": "0"}, "rates.EUR"),
    "less than nothing": ("USD", {"EUR": "-1"}, "rates.EUR"),
    "too fine": ("USD", {"EUR": "1.0000001"}, "rates.EUR"),
    "absurd": ("USD", {"EUR": "10000000000"}, "rates.EUR"),
    "no currency": ("USD", {"euro": "1.08"}, "rates.euro"),
    "no base": ("", {"EUR": "1.08"}, "rates.base"),
    "the base is not worth itself": ("USD", {"USD": "2"}, "rates.USD"),
}


@pytest.mark.parametrize(("base", "worth", "field"), REFUSED.values(), ids=REFUSED)
def test_rates_that_are_none_are_refused_by_field(base: str, worth: dict[str, str], field: str) -> None:
    with pytest.raises(Refused) as caught:
        Rates.parse(base, worth)
    assert [each.field for each in caught.value.refusals] == [field]
    assert all(each.cure for each in caught.value.refusals)


def test_what_is_compared_in() -> None:
    prices = [Money("USD", 1), Money("EUR", 1), Money("EUR", 2)]
    assert RATES.common(prices) == "USD"
    assert NO_RATES.common(prices) == "EUR"
    assert NO_RATES.common(prices[:2]) == "EUR"
    assert NO_RATES.common([]) == ""


def plan(price: object = "2.00") -> Plan:
    decision = place_one([pool("p", price=price)], tenant())  # type: ignore[arg-type] # a price with its currency
    assert decision.assignment is not None
    return decision.assignment.plan


def test_limits_count_what_they_cover_in_their_own_currency() -> None:
    limits = [
        SpendingLimit("fleet", Money.parse("9.00", "USD")),
        SpendingLimit("team", Money.parse("5.00", "EUR"), frozenset({"team"})),
    ]
    purse = Purse.of(limits, RATES)
    assert (purse.allows("team", plan()), purse.allows("other", plan())) == (2, 4)
    purse.spend("team", plan(), 2)
    assert (purse.allows("team", plan()), purse.allows("other", plan())) == (0, 2)
    binding = purse.binding("team", plan())
    assert binding is not None
    assert binding.name == "team"
    assert purse.binding("other", plan()) is None
    purse.spend("team", plan(), -2)
    assert purse.allows("team", plan()) == 2
    assert Purse.of([], RATES).allows("team", plan()) is None


def test_what_cannot_be_counted_against_a_limit_is_not_placed() -> None:
    limit = SpendingLimit("fleet", Money.parse("9.00", "USD"))
    for price, missing in ((None, "states no price"), ({"perGPUHour": "1.00", "currency": "SEK"}, "a rate for SEK")):
        before = FleetSnapshot((pool("p", price=price),), (tenant(),), limits=(limit,))
        (decision,) = place(before, NOW).values()
        assert (decision.assignment, decision.reason) == (None, "BudgetExceeded")
        assert missing in decision.message


def test_what_runs_counts_and_scaling_up_waits_for_money() -> None:
    before = fleet([pool("p")], tenant(replicas=2))
    running = settled(before, place(before, NOW))
    more = replace(
        running,
        tenants=(replace(running.tenants[0], replicas=4),),
        limits=(SpendingLimit("fleet", Money.parse("7.00", "USD")),),
    )
    (decision,) = place(more, NOW).values()
    assert decision.assignment is not None
    assert (len(decision.assignment.nodes), decision.reason) == (3, "BudgetExceeded")
