"""A decision as a tree: pools, in them precisions, engines and layouts; what was taken, and why the rest was not.

Built from rows, so that it reads a fresh decision and one that a status reports in the same way.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from penstock.planner.explain import Row, nearest_misses
from penstock.planner.plan import Rejection, RejectionReason

__all__ = ["Branch", "Miss", "compressed", "decision_tree", "misses", "nearest", "runner_up"]

_ANY_POOL = "whatever the pool"
_FITS = frozenset({str(RejectionReason.COSTS_MORE), str(RejectionReason.NOT_PREFERRED)})


@dataclass(frozen=True, slots=True)
class Branch:
    """A step of the choice. A leaf has a reason; `chosen` is true on the way to what was taken."""

    label: str
    chosen: bool
    reason: str = ""
    message: str = ""
    branches: tuple["Branch", ...] = ()


@dataclass(frozen=True, slots=True)
class Miss:
    """What came near in a pool, and what would have to change for it."""

    pool: str
    label: str
    reason: str
    message: str


def decision_tree(rows: Iterable[Row]) -> tuple[Branch, ...]:
    """Pools, the taken one first, the others in the order of the rows; below them precision, engine, layout."""
    paths = [(_path(row), row) for row in rows]
    return _grown(paths)


def _path(row: Row) -> tuple[str, ...]:
    return row.pool or _ANY_POOL, *(part for part in (row.precision, row.engine, row.way) if part)


def _grown(paths: Sequence[tuple[tuple[str, ...], Row]]) -> tuple[Branch, ...]:
    groups: dict[str, list[tuple[tuple[str, ...], Row]]] = {}
    for path, row in paths:
        groups.setdefault(path[0], []).append((path[1:], row))
    branches = [branch for label, group in groups.items() for branch in _branches(label, group)]
    return tuple(sorted(branches, key=lambda branch: not branch.chosen))


def _branches(label: str, group: Sequence[tuple[tuple[str, ...], Row]]) -> Iterator[Branch]:
    """A row that ends here is a leaf of its own; the others share one branch."""
    for path, row in group:
        if not path:
            yield Branch(label, row.chosen, row.reason, row.message)
    longer = [(path, row) for path, row in group if path]
    if longer:
        yield Branch(label, any(row.chosen for _, row in longer), branches=_grown(longer))


def compressed(branch: Branch) -> Branch:
    """Without forks that do not fork: a branch with one branch below becomes one step."""
    below = tuple(compressed(each) for each in branch.branches)
    if len(below) == 1 and not branch.reason:
        only = below[0]
        return replace(only, label=f"{branch.label} {only.label}")
    return replace(branch, branches=below)


def nearest(rows: Iterable[Row]) -> tuple[Miss, ...]:
    """What came furthest in each pool where nothing fits, the nearest to working first."""
    rows = tuple(rows)
    fitting = {row.pool for row in rows if row.chosen or _fits(row)}
    lost = (_rejection(row) for row in rows if row.pool not in fitting)
    return misses(lost)


def misses(lost: Iterable[Rejection]) -> tuple[Miss, ...]:
    """What came furthest in each pool of everything that lost, the nearest to working first."""
    return tuple(Miss(each.pool, _label(each), each.reason, each.message) for each in nearest_misses(lost))


def _fits(row: Row) -> bool:
    """Not taken, though it would run."""
    return row.tensor_parallel > 0 and row.reason in _FITS


def runner_up(rows: Iterable[Row]) -> Miss | None:
    """The best of those that fit and were not taken, in the planner's order."""
    for row in rows:
        if not row.chosen and _fits(row):
            return Miss(row.pool, _label(_rejection(row)), row.reason, row.message)
    return None


def _rejection(row: Row) -> Rejection:
    """A reason that this release does not know, from a status of another one, ranks last."""
    known = {str(reason): reason for reason in RejectionReason}
    reason = known.get(row.reason, RejectionReason.NOT_PREFERRED)
    return Rejection(reason, row.message, row.pool, row.engine, row.precision, row.tensor_parallel, row.way)


def _label(miss: Rejection) -> str:
    return " ".join(part for part in (miss.precision, miss.engine, miss.layout) if part)
