"""Options that name GPUs, prices, rates and limits: what they mean, or a refusal with field, value, reason and cure."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from penstock.api import patterns
from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.api.refusals import Refusal, Refused
from penstock.catalogue.accelerators import ACCELERATORS, Accelerator, by_name
from penstock.catalogue.engines import flags_of, known_versions
from penstock.cli.namespaces import is_namespace
from penstock.cli.refusing import option_refused
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.spending import SpendingLimit

__all__ = [
    "BASE_CURRENCY",
    "FiniteRange",
    "accelerators_by_pool",
    "accelerators_named",
    "amount_of",
    "engine_version_named",
    "limited_rate",
    "limits_named",
    "named_nothing",
    "prices_named",
    "rates_named",
]

_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([A-Z]{3})?")
BASE_CURRENCY = "USD"
_MOST_REQUESTS_PER_SECOND = Decimal(1_000_000)
_LONGEST_VERSION = 32


class FiniteRange(click.FloatRange):
    """A decimal number in a range: click's own lets `nan` through, which is neither inside nor outside."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; a usage error where it is none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"'{value}' is not a number. Write it in digits, as in 200 or 12.5.", param, ctx)
        return number


def accelerators_named(words: Sequence[str]) -> tuple[Accelerator, ...]:
    """Every GPU type that is meant, each once, in the order of the catalogue; all of them where none is named."""
    if not words:
        return tuple(ACCELERATORS.values())
    meant = {each.name for word in words for each in _meant(word, "--gpu")}
    return tuple(each for each in ACCELERATORS.values() if each.name in meant)


def _meant(word: str, field: str) -> tuple[Accelerator, ...]:
    """The type of that name, else all whose name starts with that word (`l4` is no L40S), else with those letters."""
    lowered = word.lower()
    starting = [each for each in ACCELERATORS.values() if lowered and each.name.lower().startswith(lowered)]
    whole = [each for each in starting if f"{each.name.lower()}-".startswith(f"{lowered}-")]
    if starting:
        return tuple(whole or starting)
    try:
        return (by_name(word),)
    except Refused as refused:
        first = refused.refusals[0]
        cure = f"{first.cure}, or see `penstock catalogue accelerators`"
        raise option_refused(field=field, value=word, reason=first.reason, cure=cure) from refused


def amount_of(field: str, text: str, currency: str = BASE_CURRENCY) -> Money:
    """`90`, `2.50` or `2.10EUR`; `currency` where none is said."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        reason = "is no amount: a decimal number that is not negative, with at most six places"
        raise option_refused(field=field, value=text, reason=reason, cure="Write it as in 90, 2.50 or 2.10EUR")
    return Money.parse(match[1], match[2] or currency)


def prices_named(pairs: Sequence[str]) -> Mapping[str, Money]:
    """Prices per GPU-hour by GPU type; a later one goes before an earlier one."""
    prices: dict[str, Money] = {}
    for pair in pairs:
        word, separator, amount = pair.partition("=")
        if not separator or _AMOUNT.fullmatch(amount.strip()) is None:
            reason = "is not GPU=AMOUNT with a decimal number that is not negative"
            cure = "Write it as in H100-SXM-80GB=2.50 or H100=2.10EUR"
            raise option_refused(field="--price", value=pair, reason=reason, cure=cure)
        price = amount_of("--price", amount)
        prices |= dict.fromkeys((each.name for each in _meant(word.strip(), "--price")), price)
    currencies = sorted({price.currency for price in prices.values()})
    if len(currencies) > 1:
        reason = f"its prices are in {' and '.join(currencies)}, which cannot be compared"
        cure = "Give all of them in one currency"
        raise option_refused(field="--price", value=", ".join(pairs), reason=reason, cure=cure)
    return prices


def rates_named(pairs: Sequence[str], base: str = BASE_CURRENCY) -> Rates:
    """What currencies are worth in `base`; no rate at all where none is named."""
    field = "--exchange-rate"
    worth = _by_name(field, pairs, "CURRENCY=AMOUNT", "EUR=1.08")
    try:
        rates = Rates.parse(base, worth)
    except Refused as refused:
        first = refused.refusals[0]
        stated = first.field.removeprefix("rates.")
        field, value = ("--currency", base) if stated == "base" else (field, f"{stated}={first.value}")
        raise option_refused(field=field, value=value, reason=first.reason, cure=first.cure) from refused
    return rates if pairs else NO_RATES


def limits_named(most: str | None, by_namespace: Sequence[str], currency: str) -> tuple[SpendingLimit, ...]:
    """What the fleet and each of these namespaces may cost for an hour, in `currency` where none is said."""
    limits = [] if most is None else [SpendingLimit("fleet", amount_of("--max-price-per-hour", most, currency))]
    field = "--namespace-max-price-per-hour"
    for name, amount in _by_name(field, by_namespace, "NAMESPACE=AMOUNT", "team-a=30.00").items():
        if not is_namespace(name):
            reason, cure = f"'{name}' is no name of a namespace", "Write lower-case letters, digits and '-'"
            raise option_refused(field=field, value=f"{name}={amount}", reason=reason, cure=cure)
        money = amount_of(f"{field} {name}", amount, currency)
        limits.append(SpendingLimit(f"namespace {name}", money, frozenset({name})))
    return tuple(limits)


def _by_name(field: str, pairs: Sequence[str], form: str, example: str) -> dict[str, str]:
    """`NAME=VALUE`, each name once."""
    read: dict[str, str] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not (name and value):
            raise option_refused(field=field, value=pair, reason=f"is not {form}", cure=f"Write it as in {example}")
        if name in read:
            reason = f"{name} is given twice: {read[name]} and {value}"
            raise option_refused(field=field, value=pair, reason=reason, cure="Keep one of the two")
        read[name] = value
    return read


def accelerators_by_pool(pairs: Sequence[str]) -> Mapping[str, str]:
    """The GPU type that a pool is said to have, each pool once."""
    return _by_name("--accelerator", pairs, "POOL=NAME", "h100-eu=H100-SXM-80GB")


def named_nothing(field: str, named: Iterable[str], there: Iterable[str], kind: str) -> Iterator[str]:
    """A line per name that an option gives and nothing has: what it bounds or states would silently not hold."""
    known = sorted(set(there))
    for name in sorted(set(named) - set(known)):
        cure = f"Name one of {', '.join(known)}, or add the {kind} to the files"
        yield str(Refusal(field, name, f"there is no {kind} of this name", cure))


def engine_version_named(engine: EngineName, version: str) -> str:
    """A version that the catalogue has flags for, or a newer build of one; refused where it is none of them."""
    pattern, field = patterns.ENGINE_VERSION, "--engine-version"
    known = f"Name one of {', '.join(known_versions(engine))}"
    if not pattern.matches(version) or len(version) > _LONGEST_VERSION:
        raise option_refused(field=field, value=version, reason=f"must be {pattern.words}", cure=known)
    try:
        flags_of(engine, version)
    except Refused as refused:
        raise option_refused(field=field, value=version, reason=refused.refusals[0].reason, cure=known) from refused
    return version


def limited_rate(text: str | None) -> Decimal | None:
    """Requests per second; None where nobody said."""
    if text is None:
        return None
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or rate <= 0:
        raise option_refused(
            field="--requests-per-second", value=text, reason="is not a number above 0", cure="Write it as in 12 or 0.5"
        )
    if rate > _MOST_REQUESTS_PER_SECOND:
        reason = f"is more than {_MOST_REQUESTS_PER_SECOND:,}, which no fleet answers"
        raise option_refused(
            field="--requests-per-second", value=text, reason=reason, cure="State what one deployment gets"
        )
    return rate
