"""Deployments that have a place: they keep it, are repaired in their pool, or have waited long enough to leave it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.planner.candidates import enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.choosing import Desk, Leaving, no_room
from penstock.planner.explain import describe
from penstock.planner.fleet import DeploymentKey, Tenant
from penstock.planner.footing import Footing
from penstock.planner.losers import losers
from penstock.planner.offers import Market, Offer, admits, inside_borders
from penstock.planner.plan import Assignment, Decision, DecisionReason, Plan, Rejection, RejectionReason
from penstock.planner.requirements import requirements_of
from penstock.planner.unasked import UnaskedRejections

__all__ = ["Recollection", "expelled", "leaving", "stay"]


@dataclass(frozen=True, slots=True)
class _Memory:
    """What was decided of exactly this tenant in exactly this market, while it was settled."""

    tenant: Tenant
    market: Market
    decision: Decision


@dataclass(slots=True)
class Recollection:
    """The decisions of settled deployments, so that a pass costs little for those that did not change.

    A cache and no state: an entry answers only for the identical tenant and market, so what it answers is what would
    be computed. It holds one entry per deployment that lives.
    """

    memories: dict[DeploymentKey, _Memory] = field(default_factory=dict)

    def recall(self, tenant: Tenant, market: Market, ledger: Ledger) -> Decision | None:
        """The decision, where nothing that it depends on changed: it was settled, and all of its nodes still stand."""
        memory = self.memories.get(tenant.key)
        if memory is None or memory.tenant is not tenant or memory.market is not market:
            return None
        assignment = memory.decision.assignment
        if assignment is None:
            return None
        pool, pool_of, ready = assignment.plan.pool, ledger.pool_of, ledger.ready
        for node in assignment.nodes:
            if node not in ready or pool_of[node] != pool:
                return None
        return memory.decision

    def keep(self, tenant: Tenant, market: Market, decision: Decision) -> None:
        """Remember the decision of a settled deployment."""
        self.memories[tenant.key] = _Memory(tenant, market, decision)

    def forget_all_but(self, tenants: tuple[Tenant, ...]) -> None:
        """Drop the deployments that are gone."""
        if len(self.memories) > len(tenants):
            living = {tenant.key for tenant in tenants}
            self.memories = {key: memory for key, memory in self.memories.items() if key in living}


def stay(desk: Desk, tenant: Tenant, current: Assignment, footing: Footing) -> Decision:
    """It stays in its pool: as it is, on other nodes, or with fewer replicas than wanted."""
    assignment = current if footing.nodes == current.nodes else Assignment(current.plan, footing.nodes)
    wants = requirements_of(tenant)
    market = desk.market
    rejections = UnaskedRejections(
        lambda: losers(current.plan, enumerate_candidates(requirements_of(tenant), market), rates=market.rates)
    )
    if footing.missing > 0:
        return _short(desk, tenant, assignment, footing, rejections)
    message = describe(current.plan, tenant.replicas, wants)
    if footing.needs_own_room:
        return Decision(assignment, (), DecisionReason.RECREATE, message)
    as_it_was = not footing.gained and len(current.nodes) == tenant.replicas and tenant.waiting_since is None
    reason = DecisionReason.KEPT if as_it_was else DecisionReason.PLACED
    return Decision(assignment, rejections, reason, message, moved_because=_moved(footing))


def _moved(footing: Footing) -> str:
    if not footing.lost or not footing.gained:
        return ""
    return f"node {_names(footing.lost)} is lost, {_names(footing.gained)} takes its place"


def _names(nodes: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(nodes))


def _short(
    desk: Desk, tenant: Tenant, assignment: Assignment, footing: Footing, rejections: Sequence[Rejection]
) -> Decision:
    """Some replicas have no place in the pool; how long it waits for one before it falls back."""
    plan = assignment.plan
    why = no_room(desk, tenant, plan)
    missing = f"{footing.missing} of {tenant.replicas} replicas have no place in pool {plan.pool}{_after(footing)}"
    message = f"{missing}: {why.message}"
    if footing.short_of_quota >= footing.missing:
        of_money = why.reason is RejectionReason.BUDGET
        reason = RejectionReason.BUDGET if of_money else RejectionReason.QUOTA
        again = None if footing.nodes else _when_patience_ends(desk, tenant)
        return Decision(assignment, rejections, reason, message, retry_after_seconds=again)
    again = _when_patience_ends(desk, tenant)
    return Decision(assignment, rejections, _waiting(desk, plan, footing), message, retry_after_seconds=again)


def _when_patience_ends(desk: Desk, tenant: Tenant) -> float | None:
    patience = desk.patience_left(tenant)
    return patience if patience > 0 else None


def _waiting(desk: Desk, plan: Plan, footing: Footing) -> DecisionReason:
    offer = desk.market.find(plan.pool)
    if footing.nodes:
        return DecisionReason.PARTLY_PLACED
    return DecisionReason.WAITING_FOR_GROWTH if offer and offer.can_grow else DecisionReason.WAITING_FOR_NODE


def _after(footing: Footing) -> str:
    return f" after node {_names(footing.lost)} was lost" if footing.lost else ""


def leaving(desk: Desk, tenant: Tenant, plan: Plan, footing: Footing) -> Leaving | None:
    """Whether it must leave its pool, or has waited long enough for room there to look elsewhere."""
    banned = expelled(desk, tenant, plan)
    if banned is not None:
        return banned
    failed = next((each.why for each in tenant.failed if each.is_of(plan)), "")
    if failed:
        return Leaving(plan, 0, failed, whole_pool=False)
    forbidden = footing.missing <= footing.short_of_quota
    if forbidden and (footing.nodes or not footing.missing):
        return None
    offer = desk.market.find(plan.pool)
    untouched = not (footing.nodes or tenant.pending or tenant.bound or tenant.held)
    # A quota counts pods a moment before they are seen, and gone ones a moment longer: it is never believed at once.
    if untouched and not forbidden and not (offer and offer.can_grow):
        return Leaving(plan, 0, f"pool {plan.pool} has no room for it any more")
    if desk.patience_left(tenant) > 0:
        return None
    gone = "" if offer else ", which is gone"
    what = "to be allowed room" if forbidden else "for room"
    why = f"waited {desk.waited_seconds(tenant):.0f} s {what} in pool {plan.pool}{gone}{_after(footing)}"
    return Leaving(plan, len(footing.nodes), why)


def expelled(desk: Desk, tenant: Tenant, plan: Plan) -> Leaving | None:
    """Whether it may not stay whatever else holds: borders and consent bind those that serve, too."""
    banned = _banned(tenant, plan, desk.market.find(plan.pool))
    return Leaving(plan, 0, banned, must=True) if banned else None


def _banned(tenant: Tenant, plan: Plan, offer: Offer | None) -> str:
    if offer is None:
        return ""
    if not inside_borders(offer.countries, tenant.spec.placement.jurisdictions):
        return f"pool {plan.pool} does not lie inside {', '.join(tenant.spec.placement.jurisdictions)} any more"
    if not admits(offer, frozenset(tenant.namespace_labels.items())):
        return f"pool {plan.pool} does not admit namespace '{tenant.key[0]}' any more"
    return ""
