"""What a plan takes of each pool, and what it costs; money of different currencies is never added up."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from penstock.api.quantities import Money
from penstock.planner.changes import Footprint, footprint_of
from penstock.planner.exchange import Rates
from penstock.planner.explain import counted
from penstock.planner.fleet import DeploymentKey, FleetSnapshot
from penstock.planner.plan import Decision
from penstock.planner.prices import price_of

__all__ = [
    "PoolTotal",
    "by_currency",
    "difference_in_words",
    "differences",
    "gpus_without_price",
    "in_base",
    "money_in_words",
    "pool_totals",
]


@dataclass(frozen=True, slots=True)
class PoolTotal:
    """One pool: GPUs there are, GPUs that others hold, GPUs that the plan takes, and what each costs for an hour."""

    pool: str
    accelerator: str
    nodes: int
    gpus: int
    held: int
    planned: int
    price_per_gpu_hour: Money | None

    @property
    def price_per_hour(self) -> Money | None:
        """What the planned GPUs cost for an hour."""
        return self.price_per_gpu_hour * self.planned if self.price_per_gpu_hour else None


def pool_totals(fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]) -> tuple[PoolTotal, ...]:
    """Every pool, by name."""
    footprints = [each for each in map(footprint_of, decisions.values()) if each]
    totals = []
    for pool in sorted(fleet.pools, key=lambda pool: pool.name):
        planned = sum(each.gpus for each in footprints if each.pool == pool.name)
        totals.append(
            PoolTotal(
                pool=pool.name,
                accelerator=pool.accelerator.name if pool.accelerator else "",
                nodes=len(pool.nodes),
                gpus=sum(node.gpus for node in pool.nodes),
                held=sum(node.used for node in pool.nodes),
                planned=planned,
                price_per_gpu_hour=price_of(pool.spec),
            )
        )
    return tuple(totals)


def by_currency(amounts: Iterable[Money | None]) -> tuple[Money, ...]:
    """The sum in each currency, by currency."""
    sums: dict[str, int] = {}
    for amount in amounts:
        if amount is not None:
            sums[amount.currency] = sums.get(amount.currency, 0) + amount.micro
    return tuple(Money(currency, micro) for currency, micro in sorted(sums.items()))


def in_base(amounts: Iterable[Money], rates: Rates) -> tuple[Money, ...]:
    """The same in the base currency, as far as there are rates; a currency without one stands for itself."""
    converted = ((each, rates.convert(each, rates.base) if rates.base else None) for each in amounts)
    return by_currency(each if micro is None else Money(rates.base, micro) for each, micro in converted)


def differences(before: Iterable[Money], after: Iterable[Money]) -> tuple[Money, ...]:
    """After less before, in each currency; negative where it saves."""
    return by_currency((*after, *(Money(each.currency, -each.micro) for each in before)))


def gpus_without_price(footprints: Iterable[Footprint | None]) -> int:
    """GPUs of which nobody states what they cost: a sum of money leaves them out."""
    return sum(each.gpus for each in footprints if each and each.price_per_hour is None)


def money_in_words(amounts: Collection[Money], unpriced_gpus: int = 0) -> str:
    """`5.90 USD + 2.00 EUR per hour, and 2 GPUs without a price`; empty where nothing is taken."""
    if not amounts:
        return "no price known" if unpriced_gpus else ""
    sum_of_all = f"{' + '.join(map(str, amounts))} per hour"
    return f"{sum_of_all}, and {_unpriced(unpriced_gpus)}" if unpriced_gpus else sum_of_all


def difference_in_words(amounts: Iterable[Money], unpriced_gpus: int = 0) -> str:
    """`+5.90 USD -2.00 EUR, +2 GPUs without a price`, of differences; `no change` where there is none."""
    signed = " ".join(f"{'+' if each.micro > 0 else ''}{each}" for each in amounts if each.micro)
    gpus = f"{'+' if unpriced_gpus > 0 else '-'}{_unpriced(abs(unpriced_gpus))}" if unpriced_gpus else ""
    return ", ".join(part for part in (signed, gpus) if part) or "no change"


def _unpriced(gpus: int) -> str:
    return f"{counted(gpus, 'GPU')} without a price"
