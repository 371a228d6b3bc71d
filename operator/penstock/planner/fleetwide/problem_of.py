"""From asks and rooms to the allocation problem, and back from the solver's indices to ways.

Options of one problem are compared in one currency. Without an exchange rate a price of another currency is not
compared: its options come after those that are, in the order in which the candidates stand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.api.quantities import Money
from penstock.planner.allocation.problem import Budget, Demand, Option, Problem, Supply
from penstock.planner.exchange import Rates
from penstock.planner.fleetwide.asks import Ask, Room, precedence
from penstock.planner.fleetwide.costs import growth_penalty, move_cost
from penstock.planner.offers import CAPACITY_ORDER, with_interruptions
from penstock.planner.plan import Plan
from penstock.planner.spending import Purse

__all__ = ["Statement", "Way", "state"]

_GROWTH = " (growth)"
_STRICTLY_BY_AGE = 32
"""So many asks are decided strictly by age within a priority; of more, as many as possible are served."""


@dataclass(frozen=True, slots=True)
class Way:
    """What an option stands for: a plan in nodes that are there, or in nodes that its pool is to get.

    `replicas` of it carry the whole load.
    """

    plan: Plan
    grows: bool = False
    replicas: int = field(default=1, compare=False)

    @property
    def supply(self) -> str:
        """The supply's name in the problem."""
        return self.plan.pool + _GROWTH if self.grows else self.plan.pool


@dataclass(frozen=True, slots=True)
class Statement:
    """The problem, and by demand's name the demand, the ask, and the way behind each option.

    `currency` is what costs are in; `uncompared` are the currencies that no rate leads from.
    """

    problem: Problem
    demands: Mapping[str, Demand]
    asks: Mapping[str, Ask]
    ways: Mapping[str, tuple[Way, ...]]
    currency: str
    uncompared: frozenset[str]

    def compares(self, plan: Plan) -> bool:
        """True where the plan's price is in the problem's currency, or a rate leads to it."""
        price = plan.price_per_replica_hour
        return price is not None and price.currency not in self.uncompared


def state(asks: Iterable[Ask], rooms: Mapping[str, Room], purse: Purse) -> Statement:
    """The problem of all these asks at once; who has no way at all is no demand of it."""
    ordered = sorted((ask for ask in asks if ask.replicas > 0), key=precedence)
    prices = _prices(ordered)
    pricing = _Pricing(purse.rates.common(prices), purse.rates)
    # The name sorts as the precedence does, whatever order a solver sorts by.
    named = {f"{number:06d} {ask.name}": ask for number, ask in enumerate(ordered)}
    ways = {name: tuple(_ways(ask, rooms, purse)) for name, ask in named.items()}
    levels = _levels(ordered)
    demands = tuple(
        _demand(name, ask, _options(ask, ways[name], rooms, pricing), ways[name], levels[ask.key])
        for name, ask in named.items()
        if ways[name]
    )
    return Statement(
        problem=Problem(demands, _supplies(demands, ways, rooms), _budgets(demands, named, purse, pricing)),
        demands={demand.name: demand for demand in demands},
        asks={demand.name: named[demand.name] for demand in demands},
        ways={demand.name: ways[demand.name] for demand in demands},
        currency=pricing.currency,
        uncompared=frozenset(price.currency for price in prices if not pricing.compares(price.currency)),
    )


def _prices(asks: Iterable[Ask]) -> tuple[Money, ...]:
    """One of each pool that each may go to, so that a pool with many candidates counts once."""
    found = {(ask.key, each.plan.pool): each.plan.price_per_replica_hour for ask in asks for each in ask.candidates}
    return tuple(price for price in found.values() if price is not None)


@dataclass(frozen=True, slots=True)
class _Pricing:
    """Prices in the problem's currency."""

    currency: str
    rates: Rates

    def compares(self, currency: str) -> bool:
        return self.rates.factor(currency, self.currency) is not None

    def price(self, plan: Plan) -> int | None:
        """Micro-units for a replica and hour; None where there is no price that can be compared."""
        price = plan.price_per_replica_hour
        return None if price is None else self.rates.convert(price, self.currency)


def _levels(ordered: Sequence[Ask]) -> dict[tuple[str, str], int]:
    """The solver's priorities: what serves goes before what waits with the same priority, the older before the younger.

    Nobody who serves gives way to an equal. With many asks age decides only between equal answers: each level is a
    solve of its own.
    """
    ranked = sorted(ordered, key=lambda ask: (-ask.priority, ask.running is None, *precedence(ask)[1:]))
    if len(ranked) <= _STRICTLY_BY_AGE:
        return {ask.key: len(ranked) - position for position, ask in enumerate(ranked)}
    return {ask.key: 2 * ask.priority + (ask.running is not None) for ask in ranked}


def _ways(ask: Ask, rooms: Mapping[str, Room], purse: Purse) -> Iterator[Way]:
    fewest: dict[str, int] = {}
    for candidate in ask.candidates:
        plan = candidate.plan
        room = rooms.get(plan.pool)
        # Where this one has room, one of the same pool that is liked better and no larger has it, too.
        larger = plan.gpus >= fewest.get(plan.pool, plan.gpus + 1) and plan != ask.running
        if room is None or larger or purse.binding(ask.key[0], plan) is not None:
            continue
        fewest[plan.pool] = plan.gpus
        if room.holds(plan.gpus):
            yield Way(plan, replicas=candidate.replicas)
        if candidate.can_grow and room.more_nodes:
            yield Way(plan, grows=True, replicas=candidate.replicas)


def _options(ask: Ask, ways: Sequence[Way], rooms: Mapping[str, Room], pricing: _Pricing) -> tuple[Option, ...]:
    worth = _worth(ask, ways, rooms, pricing)
    costs = [pricing.price(way.plan) for way in ways]
    # What is compared may be less than the price where the load takes fewer replicas: no penalty is below 0.
    least = min((each - (cost or 0) for each, cost in zip(worth, costs, strict=True)), default=0)
    ranks = [_rank(ask, way, compared=cost is not None) for way, cost in zip(ways, costs, strict=True)]
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
    return tuple(
        Option(
            pool=way.supply,
            gpus=way.plan.gpus,
            cost=cost or 0,
            rank=places[rank],
            penalty=each - (cost or 0) - min(0, least),
        )
        for way, rank, each, cost in zip(ways, ranks, worth, costs, strict=True)
    )


def _worth(ask: Ask, ways: Sequence[Way], rooms: Mapping[str, Room], pricing: _Pricing) -> list[int]:
    """What a replica of each way counts as, in micro-units per hour: its share of what the load costs in all.

    Within a pool a candidate is never taken for money before one that is liked better, only for room: it counts as a
    little more than that.
    """
    least: dict[str, int] = {}
    found = []
    for way in ways:
        price, capacity = pricing.price(way.plan), rooms[way.plan.pool].capacity_type
        cost = 0 if price is None else with_interruptions(price * way.replicas // ask.replicas, capacity)
        counts = max(cost, least.get(way.supply, 0))
        least[way.supply] = counts + max(1, counts // 100)
        found.append(
            counts + CAPACITY_ORDER.index(capacity) + (growth_penalty(way.plan, price or 0) if way.grows else 0)
        )
    return found


def _rank(ask: Ask, way: Way, *, compared: bool) -> int:
    """The user's order first. Else what is there goes before what has to grow, what has a price before what has none.

    A preferred pool that can grow is waited for while the patience lasts.
    """
    last = 2 * len(ask.pools) + 2
    if way.grows and ask.running is None and not (ask.pools and ask.patient):
        return last + (not compared)
    return 2 * ask.pools.index(way.plan.pool) if way.plan.pool in ask.pools else int(not compared)


def _demand(name: str, ask: Ask, options: tuple[Option, ...], ways: Sequence[Way], level: int) -> Demand:
    here = next((index for index, way in enumerate(ways) if way.plan == ask.running and not way.grows), None)
    moving = 0 if here is None else move_cost(ways[here].plan, options[here].cost)
    return Demand(
        name=name,
        options=options,
        replicas=ask.replicas,
        one_option=True,
        priority=level,
        running={} if here is None else {here: ask.standing},
        # A move ends one replica and starts another, and the cold start is paid once.
        churn=-(-moving // 2),
    )


def _supplies(
    demands: Iterable[Demand], ways: Mapping[str, Sequence[Way]], rooms: Mapping[str, Room]
) -> tuple[Supply, ...]:
    wanted: dict[str, int] = {}
    used: dict[str, Way] = {}
    for demand in demands:
        for way in ways[demand.name]:
            used[way.supply] = way
            wanted[way.supply] = wanted.get(way.supply, 0) + (demand.replicas or 0)
    return tuple(_supply(used[name], rooms[used[name].plan.pool], wanted[name]) for name in sorted(used))


def _supply(way: Way, room: Room, replicas: int) -> Supply:
    """No more new nodes than there are replicas that could want one."""
    free = (room.node_gpus,) * min(room.more_nodes, replicas) if way.grows else room.free
    return Supply(pool=way.supply, free=free, node_gpus=max((room.node_gpus, *free)))


def _budgets(demands: Iterable[Demand], asks: Mapping[str, Ask], purse: Purse, pricing: _Pricing) -> tuple[Budget, ...]:
    """Limits in a currency that cannot be compared stay with the ledger, which counts in the limit's own."""
    names = [demand.name for demand in demands]
    budgets = []
    for limit, left in purse.remaining():
        most = purse.rates.convert(left, pricing.currency)
        covered = frozenset(name for name in names if limit.covers(asks[name].key[0]))
        if most is not None and covered:
            budgets.append(Budget(limit.name, max(0, most), covered))
    return tuple(budgets)
