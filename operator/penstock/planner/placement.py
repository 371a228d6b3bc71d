"""The one writer of placements: every deployment's plan and nodes, from one frozen snapshot of the fleet.

Pure: the same snapshot and time give the same decisions, whatever the order of its parts. What serves is repaired
first, oldest deployment first; then those that need a new place choose, oldest first.
"""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from penstock.planner.capacity import Ledger
from penstock.planner.choosing import Desk, Leaving, choose
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Tenant
from penstock.planner.footing import Footing, repair, stand
from penstock.planner.offers import market_of
from penstock.planner.plan import Assignment, Decision
from penstock.planner.staying import Recollection, leaving, stay

__all__ = ["place"]

_recollection = Recollection()


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A deployment that needs a new place, with what it still has."""

    tenant: Tenant
    footing: Footing | None = None
    leaving: Leaving | None = None


def place(fleet: FleetSnapshot, now: datetime) -> dict[DeploymentKey, Decision]:
    """Decide for every tenant; no node is ever promised more GPUs than it has free."""
    tenants = tuple(sorted(fleet.tenants, key=attrgetter("created", "key")))
    desk = Desk(ledger=Ledger.of(fleet), market=market_of(fleet.pools), tenants=tenants, now=now)
    decisions: dict[DeploymentKey, Decision] = {}
    unsettled: list[_Unsettled] = []
    # All promises stand before anything is repaired or chosen, so that nobody takes what another was promised.
    footings: list[tuple[Tenant, Footing]] = []
    for tenant in tenants:
        if tenant.current is not None:
            known = _recollection.recall(tenant, desk.market, desk.ledger)
            if known is not None:
                decisions[tenant.key] = known
            else:
                footings.append((tenant, stand(tenant, tenant.current, desk.ledger)))
    for tenant, footing in footings:
        if tenant.outdated or tenant.current is None:
            unsettled.append(_Unsettled(tenant, footing))
        else:
            decisions[tenant.key], left = _stay(desk, tenant, tenant.current, footing)
            unsettled.extend([left] if left else [])
    unsettled.extend(_Unsettled(tenant) for tenant in tenants if tenant.current is None)
    for each in sorted(unsettled, key=lambda each: (each.tenant.created, each.tenant.key)):
        chosen = _choose(desk, each)
        if chosen is not None:
            decisions[each.tenant.key] = chosen
    _recollection.forget_all_but(tenants)
    return decisions


def _stay(desk: Desk, tenant: Tenant, current: Assignment, footing: Footing) -> tuple[Decision, _Unsettled | None]:
    """The decision to stay, and what to do besides where it would rather leave."""
    repaired = repair(tenant, current.plan, footing, desk.ledger)
    decision = stay(desk, tenant, current, repaired)
    left = leaving(desk, tenant, current.plan, repaired)
    if left is not None:
        return decision, _Unsettled(tenant, repaired, left)
    if footing.settled:
        _recollection.keep(tenant, desk.market, decision)
    return decision, None


def _choose(desk: Desk, unsettled: _Unsettled) -> Decision | None:
    """Choose anew: what it was promised is free meanwhile, and promised again where it stays."""
    tenant, footing = unsettled.tenant, unsettled.footing
    if footing is None or tenant.current is None:
        return choose(desk, tenant, unsettled.leaving)
    namespace, plan = tenant.key[0], tenant.current.plan
    desk.ledger.release(footing.holds)
    desk.ledger.spend_quota(namespace, plan, -footing.counted)
    chosen = choose(desk, tenant, unsettled.leaving)
    if chosen is None or chosen.assignment is None or chosen.assignment is tenant.current:
        desk.ledger.restore(footing.holds)
        desk.ledger.spend_quota(namespace, plan, footing.counted)
    return chosen
