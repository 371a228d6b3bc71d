"""Better plans that are proposed and not taken: how a status holds one, and what is read from it after a restart; pure.

Since when it has been better is kept in the status alone: a restart of the operator does not start that clock anew.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from penstock.api.plan_status import ProposalStatus
from penstock.planner.fleet import DeploymentKey, Destination, destination_of
from penstock.planner.fleetwide.hysteresis import Offered, ripe

__all__ = [
    "CONSIDERED",
    "OFFERED",
    "known_proposal",
    "offered_statuses",
    "proposal_change",
]

CONSIDERED, OFFERED = "Considered", "Offered"
_MESSAGE_LENGTH = 1024


def offered_statuses(offered: Mapping[DeploymentKey, Offered], now: datetime) -> dict[DeploymentKey, ProposalStatus]:
    """What the planner offers, as statuses hold it; without a target, a deployment would give way."""
    return {key: _status(each, offered=ripe(each, now)) for key, each in offered.items()}


def _status(each: Offered, *, offered: bool) -> ProposalStatus:
    proposal, target = each.proposal, each.proposal.target
    where = destination_of(target)
    return ProposalStatus(
        pool=where.pool,
        accelerator=target.accelerator if target else "",
        engine=where.engine,
        precision=where.precision,
        layout=where.layout,
        saving_per_hour=str(proposal.saving) if proposal.saving is not None else "",
        better_since_time=each.since.replace(microsecond=0),
        state=OFFERED if offered else CONSIDERED,
        message=proposal.reason[:_MESSAGE_LENGTH],
    )


def known_proposal(status: Mapping[str, Any]) -> tuple[Destination, datetime] | None:
    """Where the proposal of a live status leads and since when; None where there is none that can be read."""
    try:
        told = ProposalStatus.model_validate(status.get("proposal") or {})
    except ValidationError:
        return None
    return (_way(told), told.better_since_time) if told.better_since_time is not None else None


def proposal_change(before: ProposalStatus | None, after: ProposalStatus | None) -> tuple[str, str] | None:
    """Reason and message of the event that is due; None where nothing was offered or withdrawn."""
    old = before if before is not None and before.state == OFFERED else None
    new = after if after is not None and after.state == OFFERED else None
    if new is not None and (old is None or _way(old) != _way(new)):
        return "BetterPlan", f"{_named(new)}: {new.message}"
    if old is not None and new is None:
        return "BetterPlanGone", f"{_named(old)} is no better any more"
    return None


def _way(told: ProposalStatus) -> Destination:
    return Destination(told.pool, told.engine, told.precision, told.layout)


def _named(told: ProposalStatus) -> str:
    if not told.pool:
        return "Giving way"
    return f"Pool {told.pool}, {told.engine} {told.precision} {told.layout}"
