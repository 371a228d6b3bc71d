"""The one writer of placements: every deployment's plan and nodes, from one frozen snapshot of the fleet.

Pure: the same snapshot and time give the same decisions, whatever the order of its parts. What serves is repaired
first, oldest deployment first; then those that need a new place choose, by priority and age. Where they compete for
GPUs they are decided together (fleetwide/), and that stands where it serves no worse than one after the other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

from penstock.planner.candidates import Candidate, enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.choosing import Desk, Leaving, Target, choose, open_candidates
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Move, Tenant
from penstock.planner.fleetwide.asks import Ask, Room, precedence, room_of
from penstock.planner.fleetwide.moves import busy_pools, leads_to, movable
from penstock.planner.fleetwide.together import Joint, decide_together, in_dispute
from penstock.planner.footing import Footing, await_pods, repair, stand
from penstock.planner.offers import market_of
from penstock.planner.plan import Assignment, Decision
from penstock.planner.prices import at_todays_prices
from penstock.planner.requirements import requirements_of
from penstock.planner.staying import Recollection, expelled, leaving, stay

__all__ = ["place"]

_recollection = Recollection()


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A deployment that needs a new place, with what it still has, and what was decided for it with others."""

    tenant: Tenant
    footing: Footing | None = None
    leaving: Leaving | None = None
    target: Target | None = None

    @property
    def key(self) -> DeploymentKey:
        return self.tenant.key


def place(fleet: FleetSnapshot, now: datetime) -> dict[DeploymentKey, Decision]:
    """Decide for every tenant; no node is ever promised more GPUs than it has free."""
    fleet = at_todays_prices(fleet)
    tenants = tuple(sorted(fleet.tenants, key=attrgetter("created", "key")))
    desk = Desk(ledger=Ledger.of(fleet), market=market_of(fleet.pools, fleet.rates), tenants=tenants, now=now)
    decisions: dict[DeploymentKey, Decision] = {}
    unsettled: list[_Unsettled] = []
    # All promises stand before anything is repaired or chosen, so that nobody takes what another was promised.
    standing: list[tuple[Tenant, Assignment]] = []
    for tenant in tenants:
        if tenant.current is not None:
            known = _recollection.recall(tenant, desk.market, desk.ledger)
            if known is not None:
                decisions[tenant.key] = known
            else:
                standing.append((tenant, tenant.current))
    # Those that may take their own older pods' place leave what is free to those that have no other.
    standing.sort(key=lambda each: each[0].may_recreate)
    footings = [(tenant, stand(tenant, current, desk.ledger)) for tenant, current in standing]
    for tenant, footing in footings:
        if tenant.current is None:
            unsettled.append(_Unsettled(tenant, footing))
        elif tenant.outdated:
            unsettled.append(_Unsettled(tenant, footing, expelled(desk, tenant, tenant.current.plan)))
        else:
            decisions[tenant.key], left = _stay(desk, tenant, tenant.current, footing)
            unsettled.extend([left] if left else [])
    unsettled.extend(_Unsettled(tenant) for tenant in tenants if tenant.current is None)
    unsettled.sort(key=lambda each: (-each.tenant.spec.placement.priority, each.tenant.created, each.key))
    decisions.update(_choose_all(desk, fleet, unsettled))
    if fleet.moves:
        decisions.update(tuple(_move(desk, fleet, decisions)))
    _recollection.forget_all_but(tenants)
    return decisions


def _stay(desk: Desk, tenant: Tenant, current: Assignment, footing: Footing) -> tuple[Decision, _Unsettled | None]:
    """The decision to stay, and what to do besides where it would rather leave."""
    repaired = repair(tenant, current.plan, footing, desk.ledger)
    decision = stay(desk, tenant, current, repaired)
    left = leaving(desk, tenant, current.plan, repaired)
    if not footing.settled:
        repaired, most = await_pods(tenant, current.plan, repaired, desk.ledger)
        decision = replace(decision, most_replicas=most)
    if left is not None:
        return decision, _Unsettled(tenant, repaired, left)
    if footing.settled:
        _recollection.keep(tenant, desk.market, decision)
    return decision, None


def _choose_all(desk: Desk, fleet: FleetSnapshot, unsettled: Sequence[_Unsettled]) -> dict[DeploymentKey, Decision]:
    """One after the other; together where that leaves somebody without what it likes best."""
    if len(unsettled) <= 1:
        return _in_turn(desk, unsettled)
    before = desk.ledger.copy()
    alone = _in_turn(desk, unsettled)
    asks = {each.key: _ask(desk, each) for each in unsettled}
    rooms = {pool.name: room_of(pool, before) for pool in fleet.pools}
    unhappy = frozenset(key for key, ask in asks.items() if not _happy(ask, alone.get(key), rooms))
    disputing = in_dispute(tuple(asks.values()), unhappy, rooms)
    if not disputing:
        return alone
    joint = decide_together(disputing, rooms, before.purse)
    trial = replace(desk, ledger=before)
    together = _in_turn(trial, _largest_first(unsettled, joint.targets))
    order = sorted(asks.values(), key=precedence)
    if _merit(order, joint, together) >= _merit(order, joint, alone):
        return alone
    desk.ledger = trial.ledger
    return together


def _largest_first(unsettled: Iterable[_Unsettled], targets: Mapping[DeploymentKey, Target]) -> list[_Unsettled]:
    """Those with a target, then the others: what was counted by node sizes packs when the largest replicas go first."""
    aimed = [replace(each, target=targets.get(each.key)) for each in unsettled]
    return sorted(aimed, key=lambda each: -each.target.plan.gpus if each.target else 0)


def _in_turn(desk: Desk, unsettled: Iterable[_Unsettled]) -> dict[DeploymentKey, Decision]:
    chosen = ((each.key, _choose(desk, each)) for each in unsettled)
    return {key: decision for key, decision in chosen if decision is not None}


def _ask(desk: Desk, unsettled: _Unsettled) -> Ask:
    tenant, left = unsettled.tenant, unsettled.leaving
    shortlist = enumerate_candidates(requirements_of(tenant), desk.market)
    return Ask(
        key=tenant.key,
        created=tenant.created,
        replicas=tenant.replicas,
        candidates=open_candidates(shortlist, left),
        priority=tenant.spec.placement.priority,
        pools=tenant.spec.placement.pools,
        patient=left is None and desk.patience_left(tenant) > 0,
    )


def _happy(ask: Ask, decision: Decision | None, rooms: Mapping[str, Room]) -> bool:
    """True where it got what it would have got alone."""
    if ask.replicas == 0 or not ask.candidates:
        return True
    best = next((each for each in ask.candidates if _has_all(ask, each, rooms)), None)
    if best is None or decision is None or decision.assignment is None:
        return False
    whole = len(decision.assignment.nodes) == ask.replicas or best.can_grow
    return whole and decision.assignment.plan == best.plan


def _has_all(ask: Ask, candidate: Candidate, rooms: Mapping[str, Room]) -> bool:
    room = rooms.get(candidate.plan.pool)
    waits = candidate.can_grow and ask.patient and bool(ask.pools)
    return waits or (room is not None and room.holds(candidate.plan.gpus) >= ask.replicas)


def _merit(
    order: Iterable[Ask], joint: Joint, decisions: Mapping[DeploymentKey, Decision]
) -> tuple[tuple[int, ...], int, int]:
    """Less is better: what is missing, of whom goes first before all; then preferences; then money with penalties."""
    assigned = {key: each.assignment for key, each in decisions.items() if each.assignment is not None}
    missing = tuple(
        ask.replicas - len(assigned[ask.key].nodes) if ask.key in assigned else ask.replicas for ask in order
    )
    return missing, *joint.value(assigned)


def _choose(desk: Desk, unsettled: _Unsettled) -> Decision | None:
    """Choose anew: what it was promised is free meanwhile, and promised again where it stays."""
    tenant, footing = unsettled.tenant, unsettled.footing
    if footing is None or tenant.current is None:
        return choose(desk, tenant, unsettled.leaving, unsettled.target)
    namespace, plan = tenant.key[0], tenant.current.plan
    desk.ledger.release(footing.holds)
    desk.ledger.spend_quota(namespace, plan, -footing.counted)
    desk.ledger.purse.spend(namespace, plan, -footing.awaited)
    chosen = choose(desk, tenant, unsettled.leaving, unsettled.target)
    if chosen is None or chosen.assignment is None or chosen.assignment is tenant.current:
        desk.ledger.restore(footing.holds)
        desk.ledger.spend_quota(namespace, plan, footing.counted)
        desk.ledger.purse.spend(namespace, plan, footing.awaited)
    return chosen


def _move(
    desk: Desk, fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]
) -> Iterator[tuple[DeploymentKey, Decision]]:
    """Carry out what has been better for long enough: one deployment at a time per pool, with room beside the old.

    Of those that move only together all have that room, or none moves.
    """
    ready = tuple(movable(fleet, decisions))
    busy = busy_pools(fleet, decisions) if ready else set()
    for group in ready:
        pools = {move.to.pool for _, move in group}
        pools.update(tenant.current.plan.pool for tenant, _ in group if tenant.current is not None)
        if pools & busy:
            continue
        trial = replace(desk, ledger=desk.ledger.copy())
        moved = [(tenant.key, decision) for tenant, move in group if (decision := _moved(trial, tenant, move))]
        if len(moved) == len(group):
            desk.ledger = trial.ledger
            busy |= pools
            yield from moved


def _moved(desk: Desk, tenant: Tenant, move: Move) -> Decision | None:
    """The better place; None where it is none any more, or has no room for all replicas."""
    shortlist = enumerate_candidates(requirements_of(tenant), desk.market)
    plan = next((each.plan for each in shortlist.candidates if leads_to(move, each.plan)), None)
    if plan is None or tenant.current is None:
        return None
    left = Leaving(tenant.current.plan, tenant.replicas, move.why)
    return choose(desk, tenant, left, Target(plan, tenant.replicas, only=True))
