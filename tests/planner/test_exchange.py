"""Prices of different currencies: converted by given rates, else not compared; and what the fleet may cost."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.fleet import NOW, fleet, place_one, pool, settled, tenant
from penstock.api.quantities import Money
from penstock.api.refusals import Refused
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.fleet import FleetSnapshot, Pool
from penstock.planner.offers import market_of
from penstock.planner.placement import place
from penstock.planner.plan import Decision, Plan
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


def priced(name: str, price: str, currency: str = "USD", *, accelerator: str = "H100-SXM-80GB", **more: str) -> Pool:
    return pool(name, accelerator=accelerator, price={"perGPUHour": price, "currency": currency, **more})


def decided(rates: Rates, *pools: Pool, **spec: Any) -> Decision:
    one = tenant(spec=spec)
    return place(FleetSnapshot(pools, (one,), rates=rates), NOW)[one.key]


def plan_of(decision: Decision) -> Plan:
    assert decision.assignment is not None
    return decision.assignment.plan


def told_of(decision: Decision, name: str) -> str:
    """Why the best of the pool lost."""
    return next(each.message for each in decision.rejections if each.pool == name)


CHEAPEST: dict[str, tuple[Rates, tuple[Pool, ...], str]] = {
    "the dearer number is the cheaper price": (RATES, (priced("a", "2.10"), priced("b", "1.90", "EUR")), "b"),
    "the smaller number is the dearer price": (RATES, (priced("a", "2.00", "EUR"), priced("b", "2.10")), "b"),
    "across two that are not the base": (RATES, (priced("a", "2.00", "EUR"), priced("b", "1.50", "GBP")), "b"),
    "another base": (
        Rates.parse("EUR", {"USD": "0.50"}),
        (priced("a", "1.00", "EUR"), priced("b", "1.90")),
        "b",
    ),
    "without any rate by currency": (NO_RATES, (priced("a", "2.00"), priced("b", "9.00", "EUR")), "b"),
    "without its rate after the others": (RATES, (priced("a", "0.10", "SEK"), priced("b", "9.00")), "b"),
    "none at all is the last": (RATES, (pool("a", price=None), priced("b", "9.00", "SEK")), "b"),
    "spot with its interruptions": (
        RATES,
        (priced("a", "1.90", "EUR", capacityType="Spot"), priced("b", "2.10")),
        "b",
    ),
    "spot that is cheaper by more": (
        RATES,
        (priced("a", "1.80", "EUR", capacityType="Spot"), priced("b", "2.10")),
        "a",
    ),
    "at the same cost what gives more for it": (
        Rates.parse("USD", {"EUR": "10"}),
        (priced("a", "0.50", "EUR"), priced("b", "5.00", accelerator="H200-SXM-141GB")),
        "b",
    ),
}


@pytest.mark.parametrize(("rates", "pools", "want"), CHEAPEST.values(), ids=CHEAPEST)
def test_pools_are_compared_across_currencies(rates: Rates, pools: tuple[Pool, ...], want: str) -> None:
    assert plan_of(decided(rates, *pools)).pool == want
    assert plan_of(decided(rates, *reversed(pools))).pool == want


def test_gpus_that_are_paid_for_anyhow_go_first_and_are_not_wasted() -> None:
    plan = plan_of(decided(NO_RATES, priced("a", "1.00"), priced("z", "0", capacityType="Reserved")))
    assert (plan.pool, plan.gpus) == ("z", 1)


LOSERS: dict[str, tuple[Rates, Pool, str]] = {
    "the difference in the base": (
        RATES,
        priced("b", "2.00", "EUR"),
        "2.00 EUR/h per replica, 0.16 USD/h more than a by the exchange rates",
    ),
    "the same price": (RATES, priced("b", "2.00"), "comes after pool a at the same price"),
    "no rate at all": (
        NO_RATES,
        priced("b", "1.00", "XAU"),
        "they are in XAU and USD; would work: an exchange rate between XAU and USD",
    ),
    "no rate for it": (RATES, priced("b", "1.00", "SEK"), "in SEK and USD; would work: an exchange rate for SEK"),
    "no price": (RATES, pool("b", price=None), "pool b states none; would work: `spec.price` on it"),
}


@pytest.mark.parametrize(("rates", "other", "want"), LOSERS.values(), ids=LOSERS)
def test_the_lost_say_how_they_were_compared(rates: Rates, other: Pool, want: str) -> None:
    decision = decided(rates, priced("a", "2.00"), other)
    assert plan_of(decision).pool == "a"
    assert told_of(decision, "b").endswith(want)


CEILINGS: dict[str, tuple[Rates, str, str, str]] = {
    "just at it": (RATES, "2.16", "USD", ""),
    "a little below": (
        RATES,
        "2.159999",
        "USD",
        "(2.16 USD/h by the exchange rates), the ceiling is 2.159999 USD; would work: a ceiling of 2.16 USD",
    ),
    "its own currency": (RATES, "1.99", "EUR", "cost 2.00 EUR/h per replica, the ceiling is 1.99 EUR"),
    "no rate at all": (NO_RATES, "9.00", "USD", "would work: a ceiling in EUR, or an exchange rate between EUR and"),
    "no rate for the ceiling": (RATES, "9.00", "SEK", "would work: a ceiling in EUR, or an exchange rate for SEK"),
}


@pytest.mark.parametrize(("rates", "amount", "currency", "want"), CEILINGS.values(), ids=CEILINGS)
def test_a_ceiling_in_another_currency(rates: Rates, amount: str, currency: str, want: str) -> None:
    placement = {"maxPricePerReplicaHour": {"amount": amount, "currency": currency}}
    decision = decided(rates, priced("p", "2.00", "EUR"), placement=placement)
    assert (decision.assignment is None) == bool(want)
    if want:
        assert want in told_of(decision, "p")


def test_equal_rates_make_the_same_market() -> None:
    """So what was computed for it is remembered."""
    again = Rates.parse("USD", {"GBP": "1.35", "EUR": "1.08"})
    assert market_of([pool("p")], RATES) is market_of([pool("p")], again)
    assert market_of([pool("p")], RATES) is not market_of([pool("p")], NO_RATES)
    assert market_of([pool("p")], RATES) is not market_of([pool("p")], Rates.parse("USD", {"EUR": "1.09"}))


@pytest.mark.property
@given(
    prices=st.lists(st.tuples(st.integers(1, 10**8), st.sampled_from(["USD", "EUR", "GBP"])), min_size=1, max_size=4)
)
def test_nothing_else_is_cheaper(prices: list[tuple[int, str]]) -> None:
    amounts = [Money(currency, micro) for micro, currency in prices]
    pools = [priced(f"p{number}", each.amount, each.currency) for number, each in enumerate(amounts)]
    chosen = plan_of(decided(RATES, *pools)).price_per_replica_hour
    assert chosen is not None
    least = min(micro for each in amounts if (micro := RATES.convert(each, "USD")) is not None)
    assert RATES.convert(chosen, "USD") == least
