"""`capacity_cost_ratio_max` and `capacity_infeasible_missed`: several models on limited pools, two seconds each."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.counting import RowCount
from bench.figures import figure
from bench.placement.cases import demand_of, rows_of
from penstock.api.quantities import MICRO
from penstock.planner.allocation.problem import Allocation, Problem, Supply
from penstock.planner.allocation.solve import solve

__all__ = ["run"]

_SECONDS = 2.0
_GAP = 0.001
_UNSERVED = 1e9


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    problem: Problem
    expected: float | None


def run(path: Path) -> None:
    """Solve every case within its time; a feasible one that is shed counts as a cost beyond all."""
    counted = RowCount()
    found: list[tuple[_Case, Allocation]] = []
    slowest = 0.0
    for case in rows_of(path, counted, _read):
        started = time.perf_counter()
        found.append((case, solve(case.problem, gap=_GAP, time_limit_seconds=_SECONDS)))
        slowest = max(slowest, time.perf_counter() - started)
    ratios = {case.name: _ratio(case, allocation) for case, allocation in found if case.expected is not None}
    if ratios:
        worst = max(ratios, key=lambda name: ratios[name])
        details = {"ratio_min": round(min(ratios.values()), 9), "worst": worst, "seconds_max": round(slowest, 3)}
        figure("capacity_cost_ratio_max", ratios[worst], "ratio", feasible=len(ratios), **details, **counted.details())
    infeasible = [(case, allocation) for case, allocation in found if case.expected is None]
    missed = [case.name for case, allocation in infeasible if not allocation.shed]
    details = {"infeasible": len(infeasible), "missed": missed}
    figure("capacity_infeasible_missed", len(missed), "cases", **details, **counted.details())


def _ratio(case: _Case, found: Allocation) -> float:
    return _UNSERVED if found.shed or case.expected is None else found.cost / MICRO / case.expected


def _read(row: Mapping[str, Any]) -> _Case:
    slices = int(row["slice_factor"])
    demands = tuple(
        demand_of(f"{index}:{model['model']}", model, float(model["rate"]), slices, _pool_and_gpus)
        for index, model in enumerate(row["models"])
    )
    stock = {str(pool): int(gpus or 0) for pool, gpus in row["pools_gpus"].items()}
    stock |= {option.pool: 0 for demand in demands for option in demand.options if option.pool not in stock}
    supplies = tuple(Supply(pool, (gpus,), unpacked=True) for pool, gpus in stock.items())
    expected = None if row["expected"] == "infeasible" else float(row["expected_cost"])
    return _Case(str(row["id"]), Problem(demands, supplies), expected)


def _pool_and_gpus(kind: str) -> tuple[str, int]:
    """`h200x4` is a replica on four GPUs of pool h200."""
    pool, _, gpus = kind.rpartition("x")
    return (pool, int(gpus)) if pool and gpus.isdecimal() else (kind, 1)
