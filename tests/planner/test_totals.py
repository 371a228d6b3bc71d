"""What a plan takes of each pool, and money by currency."""

import pytest

from builders.fleet import NOW, fleet, nodes, pool, tenant
from penstock.api.quantities import Money
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.placement import place
from penstock.planner.totals import (
    by_currency,
    difference_in_words,
    differences,
    in_base,
    money_in_words,
    pool_totals,
)

FIVE, TWO, EUROS = Money.parse("5", "USD"), Money.parse("2", "USD"), Money.parse("3", "EUR")


def test_a_pool_counts_what_others_hold_and_what_is_planned() -> None:
    one = fleet([pool("p", on=nodes("p", 2, used=[3])), pool("empty", price=None)], tenant(replicas=4))
    empty, taken = pool_totals(one, place(one, NOW))
    assert (taken.pool, taken.nodes, taken.gpus, taken.held, taken.planned) == ("p", 2, 16, 3, 4)
    assert str(taken.price_per_hour) == "8.00 USD"
    assert (empty.pool, empty.planned, empty.price_per_hour) == ("empty", 0, None)


def test_currencies_are_never_added_up() -> None:
    assert by_currency([FIVE, EUROS, None, TWO]) == (EUROS, Money.parse("7", "USD"))
    assert money_in_words(by_currency([FIVE, EUROS])) == "3.00 EUR + 5.00 USD per hour"


@pytest.mark.parametrize(
    ("amounts", "gpus", "says"),
    [
        ((FIVE,), 2, "5.00 USD per hour, and 2 GPUs without a price"),
        ((FIVE,), 1, "5.00 USD per hour, and 1 GPU without a price"),
        ((), 1, "no price known"),
        ((Money("USD", 0),), 0, "0.00 USD per hour"),
        ((), 0, ""),
    ],
)
def test_what_has_no_price_is_not_summed_as_nothing(amounts: tuple[Money, ...], gpus: int, says: str) -> None:
    assert money_in_words(amounts, gpus) == says


@pytest.mark.parametrize(
    ("amounts", "gpus", "says"),
    [
        ((FIVE, Money("EUR", -3_000_000)), 0, "+5.00 USD -3.00 EUR"),
        ((FIVE,), -2, "+5.00 USD, -2 GPUs without a price"),
        ((Money("USD", 0),), 1, "+1 GPU without a price"),
        ((Money("USD", 0),), 0, "no change"),
    ],
)
def test_a_difference_counts_gpus_without_a_price(amounts: tuple[Money, ...], gpus: int, says: str) -> None:
    assert difference_in_words(amounts, gpus) == says


def test_rates_turn_what_they_know_into_the_base() -> None:
    rates = Rates.parse("USD", {"EUR": "1.10"})
    yen = Money.parse("100", "JPY")
    assert money_in_words(in_base((EUROS, FIVE, yen), rates)) == "100.00 JPY + 8.30 USD per hour"
    assert in_base((EUROS, FIVE), NO_RATES) == (EUROS, FIVE)


def test_no_micro_unit_is_lost() -> None:
    """Sums are made of integers, and what is converted is the sum of a currency, not each of its parts."""
    third = Money.parse("0.333333", "EUR")
    assert by_currency([third] * 3) == (Money.parse("0.999999", "EUR"),)
    assert by_currency([third * 10**9, Money("EUR", 1)]) == (Money("EUR", 333_333 * 10**9 + 1),)
    rates = Rates.parse("USD", {"EUR": "1.50"})
    assert in_base(by_currency([Money("EUR", 1)] * 4), rates) == (Money("USD", 6),)


def test_a_difference_has_a_sign() -> None:
    assert [str(each) for each in differences((FIVE, EUROS), (TWO,))] == ["-3.00 EUR", "-3.00 USD"]
