"""When the whole fleet is planned anew, and since when each better plan has been one.

It takes seconds for a large fleet, so it runs in a thread, some minutes apart, and never holds a placement up.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penstock.api.modeldeployment import MovePolicy
from penstock.planner.fleet import DeploymentKey, Destination, FleetSnapshot, Move, destination_of
from penstock.planner.fleetwide.hysteresis import Offered, carry_on, due
from penstock.planner.fleetwide.proposal import Proposal, propose
from penstock.planner.plan import Decision
from penstock.reconcilers.proposals import known_proposal
from penstock.workqueue.clock import Clock

__all__ = ["Replanning"]

_EVERY_SECONDS = 300.0
_SHARE_OF_A_CORE = 50
_TIME_LIMIT_SECONDS = 5.0


@dataclass(slots=True)
class Replanning:
    """What is offered; None until the fleet was planned anew once, so that what statuses say stands meanwhile."""

    clock: Clock
    offered: Mapping[DeploymentKey, Offered] | None = None
    _next: float = field(default=0.0)
    _planned: tuple[FleetSnapshot, Mapping[DeploymentKey, Proposal]] | None = None

    def __post_init__(self) -> None:
        """The first time only when a fleet had time to settle after a start."""
        self._next = self.clock.monotonic() + _EVERY_SECONDS

    @property
    def wait_seconds(self) -> float:
        """Until the fleet is to be planned anew; 0: now."""
        return max(0.0, self._next - self.clock.monotonic())

    def moves(self, fleet: FleetSnapshot) -> dict[DeploymentKey, Move]:
        """What may be carried out in the next pass."""
        automatic = {
            tenant.key for tenant in fleet.tenants if tenant.spec.placement.move_policy is MovePolicy.AUTOMATIC
        }
        return due(self.offered, self.clock.now(), automatic) if self.offered and automatic else {}

    async def plan_anew(
        self,
        fleet: FleetSnapshot,
        decisions: Mapping[DeploymentKey, Decision],
        statuses: Mapping[DeploymentKey, Mapping[str, Any]],
    ) -> None:
        """Look for better plans; the clock of one that stands already, here or in a status, runs on."""
        known = _told(statuses)
        known.update((key, (destination_of(each.proposal.target), each.since)) for key, each in self._offered.items())
        proposals = await self._proposals(fleet, decisions)
        self.offered = carry_on(known, proposals, self.clock.now())

    async def _proposals(
        self, fleet: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]
    ) -> Mapping[DeploymentKey, Proposal]:
        """The same as before for a fleet in which nothing changed."""
        started = self.clock.monotonic()
        if self._planned is None or not _same(self._planned[0], fleet):
            found = await asyncio.to_thread(propose, fleet, decisions, time_limit_seconds=_TIME_LIMIT_SECONDS)
            self._planned = fleet, found
        ended = self.clock.monotonic()
        self._next = ended + max(_EVERY_SECONDS, (ended - started) * _SHARE_OF_A_CORE)
        return self._planned[1]

    @property
    def _offered(self) -> Mapping[DeploymentKey, Offered]:
        return self.offered or {}


def _same(before: FleetSnapshot, after: FleetSnapshot) -> bool:
    """Told cheaply: tenants are built anew only where something of theirs changed."""
    if (before.rates, before.limits) != (after.rates, after.limits):
        return False
    if before.pools != after.pools or len(before.tenants) != len(after.tenants):
        return False
    return all(old is new for old, new in zip(before.tenants, after.tenants, strict=True))


def _told(statuses: Mapping[DeploymentKey, Mapping[str, Any]]) -> dict[DeploymentKey, tuple[Destination, datetime]]:
    """What statuses said before this process began."""
    found = ((key, known_proposal(status)) for key, status in statuses.items())
    return {key: told for key, told in found if told is not None}
