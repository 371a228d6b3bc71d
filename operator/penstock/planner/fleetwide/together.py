"""Deployments that compete for GPUs, decided together: a target for each, and to whom each leaves what it would like.

One deployment alone, or several that all get what they like best, need none of this: the caller says who does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.api.refusals import Refused
from penstock.planner.allocation.problem import Allocation, Problem
from penstock.planner.allocation.solve import solve
from penstock.planner.choosing import Target
from penstock.planner.fleet import DeploymentKey
from penstock.planner.fleetwide.asks import Ask, Room, linked
from penstock.planner.fleetwide.problem_of import Statement, Way, state
from penstock.planner.plan import Assignment
from penstock.planner.spending import Purse

__all__ = ["Joint", "decide_together", "in_dispute"]

_SECONDS = 2.0
_EXACT_UP_TO = 200
_MOST_TOGETHER = 400
"""A larger crowd that arrives at once chooses one after the other: a pass must not take long."""
_MOST_NAMED = 3


def in_dispute(asks: Sequence[Ask], unhappy: frozenset[DeploymentKey], rooms: Mapping[str, Room]) -> tuple[Ask, ...]:
    """Those among whom a joint choice may do better than one after the other.

    They share pools with somebody who does not get what it likes best, and one of them has two pools to choose from.
    """
    pools = {ask.key: _roomy(ask, rooms) for ask in asks}
    able = [ask for ask in asks if pools[ask.key]]
    found: list[Ask] = []
    for group in linked([pools[ask.key] for ask in able]):
        members = [able[index] for index in group]
        choice = any(len(pools[ask.key]) > 1 for ask in members)
        if 1 < len(members) <= _MOST_TOGETHER and choice and any(ask.key in unhappy for ask in members):
            found.extend(members)
    return tuple(found)


def _roomy(ask: Ask, rooms: Mapping[str, Room]) -> frozenset[str]:
    """Pools in which at least one of its replicas has room now, or could have."""
    return frozenset(
        each.plan.pool
        for each in ask.candidates
        if (room := rooms.get(each.plan.pool)) and (room.holds(each.plan.gpus) or (each.can_grow and room.more_nodes))
    )


@dataclass(frozen=True, slots=True)
class Joint:
    """Targets of those that get a place, and the statement by which any other choice is compared with theirs."""

    targets: Mapping[DeploymentKey, Target]
    statement: Statement

    def value(self, assigned: Mapping[DeploymentKey, Assignment]) -> tuple[int, int]:
        """How far such assignments stay from preferences, and what they cost with penalties, in micro-units per hour.

        Replicas that have no node yet count as growth.
        """
        distance = value = 0
        for demand in self.statement.problem.demands:
            ask = self.statement.asks[demand.name]
            assignment = assigned.get(ask.key)
            if assignment is None:
                continue
            way = Way(assignment.plan, grows=len(assignment.nodes) < ask.replicas)
            options = dict(zip(self.statement.ways[demand.name], demand.options, strict=True))
            option = options.get(way) or options.get(replace(way, grows=False))
            if option is not None:
                distance += option.rank
                value += (option.cost + option.penalty) * (ask.replicas if way.grows else len(assignment.nodes))
        return distance, value


def decide_together(asks: Iterable[Ask], rooms: Mapping[str, Room], purse: Purse) -> Joint:
    """A target for each that gets a place; who is not among them has none."""
    statement = state(asks, rooms, purse)
    try:
        allocation = _solved(statement.problem)
    except Refused:
        # Numbers that no solver takes, such as an absurd price: who asks chooses alone, and is told of them there.
        return Joint({}, statement)
    chosen = {name: each for name in statement.asks if (each := _chosen(statement, allocation, name))}
    takers = _takers(statement, chosen)
    targets = {
        statement.asks[name].key: Target(
            plan=choice.way.plan,
            replicas=choice.replicas,
            grows=choice.way.grows,
            yielded=_yielded(statement, rooms, name, choice.way, takers),
        )
        for name, choice in chosen.items()
    }
    return Joint(targets, statement)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The way that a demand was given, and how many of its replicas."""

    way: Way
    replicas: int


def _chosen(statement: Statement, allocation: Allocation, name: str) -> _Choice | None:
    for index, count in allocation.replicas.get(name, {}).items():
        if count > 0:
            return _Choice(statement.ways[name][index], count)
    return None


_last: list[tuple[Problem, Allocation]] = []


def _solved(problem: Problem) -> Allocation:
    """The last answer again for the same question: a pass over a fleet in which nothing moved solves nothing."""
    if not (_last and _last[0][0] == problem):
        gap = 0.0 if len(problem.demands) <= _EXACT_UP_TO else 0.01
        _last[:] = [(problem, solve(problem, time_limit_seconds=_SECONDS, gap=gap))]
    return _last[0][1]


def _takers(statement: Statement, chosen: Mapping[str, _Choice]) -> dict[str, str]:
    """By pool, who gets free GPUs there and why; who can go nowhere else comes first, because the reason is theirs."""
    by_pool: dict[str, list[tuple[bool, str]]] = {}
    for name, choice in chosen.items():
        pool = choice.way.plan.pool
        elsewhere = any(way.plan.pool != pool for way in statement.ways[name])
        if not choice.way.grows:
            by_pool.setdefault(pool, []).append((elsewhere, name))
    return {pool: _told(statement, sorted(takers)) for pool, takers in by_pool.items()}


def _told(statement: Statement, takers: Sequence[tuple[bool, str]]) -> str:
    why = {True: "which would cost the fleet no less elsewhere", False: "which fits nowhere else"}
    words = [f"{statement.asks[name].name}, {why[elsewhere]}" for elsewhere, name in takers[:_MOST_NAMED]]
    if len(takers) > _MOST_NAMED:
        words.append(f"{len(takers) - _MOST_NAMED} more")
    return "its free GPUs go to " + ", ".join(words)


def _yielded(
    statement: Statement, rooms: Mapping[str, Room], name: str, mine: Way, takers: Mapping[str, str]
) -> dict[str, str]:
    """By pool that is liked better and has room for all replicas as things stand: who gets its GPUs."""
    told: dict[str, str] = {}
    for way in statement.ways[name]:
        if way == mine:
            break
        pool = way.plan.pool
        roomy = not way.grows and rooms[pool].holds(way.plan.gpus) >= statement.asks[name].replicas
        if roomy and pool in takers and pool != mine.plan.pool:
            told[pool] = takers[pool]
    return told
