"""The problem cut into parts that do not compete: typical fleets fall apart into single demands.

A pool or budget that holds even if every demand took the most it could use of it binds nobody and joins nobody.
"""

from collections.abc import Iterable

from penstock.planner.allocation.exact import Part
from penstock.planner.allocation.needs import Choice, Need
from penstock.planner.allocation.packing import Room, rooms_of
from penstock.planner.allocation.problem import Budget, Problem

__all__ = ["parts_of"]


def parts_of(problem: Problem, needs: tuple[Need, ...]) -> tuple[Part, ...]:
    """The parts, smallest first, each with only the pools and budgets that may bind it."""
    users = _users(needs)
    rooms = {pool: tight for pool, each in rooms_of(problem).items() if (tight := _tight(each, users.get(pool, [])))}
    budgets = [budget for budget in problem.budgets if _may_run_out(budget, needs)]
    groups = _Groups(need.demand.name for need in needs)
    for pool in rooms:
        groups.join(need.demand.name for need, _ in users[pool])
    for budget in budgets:
        groups.join(sorted(budget.demands))
    members: dict[str, list[Need]] = {}
    for need in needs:
        members.setdefault(groups.head(need.demand.name), []).append(need)
    return tuple(
        _part(tuple(part), rooms, budgets)
        for _, part in sorted(members.items(), key=lambda each: (len(each[1]), each[0]))
    )


def _part(needs: tuple[Need, ...], rooms: dict[str, tuple[Room, ...]], budgets: list[Budget]) -> Part:
    pools = {choice.option.pool for need in needs for choice in need.choices}
    names = {need.demand.name for need in needs}
    return Part(
        needs,
        {pool: rooms[pool] for pool in sorted(pools & rooms.keys())},
        tuple(budget for budget in budgets if budget.demands & names),
    )


def _users(needs: tuple[Need, ...]) -> dict[str, list[tuple[Need, list[Choice]]]]:
    """By pool, the needs that have choices there, and those choices."""
    users: dict[str, list[tuple[Need, list[Choice]]]] = {}
    for need in needs:
        here: dict[str, list[Choice]] = {}
        for choice in need.choices:
            here.setdefault(choice.option.pool, []).append(choice)
        for pool, choices in here.items():
            users.setdefault(pool, []).append((need, choices))
    return users


def _tight(rooms: Iterable[Room], users: list[tuple[Need, list[Choice]]]) -> tuple[Room, ...]:
    """The pool's inequalities that may bind."""
    return tuple(room for room in rooms if sum(_most(need, choices, room) for need, choices in users) > room.slots)


def _most(need: Need, choices: list[Choice], room: Room) -> int:
    """The most slots that the need could use."""
    taken = [each.most * room.takes.get(each.option.gpus, 0) for each in choices]
    mixes = need.buckets and not need.demand.one_option
    return sum(taken) if mixes else max(taken)


def _may_run_out(budget: Budget, needs: tuple[Need, ...]) -> bool:
    most = 0
    for need in needs:
        if need.demand.name in budget.demands:
            most += sum(each.most * each.option.cost for each in need.choices)
    return most > budget.limit


class _Groups:
    """Names that belong together, joined step by step."""

    def __init__(self, names: Iterable[str]) -> None:
        self._above = {name: name for name in names}

    def head(self, name: str) -> str:
        """The name that stands for the group."""
        while self._above[name] != name:
            self._above[name] = self._above[self._above[name]]
            name = self._above[name]
        return name

    def join(self, names: Iterable[str]) -> None:
        """Make one group of all."""
        heads = sorted({self.head(name) for name in names})
        for head in heads[1:]:
            self._above[head] = heads[0]
