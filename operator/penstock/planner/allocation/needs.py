"""Demands as the solvers see them: options that can serve at all, what each bucket costs them, how many make sense."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Demand, Option, Problem

__all__ = ["Choice", "Need", "Service", "needs_of", "replicas_for"]

# A load that exceeds a whole number of replicas by less is that number: throughputs carry a reserve far above it.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a demand that can serve some of it.

    `index` is the option's in the demand, `rank` its preference among the demand's choices, dense from 0. `loads` are
    the replicas that each bucket with a rate would keep busy (infinite: it cannot serve the bucket). `whole` replicas
    serve everything (None: it cannot alone); more than `most` never serve more.
    """

    index: int
    option: Option
    rank: int
    loads: tuple[float, ...]
    whole: int | None
    most: int
    running: int

    @property
    def price(self) -> int:
        """What options are compared by: the hourly cost and the penalty of one replica, in micro-units."""
        return self.option.cost + self.option.penalty


@dataclass(frozen=True, slots=True)
class Need:
    """A demand with its usable choices, the most preferred first, and the share of its rate in each bucket.

    `replica_weight` is what a replica counts beside the shares of a rate when preferences are compared: a demand
    without rates has only replicas; with rates, replicas decide between equals alone.
    """

    demand: Demand
    choices: tuple[Choice, ...]
    buckets: tuple[int, ...]
    weights: tuple[float, ...]
    replica_weight: float

    @property
    def indifferent(self) -> bool:
        """True where no choice is preferred to another."""
        return not self.choices or self.choices[-1].rank == 0

    @property
    def wanted(self) -> int:
        """The replicas that are asked for, whatever they serve."""
        return self.demand.fewest_replicas if self.demand.replicas is None else self.demand.replicas

    @property
    def most(self) -> int | None:
        """The most replicas that it may have over all options."""
        return self.demand.most_replicas if self.demand.replicas is None else self.demand.replicas


@dataclass(frozen=True, slots=True)
class Service:
    """What a demand gets: replicas and shares of its buckets (those of the need) by index of the option."""

    replicas: Mapping[int, int] = field(default_factory=dict)
    shares: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    def shed(self, need: Need) -> float:
        """How much of the need it leaves: of its rate, and of the replicas that are asked for."""
        served = sum(
            weight * share
            for shares in self.shares.values()
            for weight, share in zip(need.weights, shares, strict=True)
        )
        unserved = 1.0 - served if need.buckets else 0.0
        missing = need.wanted - sum(self.replicas.values())
        return max(0.0, unserved) + (max(0, missing) / need.wanted if need.wanted else 0.0)

    def disfavour(self, need: Need) -> float:
        """How far it stays from what is preferred: 0 where all of it is served by the first rank."""
        if need.indifferent:
            return 0.0
        ranks = {choice.index: choice.rank for choice in need.choices}
        total = sum(ranks[index] * count * need.replica_weight for index, count in self.replicas.items())
        for index, shares in self.shares.items():
            total += ranks[index] * sum(weight * each for weight, each in zip(need.weights, shares, strict=True))
        return total

    def value(self, need: Need) -> int:
        """What is minimised: money, penalties and churn, in micro-units per hour."""
        demand = need.demand
        total = sum(
            (demand.options[index].cost + demand.options[index].penalty) * n for index, n in self.replicas.items()
        )
        if not demand.churn:
            return total
        moved = sum(abs(count - demand.running.get(index, 0)) for index, count in self.replicas.items())
        left = sum(count for index, count in demand.running.items() if index not in self.replicas)
        return total + demand.churn * (moved + left)


def replicas_for(load: float) -> int:
    """The whole replicas that a load keeps busy."""
    return math.ceil(load * (1 - _TOLERANCE))


def needs_of(problem: Problem) -> tuple[Need, ...]:
    """The demands in an order that does not depend on the problem's, each as it stands before anything is placed."""
    stock = Stock(rooms_of(problem), problem.budgets)
    return tuple(_need(demand, stock) for demand in sorted(problem.demands, key=lambda each: each.name))


def _need(demand: Demand, stock: Stock) -> Need:
    total = sum(demand.rates)
    wanted = demand.fewest_replicas if demand.replicas is None else demand.replicas
    buckets = tuple(index for index, rate in enumerate(demand.rates) if rate > 0)
    choices = [_choice(demand, index, buckets, stock) for index in range(len(demand.options))]
    usable = sorted((each for each in choices if each.most > 0), key=_order)
    ranks = {rank: position for position, rank in enumerate(sorted({each.rank for each in usable}))}
    return Need(
        demand,
        tuple(replace(each, rank=ranks[each.rank]) for each in usable)
        if len(ranks) > 1 or 0 not in ranks
        else tuple(usable),
        buckets,
        tuple(demand.rates[bucket] / total for bucket in buckets),
        1e-3 / max(1, sum(each.most for each in usable)) if buckets else 1 / max(1, wanted),
    )


def _order(choice: Choice) -> tuple[object, ...]:
    option = choice.option
    return choice.rank, choice.price, option.gpus, option.pool, option.cost, -choice.running, choice.loads, choice.index


def _choice(demand: Demand, index: int, buckets: tuple[int, ...], stock: Stock) -> Choice:
    option = demand.options[index]
    loads = tuple(_load(demand.rates[bucket], option.throughput[bucket]) for bucket in buckets)
    finite = [load for load in loads if load < math.inf]
    useful = max(replicas_for(sum(finite)), demand.fewest_replicas) if finite or not buckets else 0
    useful = useful if demand.replicas is None else demand.replicas
    bound = useful if demand.most_replicas is None else min(useful, demand.most_replicas)
    most = min(bound, stock.fits(demand.name, option))
    whole = useful if len(finite) == len(loads) and useful <= most else None
    return Choice(index, option, option.rank, loads, whole, most, demand.running.get(index, 0))


def _load(rate: float, throughput: float) -> float:
    return rate / throughput if throughput > 0 else math.inf
