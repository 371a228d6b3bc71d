"""Money and sizes: exact both ways."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.quantities import MICRO, Money, format_bytes, format_size, parse_bytes, parse_decimal_micro

_micros = st.integers(min_value=0, max_value=10**18)
_decimal_strings = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,6})?", fullmatch=True).filter(str.isascii)


@pytest.mark.property
@given(_micros)
def test_money_survives_its_own_text(micro: int) -> None:
    """What is written is read back to the last micro-unit."""
    money = Money("USD", micro)
    assert Money.parse(money.amount, "USD") == money


@pytest.mark.property
@given(_decimal_strings)
def test_decimal_strings_are_read_exactly(text: str) -> None:
    """No float on the way: equal to exact decimal arithmetic."""
    assert Decimal(parse_decimal_micro(text)) == Decimal(text) * MICRO


@pytest.mark.property
@given(_micros, st.integers(min_value=0, max_value=1000), st.integers(min_value=0, max_value=1000))
def test_scaling_distributes_over_addition(micro: int, one: int, other: int) -> None:
    """Three replicas and two cost what five cost."""
    money = Money("EUR", micro)
    assert money * one + money * other == money * (one + other)


@pytest.mark.parametrize(
    ("micro", "want"),
    {
        "two places at least": (2_950_000, "2.95"),
        "whole": (30 * MICRO, "30.00"),
        "all six places": (1, "0.000001"),
        "no trailing zeros": (120, "0.00012"),
        "a difference may be negative": (-2_950_000, "-2.95"),
    }.values(),
)
def test_amounts_are_written_plainly(micro: int, want: str) -> None:
    """At least two places, at most six, no exponent."""
    assert Money("USD", micro).amount == want
    assert str(Money("USD", micro)) == f"{want} USD"


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "1_000", "0.0000001", "NaN", "Infinity", " 1", "1\n", ".5", "5.", "1,5", "\u0661"]
)
def test_what_is_no_decimal_is_refused(text: str) -> None:
    """Everything that Decimal would take and a price must not be."""
    with pytest.raises(ValueError, match="is not a non-negative decimal number"):
        parse_decimal_micro(text)


def test_currencies_are_never_mixed() -> None:
    """Adding across currencies is an error, not a number."""
    with pytest.raises(ValueError, match="USD and EUR cannot be added"):
        Money("USD", 1) + Money("EUR", 1)


@pytest.mark.parametrize(
    ("quantity", "want"),
    {
        "bytes": ("4096", 4096),
        "binary": ("200Gi", 200 * 2**30),
        "decimal": ("1500M", 1_500_000_000),
        "fraction": ("1.5Ti", 3 * 2**39),
        "rounded up": ("1.5", 2),
        "rounded up in a unit": ("0.0001Ki", 1),
        "far beyond a float": ("999999999999.999999Pi", -(-999_999_999_999_999_999 * 2**50 // 10**6)),
    }.values(),
)
def test_sizes_are_read_as_kubernetes_does(quantity: str, want: int) -> None:
    """Exactly, and up where a fraction of a byte is left."""
    assert parse_bytes(quantity) == want


@pytest.mark.parametrize("quantity", ["", "Gi", "-1Gi", "1 Gi", "1GiB", "1e9", "1Gi\n", "1.Gi"])
def test_what_is_no_size_is_refused(quantity: str) -> None:
    """With the text in the message."""
    with pytest.raises(ValueError, match="is not a size such as 200Gi"):
        parse_bytes(quantity)


@pytest.mark.property
@given(st.integers(min_value=0, max_value=2**60))
def test_sizes_survive_their_canonical_text(count: int) -> None:
    """Writing and reading are inverse."""
    assert parse_bytes(format_bytes(count)) == count


@pytest.mark.property
@given(st.integers(min_value=0, max_value=2**60 - 1))
def test_shown_sizes_are_near(count: int) -> None:
    """Half a tenth of the unit at most is lost; the unit is never below 1."""
    shown = parse_bytes(format_size(count))
    assert abs(shown - count) * 20 <= count + 20
    assert format_size(count).count(".") == (1 if count >= 1024 else 0)


@pytest.mark.parametrize(
    ("count", "canonical", "shown"),
    {
        "nothing": (0, "0", "0"),
        "no binary unit": (1000, "1000", "1000"),
        "mebibytes": (1536 * 2**20, "1536Mi", "1.5Gi"),
        "weights": (65_527_841_792, "63992033Ki", "61.0Gi"),
    }.values(),
)
def test_sizes_are_written(count: int, canonical: str, shown: str) -> None:
    """Canonical for the API server, short for people."""
    assert (format_bytes(count), format_size(count)) == (canonical, shown)
