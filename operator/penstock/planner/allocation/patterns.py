"""The best ways to serve one need at given prices of room: patterns, and what none of them can undercut.

A pattern is a number of replicas of each choice that serves the whole need. Let v be what serving each bucket is worth
and V their sum. A choice's y replicas can serve buckets worth V(y) at most; what they cost beyond that is their waste.
Whatever the v, a pattern costs at least V and the wastes of what it uses, since what it serves is worth V. With v the
least price that any choice asks for a bucket, wastes are small and few patterns cost less than the best known one:
they are enumerated. Those of one or two choices are told apart exactly into those that serve and those that do not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice, permutations
from operator import le, mul, truediv

from penstock.planner.allocation.exchanges import Pattern, Tariff, cheaper, served_by, worth_of
from penstock.planner.allocation.formulation import formulate
from penstock.planner.allocation.highs import minimise
from penstock.planner.allocation.needs import Choice, Need, Service, replicas_for

__all__ = ["Found", "Pattern", "Pricer"]

_TOLERANCE = 1e-9
_MOST_STEPS = 4000
_FINEST_PART = 0.1
_FEW_STEPS = 60
_NUDGE = 0.02
# Instead of nothing, which times an infinite load is no number.
_NEARLY_NOTHING = 1e-12
_MOST_JUDGED = 12
_MOST_FOUND = 3
_MOST_ORDERS = 6
# Patterns that are dearer than the best by less are wanted, too: not every need gets its best.
_NEAR = 1.005
_REFUTING_STEPS = 12
# Patterns of so many choices are known to serve or not; of more, only found to serve.
_TOLD_APART = 2


@dataclass(frozen=True, slots=True)
class Found:
    """Patterns, a price that no pattern undercuts, the steps that it took, and whether there were too many of them."""

    patterns: tuple[Pattern, ...]
    bound: float
    steps: int
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """So many replicas of a choice: what they cost, and cost beyond what they can serve."""

    replicas: int
    cost: float
    waste: float


@dataclass(slots=True)
class _Search:
    """Patterns below `limit`, of the items by choice, that serve or of which nobody knows."""

    pricer: "Pricer"
    items: list[tuple[int, list[_Item]]]
    worth: float
    least_wastes: list[float]
    limit: float
    most: float
    most_steps: int
    steps: int = 0
    leaves: list[tuple[float, Pattern]] = field(default_factory=list)

    @property
    def given_up(self) -> bool:
        """True where the steps did not do."""
        return self.steps > self.most_steps

    def extend(self, position: int, cost: float, waste: float, chosen: Pattern, replicas: int) -> None:
        """Add choices from this position on."""
        if cost - waste >= self.worth * (1 - _TOLERANCE):
            pattern = tuple(sorted(chosen))
            # What is known not to serve may serve with more.
            if len(pattern) > _TOLD_APART or self.pricer.service(pattern) is not None:
                self.leaves.append((cost, pattern))
                if len(pattern) <= _TOLD_APART:
                    self.limit = min(self.limit, cost * _NEAR if cost > 0 else cost)
                return
        for index in range(position, len(self.items)):
            choice, items = self.items[index]
            rest = self.worth + waste + self.least_wastes[index + 1]
            for item in items:
                self.steps += 1
                if self.steps > self.most_steps or replicas + item.replicas > self.most:
                    break
                if rest + item.waste < self.limit:
                    more = (*chosen, (choice, item.replicas))
                    self.extend(index + 1, cost + item.cost, waste + item.waste, more, replicas + item.replicas)
                elif item.waste >= 0:
                    break


class Pricer:
    """One need, priced again and again."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self._running = tuple(choice.running for choice in need.choices)
        self._services: dict[Pattern, Service | None] = {}
        self._loads = tuple(choice.loads for choice in need.choices)
        self._by_bucket = tuple(tuple(loads) for loads in zip(*self._loads, strict=True))
        self._runners = tuple((position, choice) for position, choice in enumerate(need.choices) if choice.running)
        self._part, self._fresh = 0.0, True
        self._alone = tuple(((position, choice.whole),) for position, choice in enumerate(need.choices) if choice.whole)
        self._unbounded = tuple(choice.whole is not None for choice in need.choices)

    @property
    def alone(self) -> tuple[Pattern, ...]:
        """Every choice that serves the whole need by itself."""
        return self._alone

    def cost(self, prices: list[float], churn: float, pattern: Pattern) -> float:
        """What the pattern costs at these prices of replicas, beyond what everything that runs costs to go."""
        running, total = self._running, 0.0
        for position, count in pattern:
            total += prices[position] * count + churn * (abs(count - running[position]) - running[position])
        return total

    def find(self, prices: list[float], churn: float, known: list[Pattern], gap: float) -> Found:
        """The best patterns at these prices of replicas, to a relative gap; `known` ones serve, too."""
        ranked = min(((self.cost(prices, churn, each), each) for each in (*self._alone, *known)), default=None)
        best, limit = ([ranked[1]], ranked[0]) if ranked else ([], math.inf)
        self._part, root = self._best_part(prices, churn)
        slack = gap * abs(root)
        if limit - root <= slack:
            return Found(tuple(best), min(limit, root), 0)
        tariff = Tariff(self.need, prices, churn, self._worths(prices, churn, self._part), self._front(prices))
        search = self._search(tariff, root, limit - slack, _FEW_STEPS)
        if search.given_up:
            cost, pattern = self._exchanged(tariff, best)
            best, limit = ([pattern], cost) if cost < limit else (best, limit)
            if limit - root <= slack:
                return Found(tuple(best), min(limit, root), search.steps)
            search = self._search(tariff, root, limit - slack, _MOST_STEPS)
        limit -= slack
        bound = min(limit, search.worth + search.least_wastes[0]) if search.given_up else limit
        search.leaves.sort()
        serving, least = self._judged(search.leaves, prices, churn)
        return Found((*serving, *best), min(bound, least), search.steps, search.given_up)

    def _exchanged(self, tariff: Tariff, best: list[Pattern]) -> tuple[float, Pattern]:
        """The cheapest pattern that exchanges lead to."""
        starts = self._rounded(tariff.prices, tariff.churn) + best
        found = [cheaper(each, tariff, lambda pattern: self.service(pattern) is not None) for each in starts]
        return min(((self.cost(tariff.prices, tariff.churn, each), each) for each in found), default=(math.inf, ()))

    def _rounded(self, prices: list[float], churn: float) -> list[Pattern]:
        """Patterns from the relaxation: buckets go to whom asks least, replicas are rounded up, and thinned."""
        found = []
        for nudged in (self._part - _NUDGE, self._part + _NUDGE):
            asked = self._asked(prices, churn, nudged)
            loads: dict[int, float] = {}
            for bucket in range(len(self.need.buckets)):
                offers = ((asked[p] * each[bucket], p) for p, each in enumerate(self._loads) if each[bucket] < math.inf)
                position = min(offers)[1]
                loads[position] = loads.get(position, 0.0) + self._loads[position][bucket]
            counts = {p: min(replicas_for(load), self.need.choices[p].most) for p, load in loads.items()}
            for position, running in enumerate(self._running):
                if running and churn and any(load < math.inf for load in self._loads[position]):
                    counts[position] = max(counts.get(position, 0), min(running, self.need.choices[position].most))
            if self.service(_pattern(counts)) is not None:
                found.append(self._thinned(counts, prices, churn))
        return found

    def _thinned(self, counts: dict[int, int], prices: list[float], churn: float) -> Pattern:
        """Take replicas away, the dearest first, as long as the others serve."""
        pattern = _pattern(counts)
        cost = self.cost(prices, churn, pattern)
        for position in sorted(counts, key=lambda each: (-prices[each], each)):
            while counts[position]:
                fewer = _pattern({**counts, position: counts[position] - 1})
                if self.cost(prices, churn, fewer) >= cost or self.service(fewer) is None:
                    break
                counts[position] -= 1
                pattern, cost = fewer, self.cost(prices, churn, fewer)
        return pattern

    def solve(self, prices: list[float], churn: float, *, seconds: float, gap: float) -> tuple[Found, float]:
        """The same by HiGHS, for needs of many replicas; and the seconds that it took."""
        need, name = self.need, self.need.demand.name
        made = formulate((need,), frozenset([name]), {}, ())
        scale = churn / need.demand.churn if need.demand.churn else 1.0
        objective = {column: price * scale for column, price in made.price.items()}
        positions = {choice.index: position for position, choice in enumerate(need.choices)}
        for choice, column in made.columns(name):
            objective[column] = objective[column] + prices[positions[choice.index]] - choice.price * scale
        answer = minimise(made.model, objective, seconds=seconds, gap=gap)
        if answer.values is None:
            return Found((), -math.inf, 0, given_up=True), answer.seconds
        replicas = made.services(answer.values)[name].replicas
        pattern = tuple(sorted((positions[index], count) for index, count in replicas.items()))
        self._services[pattern] = made.services(answer.values)[name]
        return Found((pattern,), answer.bound, 0), answer.seconds

    def _judged(
        self, leaves: list[tuple[float, Pattern]], prices: list[float], churn: float
    ) -> tuple[list[Pattern], float]:
        """The patterns among the leaves that serve, and what no pattern among them and their like undercuts."""
        # What is known not to serve may serve with another replica.
        more = max(
            0.0, min((_cost(each, churn, r, 1) for each, r in zip(prices, self._running, strict=True)), default=0.0)
        )
        serving: list[Pattern] = []
        bound, settled = math.inf, False
        for number, (cost, pattern) in enumerate(leaves):
            if (settled and len(serving) >= _MOST_FOUND) or number >= _MOST_JUDGED:
                return serving, bound if settled else min(bound, cost)
            judged = self._judge(pattern)
            serving += [pattern] if judged else self._repaired(pattern) if judged is None else []
            if not settled:
                bound = min(bound, cost + more if judged is False else cost)
                settled = judged is not False
        return serving, bound

    def _repaired(self, pattern: Pattern) -> list[Pattern]:
        """The pattern with another replica of one of its choices, where that serves."""
        for place, (position, count) in enumerate(pattern):
            more = (*pattern[:place], (position, count + 1), *pattern[place + 1 :])
            if count < self.need.choices[position].most and self.service(more) is not None:
                return [more]
        return []

    def _search(self, tariff: Tariff, root: float, limit: float, most_steps: int) -> _Search:
        """Search what costs less than the limit, in so many steps."""
        items, least = self._wasted(tariff, root, limit)
        most = math.inf if self.need.most is None else self.need.most
        search = _Search(self, items, sum(tariff.worths), least, limit, most, most_steps)
        search.extend(0, 0.0, 0.0, (), 0)
        return search

    def _best_part(self, prices: list[float], churn: float) -> tuple[float, float]:
        """How much of their churn what runs should ask for, from what was best last time, and the bound that gives."""
        if not churn or not any(self._running):
            return 1.0, self._root(prices, churn, 1.0)
        tried = {self._part, *((-1.0, -0.5, 0.0, 0.5, 1.0) if self._fresh else ())}
        bounds = {part: self._root(prices, churn, part) for part in tried}
        best, step = max(bounds, key=lambda part: (bounds[part], part)), 0.25 if self._fresh else 0.12
        self._fresh = False
        while step > _FINEST_PART:
            for part in (max(-1.0, best - step), min(1.0, best + step)):
                if part not in bounds:
                    bounds[part] = self._root(prices, churn, part)
            best, step = max(bounds, key=lambda part: (bounds[part], part)), step / 2
        return best, bounds[best]

    def _root(self, prices: list[float], churn: float, part: float) -> float:
        """The bound before anything is tried: all that is worth, less what the choices that run may save."""
        worths = self._worths(prices, churn, part)
        total = sum(worths)
        for position, choice in self._runners:
            served, kinks, load = served_by(choice.loads, worths), {0, min(choice.running, choice.most)}, 0.0
            for _, _, each in served:
                load += each
                kinks |= {min(math.floor(load), choice.most), min(math.ceil(load), choice.most)}
            price = prices[position]
            total += min(_cost(price, churn, choice.running, y) - worth_of(served, y) for y in kinks)
        return total

    def _wasted(self, tariff: Tariff, root: float, limit: float) -> tuple[list[tuple[int, list[_Item]]], list[float]]:
        """The items by choice, and the least waste of each choice with those after it."""
        items, paying = [], set(tariff.front)
        slack, saved = limit - root, sum(tariff.worths) - root
        for position, choice in enumerate(self.need.choices):
            price, running = tariff.prices[position], choice.running
            most = choice.most if position in paying else min(running, choice.most)
            # A choice wastes least with the bucket that is worth most for its load.
            worth = max(map(truediv, tariff.worths, choice.loads), default=0.0)
            if not running and (not most or price + tariff.churn - worth >= slack):
                continue
            counted = _items(tariff, position, most, slack + saved if running else slack)
            if counted:
                items.append((min(item.waste for item in counted), position, counted))
        # What runs may have less than no waste, since its going would cost; it is decided on first.
        items.sort(key=lambda each: each[:2])
        least = [0.0]
        for waste, _, _ in reversed(items):
            least.append(least[-1] + min(0.0, waste))
        return [(position, counted) for _, position, counted in items], least[::-1]

    def _front(self, prices: list[float]) -> list[int]:
        """The choices of which another replica may pay: no other has its price or less and all its speed or more."""
        front: list[int] = []
        better: list[tuple[float, ...]] = []
        for position in sorted(range(len(prices)), key=prices.__getitem__):
            loads = self._loads[position]
            if not any(all(map(le, each, loads)) for each in better):
                front.append(position)
                if self._unbounded[position]:
                    better.append(loads)
        return front

    def _worths(self, prices: list[float], churn: float, part: float) -> list[float]:
        """By bucket, the least that any choice asks for it, where replicas that come cost churn.

        Those that run ask it too, or ask less by what their going would cost: in part, as any worths bound.
        """
        asked = self._asked(prices, churn, part)
        return [min(map(mul, asked, loads)) for loads in self._by_bucket]

    def _asked(self, prices: list[float], churn: float, part: float) -> list[float]:
        asked = [max(_NEARLY_NOTHING, price + churn) for price in prices]
        for position, _ in self._runners:
            asked[position] = max(_NEARLY_NOTHING, prices[position] + churn * part)
        return asked

    def _judge(self, pattern: Pattern) -> bool | None:
        """Whether the pattern serves the need; None where that is not known."""
        if self.service(pattern) is not None:
            return True
        return False if len(pattern) <= _TOLD_APART or self._refuted(pattern) else None

    def _refuted(self, pattern: Pattern) -> bool:
        """True where some prices of the choices' time make serving dearer than all the time that there is.

        For any prices p, serving bucket b costs at least the least of p times load over the choices, and the replicas'
        time is worth the sum of p times replicas. Prices rise where the cheapest choices would be overloaded.
        """
        chosen = [(self.need.choices[position].loads, count) for position, count in pattern]
        prices = [1.0 / min(loads) for loads, _ in chosen]
        for step in range(_REFUTING_STEPS):
            used, asked = [0.0] * len(chosen), 0.0
            for bucket in range(len(self.need.buckets)):
                price, place = min(
                    (price * loads[bucket], i) for i, (price, (loads, _)) in enumerate(zip(prices, chosen, strict=True))
                )
                used[place] += chosen[place][0][bucket]
                asked += price
            if asked > sum(price * count for price, (_, count) in zip(prices, chosen, strict=True)) * (1 + _TOLERANCE):
                return True
            rise = 0.5 / (1 + step)
            prices = [
                price * math.exp(rise * max(-1.0, min(1.0, load / count - 1)))
                for price, load, (_, count) in zip(prices, used, chosen, strict=True)
            ]
        return False

    def service(self, pattern: Pattern) -> Service | None:
        """The pattern with the shares that its replicas serve; None where none are found."""
        if pattern not in self._services:
            self._services[pattern] = self._service(pattern)
        return self._services[pattern]

    def _service(self, pattern: Pattern) -> Service | None:
        need = self.need
        if sum(count for _, count in pattern) < need.wanted:
            return None
        replicas = {need.choices[position].index: count for position, count in pattern}
        if not need.buckets:
            return Service(replicas)
        if len(need.buckets) == 1:
            return self._of_one_bucket(pattern, replicas)
        orders = permutations(pattern) if len(pattern) > _TOLD_APART else (pattern,)
        for order in islice(orders, _MOST_ORDERS):
            shares = self._shares(order)
            if shares is not None:
                return Service(replicas, shares)
        return None

    def _of_one_bucket(self, pattern: Pattern, replicas: dict[int, int]) -> Service | None:
        """Each serves as much of the one bucket as it can of what all can."""
        served = {self.need.choices[position].index: count / self._loads[position][0] for position, count in pattern}
        total = sum(served.values())
        if total < 1 - _TOLERANCE:
            return None
        return Service(replicas, {index: (share / total,) for index, share in served.items()})

    def _shares(self, pattern: Pattern) -> dict[int, tuple[float, ...]] | None:
        """What the choices serve one after another; None where that is not everything."""
        choices = self.need.choices
        left = [1.0] * len(self.need.buckets)
        shares = {}
        for place, (position, count) in enumerate(pattern):
            others = [choices[other] for other, _ in pattern[place + 1 :]]
            shares[choices[position].index] = _fill(choices[position], count, left, others)
        return shares if max(left) <= _TOLERANCE else None


def _items(tariff: Tariff, position: int, most: int, slack: float) -> list[_Item]:
    """Replicas of a choice as long as they waste less than what a pattern may."""
    items = []
    served, running, price = tariff.served(position), tariff.need.choices[position].running, tariff.prices[position]
    for replicas in range(1, most + 1):
        cost = _cost(price, tariff.churn, running, replicas)
        waste = cost - worth_of(served, replicas)
        if waste >= slack and replicas >= running:
            break
        items.append(_Item(replicas, cost, waste))
    return items


def _pattern(counts: Mapping[int, int]) -> Pattern:
    return tuple(sorted((position, count) for position, count in counts.items() if count))


def _cost(price: float, churn: float, running: int, replicas: int) -> float:
    """The price of the replicas, with the churn of those that come less that of those that need not go."""
    return price * replicas + churn * (abs(replicas - running) - running)


def _fill(choice: Choice, replicas: int, left: list[float], others: list[Choice]) -> tuple[float, ...]:
    """Serve first what the others are worst at in comparison: with two choices this is exact. Writes `left`."""

    def disadvantage(bucket: int) -> float:
        best = min((other.loads[bucket] for other in others), default=math.inf)
        return choice.loads[bucket] / best if best < math.inf else 0.0

    capacity, taken = float(replicas), [0.0] * len(left)
    for bucket in sorted(range(len(left)), key=disadvantage):
        load = choice.loads[bucket]
        if load == math.inf or left[bucket] <= 0:
            continue
        share = min(left[bucket], capacity * (1 + _TOLERANCE) / load)
        taken[bucket] = share
        left[bucket] = max(0.0, left[bucket] - share)
        capacity = max(0.0, capacity - share * load)
    return tuple(taken)
