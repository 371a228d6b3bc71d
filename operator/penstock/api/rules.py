"""Rules between the fields of one object: said once, held twice.

The API server evaluates `cel`, Penstock itself evaluates `holds`; tests hold the two to each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

__all__ = ["Rule", "rules"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between fields of one object.

    `field` is the one to blame, as users write it; empty: the object itself. `holds` is None for rules about a
    change, which only the API server sees.
    """

    cel: str
    field: str
    reason: str
    cure: str
    holds: Callable[[Any], bool] | None

    @property
    def message(self) -> str:
        """What the API server answers."""
        return f"{f'`{self.field}` ' if self.field else ''}{self.reason}. {self.cure}."


class _Ruled(Protocol):
    RULES: ClassVar[tuple[Rule, ...]]


M = TypeVar("M", bound=_Ruled)


def rules(*checks: Rule) -> Callable[[type[M]], type[M]]:
    """Class decorator: these rules hold for every object of the class."""

    def add(model: type[M]) -> type[M]:
        model.RULES = (*model.RULES, *checks)
        return model

    return add
