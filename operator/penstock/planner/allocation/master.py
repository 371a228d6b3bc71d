"""Large parts whose needs mix options: column generation over patterns.

A model of all replicas and shares has a weak relaxation where most needs take two or three replicas, and HiGHS spends
its time on cuts. Here every need takes exactly one pattern (patterns.py), which hides what is whole numbers inside the
patterns; only room and budgets join them, so that the relaxation is nearly whole by itself. Its dual prices of room
bound every allocation from below: the sum of each need's best pattern at these prices, less what all room is worth.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from penstock.planner.allocation.highs import INFINITY, Model, Relaxation, Relaxed, minimise
from penstock.planner.allocation.needs import Need, Service
from penstock.planner.allocation.packing import Room
from penstock.planner.allocation.patterns import Found, Pattern, Pricer
from penstock.planner.allocation.problem import Budget

__all__ = ["Mixed", "mix"]

_MOST_ROUNDS = 40
_MOST_SWEEPS = 3
# The parts of the gap that the relaxation may leave, one after another; the rest is for making it whole.
_NEAR = (0.75, 0.35)
# How many needs are decided anew where the relaxation does not round well, beside those that it splits; then all.
_RECONSIDERED = (30, 80)
# The part of it that pricing may leave.
_IN_PRICING = 0.25
_FIRST = 10
_LARGEST_COST = 1e5
_WORTHWHILE = 1e-7
_WHOLE = 1 - 1e-6
# Patterns whose costs at dual prices differ by less are equally good.
_UNLIKE = 1e-3
# Patterns that are dearer than a need's best by more than this part of an average need's are left out at the end.
_PROMISING = 0.3
# The time of a step of pricing in this language: the core reads no clock, and its work counts against the limit, too.
_SECONDS_PER_STEP = 1.5e-6
_STEPS_PER_CHOICE = 8


@dataclass(frozen=True, slots=True)
class Mixed:
    """Services (None: nothing found), a bound of their value in micro-units, and the seconds that it took."""

    services: Mapping[str, Service] | None
    bound: float
    seconds: float


@dataclass(slots=True)
class _Column:
    """One need's pattern in the master."""

    need: int
    pattern: Pattern
    cost: float
    terms: list[tuple[int, float]]


class _Master:
    """The needs, the rows that join them, and the patterns so far."""

    def __init__(
        self, needs: tuple[Need, ...], rooms: Mapping[str, tuple[Room, ...]], budgets: tuple[Budget, ...]
    ) -> None:
        self.pricers = [Pricer(need) for need in needs]
        self.limits: list[float] = []
        self.columns: list[_Column] = []
        self._seen: set[tuple[int, Pattern]] = set()
        dearest = max((choice.price for need in needs for choice in need.choices), default=0)
        self.scale = _LARGEST_COST / max(1, dearest)
        self.fixed = self.scale * sum(need.demand.churn * sum(need.demand.running.values()) for need in needs)
        self.churns = [need.demand.churn * self.scale for need in needs]
        self.prices = [[choice.price * self.scale for choice in need.choices] for need in needs]
        self.takes: list[list[list[tuple[int, float]]]] = [[[] for _ in need.choices] for need in needs]
        self._join(rooms, budgets)
        self.relaxation = Relaxation(
            [1.0] * len(needs) + [-INFINITY] * len(self.limits), [1.0] * len(needs) + self.limits
        )

    def _join(self, rooms: Mapping[str, tuple[Room, ...]], budgets: tuple[Budget, ...]) -> None:
        """Rows of pools and budgets, and what a replica of each choice takes of them."""
        rows = {pool: [self._row(room.slots) for room in each] for pool, each in sorted(rooms.items())}
        purses = [
            (budget, self._row(budget.limit * self.scale)) for budget in sorted(budgets, key=lambda each: each.name)
        ]
        for pricer, takes in zip(self.pricers, self.takes, strict=True):
            for choice, terms in zip(pricer.need.choices, takes, strict=True):
                pool, gpus = choice.option.pool, choice.option.gpus
                for room, row in zip(rooms.get(pool, ()), rows.get(pool, ()), strict=True):
                    if gpus in room.takes:
                        terms.append((row, float(room.takes[gpus])))
                for budget, row in purses:
                    if pricer.need.demand.name in budget.demands and choice.option.cost:
                        terms.append((row, choice.option.cost * self.scale))

    def _row(self, limit: float) -> int:
        self.limits.append(float(limit))
        return len(self.pricers) + len(self.limits) - 1

    def add(self, patterns: Iterable[tuple[int, Pattern]]) -> int:
        """Add the patterns that are new; how many."""
        added = []
        for need, pattern in patterns:
            if (need, pattern) not in self._seen:
                self._seen.add((need, pattern))
                added.append(self._column(need, pattern))
        if added:
            self.relaxation.add([each.cost for each in added], [each.terms for each in added])
            self.columns.extend(added)
        return len(added)

    def _column(self, need: int, pattern: Pattern) -> _Column:
        terms: dict[int, float] = {need: 1.0}
        for position, count in pattern:
            for row, take in self.takes[need][position]:
                terms[row] = terms.get(row, 0.0) + take * count
        cost = self.pricers[need].cost(self.prices[need], self.churns[need], pattern)
        return _Column(need, pattern, cost, list(terms.items()))

    def taken(self, index: int) -> float:
        """Room and money that a pattern takes, all rows added up."""
        return sum(value for _, value in self.columns[index].terms[1:])

    def known(self) -> list[list[Pattern]]:
        """The patterns so far, by need."""
        known: list[list[Pattern]] = [[] for _ in self.pricers]
        for column in self.columns:
            known[column.need].append(column.pattern)
        return known

    def at(self, duals: list[float]) -> list[list[float]]:
        """Prices of replicas with what the room and money that they take are worth."""
        return [
            [price - sum(duals[row] * take for row, take in terms) for price, terms in zip(prices, takes, strict=True)]
            for prices, takes in zip(self.prices, self.takes, strict=True)
        ]


def mix(
    needs: tuple[Need, ...],
    rooms: Mapping[str, tuple[Room, ...]],
    budgets: tuple[Budget, ...],
    start: Mapping[str, Service],
    *,
    seconds: float,
    gap: float,
) -> Mixed:
    """Serve every need whole, to the gap if that is in reach, and for no more than `start`.

    `start` serves every need and holds every constraint.
    """
    master = _Master(needs, rooms, budgets)
    picked = _started(master, start)
    master.add(_alone(master))
    generated = _Generated(0.0, None, 0.0)
    for near in _NEAR:
        generated = _generate(master, generated, near * gap, seconds=seconds, gap=gap)
        if generated.relaxed is None:
            return Mixed(None, generated.bound / master.scale, generated.seconds)
        picked = min(picked, *_rounded(master, generated.relaxed), key=_cost)
        if _within(master, picked, _target(generated, gap)):
            break
    picked, spent = _improved(master, generated, picked, seconds=seconds, gap=gap)
    return Mixed(_services(master, picked), generated.bound / master.scale, spent)


def _target(generated: "_Generated", gap: float) -> float:
    """The cost that is within the gap, with some of it to spare for rounding."""
    return generated.bound / (1 - 0.95 * gap)


def _cost(picked: list[_Column]) -> float:
    return sum(column.cost for column in picked)


def _within(master: _Master, picked: list[_Column], target: float) -> bool:
    return _cost(picked) + master.fixed <= target


def _improved(
    master: _Master, generated: "_Generated", picked: list[_Column], *, seconds: float, gap: float
) -> tuple[list[_Column], float]:
    """What is picked made cheaper until it is within the gap, with few needs free first; and the seconds in all."""
    spent, target = generated.seconds, _target(generated, gap)
    for most_free in (*_RECONSIDERED, len(master.pricers)):
        if _within(master, picked, target):
            break
        columns = _promising(master, generated, picked, most_free)
        better, taken = _pick(master, columns, picked, target, seconds=seconds - spent, gap=gap)
        picked, spent = better or picked, spent + taken
    return picked, spent


def _started(master: _Master, start: Mapping[str, Service]) -> list[_Column]:
    """What the start has, as the first columns."""
    patterns = []
    for number, pricer in enumerate(master.pricers):
        replicas = start[pricer.need.demand.name].replicas
        positions = {choice.index: position for position, choice in enumerate(pricer.need.choices)}
        patterns.append((number, tuple(sorted((positions[index], count) for index, count in replicas.items()))))
    master.add(patterns)
    return list(master.columns)


def _alone(master: _Master) -> Iterator[tuple[int, Pattern]]:
    """The cheapest choices alone."""
    for number, pricer in enumerate(master.pricers):
        prices, churn = master.prices[number], master.churns[number]
        alone = sorted((pricer.cost(prices, churn, each), each) for each in pricer.alone)
        yield from ((number, pattern) for _, pattern in alone[:_FIRST])


@dataclass(frozen=True, slots=True)
class _Generated:
    """The best bound, the last relaxation, and the seconds that it took."""

    bound: float
    relaxed: Relaxed | None
    seconds: float


def _generate(master: _Master, known: _Generated, near: float, *, seconds: float, gap: float) -> _Generated:
    """Add patterns until the relaxation is near its bound, both better than those known."""
    best, last, spent, before, sweeps = known.bound, known.relaxed, known.seconds, INFINITY, 0
    for _ in range(_MOST_ROUNDS):
        solved = master.relaxation.solve(seconds - spent)
        if solved is None:
            break
        last, total = solved, solved.cost + master.fixed
        priced = _priced(master, solved.duals, near * _IN_PRICING)
        spent += solved.seconds + priced.seconds
        slow, before = before - total <= gap / 2 * total or not priced.patterns, total
        far = total - max(best, priced.bound) > _NEAR[0] * gap * total
        if slow and far and priced.losses and sweeps < _MOST_SWEEPS:
            sweeps += 1
            spent += _swept(master, priced, seconds=(seconds - spent) / 2, gap=gap)
        best = max(best, priced.bound)
        if not master.add(priced.patterns) or spent > seconds / 2:
            break
        if total - best <= near * total:
            last = master.relaxation.solve(seconds - spent) or last
            break
    return _Generated(best, last, spent)


@dataclass(slots=True)
class _Priced:
    """A bound at dual prices, the patterns that would improve the relaxation, and the time that it took.

    `losses`: by number of the needs whose pricing gave up, what their share of the bound may be too low by.
    """

    duals: list[float]
    bound: float
    patterns: list[tuple[int, Pattern]]
    seconds: float
    losses: dict[int, float]


def _priced(master: _Master, duals: list[float], gap: float) -> _Priced:
    """Price every need at these dual prices."""
    count = len(master.pricers)
    duals = [*duals[:count], *(min(0.0, dual) for dual in duals[count:])]
    bound = master.fixed + sum(dual * limit for dual, limit in zip(duals[count:], master.limits, strict=True))
    priced = _Priced(duals, bound, [], 0.0, {})
    for number, (prices, known) in enumerate(zip(master.at(duals), master.known(), strict=True)):
        found = master.pricers[number].find(prices, master.churns[number], known, gap)
        priced.bound += found.bound
        priced.seconds += (found.steps + _STEPS_PER_CHOICE * len(prices)) * _SECONDS_PER_STEP
        if found.given_up:
            priced.losses[number] = max(0.0, duals[number] - found.bound)
        _offer(master, priced, number, prices, found)
    return priced


def _offer(master: _Master, priced: _Priced, number: int, prices: list[float], found: Found) -> None:
    """Keep the patterns that cost less than what the need now pays."""
    dual = priced.duals[number]
    worthwhile = dual - _WORTHWHILE * max(1.0, abs(dual))
    cost, churn = master.pricers[number].cost, master.churns[number]
    priced.patterns += [(number, each) for each in found.patterns if cost(prices, churn, each) < worthwhile]


def _swept(master: _Master, priced: _Priced, *, seconds: float, gap: float) -> float:
    """Price the needs that gave up with HiGHS, those that matter most first, while that matters; the seconds."""
    spent, left = 0.0, sum(priced.losses.values())
    at = master.at(priced.duals)
    for number, loss in sorted(priced.losses.items(), key=lambda each: (-each[1], each[0])):
        if left <= gap / 4 * abs(priced.bound) or spent > seconds / 2:
            break
        found, taken = master.pricers[number].solve(
            at[number], master.churns[number], seconds=seconds - spent, gap=gap / 2
        )
        spent, left = spent + taken, left - loss
        if found.patterns:
            priced.bound += max(0.0, loss - (priced.duals[number] - found.bound))
            _offer(master, priced, number, at[number], found)
    return spent


def _rounded(master: _Master, relaxed: Relaxed) -> Iterator[list[_Column]]:
    """What the relaxation takes whole; for the other needs, what costs least at its prices and still has room.

    A relaxation splits at most as many needs as there are pools and budgets that are full. Those that may take
    most room go first, or last. Nothing where a need finds no room.
    """
    whole = [column for column, value in zip(master.columns, relaxed.values, strict=False) if value > _WHOLE]
    settled = {column.need for column in whole}
    offers: dict[int, list[tuple[float, float, int]]] = {}
    for index, (column, value) in enumerate(zip(master.columns, relaxed.values, strict=False)):
        if column.need not in settled:
            reduced = column.cost - sum(relaxed.duals[row] * take for row, take in column.terms)
            offers.setdefault(column.need, []).append((max(_UNLIKE, reduced), -value, index))
    most = {need: max(master.taken(index) for *_, index in offered) for need, offered in offers.items()}
    largest = sorted(offers, key=lambda need: (-most[need], need))
    for order in (largest, largest[::-1]):
        filled = _filled(master, whole, [sorted(offers[need]) for need in order])
        if filled is not None:
            yield filled


def _filled(
    master: _Master, whole: list[_Column], offers: list[list[tuple[float, float, int]]]
) -> list[_Column] | None:
    """The whole ones, and of each need's offers the first that has room beside those before."""
    left, picked = list(master.limits), list(whole)
    for column in whole:
        _take(master, column, left)
    for offered in offers:
        chosen = next((master.columns[i] for *_, i in offered if _fits(master, master.columns[i], left)), None)
        if chosen is None:
            return None
        _take(master, chosen, left)
        picked.append(chosen)
    return picked


def _take(master: _Master, column: _Column, left: list[float]) -> None:
    for row, value in column.terms[1:]:
        left[row - len(master.pricers)] -= value


def _fits(master: _Master, column: _Column, left: list[float]) -> bool:
    return all(left[row - len(master.pricers)] >= value - _WORTHWHILE for row, value in column.terms[1:])


def _promising(master: _Master, generated: _Generated, start: Collection[_Column], most_free: int) -> list[_Column]:
    """Columns that may well be part of an answer within the gap.

    Only so many needs are free, beside those that the relaxation splits: those that lose least by another pattern.
    """
    duals, values = (generated.relaxed.duals, generated.relaxed.values) if generated.relaxed else ([], [])
    slack = _PROMISING * abs(generated.bound) / len(master.pricers)
    kept = {id(column) for column in start}
    whole = {column.need for column, value in zip(master.columns, values, strict=False) if value > _WHOLE}
    losses: dict[int, float] = {}
    columns: list[tuple[_Column, bool]] = []
    for column, value in zip(master.columns, values, strict=False):
        loss = column.cost - sum(duals[row] * take for row, take in column.terms)
        if id(column) in kept or loss <= slack:
            columns.append((column, id(column) in kept or value > _WHOLE))
        if id(column) not in kept:
            losses[column.need] = min(loss, losses.get(column.need, INFINITY))
    free = {need for _, need in sorted((loss, need) for need, loss in losses.items() if need in whole)[:most_free]}
    return [column for column, keep in columns if keep or column.need in free or column.need not in whole]


def _pick(
    master: _Master,
    columns: list[_Column],
    start: list[_Column],
    target: float,
    *,
    seconds: float,
    gap: float,
) -> tuple[list[_Column] | None, float]:
    """One pattern for each need, of these columns, which hold the start; and the seconds."""
    kept = {id(column) for column in start}
    model, rows = Model(), dict[int, list[tuple[int, float]]]()
    for index, column in enumerate(columns):
        model.column(1, integer=True)
        for row, value in column.terms:
            rows.setdefault(row, []).append((index, value))
    for row, terms in sorted(rows.items()):
        joins = row >= len(master.pricers)
        model.row(-INFINITY if joins else 1.0, master.limits[row - len(master.pricers)] if joins else 1.0, terms)
    answer = minimise(
        model,
        {index: column.cost for index, column in enumerate(columns)},
        offset=master.fixed,
        start={index: float(id(column) in kept) for index, column in enumerate(columns)},
        seconds=seconds,
        gap=gap / 4,
        target=target,
    )
    if answer.values is None:
        return None, answer.seconds
    return [column for column, value in zip(columns, answer.values, strict=True) if round(value)], answer.seconds


def _services(master: _Master, picked: list[_Column]) -> dict[str, Service] | None:
    """The picked patterns as services."""
    services = {}
    for column in picked:
        pricer = master.pricers[column.need]
        service = pricer.service(column.pattern)
        if service is None:
            return None
        services[pricer.need.demand.name] = service
    return services
