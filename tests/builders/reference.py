"""The published reference data, where they are at hand: `$PENSTOCK_DATA`, else beside the repository."""

import csv
import os
from pathlib import Path

import pytest

__all__ = ["DATA", "needs_reference_data", "rows"]

DATA = Path(os.environ.get("PENSTOCK_DATA") or Path(__file__).parents[3] / "shared" / "data")

needs_reference_data = pytest.mark.skipif(
    not (DATA / "models.csv").exists(), reason="the reference data are not at hand; name their folder in PENSTOCK_DATA"
)


def rows(name: str) -> list[dict[str, str]]:
    """Every row of one of the CSV files."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
