"""The one writer of placements: every pass places the whole fleet and tells those whose decision changed."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from penstock.cluster.events import EventRecorder, Reference
from penstock.cluster.resources import MODEL_DEPLOYMENTS
from penstock.metrics import Metrics
from penstock.planner.exchange import NO_RATES, Rates
from penstock.planner.explain import answers_spec, is_kept
from penstock.planner.fleet import DeploymentKey, FleetSnapshot
from penstock.planner.placement import place
from penstock.planner.plan import Decision, DecisionReason
from penstock.planner.spending import SpendingLimit
from penstock.reconcilers.facts import FactsBook
from penstock.reconcilers.fleet import build_pools, gpus_by_node, membership
from penstock.reconcilers.keys import REPLANNING
from penstock.reconcilers.proposals import offered_statuses
from penstock.reconcilers.replanning import Replanning
from penstock.reconcilers.tenants import build_tenant
from penstock.reconcilers.waiting import known_wait, next_wait
from penstock.reconcilers.world import Candidate, Decided, World
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["PlacementReconciler"]

_log = logging.getLogger(__name__)

_SHARE_OF_A_CORE = 10
_SHORTEST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 2.0
_TENANTS_PER_TURN = 50
_DECISIONS_PER_TURN = 200
_CHOSEN = {DecisionReason.PLACED, DecisionReason.KEPT}


@dataclass(slots=True)
class PlacementReconciler:
    """Gather a frozen fleet, place it in a thread (the loop stays free), keep what was decided.

    `rates` and `limits` are what the operator's owners say of money; they stay while it runs.
    """

    world: World
    book: FactsBook
    clock: Clock
    metrics: Metrics
    events: EventRecorder
    rates: Rates = NO_RATES
    limits: tuple[SpendingLimit, ...] = ()
    replanning: Replanning = field(init=False)
    placed: tuple[FleetSnapshot, Mapping[DeploymentKey, Decision]] | None = field(init=False, default=None)
    replans: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Better plans are looked for by the same clock."""
        self.replanning = Replanning(self.clock)

    async def reconcile(self) -> Result:
        """One pass; again when the earliest fall-back timer ends."""
        started = self.clock.monotonic()
        await self._refresh_tenants()
        for key in self.book.unasked():
            self.world.enqueue(key)
        fleet = self._fleet()
        moves = self.replanning.moves(fleet)
        if moves:
            fleet = replace(fleet, moves=moves)
        candidates, now = dict(self.world.tenants), self.clock.now()
        decisions = await asyncio.to_thread(place, fleet, now)
        await self._keep(candidates, decisions, now)
        elapsed = self.clock.monotonic() - started
        self.metrics.placement_seconds.observe(elapsed)
        # A burst of changes shares passes: at most a tenth of a core goes into placing.
        self.world.placement_delay = min(
            max(elapsed * _SHARE_OF_A_CORE, _SHORTEST_DELAY_SECONDS), _LONGEST_DELAY_SECONDS
        )
        if decisions and not self.replans:
            self.replans = True
            self.world.enqueue_after(REPLANNING, self.replanning.wait_seconds)
        self.placed = fleet, decisions
        timers = [decision.retry_after_seconds for decision in decisions.values() if decision.retry_after_seconds]
        return Result(requeue_after=min(timers, default=None))

    async def plan_anew(self) -> Result:
        """Look for better plans than those of the last pass; those that may be carried out are, in the next."""
        if self.placed is not None:
            fleet, decisions = self.placed
            statuses = {(custom.namespace, custom.name): custom.status for custom in self.world.deployments}
            await self.replanning.plan_anew(fleet, decisions, statuses)
            self.world.propose(offered_statuses(self.replanning.offered or {}, self.clock.now()))
            if self.replanning.moves(fleet):
                self.world.place_soon()
        return Result(requeue_after=self.replanning.wait_seconds)

    def _fleet(self) -> FleetSnapshot:
        world = self.world
        if world.fleet_changed:
            world.members = membership(world.pools, tuple(world.nodes))
            world.fleet_changed = False
        nodes = {node.name: node for node in world.nodes}
        pools = build_pools(world.pools, nodes, world.members, gpus_by_node(world.pods))
        tenants = tuple(candidate.tenant for candidate in world.tenants.values())
        return FleetSnapshot(pools=pools, tenants=tenants, rates=self.rates, limits=self.limits)

    async def _refresh_tenants(self) -> None:
        """Build those anew of which something changed; the loop gets its turn in between, and may find more."""
        stale = self.world.stale_tenants
        while stale:
            for _ in range(min(_TENANTS_PER_TURN, len(stale))):
                self._refresh_tenant(stale.pop())
            if stale:
                await asyncio.sleep(0)

    def _refresh_tenant(self, key: DeploymentKey) -> None:
        world = self.world
        custom = world.deployments.get(*key)
        tenant = build_tenant(world, self.book, custom) if custom else None
        if tenant is None or custom is None:
            world.tenants.pop(key, None)
            world.decisions.pop(key, None)
        else:
            waiting = known_wait(custom, world.decisions.get(key))
            world.tenants[key] = Candidate(tenant, custom.uid, custom.generation, custom.digest, waiting)

    async def _keep(
        self, candidates: Mapping[DeploymentKey, Candidate], decisions: Mapping[DeploymentKey, Decision], now: datetime
    ) -> None:
        for number, (key, decision) in enumerate(decisions.items(), start=1):
            candidate = candidates[key]
            digest = candidate.digest if answers_spec(decision) else ""
            waiting = next_wait(candidate.waiting, decision, candidate.digest, now)
            self._keep_one(key, Decided(candidate.uid, candidate.generation, decision, digest, waiting))
            if number % _DECISIONS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _keep_one(self, key: DeploymentKey, decided: Decided) -> None:
        before = self.world.decisions.get(key)
        if before is not None and _stands(before, decided):
            # What was said when the choice was made (why it moved, who held the GPUs) is still to be reported.
            decided = replace(decided, decision=before.decision)
        if before == decided:
            return
        self.world.decisions[key] = decided
        if decided.decision.moved_because:
            about = Reference(MODEL_DEPLOYMENTS, *key, decided.uid)
            message = f"{decided.decision.moved_because}: {decided.decision.message}"
            self.events.record(about, type="Normal", reason="Moved", message=message)
        self.metrics.decisions.labels(reason=decided.decision.reason).inc()
        self.world.look_at(*key)


def _stands(before: Decided, after: Decided) -> bool:
    """Whether it is still the same choice, for as many replicas, and for its older pods, too."""
    was, now = before.decision, after.decision
    if before.uid != after.uid or (was.assignment, was.most_replicas) != (now.assignment, now.most_replicas):
        return False
    chosen = {DecisionReason.RECREATE} if now.reason == DecisionReason.RECREATE else _CHOSEN
    return is_kept(now) and was.reason in chosen
