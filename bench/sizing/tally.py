"""Keeping count of rows: which gave a figure, and why the others did not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.figures import figure

__all__ = ["Tally", "quantile"]

_WORST_SHOWN = 8


@dataclass(slots=True)
class Tally:
    """Values by the row that gave them, and reasons of the rows that gave none.

    `missed` are rows whose numbers can be had and that gave none all the same: they count against a share.
    """

    values: dict[str, float] = field(default_factory=dict)
    missed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, row: str, value: float) -> None:
        """Count a value; rows of the same name are told apart."""
        self.values[row if row not in self.values else f"{row} #{len(self.values)}"] = value

    def error(self, name: str, at: float, **details: object) -> None:
        """Print the quantile `at` of the absolute values, the worst rows beside it; a missed row is wrong by all."""
        sizes = {row: abs(value) for row, value in self.values.items()}
        worst = sorted(sizes, key=lambda row: -sizes[row])[:_WORST_SHOWN]
        shown = {row: round(self.values[row], 4) for row in worst}
        ascending = sorted([*sizes.values(), *(1.0 for _ in self.missed.elements())])
        figure(name, quantile(ascending, at), "fraction", **self._counts(), worst=shown, **details)

    def share(self, name: str, low: float, high: float, **details: object) -> None:
        """Print the share of rows within these bounds, among those that gave a value and those missed."""
        outside = {row: round(value, 3) for row, value in self.values.items() if not low <= value <= high}
        counted = len(self.values) + sum(self.missed.values())
        inside = len(self.values) - len(outside)
        figure(name, inside / max(1, counted), "fraction", **self._counts(), outside=outside, **details)

    def _counts(self) -> Mapping[str, object]:
        rows = len(self.values) + sum(self.missed.values()) + sum(self.skipped.values())
        return {"rows": rows, "used": len(self.values), "missed": dict(self.missed), "skipped": dict(self.skipped)}


def quantile(ascending: Sequence[float], at: float) -> float:
    """The nearest rank; 1 of nothing, since no figure is no success."""
    if not ascending:
        return 1.0
    rank = -(-len(ascending) * round(at * 1000) // 1000)
    return ascending[min(len(ascending), max(1, rank)) - 1]
