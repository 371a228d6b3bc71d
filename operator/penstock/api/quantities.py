"""Money and sizes: decimal strings outside, integers inside; no float and no rounding on the way."""

import re
from dataclasses import dataclass

__all__ = ["MICRO", "Money", "format_bytes", "format_size", "parse_bytes", "parse_decimal_micro"]

MICRO = 1_000_000
_PLACES = 6

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_FACTORS = {"": 1, **_BINARY, **_DECIMAL}
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_QUANTITY = re.compile(r"([0-9]+)(?:\.([0-9]+))?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of one currency in integer micro-units; never a float."""

    currency: str
    micro: int

    @classmethod
    def parse(cls, amount: str, currency: str) -> "Money":
        """Read a decimal string; ValueError where it is not one or is finer than a micro-unit."""
        return cls(currency, parse_decimal_micro(amount))

    def __mul__(self, factor: int) -> "Money":
        """Scale by a whole number (GPUs, replicas)."""
        return Money(self.currency, self.micro * factor)

    def __add__(self, other: "Money") -> "Money":
        """Add an amount of the same currency; ValueError otherwise."""
        if self.currency != other.currency:
            message = f"{self.currency} and {other.currency} cannot be added"
            raise ValueError(message)
        return Money(self.currency, self.micro + other.micro)

    @property
    def amount(self) -> str:
        """The decimal string with at least two places: `2.95`, `0.00012`."""
        whole, fraction = divmod(abs(self.micro), MICRO)
        digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
        return f"{'-' if self.micro < 0 else ''}{whole}.{digits}"

    def __str__(self) -> str:
        """The amount and its currency: `2.95 USD`."""
        return f"{self.amount} {self.currency}"


def parse_decimal_micro(text: str) -> int:
    """A non-negative decimal string as integer millionths; ValueError where it is finer or not a number."""
    match = _NUMBER.fullmatch(text)
    if match is None or len((match[2] or "").rstrip("0")) > _PLACES:
        message = f"'{text}' is not a non-negative decimal number with at most six places"
        raise ValueError(message)
    return int(match[1]) * MICRO + int((match[2] or "")[:_PLACES].ljust(_PLACES, "0"))


def parse_bytes(quantity: str) -> int:
    """A Kubernetes quantity (`200Gi`, `1.5Ti`, `4096`) in bytes, rounded up; ValueError where it is none."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        message = f"'{quantity}' is not a size such as 200Gi"
        raise ValueError(message)
    whole, fraction, suffix = match[1], match[2] or "", match[3] or ""
    scaled, unit = int(whole + fraction) * _FACTORS[suffix], int("1" + "0" * len(fraction))
    return -(-scaled // unit)


def format_bytes(count: int) -> str:
    """Bytes as the canonical quantity that the API server stores: the largest binary suffix (up to Pi) that divides."""
    for suffix, factor in reversed(_BINARY.items()):
        if count and count % factor == 0:
            return f"{count // factor}{suffix}"
    return str(count)


def format_size(count: int) -> str:
    """Bytes for people, in tenths of the largest binary unit that they reach, to the nearest: `61.0Gi`, `512`."""
    for suffix, factor in reversed(_BINARY.items()):
        if count >= factor:
            tenths = (count * 10 + factor // 2) // factor
            return f"{tenths // 10}.{tenths % 10}{suffix}"
    return str(count)
