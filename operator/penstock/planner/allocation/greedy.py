"""An allocation without a solver: demand after demand takes its cheapest option that still fits.

Never breaks a constraint and never fails; a few percent dearer than the optimum, and it may leave demand unserved that
an optimum would serve. It starts the exact solver and stands in for it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.planner.allocation.needs import Choice, Need, Service, replicas_for
from penstock.planner.allocation.packing import Stock

__all__ = ["allocate", "in_turn"]

_NOTHING_LEFT = 1e-9


def allocate(needs: tuple[Need, ...], stock: Stock) -> dict[str, Service]:
    """Serve the needs by priority; uses up the stock."""
    services = {}
    for need in sorted(needs, key=in_turn):
        service = _serve(need, stock)
        for choice in need.choices:
            if choice.index in service.replicas:
                stock.take(need.demand.name, choice.option, service.replicas[choice.index])
        services[need.demand.name] = service
    return services


def in_turn(need: Need) -> tuple[object, ...]:
    """Greater priority first; of equals the larger replicas, which find room hardest."""
    largest = min((choice.option.gpus for choice in need.choices), default=0)
    return -need.demand.priority, -largest, need.demand.name


def _serve(need: Need, stock: Stock) -> Service:
    limits = {each.index: min(each.most, stock.fits(need.demand.name, each.option)) for each in need.choices}
    whole = [each for each in need.choices if each.whole and each.whole <= limits[each.index]]
    alone = [_alone(need, min(whole, key=_least(need)))] if whole else []
    if need.demand.one_option:
        return min(
            alone or [_partly(need, each, limits) for each in need.choices], key=_better(need), default=Service()
        )
    mixed = _mixed(need, limits, stock) if need.buckets else _counted(need, limits, stock)
    return min([*alone, mixed], key=_better(need))


@dataclass(frozen=True, slots=True)
class _better:  # noqa: N801 - used as a function
    """Less shed, then more preferred, then cheaper."""

    need: Need

    def __call__(self, service: Service) -> tuple[float, float, int]:
        shed, disfavour = service.shed(self.need), service.disfavour(self.need)
        return round(shed, 6), round(disfavour, 6), service.value(self.need)


@dataclass(frozen=True, slots=True)
class _least:  # noqa: N801 - used as a function
    """The same of choices that serve everything alone."""

    need: Need

    def __call__(self, choice: Choice) -> tuple[float, float]:
        replicas, churn = choice.whole or 0, self.need.demand.churn
        disfavour = choice.rank * (bool(self.need.buckets) + self.need.replica_weight * replicas)
        return round(disfavour, 6), choice.price * replicas + churn * (abs(replicas - choice.running) - choice.running)


def _alone(need: Need, choice: Choice) -> Service:
    """Everything by one choice."""
    shares = {choice.index: (1.0,) * len(need.buckets)} if need.buckets else {}
    return Service({choice.index: choice.whole or 0}, shares)


def _partly(need: Need, choice: Choice, limits: dict[int, int]) -> Service:
    """As much as one choice has room for."""
    replicas = limits[choice.index]
    if not need.buckets or replicas <= 0:
        return Service({choice.index: replicas} if replicas else {})
    left = [1.0] * len(need.buckets)
    taken = _fill(need, choice, left, replicas)
    return Service({choice.index: replicas}, {choice.index: taken})


def _marginal(need: Need, choice: Choice) -> int:
    """The price of one more replica: one that runs already saves its going, one that does not costs its coming."""
    return choice.price - need.demand.churn if choice.running else choice.price + need.demand.churn


def _counted(need: Need, limits: dict[int, int], stock: Stock) -> Service:
    """Replicas that are asked for by number: the cheapest first, those that run before those that would come."""
    replicas: dict[int, int] = {}
    missing = need.wanted
    for choice, bound in _steps(need, limits):
        taken = min(missing, bound, _affordable(need, choice, replicas, stock, limits))
        if taken > 0:
            replicas[choice.index] = replicas.get(choice.index, 0) + taken
            missing -= taken
    return Service(replicas)


def _steps(need: Need, limits: dict[int, int]) -> Iterator[tuple[Choice, int]]:
    """Choices by rank and price of the next replica, with the number of replicas that have that price."""
    steps = []
    for choice in need.choices:
        kept = min(choice.running, limits[choice.index])
        steps.append((choice.rank, choice.price - need.demand.churn, choice.index, choice, kept))
        rest = limits[choice.index] - kept
        steps.append((choice.rank, choice.price + need.demand.churn, choice.index, choice, rest))
    yield from ((choice, bound) for *_, choice, bound in sorted(steps, key=lambda step: step[:3]))


def _affordable(need: Need, choice: Choice, replicas: dict[int, int], stock: Stock, limits: dict[int, int]) -> int:
    """Replicas of the choice that fit beside what the need already has."""
    name = need.demand.name
    chosen = [(need.demand.options[index], count) for index, count in replicas.items()]
    for option, count in chosen:
        stock.take(name, option, count)
    more = min(limits[choice.index] - replicas.get(choice.index, 0), stock.fits(name, choice.option))
    for option, count in chosen:
        stock.take(name, option, -count)
    return max(0, more)


def _mixed(need: Need, limits: dict[int, int], stock: Stock) -> Service:
    """Buckets over several choices, the one that serves most for its price first; then the replicas still missing."""
    left = [1.0] * len(need.buckets)
    replicas: dict[int, int] = {}
    shares: dict[int, tuple[float, ...]] = {}
    room = math.inf if need.most is None else need.most
    for choice in sorted(need.choices, key=lambda each: (each.rank, _price_of_service(need, each), each.index)):
        load = sum(
            share * load for share, load in zip(left, choice.loads, strict=True) if share > 0 and load < math.inf
        )
        wanted = min(room, replicas_for(load))
        count = int(min(wanted, _affordable(need, choice, replicas, stock, limits))) if wanted > 0 else 0
        if count <= 0:
            continue
        replicas[choice.index] = count
        shares[choice.index] = _fill(need, choice, left, count)
        room -= count
    return _topped_up(need, replicas, shares, limits, stock)


def _price_of_service(need: Need, choice: Choice) -> float:
    """The price of a unit of the need's rate, averaged over the buckets that the choice can serve."""
    served = [(weight, load) for weight, load in zip(need.weights, choice.loads, strict=True) if load < math.inf]
    total = sum(weight for weight, _ in served)
    return _marginal(need, choice) * sum(load for _, load in served) / total if total else math.inf


def _fill(need: Need, choice: Choice, left: list[float], replicas: int) -> tuple[float, ...]:
    """Serve what is left of the buckets with so many replicas; writes `left`."""
    capacity, taken = float(replicas), [0.0] * len(left)
    for bucket, load in enumerate(choice.loads):
        if load == math.inf or left[bucket] <= _NOTHING_LEFT:
            continue
        share = min(left[bucket], capacity / load)
        if need.demand.slices:
            share = math.floor(share * need.demand.slices + 1e-6) / need.demand.slices
        taken[bucket] = share
        left[bucket] -= share
        capacity = max(0.0, capacity - share * load)
    return tuple(taken)


def _topped_up(
    need: Need,
    replicas: dict[int, int],
    shares: dict[int, tuple[float, ...]],
    limits: dict[int, int],
    stock: Stock,
) -> Service:
    missing = need.wanted - sum(replicas.values())
    if missing <= 0:
        return Service(replicas, shares)
    for choice in sorted(need.choices, key=lambda each: (each.rank, _marginal(need, each), each.index)):
        more = min(missing, _affordable(need, choice, replicas, stock, limits))
        if more > 0:
            replicas[choice.index] = replicas.get(choice.index, 0) + more
            shares.setdefault(choice.index, (0.0,) * len(need.buckets))
            missing -= more
    return Service(replicas, shares)
