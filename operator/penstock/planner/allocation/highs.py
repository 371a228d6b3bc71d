"""A mixed-integer model as flat arrays, and HiGHS that minimises it: one thread, one seed, a limit of time.

highspy and the numpy that it brings load when a model is first solved: an operator that has nothing to solve does not
pay their memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import highspy

__all__ = ["INFINITY", "Answer", "Model", "Relaxation", "Relaxed", "minimise"]

INFINITY = float("inf")


@dataclass(slots=True)
class Model:
    """Columns with bounds and rows with bounds; the matrix row by row."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def column(self, upper: float, *, integer: bool = False, lower: float = 0.0) -> int:
        """Add a column; its index."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.integer.append(integer)
        return len(self.lower) - 1

    def row(self, lower: float, upper: float, terms: Iterable[tuple[int, float]]) -> None:
        """Add a row: the sum of the terms (each column once) lies between the bounds."""
        for column, value in terms:
            self.indices.append(column)
            self.values.append(value)
        self.starts.append(len(self.indices))
        self.row_lower.append(lower)
        self.row_upper.append(upper)


@dataclass(frozen=True, slots=True)
class Answer:
    """What HiGHS found: the columns' values (None: none within the limit), the bound, and whether none exists."""

    values: list[float] | None
    bound: float
    infeasible: bool
    seconds: float


def minimise(
    model: Model,
    objective: Mapping[int, float],
    *,
    offset: float = 0.0,
    start: Mapping[int, float] | None = None,
    seconds: float,
    gap: float,
    target: float = -INFINITY,
) -> Answer:
    """The least objective, to a relative gap or at most a target, from a start where one is given.

    A start holds values of integer columns.
    """
    import highspy  # noqa: PLC0415 - memory, see above

    if not model.lower:
        impossible = any(lower > 0 for lower in model.row_lower)
        return Answer(values=None if impossible else [], bound=offset, infeasible=impossible, seconds=0.0)
    highs = _prepared(seconds, gap)
    highs.setOptionValue("objective_target", target)
    highs.passModel(_program(model, objective, offset))
    if start:
        highs.setSolution(len(start), list(start), list(start.values()))
    highs.run()
    status, info = highs.getModelStatus(), highs.getInfo()
    infeasible = status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    bound = info.mip_dual_bound if any(model.integer) else info.objective_function_value
    return Answer(
        values=list(highs.getSolution().col_value) if found else None,
        bound=bound,
        infeasible=infeasible,
        seconds=highs.getRunTime(),
    )


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The least cost of a relaxation, the columns' values, the rows' dual prices, and the seconds that it took."""

    cost: float
    values: list[float]
    duals: list[float]
    seconds: float


class Relaxation:
    """A linear programme with fixed rows: columns are added, and it is solved again from where it was."""

    def __init__(self, row_lower: list[float], row_upper: list[float]) -> None:
        self._highs = _prepared(INFINITY, 0.0)
        self._highs.passModel(
            _program(Model(row_lower=row_lower, row_upper=row_upper, starts=[0] * (len(row_lower) + 1)), {}, 0.0)
        )

    def add(self, costs: list[float], columns: list[list[tuple[int, float]]]) -> None:
        """Add columns with their costs and terms by row."""
        starts: list[int] = []
        indices: list[int] = []
        values: list[float] = []
        for column in columns:
            starts.append(len(indices))
            for row, value in column:
                indices.append(row)
                values.append(value)
        count = len(costs)
        self._highs.addCols(count, costs, [0.0] * count, [INFINITY] * count, len(indices), starts, indices, values)

    def solve(self, seconds: float) -> Relaxed | None:
        """The least cost; None where there is none within the time."""
        import highspy  # noqa: PLC0415 - memory, see above

        before = self._highs.getRunTime()
        self._highs.setOptionValue("time_limit", before + max(0.0, seconds))
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        taken = self._highs.getRunTime() - before
        return Relaxed(info.objective_function_value, list(solution.col_value), list(solution.row_dual), taken)


def _prepared(seconds: float, gap: float) -> "highspy.Highs":
    import highspy  # noqa: PLC0415 - memory, see above

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    settings: dict[str, bool | float | str] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": 0,
        "time_limit": max(0.0, seconds),
        "mip_rel_gap": gap,
    }
    for name, value in settings.items():
        highs.setOptionValue(name, value)
    return highs


def _program(model: Model, objective: Mapping[int, float], offset: float) -> "highspy.HighsLp":
    import highspy  # noqa: PLC0415 - memory, see above

    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(model.lower), len(model.row_lower)
    costs = [0.0] * len(model.lower)
    for column, cost in objective.items():
        costs[column] = cost
    program.col_cost_, program.offset_ = costs, offset
    program.col_lower_, program.col_upper_ = model.lower, model.upper
    program.row_lower_, program.row_upper_ = model.row_lower, model.row_upper
    kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
    program.integrality_ = [kinds[integer] for integer in model.integer]
    matrix = program.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.num_col_, matrix.num_row_ = len(model.lower), len(model.row_lower)
    matrix.start_, matrix.index_, matrix.value_ = model.starts, model.indices, model.values
    return program
