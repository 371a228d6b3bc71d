"""Where a placed deployment really stands: which replicas run, which are promised a node, which have lost theirs.

It moves nobody to another pool; it says what is missing and why.
"""

from collections import Counter
from dataclasses import dataclass, replace

from penstock.planner.capacity import Hold, Ledger
from penstock.planner.fleet import Tenant
from penstock.planner.plan import Assignment, Plan

__all__ = ["Footing", "await_pods", "repair", "stand"]


@dataclass(frozen=True, slots=True)
class Footing:
    """The replicas that have a node, running ones and promised ones in the order of the assignment.

    `lost` are the nodes that replicas had and have no more, `gained` those that this pass found instead or in
    addition. `missing` counts replicas without a node, `short_of_quota` those of them that only the namespace's
    quota forbids, `counted` those that the pass counted against the quota. `settled`: all run where they were meant to.
    `awaited` are replicas without a node that were counted against the spending limits: their pods come all the same.
    """

    nodes: tuple[str, ...]
    running: int
    missing: int
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()
    short_of_quota: int = 0
    counted: int = 0
    settled: bool = False
    awaited: int = 0

    @property
    def needs_own_room(self) -> bool:
        """True while replicas wait for GPUs that the deployment's own older pods hold."""
        return any(hold.from_own for hold in self.holds)


def stand(tenant: Tenant, current: Assignment, ledger: Ledger) -> Footing:
    """The deployment's footing as it is; GPUs promised to replicas that run nowhere yet are held."""
    plan, bound = current.plan, tenant.bound
    if _settled(tenant, current, ledger):
        return Footing(nodes=current.nodes, running=len(current.nodes), missing=0, settled=True)
    running = Counter({node: count for node, count in bound.items() if ledger.stands_in(node, plan.pool)})
    slots = _slots(current, running)
    slots, lost = _keep(tenant, plan, slots, ledger)
    lost += tuple(sorted(node for node in bound if bound[node] and not ledger.stands_in(node, plan.pool)))
    gone, gained = _followed(current, slots, ledger)
    return Footing(
        nodes=tuple(slot.node for slot in slots),
        running=sum(slot.running for slot in slots),
        missing=tenant.replicas - len(slots),
        lost=tuple(dict.fromkeys(lost + gone)),
        gained=gained,
        holds=(holds := tuple(slot.hold for slot in slots if slot.hold)),
        counted=_count(tenant, plan, ledger, before=0, after=len(holds)),
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """One replica's place."""

    node: str
    running: bool
    hold: Hold | None = None


def _settled(tenant: Tenant, current: Assignment, ledger: Ledger) -> bool:
    """The common case, told cheaply: every replica runs where it was meant to."""
    nodes, bound = current.nodes, tenant.bound
    if len(nodes) != tenant.replicas or sum(bound.values()) != len(nodes):
        return False
    return all(bound.get(node) == nodes.count(node) and ledger.stands_in(node, current.plan.pool) for node in nodes)


def _slots(current: Assignment, running: Counter[str]) -> list[_Slot]:
    """A slot per planned replica, then per stray pod; a stray takes the place of a replica that runs nowhere."""
    slots: list[_Slot] = []
    for node in current.nodes:
        at_home = running[node] > 0
        running[node] -= at_home
        slots.append(_Slot(node, running=at_home))
    strays = [node for node in sorted(running) for _ in range(running[node])]
    for index, slot in enumerate(slots):
        if strays and not slot.running:
            slots[index] = _Slot(strays.pop(0), running=True)
    return slots + [_Slot(node, running=True) for node in strays]


def _followed(current: Assignment, slots: list[_Slot], ledger: Ledger) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Planned nodes that are gone, and those where Kubernetes started their replicas before anybody was asked."""
    gone = tuple(dict.fromkeys(node for node in current.nodes if not ledger.stands_in(node, current.plan.pool)))
    found = tuple(slot.node for slot in slots if slot.running and slot.node not in current.nodes)
    return (gone, found) if gone and found else ((), ())


def _keep(tenant: Tenant, plan: Plan, slots: list[_Slot], ledger: Ledger) -> tuple[list[_Slot], tuple[str, ...]]:
    """Keep as many as are wanted, running ones before promised ones; promised ones only where there still is room."""
    running_left = min(sum(slot.running for slot in slots), tenant.replicas)
    promised_left = tenant.replicas - running_left
    promised = [slot.node for slot in slots if not slot.running][:promised_left]
    own = _given_up(tenant, plan, promised, ledger)
    kept: list[_Slot] = []
    lost: list[str] = []
    for slot in slots:
        if slot.running:
            kept.extend([slot] if running_left > 0 else [])
            running_left -= 1
        elif promised_left > 0:
            hold = _promise(tenant, plan, slot.node, own, ledger)
            kept.extend([_Slot(slot.node, running=False, hold=hold)] if hold else [])
            lost.extend([] if hold else [slot.node])
            promised_left -= hold is not None
    return kept, tuple(lost)


def _promise(tenant: Tenant, plan: Plan, node: str, own: dict[str, int], ledger: Ledger) -> Hold | None:
    if ledger.pool_of.get(node) != plan.pool or not ledger.fits(node, plan.gpus, own.get(node, 0)):
        return None
    hold = ledger.hold(tenant.key, node, plan.gpus, own=own.get(node, 0))
    own[node] = own.get(node, 0) - hold.from_own
    return hold


def _given_up(tenant: Tenant, plan: Plan, promised: list[str], ledger: Ledger) -> dict[str, int]:
    """GPUs per node that its older pods give up for the promised replicas: none where those stand beside them.

    Whoever looks next has to find what was decided: only `Recreate` lets the older go first, and only for want of room.
    """
    if not tenant.may_recreate:
        return {}
    beside = all(ledger.fits(node, plan.gpus * count, 0) for node, count in Counter(promised).items())
    if not beside:
        return tenant.older_gpus
    ledger.spend_older(tenant)
    return {}


def repair(tenant: Tenant, plan: Plan, footing: Footing, ledger: Ledger) -> Footing:
    """Give missing replicas free nodes of the same pool, as far as there are any and the quota allows."""
    if footing.missing <= 0:
        return footing
    allowed = _allowed(tenant, plan, footing, ledger)
    found = ledger.pack(plan, min(footing.missing, allowed), beside=footing.nodes)
    holds = footing.holds + tuple(ledger.hold(tenant.key, node, plan.gpus) for node in found)
    return replace(
        footing,
        nodes=footing.nodes + found,
        missing=footing.missing - len(found),
        gained=footing.gained + found,
        holds=holds,
        short_of_quota=max(0, footing.missing - allowed),
        counted=footing.counted + _count(tenant, plan, ledger, before=len(footing.holds), after=len(holds)),
    )


def await_pods(tenant: Tenant, plan: Plan, footing: Footing, ledger: Ledger) -> tuple[Footing, int | None]:
    """The footing with its missing replicas counted; how many replicas there is money for, None where for all."""
    known = tenant.pods + footing.counted
    awaited = ledger.await_pods(tenant.key[0], plan, tenant.replicas - known)
    most = known + awaited
    return replace(footing, awaited=awaited), most if most < tenant.replicas else None


def _count(tenant: Tenant, plan: Plan, ledger: Ledger, *, before: int, after: int) -> int:
    """Count new promises against the quota; replicas that have a pod already are in its `used`."""
    counted = max(0, after - tenant.pending) - max(0, before - tenant.pending)
    ledger.spend_quota(tenant.key[0], plan, counted)
    return counted


def _allowed(tenant: Tenant, plan: Plan, footing: Footing, ledger: Ledger) -> int:
    """Replicas that may be added: pods that exist and wait for a node are in the quota's `used` already."""
    left = ledger.quota_allows(tenant.key[0], plan)
    if left is None:
        return footing.missing
    return left + max(0, tenant.pending - len(footing.holds))
