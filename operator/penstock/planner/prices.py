"""What runs, at the price of today: nothing that is rendered depends on a price, so none is pinned with a plan."""

from collections.abc import Mapping
from dataclasses import replace

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.quantities import Money
from penstock.planner.fleet import FleetSnapshot, Tenant
from penstock.planner.plan import Assignment, Plan

__all__ = ["at_price_of", "at_todays_prices", "price_of"]


def at_todays_prices(fleet: FleetSnapshot) -> FleetSnapshot:
    """What runs costs what its pool costs now; in a pool that is gone, what it cost last.

    Tenants for which that changes nothing stay the same objects.
    """
    prices = {pool.name: price_of(pool.spec) for pool in fleet.pools}
    return replace(fleet, tenants=tuple(_tenant(each, prices) for each in fleet.tenants))


def price_of(pool: InferencePoolSpec) -> Money | None:
    """A GPU of the pool for an hour; None where nobody states it."""
    return pool.price.money if pool.price else None


def at_price_of(assignment: Assignment, pool: InferencePoolSpec) -> Assignment:
    """The assignment at what its pool costs now."""
    return _assignment(assignment, price_of(pool))


def _tenant(tenant: Tenant, prices: Mapping[str, Money | None]) -> Tenant:
    current = tenant.current
    if current is None or current.plan.pool not in prices:
        return tenant
    priced = _assignment(current, prices[current.plan.pool])
    return tenant if priced is current else replace(tenant, current=priced)


def _assignment(assignment: Assignment, price: Money | None) -> Assignment:
    plan = assignment.plan
    if _costs(plan, price):
        return assignment
    return replace(assignment, plan=replace(plan, price_per_replica_hour=price * plan.gpus if price else None))


def _costs(plan: Plan, price: Money | None) -> bool:
    """The common case, told without making any money: thousands of plans are looked at in each pass."""
    known = plan.price_per_replica_hour
    if known is None or price is None:
        return known is price
    return known.micro == price.micro * plan.gpus and known.currency == price.currency
