"""`melange_cost_ratio_max`: one workload, as many instances of each type as wanted, against the proved least cost."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.counting import RowCount
from bench.figures import figure
from bench.placement.cases import demand_of, rows_of
from penstock.api.quantities import MICRO
from penstock.planner.allocation.problem import Problem, Supply
from penstock.planner.allocation.solve import solve

__all__ = ["run"]

_WITHOUT_END = 10**6
_SECONDS = 60.0
_UNSERVED = 1e9


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    problem: Problem
    expected: float


def run(path: Path) -> None:
    """Solve every case to the end; what is left unserved counts as a cost beyond all."""
    counted = RowCount()
    ratios: dict[str, float] = {}
    unproved, slowest = 0, 0.0
    for case in rows_of(path, counted, _read):
        started = time.perf_counter()
        found = solve(case.problem, gap=0.0, time_limit_seconds=_SECONDS)
        slowest = max(slowest, time.perf_counter() - started)
        ratios[case.name] = _UNSERVED if found.shed else found.cost / MICRO / case.expected
        unproved += not found.proved
    if ratios:
        worst = max(ratios, key=lambda name: ratios[name])
        details = {"ratio_min": round(min(ratios.values()), 9), "worst": worst, "unproved": unproved}
        details["seconds_max"] = round(slowest, 3)
        figure("melange_cost_ratio_max", ratios[worst], "ratio", **details, **counted.details())


def _read(row: Mapping[str, Any]) -> _Case:
    rate, slices = float(row["total_request_rate"]), int(row["slice_factor"])
    demand = demand_of("workload", row, rate, slices, lambda kind: (kind, 1))
    supplies = tuple(Supply(option.pool, (_WITHOUT_END,), unpacked=True) for option in demand.options)
    expected = float(row["expected_cost"])
    if expected <= 0:
        message = f"expected_cost is {expected}"
        raise ValueError(message)
    return _Case(str(row["id"]), Problem((demand,), supplies), expected)
