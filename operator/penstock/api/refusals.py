"""A refusal that teaches: which field, which value, why not, and what would work."""

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.errors import PenstockError

__all__ = ["Refusal", "Refused"]

_SHOWN_VALUE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Refusal:
    """One field that cannot be acted on.

    `field` is the path as the user writes it (`spec.placement.pools[0]`), `cure` an imperative
    sentence.
    """

    field: str
    value: str
    reason: str
    cure: str

    def __str__(self) -> str:
        """One line for a condition's message or a terminal."""
        shown = self.value if len(self.value) <= _SHOWN_VALUE_LENGTH else f"{self.value[:_SHOWN_VALUE_LENGTH]}..."
        return f"`{self.field}` '{shown}': {self.reason}. {self.cure}."


class Refused(PenstockError):
    """Input that is not acted on; `refusals` is never empty."""

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(" ".join(str(refusal) for refusal in self.refusals))
