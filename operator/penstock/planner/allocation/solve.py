"""The door: a problem in, an allocation out that holds every constraint; the same problem, the same answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.planner.allocation.binding import bindings
from penstock.planner.allocation.components import parts_of
from penstock.planner.allocation.exact import NEGLIGIBLE, Exact, Part, improve
from penstock.planner.allocation.greedy import allocate
from penstock.planner.allocation.needs import Need, Service, needs_of
from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Allocation, Problem
from penstock.planner.allocation.validity import validate
from penstock.planner.allocation.verify import shed_of, violations

__all__ = ["solve"]

_EXACT = 1e-7


def solve(problem: Problem, *, time_limit_seconds: float = 2.0, gap: float = 0.01) -> Allocation:
    """The cheapest allocation that sheds least and prefers what is preferred, in that order.

    `gap` is the relative distance to the optimum at which the search stops (0: it is proved). Where the time limit
    ends the search, the best that it had found stands, a greedy allocation at worst. Raises Refused for a problem that
    cannot be meant.
    """
    validate(problem)
    needs = needs_of(problem)
    left, settled = time_limit_seconds, []
    for part in parts_of(problem, needs):
        start = allocate(part.needs, Stock(part.rooms, part.budgets))
        found = _improved(part, start, seconds=max(0.0, left), gap=gap)
        left -= found.seconds
        settled.append(_settled(part, start, found))
    allocation = _allocation(problem, needs, settled)
    broken = violations(problem, allocation)
    if not broken:
        return allocation
    services = allocate(needs, Stock(rooms_of(problem), problem.budgets))
    return _allocation(problem, needs, [_Settled(services, 0, searched=False)])


def _improved(part: Part, start: Mapping[str, Service], *, seconds: float, gap: float) -> Exact:
    """What the exact search finds; nothing where HiGHS is not there or gives up."""
    try:
        return improve(part, start, seconds=seconds, gap=gap)
    except (ImportError, RuntimeError, MemoryError):
        return Exact(None, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Settled:
    """A part's services, the value that they cannot undercut, and whether that was looked for at all."""

    services: Mapping[str, Service]
    bound: int
    searched: bool = True


def _settled(part: Part, start: Mapping[str, Service], found: Exact) -> _Settled:
    """The better of what the search started from and what it found."""
    if found.services is None:
        return _Settled(start, 0, searched=False)
    services = min((found.services, start), key=lambda each: _merit(part, each))
    value = sum(services[need.demand.name].value(need) for need in part.needs)
    bound = value if found.bound >= value * (1 - _EXACT) - 1 else int(max(0.0, found.bound))
    return _Settled(services, bound)


def _merit(part: Part, services: Mapping[str, Service]) -> tuple[object, ...]:
    """What comes first: less shed by priority, nearer to preferences, cheaper."""
    shed: dict[int, float] = {}
    for need in part.needs:
        priority = -need.demand.priority
        shed[priority] = shed.get(priority, 0.0) + services[need.demand.name].shed(need)
    levels = tuple(round(shed[priority] / NEGLIGIBLE / 10) for priority in sorted(shed))
    disfavour = sum(services[need.demand.name].disfavour(need) for need in part.needs)
    value = sum(services[need.demand.name].value(need) for need in part.needs)
    return levels, round(disfavour, 4), value


def _allocation(problem: Problem, needs: tuple[Need, ...], settled: list[_Settled]) -> Allocation:
    services = {name: service for part in settled for name, service in part.services.items()}
    value = sum(services[need.demand.name].value(need) for need in needs)
    bound = sum(part.bound for part in settled)
    shed = {}
    for need in needs:
        service = services[need.demand.name]
        share = shed_of(need.demand, service.replicas, _shares(need, service))
        if share > NEGLIGIBLE:
            shed[need.demand.name] = min(1.0, share)
    return Allocation(
        replicas={need.demand.name: dict(sorted(services[need.demand.name].replicas.items())) for need in needs},
        shares={need.demand.name: _shares(need, services[need.demand.name]) for need in needs if need.buckets},
        shed=shed,
        binding=bindings(problem, needs, services, shed.keys()),
        cost=sum(
            need.demand.options[index].cost * count
            for need in needs
            for index, count in services[need.demand.name].replicas.items()
        ),
        bound=bound,
        gap=(value - bound) / value if value > bound else 0.0,
        proved=bound >= value and all(part.searched for part in settled),
    )


def _shares(need: Need, service: Service) -> dict[int, tuple[float, ...]]:
    """Shares of all buckets of the demand, those without a rate among them."""
    spread = {}
    for index, shares in sorted(service.shares.items()):
        by_bucket = dict(zip(need.buckets, shares, strict=True))
        spread[index] = tuple(by_bucket.get(bucket, 0.0) for bucket in range(len(need.demand.rates)))
    return spread
