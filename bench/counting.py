"""Which rows a figure stands on: how many there are, were used, and were skipped for which reason."""

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["RowCount"]


@dataclass(slots=True)
class RowCount:
    """Counts of one file's rows; every row is either used or skipped."""

    used: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """All rows that were looked at."""
        return self.used + self.skipped.total()

    @property
    def share(self) -> float:
        """Used rows of all; 1 where there are none."""
        return self.used / self.rows if self.rows else 1.0

    def skip(self, reason: str) -> None:
        """Count a row that says nothing that can be judged."""
        self.skipped[reason] += 1

    def details(self) -> dict[str, object]:
        """For `figure`."""
        return {"rows": self.rows, "used": self.used, "skipped": dict(self.skipped)}
