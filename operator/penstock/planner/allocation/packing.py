"""Which counts of replicas fit a pool's nodes together, as a few linear inequalities; and a stock that is used up.

Write N for `node_gpus` and f for a node's free GPUs. Let every size below N divide the next greater one (1, 2, 4 on
nodes of 8: any chain will do). A replica of N GPUs or more takes k = ceil(size / N) nodes of which nothing is used.
Counts y of replicas by size fit exactly where

- the whole nodes that are taken, W = sum k*y, are at most the nodes with f = N, and
- for each size s below N: sum over sizes t from s to below N of y*t/s, plus W*floor(N/s), is at most the sum over
  nodes of floor(f/s).

Necessary: what stands on one node in sizes of s and more is a multiple of s, so at most floor(f/s) times s.
Sufficient: whole nodes go first; all have f = N, so it is the same whichever are taken, and each takes floor(N/s) from
the right-hand side. Then place sizes in falling order. When a replica of size s is placed, all that stand there are
multiples of s, so a node has floor(f/s) less what stands there in units of s left, and never less than none; by the
inequality for s these are one or more in sum, so some node has room.

Where the sizes are no such chain, they are rounded up to powers of two first (to the whole node above the greatest),
which refuses some fleets that would fit and never admits one that does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from penstock.planner.allocation.problem import Budget, Option, Problem, Supply

__all__ = ["Room", "Stock", "rooms", "rooms_of"]

_NO_BOUND = 10**9


@dataclass(frozen=True, slots=True)
class Room:
    """One inequality: the sum of `takes[size]` times the replicas of that size is at most `slots`."""

    takes: Mapping[int, int]
    slots: int


def rooms(supply: Supply, sizes: Iterable[int]) -> tuple[Room, ...]:
    """The inequalities of a pool for replicas of these sizes, in GPUs."""
    used = sorted(set(sizes))
    if supply.unpacked:
        return (Room({size: size for size in used}, sum(supply.free)),)
    free = [max(0, gpus) for gpus in supply.free]
    chained = _chained(used, supply.node_gpus)
    whole = {size: -(-size // supply.node_gpus) for size in used if chained[size] >= supply.node_gpus}
    found = [Room(whole, sum(gpus >= supply.node_gpus for gpus in free))] if whole else []
    for unit in sorted({chained[size] for size in used if size not in whole}):
        takes = {size: chained[size] // unit for size in used if size not in whole and chained[size] >= unit}
        takes |= {size: nodes * (supply.node_gpus // unit) for size, nodes in whole.items()}
        found.append(Room(takes, sum(gpus // unit for gpus in free)))
    return tuple(found)


def rooms_of(problem: Problem) -> dict[str, tuple[Room, ...]]:
    """The inequalities of every pool, for all sizes that any option has in it."""
    sizes: dict[str, set[int]] = {}
    for demand in problem.demands:
        for option in demand.options:
            sizes.setdefault(option.pool, set()).add(option.gpus)
    return {supply.pool: rooms(supply, sizes.get(supply.pool, ())) for supply in problem.supplies}


def _by_name(budget: Budget) -> str:
    return budget.name


def _chained(sizes: list[int], node_gpus: int) -> dict[int, int]:
    """The size that each is counted as."""
    small = [size for size in sizes if size < node_gpus]
    if all(greater % smaller == 0 for smaller, greater in pairwise(small)):
        return {size: size for size in sizes}
    return {size: 1 << (size - 1).bit_length() if size < node_gpus else size for size in sizes}


@dataclass(slots=True)
class _Left:
    """What is left of one inequality."""

    takes: Mapping[int, int]
    slots: int


@dataclass(slots=True)
class _Purse:
    """What is left of one budget."""

    name: str
    demands: frozenset[str]
    money: int


class Stock:
    """What is left of pools and budgets while replicas are placed one demand after another."""

    def __init__(self, rooms_of: Mapping[str, tuple[Room, ...]], budgets: Iterable[Budget]) -> None:
        """Stock of these pools, all others having room without end, and of these budgets."""
        self._pools = {
            pool: [_Left(room.takes, room.slots) for room in found] for pool, found in sorted(rooms_of.items())
        }
        self._purses = [_Purse(each.name, each.demands, each.limit) for each in sorted(budgets, key=_by_name)]

    def fits(self, demand: str, option: Option) -> int:
        """How many more replicas of the option the demand can have."""
        return min(self.room(option), self.money(demand, option))

    def room(self, option: Option) -> int:
        """How many more replicas of the option its pool has room for."""
        limit = _NO_BOUND
        for left in self._pools.get(option.pool, ()):
            if option.gpus in left.takes:
                limit = min(limit, max(0, left.slots) // left.takes[option.gpus])
        return limit

    def money(self, demand: str, option: Option) -> int:
        """How many more replicas of the option the demand's budgets pay."""
        if option.cost == 0 or not self._purses:
            return _NO_BOUND
        limits = [max(0, purse.money) // option.cost for purse in self._purses if demand in purse.demands]
        return min(limits, default=_NO_BOUND)

    def empty_budgets(self, demand: str, option: Option) -> tuple[str, ...]:
        """The demand's budgets that do not pay one more replica of the option."""
        return tuple(each.name for each in self._purses if demand in each.demands and each.money < option.cost)

    def take(self, demand: str, option: Option, replicas: int) -> None:
        """Use up room and money, below nothing if need be; see `overdrawn`."""
        for left in self._taken(option):
            left.slots -= replicas * left.takes[option.gpus]
        for purse in self._purses:
            if demand in purse.demands:
                purse.money -= replicas * option.cost

    def overdrawn(self) -> tuple[str, ...]:
        """The pools and budgets of which more was taken than there was."""
        pools = [f"pool {pool}" for pool, lefts in self._pools.items() if any(left.slots < 0 for left in lefts)]
        return (*pools, *(f"budget {purse.name}" for purse in self._purses if purse.money < 0))

    def _taken(self, option: Option) -> list[_Left]:
        return [left for left in self._pools.get(option.pool, ()) if option.gpus in left.takes]
