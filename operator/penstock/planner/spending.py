"""The most that the fleet, or some namespaces of it, may cost for an hour: counted while a pass places replicas."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from penstock.api.quantities import Money
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.plan import Plan

__all__ = ["Purse", "SpendingLimit"]

_MORE_THAN_ANYBODY_WANTS = 1_000_000


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """`most_per_hour` for all replicas of these namespaces together; no namespace named: of the whole fleet."""

    name: str
    most_per_hour: Money
    namespaces: frozenset[str] = frozenset()

    def covers(self, namespace: str) -> bool:
        """True where what the namespace runs counts against it."""
        return not self.namespaces or namespace in self.namespaces


@dataclass(slots=True)
class Purse:
    """What the limits still leave, in micro-units of each limit's own currency."""

    limits: tuple[SpendingLimit, ...] = ()
    rates: Rates = NO_RATES
    left: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: Iterable[SpendingLimit], rates: Rates) -> "Purse":
        """Nothing is spent yet."""
        known = tuple(sorted(limits, key=lambda limit: limit.name))
        return cls(known, rates, {limit.name: limit.most_per_hour.micro for limit in known})

    def copy(self) -> "Purse":
        """One that is spent apart from this."""
        return Purse(self.limits, self.rates, dict(self.left))

    def allows(self, namespace: str, plan: Plan) -> int | None:
        """How many more replicas all limits allow; None where none covers the namespace."""
        allowed = [max(0, self._replicas(limit, plan)) for limit in self.limits if limit.covers(namespace)]
        return min(allowed, default=None)

    def spend(self, namespace: str, plan: Plan, replicas: int) -> None:
        """Count so many replicas; a negative number gives them back."""
        self.spend_at(namespace, plan.price_per_replica_hour, replicas)

    def forgive(self) -> None:
        """Count what is spent already as allowed."""
        self.left = {name: max(0, left) for name, left in self.left.items()}

    def binding(self, namespace: str, plan: Plan) -> SpendingLimit | None:
        """The limit that allows no further replica of the plan; None where all do."""
        covering = (limit for limit in self.limits if limit.covers(namespace))
        return next((limit for limit in covering if self._replicas(limit, plan) <= 0), None)

    def why(self, limit: SpendingLimit, plan: Plan) -> str:
        """The limit against the plan's price, in words, with what would work."""
        price, most = plan.price_per_replica_hour, limit.most_per_hour
        if price is None:
            return (
                f"limit '{limit.name}' counts money and the pool states no price; would work: `spec.price` on the pool"
            )
        if self._price(limit, plan) is None:
            return (
                f"limit '{limit.name}' is in {most.currency}, the price in {price.currency}, and no exchange rate is"
                f" given; would work: a rate for {price.currency}"
            )
        left = Money(most.currency, max(0, self.left[limit.name]))
        return (
            f"limit '{limit.name}' of {most}/h leaves {left}/h, a replica costs {price}/h; would work: a higher limit,"
            " or something dearer given up"
        )

    def remaining(self) -> Iterator[tuple[SpendingLimit, Money]]:
        """Each limit, and what it leaves (never less than nothing)."""
        for limit in self.limits:
            yield limit, Money(limit.most_per_hour.currency, max(0, self.left[limit.name]))

    def spend_at(self, namespace: str, price: Money | None, count: int) -> None:
        """Count something so often, at a price for each."""
        for limit in self.limits:
            each = self._in(limit, price)
            if each is not None and limit.covers(namespace):
                self.left[limit.name] -= each * count

    def _replicas(self, limit: SpendingLimit, plan: Plan) -> int:
        price = self._price(limit, plan)
        if price is None:
            return 0
        return self.left[limit.name] // price if price else _MORE_THAN_ANYBODY_WANTS

    def _price(self, limit: SpendingLimit, plan: Plan) -> int | None:
        return self._in(limit, plan.price_per_replica_hour)

    def _in(self, limit: SpendingLimit, price: Money | None) -> int | None:
        return None if price is None else self.rates.convert(price, limit.most_per_hour.currency)
