"""Prices of different currencies, made comparable by rates that somebody gave; without a rate they are not compared."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.api.quantities import MICRO, Money, parse_decimal_micro
from penstock.api.refusals import Refusal, Refused

__all__ = ["NO_RATES", "Rates"]

_CURRENCY = re.compile(r"[A-Z]{3}")
_HIGHEST_RATE = 10**9


@dataclass(frozen=True, slots=True)
class Rates:
    """What one unit of each currency is worth in `base`, in millionths; the base itself needs no rate.

    An empty base: no rates were given, and each currency is compared with itself alone.
    """

    base: str = ""
    worth: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, base: str, worth: Mapping[str, str]) -> "Rates":
        """Read decimal strings (`{"EUR": "1.08"}` with base USD); Refused for what is no currency or no rate."""
        refusals = [] if _CURRENCY.fullmatch(base) else [_no_currency("rates.base", base)]
        read: dict[str, int] = {}
        for currency, text in sorted(worth.items()):
            field = f"rates.{currency}"
            if not _CURRENCY.fullmatch(currency):
                refusals.append(_no_currency(field, currency))
                continue
            rate = _rate(text)
            if not 0 < rate <= _HIGHEST_RATE * MICRO:
                reason = "a rate is a decimal number above 0, with at most six places"
                refusals.append(Refusal(field, text, reason, f"Say what one {currency} is worth in {base}"))
            elif currency == base and rate != MICRO:
                refusals.append(Refusal(field, text, "the base currency is worth 1 of itself", "Leave it out"))
            read[currency] = rate
        if refusals:
            raise Refused(refusals)
        return cls(base, tuple(sorted((each, rate) for each, rate in read.items() if each != base)))

    def factor(self, given: str, wanted: str) -> tuple[int, int] | None:
        """What turns an amount of one currency into another's: numerator and denominator; None where no rate tells."""
        if given == wanted:
            return 1, 1
        known = dict(self.worth) | ({self.base: MICRO} if self.base else {})
        return (known[given], known[wanted]) if given in known and wanted in known else None

    def convert(self, money: Money, currency: str) -> int | None:
        """Micro-units of `currency` that the amount is worth, to the nearest; None where no rate tells."""
        factor = self.factor(money.currency, currency)
        if factor is None:
            return None
        return (2 * money.micro * factor[0] + factor[1]) // (2 * factor[1])

    def lacking(self, given: str, wanted: str) -> str:
        """The rate without which the two are not compared, in words; empty where none is missing."""
        if self.factor(given, wanted) is not None:
            return ""
        known = {self.base, *(currency for currency, _ in self.worth)}
        missing = [each for each in (given, wanted) if each not in known]
        if self.base:
            return " and ".join(f"an exchange rate for {each}" for each in missing)
        return f"an exchange rate between {given} and {wanted}"

    def common(self, prices: Iterable[Money]) -> str:
        """The currency to compare in: the base, else the one that most prices are in (of equals the first by name)."""
        if self.base:
            return self.base
        counts: dict[str, int] = {}
        for price in prices:
            counts[price.currency] = counts.get(price.currency, 0) + 1
        return min(counts, key=lambda each: (-counts[each], each), default="")


NO_RATES = Rates()


def _rate(text: str) -> int:
    try:
        return parse_decimal_micro(text)
    except ValueError:
        return 0


def _no_currency(field: str, value: str) -> Refusal:
    return Refusal(field, value, "it is no currency code of ISO 4217", "Use three capital letters, such as USD")
