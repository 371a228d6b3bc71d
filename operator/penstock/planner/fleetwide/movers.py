"""Who takes part in a plan of the whole fleet: what serves undisturbed, and what waits without a place.

What comes, goes or was changed a moment ago is left alone, and so is what runs on a node that takes no new pods.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from penstock.planner.candidates import Candidate, enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.checkpoints import Standing
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Tenant, destination_of
from penstock.planner.fleetwide.asks import Ask
from penstock.planner.fleetwide.moves import in_transition
from penstock.planner.offers import Market
from penstock.planner.plan import Decision, DecisionReason, Plan, RejectionReason
from penstock.planner.requirements import requirements_of

__all__ = ["fixed_promises", "movers", "waiters"]


def movers(
    fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision], market: Market, ledger: Ledger
) -> tuple[Ask, ...]:
    """Deployments that serve as they were meant to, with the places that they would leave theirs for."""
    found = []
    for tenant in fleet.tenants:
        decision, current = decisions.get(tenant.key), tenant.current
        if current is None or decision is None or decision.reason != DecisionReason.KEPT or in_transition(tenant):
            continue
        if tenant.replicas and all(node in ledger.open for node in tenant.bound):
            candidates = _worth_leaving_for(tenant, current.plan, _candidates(tenant, market))
            found.append(_ask(tenant, candidates, running=current.plan))
    return tuple(found)


def waiters(fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision], market: Market) -> tuple[Ask, ...]:
    """Deployments that fit somewhere on paper and have no place."""
    found = []
    for tenant in fleet.tenants:
        decision = decisions.get(tenant.key)
        if decision is None or decision.assignment is not None or tenant.held or not _waits_for_room(decision):
            continue
        if candidates := _candidates(tenant, market):
            found.append(_ask(tenant, candidates, running=None))
    return tuple(found)


def fixed_promises(fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]) -> Counter[str]:
    """GPUs per node that are promised to replicas which run nowhere yet."""
    promised: Counter[str] = Counter()
    for tenant in fleet.tenants:
        decision = decisions.get(tenant.key)
        if decision is None or decision.assignment is None:
            continue
        assignment = decision.assignment
        same = tenant.current is not None and tenant.current.plan == assignment.plan
        coming = Counter(assignment.nodes) - (Counter(tenant.bound) if same else Counter())
        for node, count in coming.items():
            promised[node] += count * assignment.plan.gpus
    return promised


def _waits_for_room(decision: Decision) -> bool:
    """True where GPUs are what is missing, and nothing that a move of others would leave as it is."""
    reasons = {rejection.reason for rejection in decision.rejections}
    return RejectionReason.NO_FREE_GPUS in reasons and not reasons & {RejectionReason.QUOTA, RejectionReason.BUDGET}


def _candidates(tenant: Tenant, market: Market) -> tuple[Candidate, ...]:
    return enumerate_candidates(requirements_of(tenant), market).candidates


def _ask(tenant: Tenant, candidates: Iterable[Candidate], *, running: Plan | None) -> Ask:
    return Ask(
        key=tenant.key,
        created=tenant.created,
        replicas=tenant.replicas,
        candidates=tuple(candidates),
        priority=tenant.spec.placement.priority,
        pools=tenant.spec.placement.pools,
        running=running,
        standing=tenant.replicas if running else 0,
    )


def _worth_leaving_for(tenant: Tenant, current: Plan, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The present plan in its rank, and others that are no worse in precision and can be compared with it.

    Within a pool only a cheaper plan is worth a cold start; across currencies only a pool that the user prefers.
    """
    same = next((each for each in candidates if each.plan == current), None)
    here = same or next((each for each in candidates if destination_of(each.plan) == destination_of(current)), None)
    standing = here.standing if here else Standing.LAST_RESORT
    kept = [
        replace(each, plan=current, can_grow=False) if each is here else each
        for each in candidates
        if each is here or _is_better(tenant, current, standing, each)
    ]
    return tuple(kept) if here else (*kept, Candidate(current, Standing.LAST_RESORT, can_grow=False))


def _is_better(tenant: Tenant, current: Plan, standing: Standing, candidate: Candidate) -> bool:
    if candidate.standing >= Standing.TO_FIT and candidate.standing > standing:
        return False
    if candidate.plan.pool == current.pool:
        return _is_cheaper(candidate.plan, current)
    pools = tenant.spec.placement.pools
    if candidate.plan.pool in pools:
        return True
    return candidate.plan.price_per_replica_hour is not None and current.price_per_replica_hour is not None


def _is_cheaper(plan: Plan, current: Plan) -> bool:
    price, other = plan.price_per_replica_hour, current.price_per_replica_hour
    return bool(price and other and price.currency == other.currency and price.micro < other.micro)
