"""Cases of a file as problems: rows that do not read are skipped, with the reason counted."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bench.counting import RowCount
from penstock.api.quantities import MICRO
from penstock.api.refusals import Refused
from penstock.planner.allocation.problem import Demand, Option

__all__ = ["demand_of", "rows_of"]

Case = TypeVar("Case")


def rows_of(path: Path, counted: RowCount, read: Callable[[Mapping[str, Any]], Case]) -> Iterator[Case]:
    """The cases of the file that can be read."""
    document = json.loads(path.read_text())
    for row in document["cases"] if isinstance(document, dict) else document:
        try:
            case = read(row)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, Refused) as error:
            counted.skip(f"{type(error).__name__}: {error}"[:120])
        else:
            counted.used += 1
            yield case


def demand_of(
    name: str, row: Mapping[str, Any], rate: float, slices: int, where: Callable[[str], tuple[str, int]]
) -> Demand:
    """The demand of `rate` requests per second over the row's buckets; `where` reads pool and GPUs from a type."""
    options = []
    for kind, profile in sorted(row["gpu_info"].items()):
        pool, gpus = where(kind)
        throughput = tuple(float(each or 0) for each in profile["tputs"])
        options.append(Option(pool, gpus, round(float(profile["cost"]) * MICRO), throughput))
    rates = tuple(rate * float(share) for share in row["distribution"])
    return Demand(name, tuple(options), rates, slices=slices)
