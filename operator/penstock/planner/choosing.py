"""The choice of a place for one deployment: the first candidate with room, or what it waits for.

Reads and writes the pass's ledger; the order in which deployments choose is the caller's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import nsmallest

from penstock.planner.candidates import Candidate, Shortlist, enumerate_candidates
from penstock.planner.capacity import Ledger
from penstock.planner.explain import counted, describe, why_nothing_fits
from penstock.planner.fleet import DeploymentKey, Tenant
from penstock.planner.losers import losers, plan_rejection
from penstock.planner.offers import Market
from penstock.planner.plan import Assignment, Decision, DecisionReason, Plan, Rejection, RejectionReason
from penstock.planner.requirements import Requirements, requirements_of

__all__ = ["Desk", "Leaving", "Target", "choose", "no_room", "open_candidates"]

_NONE: Mapping[str, int] = {}
_NONE_HELD: Mapping[DeploymentKey, int] = {}
_MOST_HOLDERS = 3


@dataclass(slots=True)
class Desk:
    """What every choice of one pass works with."""

    ledger: Ledger
    market: Market
    tenants: tuple[Tenant, ...]
    now: datetime
    _held: dict[str, list[Tenant]] | None = field(default=None)
    _by_key: dict[DeploymentKey, Tenant] | None = field(default=None)

    def waited_seconds(self, tenant: Tenant) -> float:
        """Since it first said that it waits; 0 where it waits from now on."""
        return max(0.0, (self.now - (tenant.waiting_since or self.now)).total_seconds())

    def patience_left(self, tenant: Tenant) -> float:
        """Seconds until the deployment falls back to another pool; 0 or less: at once."""
        return tenant.spec.placement.fallback_after_seconds - self.waited_seconds(tenant)

    def holders(self, pool: str, *, but: DeploymentKey) -> str:
        """Who holds the pool's GPUs, the largest first."""
        held, nodes = self._held_by_node(), self.ledger.nodes.get(pool, ())
        total: dict[DeploymentKey, int] = {}
        for node in nodes:
            for tenant in held.get(node.name, ()):
                total[tenant.key] = total.get(tenant.key, 0) + tenant.held[node.name]
        others = sum(node.used for node in nodes) - sum(total.values())
        for node in nodes:
            for key, gpus in self.ledger.promised.get(node.name, _NONE_HELD).items():
                total[key] = total.get(key, 0) + gpus
        mine = total.pop(but, 0)
        ranked = [(-count, key) for key, count in total.items() if count > 0]
        first = nsmallest(_MOST_HOLDERS, ranked)
        named = [f"{'/'.join(key)} ({-count}{self._ahead(key, but)})" for count, key in first]
        if len(ranked) > len(first):
            rest = sum(count for count, _ in first) - sum(count for count, _ in ranked)
            named.append(f"{len(ranked) - len(first)} more deployments ({rest})")
        named += [f"itself ({mine})"] if mine else []
        named += [f"pods that are not Penstock's ({others})"] if others > 0 else []
        return ", ".join(named)

    def _ahead(self, key: DeploymentKey, of: DeploymentKey) -> str:
        """The priority by which one goes before the other; empty where it does not."""
        priority = self._priority(key)
        return f", priority {priority}" if priority > self._priority(of) else ""

    def _priority(self, key: DeploymentKey) -> int:
        if self._by_key is None:
            self._by_key = {tenant.key: tenant for tenant in self.tenants}
        tenant = self._by_key.get(key)
        return tenant.spec.placement.priority if tenant else 0

    def _held_by_node(self) -> dict[str, list[Tenant]]:
        if self._held is None:
            self._held = {}
            for tenant in self.tenants:
                for node in tenant.held:
                    if node in self._held:
                        self._held[node].append(tenant)
                    else:
                        self._held[node] = [tenant]
        return self._held


@dataclass(frozen=True, slots=True)
class Leaving:
    """A place that is left, and why: if there is a better one than for `running` replicas, or, with `must`, anyhow.

    `whole_pool`: another plan in the same pool is no better; else only this plan is left.
    """

    plan: Plan
    running: int
    why: str
    must: bool = False
    whole_pool: bool = True

    @property
    def pool(self) -> str | None:
        """The pool that is left."""
        return self.plan.pool if self.whole_pool else None


@dataclass(frozen=True, slots=True)
class Target:
    """What was decided for one deployment together with others; it is tried first.

    `replicas` is how many have a place, `grows`: in nodes that the pool does not have yet. `yielded` says by pool to
    whom GPUs there are left that it would otherwise take. `only`: nothing else is tried.
    """

    plan: Plan
    replicas: int
    grows: bool = False
    yielded: Mapping[str, str] = field(default_factory=dict)
    only: bool = False


def open_candidates(shortlist: Shortlist, leaving: Leaving | None) -> tuple[Candidate, ...]:
    """Those outside the pool that is being left."""
    left = leaving.pool if leaving else None
    return tuple(candidate for candidate in shortlist.candidates if candidate.plan.pool != left)


@dataclass(slots=True)
class _Search:
    """One deployment looking for a place."""

    desk: Desk
    tenant: Tenant
    wants: Requirements
    shortlist: Shortlist
    leaving: Leaving | None
    target: Target | None = None
    without_room: list[Rejection] = field(default_factory=list)

    @property
    def stays_possible(self) -> bool:
        """True where the deployment may go on as it is."""
        return self.leaving is not None and not self.leaving.must

    @property
    def must_leave(self) -> bool:
        """True where the deployment may not go on as it is."""
        return self.leaving is not None and self.leaving.must

    @property
    def succeeds(self) -> bool:
        """True where an older revision stands, beside which the new one has to fit."""
        return bool(self.tenant.held) and (self.tenant.outdated or self.must_leave)

    @property
    def open_candidates(self) -> tuple[Candidate, ...]:
        """Those that it may go to."""
        return open_candidates(self.shortlist, self.leaving)

    def room(self, plan: Plan, extra: Mapping[str, int] = _NONE) -> tuple[str, ...]:
        """Nodes for as many replicas as there is room, quota and money for."""
        quota = self.desk.ledger.gpu_quota_allows(self.tenant.key[0], plan)
        if quota is not None:
            quota += sum(extra.values()) // plan.gpus
        allowed = (self.tenant.replicas, quota, self.money_for(plan, instead=bool(extra)))
        return self.desk.ledger.pack(plan, min(each for each in allowed if each is not None), extra)

    def money_for(self, plan: Plan, *, instead: bool = False) -> int | None:
        """Replicas that the spending limits allow, `instead` of its own pods; None where nothing bounds it."""
        purse, current = self.desk.ledger.purse, self.tenant.current
        if instead and current is not None and purse.limits:
            purse = purse.copy()
            purse.spend(self.tenant.key[0], current.plan, -self.tenant.pods)
        return purse.allows(self.tenant.key[0], plan)

    def may_grow(self, plan: Plan, nodes: tuple[str, ...] = ()) -> bool:
        """True where quota and money allow replicas beyond those on nodes; all of them beside an older revision."""
        allowed = self.desk.ledger.quota_allows(self.tenant.key[0], plan)
        return allowed is None or allowed >= (self.tenant.replicas if self.succeeds else len(nodes) + 1)


def choose(desk: Desk, tenant: Tenant, leaving: Leaving | None = None, target: Target | None = None) -> Decision | None:
    """Where the deployment goes, its GPUs held; None where it leaves a place and there is no better one."""
    wants = requirements_of(tenant)
    search = _Search(desk, tenant, wants, enumerate_candidates(wants, desk.market), leaving, target)
    if target is not None and target.only:
        return _as_decided(search, target) or _beside_itself(search, target.plan)
    if search.stays_possible and leaving is not None and leaving.whole_pool:
        search.without_room.append(plan_rejection(leaving.plan, RejectionReason.WAITED_IN_VAIN, leaving.why))
    decided = _as_decided(search, target) if target else None
    return decided or _now(search) or _some(search) or _instead(search) or _later(search) or _nowhere(search)


def _as_decided(search: _Search, target: Target) -> Decision | None:
    """The place that was decided together with others; None where it has no room after all."""
    nodes = search.room(target.plan)[: target.replicas]
    if target.grows and search.may_grow(target.plan):
        search.without_room.extend(_passed_over(search, target))
        # What is free there is counted for others; what they leave is found when the next pass repairs it.
        return _grow(search, target.plan, ())
    whole = len(nodes) == search.tenant.replicas
    if target.grows or not (whole or (nodes and len(nodes) == target.replicas and not search.succeeds)):
        return None
    search.without_room.extend(_passed_over(search, target))
    return _placed(search, target.plan, nodes)


def _passed_over(search: _Search, target: Target) -> Iterator[Rejection]:
    """What is liked better than the target, and who has it instead."""
    told: set[str] = set()
    for candidate in search.open_candidates:
        plan = candidate.plan
        if plan == target.plan:
            return
        if plan.pool in target.yielded:
            why = "its free GPUs go to others" if plan.pool in told else target.yielded[plan.pool]
            told.add(plan.pool)
            yield plan_rejection(plan, RejectionReason.YIELDED, why)
        elif len(search.room(plan)) < search.tenant.replicas:
            yield _no_room(search, plan)


def _now(search: _Search) -> Decision | None:
    """The first candidate with room for every replica; a preferred pool that can grow is waited for."""
    for candidate in search.open_candidates:
        nodes = search.room(candidate.plan)
        if len(nodes) == search.tenant.replicas:
            return _placed(search, candidate.plan, nodes)
        search.without_room.append(_no_room(search, candidate.plan))
        if _worth_waiting(search, candidate) and search.may_grow(candidate.plan, nodes):
            return _grow(search, candidate.plan, nodes)
    return None


def _worth_waiting(search: _Search, candidate: Candidate) -> bool:
    preferred = bool(search.tenant.spec.placement.pools)
    return candidate.can_grow and preferred and not search.leaving and search.desk.patience_left(search.tenant) > 0


def _some(search: _Search) -> Decision | None:
    """The candidate with room for most replicas, unless what stands now serves better."""
    if search.succeeds:
        return None
    best = _roomiest(search, _NONE, more_than=search.leaving.running if search.leaving else 0)
    return _placed(search, *best) if best else None


def _roomiest(search: _Search, extra: Mapping[str, int], *, more_than: int) -> tuple[Plan, tuple[str, ...]] | None:
    """The first of the candidates with room for most replicas, where that is more than so many."""
    best: tuple[Plan, tuple[str, ...]] | None = None
    for candidate in search.open_candidates:
        nodes = search.room(candidate.plan, extra)
        if len(nodes) > more_than:
            best, more_than = (candidate.plan, nodes), len(nodes)
    return best


def _instead(search: _Search) -> Decision | None:
    """A new revision in the place of the old one, where the user allows that."""
    tenant = search.tenant
    if not search.succeeds or not tenant.may_recreate:
        return None
    best = _roomiest(search, tenant.held, more_than=0)
    return _recreated(search, *best) if best else None


def _beside_itself(search: _Search, plan: Plan) -> Decision | None:
    """The same for a better plan, which has to have room for every replica."""
    tenant = search.tenant
    if not tenant.may_recreate:
        return None
    nodes = search.room(plan, tenant.held)
    return _recreated(search, plan, nodes) if len(nodes) == tenant.replicas else None


def _recreated(search: _Search, plan: Plan, nodes: tuple[str, ...]) -> Decision:
    decision = _placed(search, plan, nodes, own=search.tenant.held)
    message = f"{decision.message}; no room for both, so its older pods give up their GPUs first (surgePolicy Recreate)"
    return replace(decision, reason=DecisionReason.RECREATE, message=message)


def _later(search: _Search) -> Decision | None:
    """The hope that is left: a pool that can grow; what serves goes on meanwhile unless it must leave."""
    if search.stays_possible or (search.succeeds and not search.must_leave):
        return None
    for candidate in search.open_candidates:
        nodes = search.room(candidate.plan) if candidate.can_grow else ()
        if candidate.can_grow and search.may_grow(candidate.plan, nodes):
            return _grow(search, candidate.plan, nodes)
    return None


def _nowhere(search: _Search) -> Decision | None:
    tenant, rejections = search.tenant, (*search.without_room, *search.shortlist.rejections)
    if search.stays_possible:
        return None
    if search.must_leave:
        # Its pods go on, as they were legal when they came; no more of them come.
        return Decision(None, rejections, *why_nothing_fits(rejections), most_replicas=0)
    if tenant.outdated and tenant.current is not None and search.shortlist.candidates:
        missing = search.without_room[0]
        message = (
            f"the new revision has no room beside the old one, which stays: {missing.pool}: {missing.message}; or"
            " `spec.rollout.surgePolicy: Recreate` to let the old one go first"
        )
        most = _most(search, tenant.current.plan, tenant.pods)
        return Decision(tenant.current, rejections, DecisionReason.WAITING_FOR_ROOM, message, most_replicas=most)
    reason, message = why_nothing_fits(rejections)
    return Decision(None, rejections, reason, message)


def _placed(search: _Search, plan: Plan, nodes: tuple[str, ...], own: Mapping[str, int] = _NONE) -> Decision:
    _hold(search, plan, nodes, own)
    wanted = search.tenant.replicas
    message = describe(plan, len(nodes), search.wants)
    reason = DecisionReason.PLACED
    if len(nodes) < wanted:
        reason = DecisionReason.PARTLY_PLACED
        message += f"; {wanted - len(nodes)} of {wanted} have no room: {_no_room(search, plan).message}"
    moved = search.leaving.why if search.leaving else ""
    most = _most(search, plan, len(nodes))
    if most is not None and most > len(nodes):
        message += _left_out(search, plan, most)
    rejections = _losers(search, plan)
    return Decision(Assignment(plan, nodes), rejections, reason, message, moved_because=moved, most_replicas=most)


def _losers(search: _Search, plan: Plan) -> tuple[Rejection, ...]:
    return losers(plan, search.shortlist, tuple(search.without_room), rates=search.desk.market.rates)


def _hold(search: _Search, plan: Plan, nodes: tuple[str, ...], own: Mapping[str, int]) -> None:
    tenant, ledger, left = search.tenant, search.desk.ledger, dict(own)
    for node in nodes:
        hold = ledger.hold(tenant.key, node, plan.gpus, own=left.get(node, 0))
        left[node] = left.get(node, 0) - hold.from_own
    if not own:
        ledger.spend_quota(tenant.key[0], plan, len(nodes))
        return
    ledger.purse.spend(tenant.key[0], plan, len(nodes))
    if tenant.current is not None:
        ledger.purse.spend(tenant.key[0], tenant.current.plan, -tenant.pods)


def _left_out(search: _Search, plan: Plan, most: int) -> str:
    return f"; there is money for {most} of {search.tenant.replicas}: {_no_room(search, plan).message}"


def _most(search: _Search, plan: Plan, known: int) -> int | None:
    """How many replicas there is money for beside those that are known, which are counted; None where for all."""
    wanted = search.tenant.replicas
    most = known + search.desk.ledger.await_pods(search.tenant.key[0], plan, wanted - known)
    return most if most < wanted else None


def _grow(search: _Search, plan: Plan, nodes: tuple[str, ...]) -> Decision:
    """Assigned without a node: the pending pods are what makes a cluster autoscaler add one."""
    _hold(search, plan, nodes, _NONE)
    patience = search.desk.patience_left(search.tenant)
    message = (
        f"{describe(plan, search.tenant.replicas, search.wants)}: pool {plan.pool} has no room now and can grow;"
        f" {_no_room(search, plan).message}"
    )
    most = _most(search, plan, len(nodes))
    if most is not None:
        message += _left_out(search, plan, most)
    return Decision(
        Assignment(plan, nodes),
        _losers(search, plan),
        DecisionReason.WAITING_FOR_GROWTH,
        message,
        moved_because=search.leaving.why if search.leaving else "",
        retry_after_seconds=patience if patience > 0 else None,
        most_replicas=most,
    )


def no_room(desk: Desk, tenant: Tenant, plan: Plan) -> Rejection:
    """What is missing in the plan's pool just now, and who holds it."""
    ledger = desk.ledger
    allowed = ledger.quota_allows(tenant.key[0], plan)
    limit = ledger.purse.binding(tenant.key[0], plan)
    if limit is not None:
        return plan_rejection(plan, RejectionReason.BUDGET, ledger.purse.why(limit, plan))
    if allowed == 0:
        left = ledger.quota.get((tenant.key[0], plan.gpu_resource), 0)
        message = (
            f"the ResourceQuota of namespace '{tenant.key[0]}' leaves {max(0, left)} {plan.gpu_resource}, a replica"
            f" needs {plan.gpus}; would work: a larger quota or fewer replicas"
        )
        return plan_rejection(plan, RejectionReason.QUOTA, message)
    gpus = sum(node.gpus for node in ledger.nodes.get(plan.pool, ()))
    holders = desk.holders(plan.pool, but=tenant.key)
    message = (
        f"needs {counted(plan.gpus, 'free GPU')} on one node for each of {counted(tenant.replicas, 'replica')};"
        f" of {gpus} there are {ledger.free_in(plan.pool)} free,"
        f" {max(0, ledger.largest_free(plan.pool))} at most on one node"
        f"{f'; held by {holders}' if holders else ''}; would work: another node, or GPUs given up there"
    )
    return plan_rejection(plan, RejectionReason.NO_FREE_GPUS, message)


def _no_room(search: _Search, plan: Plan) -> Rejection:
    return no_room(search.desk, search.tenant, plan)
