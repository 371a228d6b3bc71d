"""Cells of the reference data, which hold what people wrote: absent, odd or no numbers at all."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

__all__ = ["GIB", "number", "read_rows", "whole"]

GIB = 2**30
_LARGEST = 1e15


def read_rows(path: Path) -> list[dict[str, str]]:
    """Every row of a CSV file with its cells stripped, absent cells empty; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [_cleaned(row) for row in csv.DictReader(file)]


def number(text: str) -> float:
    """The number that a cell holds; 0 where it holds none, or one that makes no sense."""
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) and 0 <= found <= _LARGEST else 0.0


def whole(text: str) -> int:
    """As `number`, without its fraction."""
    return int(number(text))


def _cleaned(row: Mapping[str | None, str | None]) -> dict[str, str]:
    return {key.strip(): (value or "").strip() for key, value in row.items() if isinstance(key, str)}
