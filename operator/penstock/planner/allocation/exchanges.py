"""A pattern made cheaper step by step: some replicas of one choice are given up for some of another.

What finds good patterns early makes the search for the best of them short.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

from penstock.planner.allocation.needs import Need

__all__ = ["Pattern", "Tariff", "cheaper", "served_by", "worth_of"]

_TOLERANCE = 1e-9
_WORTHWHILE = 1e-6
_MOST_EXCHANGES = 12
_MOST_CHECKED = 6
# So many replicas are given up for so many others.
_EXCHANGES = ((1, 1), (1, 2), (2, 1), (2, 3), (3, 2))
_MOST_GIVEN = 3

Pattern = tuple[tuple[int, int], ...]
"""Positions of choices of the need, with replicas of each; ascending."""


@dataclass(slots=True)
class Tariff:
    """What replicas cost and what they can serve at given prices.

    `worths` of the buckets are such that no choice serves one for less; `front` lists the choices of which another
    replica may pay.
    """

    need: Need
    prices: list[float]
    churn: float
    worths: list[float]
    front: list[int]
    _served: dict[int, list[tuple[float, float, float]]] = field(default_factory=dict)
    _worth: dict[tuple[int, int], float] = field(default_factory=dict)

    def step(self, position: int, count: int, more: int) -> float:
        """What `more` replicas (fewer where negative) beside `count` of a choice cost."""
        running = self.need.choices[position].running
        return self.prices[position] * more + self.churn * (abs(count + more - running) - abs(count - running))

    def served(self, position: int) -> list[tuple[float, float, float]]:
        """The buckets that the choice can serve, see `served_by`."""
        if position not in self._served:
            self._served[position] = served_by(self.need.choices[position].loads, self.worths)
        return self._served[position]

    def worth(self, position: int, count: int) -> float:
        """The most that so many replicas of the choice can serve."""
        if (position, count) not in self._worth:
            self._worth[position, count] = worth_of(self.served(position), count)
        return self._worth[position, count]


def served_by(loads: tuple[float, ...], worths: list[float]) -> list[tuple[float, float, float]]:
    """The buckets of finite load, what is worth most for its load first: worth and load at the end."""
    return sorted((-worth / load, worth, load) for worth, load in zip(worths, loads, strict=True) if load < math.inf)


def worth_of(served: list[tuple[float, float, float]], replicas: int) -> float:
    """The most that the replicas can serve: what is worth most for its load first."""
    left, total = float(replicas), 0.0
    for _, worth, load in served:
        if load >= left:
            return total + worth * left / load
        total += worth
        left -= load
    return total


def cheaper(pattern: Pattern, tariff: Tariff, serves: Callable[[Pattern], bool]) -> Pattern:
    """The pattern after the exchanges that save most, as long as any saves and what is left serves."""
    for _ in range(_MOST_EXCHANGES):
        found = _exchanged(pattern, tariff, serves)
        if found is None:
            break
        pattern = found
    return pattern


def _exchanged(pattern: Pattern, tariff: Tariff, serves: Callable[[Pattern], bool]) -> Pattern | None:
    counts = dict(pattern)
    for _, position, given, other, taken in sorted(_offers(counts, tariff))[:_MOST_CHECKED]:
        changed = {**counts, position: counts[position] - given}
        changed[other] = changed.get(other, 0) + taken
        found = tuple(sorted((each, count) for each, count in changed.items() if count))
        if serves(found):
            return found
    return None


def _offers(counts: dict[int, int], tariff: Tariff) -> Iterator[tuple[float, int, int, int, int]]:
    """Exchanges that save money and may serve: the change of the cost, and what is given for what."""
    least = _WORTHWHILE * sum(tariff.prices[position] * count for position, count in counts.items())
    # What the replicas can serve beyond what must be served.
    spare = sum(tariff.worth(*each) for each in counts.items()) - sum(tariff.worths) * (1 - _TOLERANCE)
    for position, count in counts.items():
        worth, given = tariff.worth(position, count), range(min(count, _MOST_GIVEN) + 1)
        saved = [-tariff.step(position, count, -each) for each in given]
        lost = [worth - tariff.worth(position, count - each) for each in given]
        if saved[1] > least and lost[1] <= spare:
            yield -saved[1], position, 1, position, 0
        for other, (fewer, more) in product(tariff.front, _EXCHANGES):
            have = counts.get(other, 0)
            if other == position or fewer > count or have + more > tariff.need.choices[other].most:
                continue
            saving = saved[fewer] - tariff.step(other, have, more)
            if saving > least and lost[fewer] - spare <= tariff.worth(other, have + more) - tariff.worth(other, have):
                yield -saving, position, fewer, other, more
