"""Needs and supplies as a mixed-integer model, and its answer as services again.

Columns: y, replicas of a choice; x, the share of a bucket that a choice serves; what is shed, where a need may be
served in part. A need that must be served whole by one option is a choice of one of its options, with no counts at
all. Rows: x loads the replicas, buckets are served, pools and budgets hold (packing.py).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.planner.allocation.highs import INFINITY, Model
from penstock.planner.allocation.needs import Choice, Need, Service
from penstock.planner.allocation.packing import Room
from penstock.planner.allocation.problem import Budget

__all__ = ["Formulation", "formulate"]

_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class _Count:
    """A choice's column: each unit of it is `unit` replicas."""

    choice: Choice
    column: int
    unit: int
    shares: tuple[int | None, ...] = ()

    @property
    def unit_share(self) -> float:
        """What one replica serves of the rate, where there are no columns for shares."""
        return 1.0 if self.unit > 1 or not self.choice.loads else min(1.0, 1.0 / sum(self.choice.loads))


@dataclass(slots=True)
class _Part:
    """One need's columns."""

    need: Need
    counts: list[_Count]
    shed: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Formulation:
    """The model with the meaning of its columns."""

    model: Model = field(default_factory=Model)
    parts: dict[str, _Part] = field(default_factory=dict)
    price: dict[int, float] = field(default_factory=dict)
    fixed_price: int = 0
    disfavour: dict[int, float] = field(default_factory=dict)

    def shed(self, names: Iterable[str]) -> dict[int, float]:
        """The terms of what the named needs leave unserved."""
        return {column: weight for name in names for column, weight in self.parts[name].shed.items()}

    def columns(self, name: str) -> list[tuple[Choice, int]]:
        """The columns of the replicas of a need that may mix its choices."""
        return [(count.choice, count.column) for count in self.parts[name].counts]

    def services(self, values: list[float]) -> dict[str, Service]:
        """What the columns' values mean."""
        return {name: _service(part, values) for name, part in self.parts.items()}

    def start(self, services: Mapping[str, Service]) -> dict[int, float]:
        """Values of the integer columns that stand for the services."""
        values: dict[int, float] = {}
        for name, part in self.parts.items():
            for count in part.counts:
                replicas = services[name].replicas.get(count.choice.index, 0)
                values[count.column] = float(replicas // count.unit)
        return values


def formulate(
    needs: Iterable[Need], hard: frozenset[str], rooms: Mapping[str, tuple[Room, ...]], budgets: Iterable[Budget]
) -> Formulation:
    """The model of these needs: those named in `hard` must be served whole, the others as far as may be."""
    made = Formulation()
    for need in needs:
        part = _whole(made, need) if need.demand.name in hard and need.demand.one_option else _counted(made, need)
        made.parts[need.demand.name] = part
        if need.buckets and not (need.demand.name in hard and need.demand.one_option):
            _serve(made, part, hard=need.demand.name in hard)
        _number(made, part, hard=need.demand.name in hard)
        _price(made, part)
    standing: dict[str, list[_Count]] = {pool: [] for pool in sorted(rooms)}
    for part in made.parts.values():
        for count in part.counts:
            standing.get(count.choice.option.pool, []).append(count)
    for pool, counts in standing.items():
        for room in rooms[pool]:
            _bound(made, ((count, room.takes.get(count.choice.option.gpus, 0)) for count in counts), room.slots)
    for budget in sorted(budgets, key=lambda each: each.name):
        spent = [
            (count, count.choice.option.cost)
            for name in sorted(budget.demands & made.parts.keys())
            for count in made.parts[name].counts
        ]
        _bound(made, spent, budget.limit)
    return made


def _bound(made: Formulation, takes: Iterable[tuple[_Count, int]], limit: int) -> None:
    """A row of pools or budgets, in units of its least term, so that money stays small numbers."""
    terms = [(count.column, take * count.unit) for count, take in takes if take > 0]
    scale = min((take for _, take in terms), default=1)
    if terms:
        made.model.row(-INFINITY, limit / scale, [(column, take / scale) for column, take in terms])


def _whole(made: Formulation, need: Need) -> _Part:
    """One of the choices that serve everything alone."""
    counts = [
        _Count(choice, made.model.column(1, integer=True), choice.whole) for choice in need.choices if choice.whole
    ]
    made.model.row(1, 1, [(count.column, 1) for count in counts])
    for count in counts:
        made.disfavour[count.column] = count.choice.rank * (bool(need.buckets) + need.replica_weight * count.unit)
    return _Part(need, counts)


def _counted(made: Formulation, need: Need) -> _Part:
    model = made.model
    counts = []
    for choice in need.choices:
        column = model.column(choice.most, integer=True)
        made.disfavour[column] = choice.rank * need.replica_weight
        counts.append(_Count(choice, column, 1, _share_columns(made, need, choice)))
    if need.demand.one_option:
        _only_one(model, counts)
    return _Part(need, counts)


def _only_one(model: Model, counts: list[_Count]) -> None:
    """Replicas of at most one choice."""
    used = [(count, model.column(1, integer=True)) for count in counts]
    for count, column in used:
        model.row(-INFINITY, 0, [(count.column, 1), (column, -count.choice.most)])
    model.row(-INFINITY, 1, [(column, 1) for _, column in used])


def _share_columns(made: Formulation, need: Need, choice: Choice) -> tuple[int | None, ...]:
    """A column per bucket that the choice can serve, in slices where the demand is cut into such."""
    if _needs_no_shares(need):
        return ()
    parts = need.demand.slices or 1
    columns: list[int | None] = []
    for load, weight in zip(choice.loads, need.weights, strict=True):
        column = made.model.column(parts, integer=bool(need.demand.slices)) if load < math.inf else None
        columns.append(column)
        if column is not None:
            made.disfavour[column] = choice.rank * weight / parts
    return tuple(columns)


def _serve(made: Formulation, part: _Part, *, hard: bool) -> None:
    """Shares load their replicas and add up to what is served."""
    if _needs_no_shares(part.need):
        _cover(made, part, hard=hard)
        return
    parts = part.need.demand.slices or 1
    for count in part.counts:
        terms = [
            (column, load / parts)
            for column, load in zip(count.shares, count.choice.loads, strict=True)
            if column is not None
        ]
        made.model.row(-INFINITY, 0, [*terms, (count.column, -1.0)])
    for bucket, weight in enumerate(part.need.weights):
        served = [(column, 1.0) for count in part.counts if (column := count.shares[bucket]) is not None]
        if not hard:
            unserved = made.model.column(parts)
            part.shed[unserved] = weight / parts
            served.append((unserved, 1.0))
        made.model.row(parts, parts, served)


def _needs_no_shares(need: Need) -> bool:
    """With one bucket, replicas say what they serve; preferences compare shares."""
    return len(need.buckets) == 1 and not need.demand.slices and need.indifferent


def _cover(made: Formulation, part: _Part, *, hard: bool) -> None:
    """The one bucket is served by what replicas can; one that could serve more than all of it serves all."""
    terms = [(count.column, min(1.0, 1.0 / count.choice.loads[0])) for count in part.counts]
    if not hard:
        unserved = made.model.column(1)
        part.shed[unserved] = 1.0
        terms.append((unserved, 1.0))
    made.model.row(1, INFINITY, terms)


def _number(made: Formulation, part: _Part, *, hard: bool) -> None:
    """As many replicas as are asked for, and no more than may be."""
    need, terms = part.need, [(count.column, float(count.unit)) for count in part.counts]
    if need.most is not None and part.counts:
        made.model.row(-INFINITY, need.most, terms)
    if not need.wanted or (hard and need.demand.one_option):
        return
    if not hard:
        missing = made.model.column(need.wanted)
        part.shed[missing] = 1.0 / need.wanted
        terms.append((missing, 1.0))
    made.model.row(need.wanted, INFINITY, terms)


def _price(made: Formulation, part: _Part) -> None:
    """Money and penalties of replicas, and churn for those that come or go."""
    churn, running = part.need.demand.churn, dict(part.need.demand.running)
    for count in part.counts:
        before = running.pop(count.choice.index, 0)
        made.fixed_price += churn * before
        if count.unit == 1 and before and churn:
            _churned(made, count, before, churn)
        else:
            after = churn * (abs(count.unit - before) - before)
            made.price[count.column] = count.choice.price * count.unit + after
    made.fixed_price += churn * sum(running.values())


def _churned(made: Formulation, count: _Count, before: int, churn: int) -> None:
    """|y - before| is before - y, and twice what y exceeds it by."""
    made.price[count.column] = count.choice.price - churn
    if count.choice.most > before:
        more = made.model.column(count.choice.most - before)
        made.model.row(-INFINITY, before, [(count.column, 1), (more, -1)])
        made.price[more] = 2 * churn


def _service(part: _Part, values: list[float]) -> Service:
    need, slices = part.need, part.need.demand.slices or 1
    used = [(count, number) for count in part.counts if (number := round(values[count.column]) * count.unit) > 0]
    replicas = {count.choice.index: number for count, number in used}
    if not need.buckets:
        return Service(replicas)
    if any(count.shares for count, _ in used):
        return Service(replicas, {count.choice.index: _shares(count, values, slices) for count, _ in used})
    served = [(count.choice.index, number * count.unit_share) for count, number in used]
    total = max(1.0, sum(share for _, share in served))
    return Service(replicas, {index: (share / total,) * len(need.buckets) for index, share in served})


def _shares(count: _Count, values: list[float], slices: int) -> tuple[float, ...]:
    return tuple(
        0.0 if column is None or values[column] < _NOTHING else min(1.0, values[column] / slices)
        for column in count.shares
    )
