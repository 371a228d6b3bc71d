"""The least allocation of needs that share pools or budgets, in the order of what matters.

First nobody is shed, or as little as can be, greater priorities first; then preferences; then money with penalties
and churn. Each step is a model of its own that holds what the steps before it reached.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from penstock.planner.allocation.formulation import Formulation, formulate
from penstock.planner.allocation.greedy import allocate
from penstock.planner.allocation.highs import INFINITY, Answer, minimise
from penstock.planner.allocation.master import mix
from penstock.planner.allocation.needs import Need, Service
from penstock.planner.allocation.packing import Room, Stock
from penstock.planner.allocation.problem import Budget

__all__ = ["NEGLIGIBLE", "Exact", "Part", "improve"]

NEGLIGIBLE = 1e-6
# The greatest coefficient of an objective that HiGHS sees.
_LARGEST_COST = 1e5
# Fewer needs that mix options are quicker solved as they stand.
_MANY = 12


@dataclass(frozen=True, slots=True)
class Part:
    """Needs that share pools or budgets, with the inequalities that may bind them."""

    needs: tuple[Need, ...]
    rooms: Mapping[str, tuple[Room, ...]]
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Exact:
    """Services, and the value that none of the same service can undercut (None: nothing better than the start)."""

    services: Mapping[str, Service] | None
    bound: float
    seconds: float


@dataclass(slots=True)
class _Search:
    """The part, what is held from earlier steps, and the time that is left."""

    part: Part
    start: Mapping[str, Service]
    seconds: float
    gap: float
    spent: float = 0.0
    best: Mapping[str, Service] | None = None
    hard: set[str] = field(default_factory=set)
    held: list[tuple[tuple[str, ...], float]] = field(default_factory=list)
    disfavour: float | None = None

    def formulate(self, needs: Iterable[Need]) -> Formulation:
        """The model of these needs with what earlier steps reached."""
        made = formulate(needs, frozenset(self.hard), self.part.rooms, self.part.budgets)
        for names, most in self.held:
            made.model.row(-INFINITY, most, made.shed(names).items())
        if self.disfavour is not None:
            made.model.row(-INFINITY, self.disfavour, [each for each in made.disfavour.items() if each[1]])
        return made

    def minimise(
        self, made: Formulation, objective: Mapping[int, float], *, offset: float = 0.0, gap: float = 0.0
    ) -> Answer:
        """Minimise within the time that is left."""
        known = self.start if self.best is None else self.best
        start = made.start(known) if made.parts.keys() <= known.keys() else None
        answer = minimise(made.model, objective, offset=offset, start=start, seconds=self.seconds - self.spent, gap=gap)
        self.spent += answer.seconds
        return answer


def improve(part: Part, start: Mapping[str, Service], *, seconds: float, gap: float) -> Exact:
    """The least allocation of the part, found from a start that holds every constraint."""
    search = _Search(part, start, seconds, gap)
    if not _settle_service(search):
        return Exact(None, 0.0, search.spent)
    _settle_preference(search)
    bound = _settle_price(search)
    return Exact(search.best, bound, search.spent)


def _settle_service(search: _Search) -> bool:
    """Hold who is served whole, and how little the others are shed; False where time ran out."""
    needs = search.part.needs
    everybody = {need.demand.name for need in needs}
    if all(search.start[need.demand.name].shed(need) <= NEGLIGIBLE for need in needs):
        search.hard, search.best = everybody, search.start
        return True
    if all(_servable(need) for need in needs):
        search.hard = everybody
        made = search.formulate(needs)
        answer = search.minimise(made, {})
        if answer.values is not None:
            search.best = made.services(answer.values)
        if not answer.infeasible:
            return answer.values is not None
        search.hard = set()
    levels = sorted({need.demand.priority for need in needs}, reverse=True)
    return all(_settle_level(search, level) for level in levels)


def _servable(need: Need) -> bool:
    """Whether its choices could serve all of it if they had all the room."""
    if not need.buckets and not need.wanted:
        return True
    if need.demand.one_option:
        return any(choice.whole for choice in need.choices)
    buckets = range(len(need.buckets))
    return bool(need.choices) and all(any(each.loads[bucket] < INFINITY for each in need.choices) for bucket in buckets)


def _settle_level(search: _Search, priority: int) -> bool:
    """Shed as little as can be of one priority, while the greater ones keep what they have."""
    needs = [need for need in search.part.needs if need.demand.priority >= priority]
    members = [need for need in needs if need.demand.priority == priority]
    names = tuple(need.demand.name for need in members)
    if not search.held and all(search.start[each.demand.name].shed(each) <= NEGLIGIBLE for each in needs):
        search.hard.update(names)
        search.best = {need.demand.name: search.start[need.demand.name] for need in needs}
        return True
    made = search.formulate(needs)
    answer = search.minimise(made, made.shed(names), gap=search.gap)
    if answer.values is None:
        return False
    search.best = made.services(answer.values)
    shed = sum(weight * answer.values[column] for column, weight in made.shed(names).items())
    if shed <= NEGLIGIBLE:
        search.hard.update(names)
    else:
        search.held.append((names, shed + NEGLIGIBLE))
    return True


def _settle_preference(search: _Search) -> None:
    """Hold how near to their preferences the needs come."""
    needs = search.part.needs
    if all(choice.rank == 0 for need in needs for choice in need.choices):
        return
    if len(search.hard) == len(needs):
        preferred = tuple(
            replace(need, choices=tuple(each for each in need.choices if not each.rank)) for need in needs
        )
        services = allocate(preferred, Stock(search.part.rooms, search.part.budgets))
        if all(services[need.demand.name].shed(need) <= NEGLIGIBLE for need in needs):
            search.part, search.best = replace(search.part, needs=preferred), services
            return
    made = search.formulate(needs)
    answer = search.minimise(made, made.disfavour)
    if answer.values is not None:
        search.best = made.services(answer.values)
        search.disfavour = sum(weight * answer.values[column] for column, weight in made.disfavour.items()) + NEGLIGIBLE


def _settle_price(search: _Search) -> float:
    """The cheapest of what is left to choose; the bound in micro-units."""
    bound, near = _mixed(search)
    if near:
        return bound
    made = search.formulate(search.part.needs)
    scale = _LARGEST_COST / max((1.0, *(abs(price) for price in made.price.values())))
    objective = {column: price * scale for column, price in made.price.items()}
    answer = search.minimise(made, objective, offset=made.fixed_price * scale, gap=search.gap)
    if answer.values is not None:
        search.best = made.services(answer.values)
    return max(bound, answer.bound / scale)


def _mixed(search: _Search) -> tuple[float, bool]:
    """The same over patterns, for many needs that mix options: the bound, and whether the gap is reached."""
    part, known = search.part, search.start if search.best is None else search.best
    mixing = sum(bool(need.buckets) and not need.demand.one_option for need in part.needs)
    if mixing < _MANY or len(search.hard) < len(part.needs) or search.disfavour is not None:
        return 0.0, False
    if any(need.demand.slices or need.demand.replicas is not None for need in part.needs):
        return 0.0, False
    found = mix(part.needs, part.rooms, part.budgets, known, seconds=search.seconds - search.spent, gap=search.gap)
    search.spent += found.seconds
    if found.services is None:
        return found.bound, False
    search.best = found.services
    value = sum(found.services[need.demand.name].value(need) for need in part.needs)
    return found.bound, value - found.bound <= search.gap * value
