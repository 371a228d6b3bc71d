"""Better plans that are proposed and not taken: how a status holds one, and what is read from it after a restart; pure.

Since when it has been better is kept in the status alone: a restart of the operator does not start that clock anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from penstock.api.plan_status import ProposalStatus
from penstock.planner.fleet import DeploymentKey
from penstock.planner.fleetwide.hysteresis import Offered, ripe

__all__ = [
    "CONSIDERED",
    "OFFERED",
    "KnownProposal",
    "known_proposal",
    "offered_statuses",
    "proposal_change",
    "proposal_status",
]

CONSIDERED, OFFERED = "Considered", "Offered"
_MESSAGE_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class KnownProposal:
    """Where the proposal of a status leads, and since when; all empty but `since`: the deployment would give way."""

    pool: str
    precision: str
    tensor_parallel: int
    since: datetime


def proposal_status(
    *,
    pool: str,
    accelerator: str,
    engine: str,
    precision: str,
    tensor_parallel: int,
    saving_per_hour: str,
    since: datetime,
    offered: bool,
    message: str,
) -> ProposalStatus:
    """As a status holds it; `offered` once it has been better for long enough to be worth a move."""
    return ProposalStatus(
        pool=pool,
        accelerator=accelerator,
        engine=engine,
        precision=precision,
        tensor_parallel=tensor_parallel,
        saving_per_hour=saving_per_hour,
        better_since_time=since.replace(microsecond=0),
        state=OFFERED if offered else CONSIDERED,
        message=message[:_MESSAGE_LENGTH],
    )


def offered_statuses(offered: Mapping[DeploymentKey, Offered], now: datetime) -> dict[DeploymentKey, ProposalStatus]:
    """What the planner offers, as statuses hold it; without a target, a deployment would give way."""
    return {key: _status(each, offered=ripe(each, now)) for key, each in offered.items()}


def _status(each: Offered, *, offered: bool) -> ProposalStatus:
    proposal, target = each.proposal, each.proposal.target
    return proposal_status(
        pool=target.pool if target else "",
        accelerator=target.accelerator if target else "",
        engine=target.engine if target else "",
        precision=target.checkpoint.precision if target else "",
        tensor_parallel=target.tensor_parallel if target else 0,
        saving_per_hour=str(proposal.saving) if proposal.saving is not None else "",
        since=each.since,
        offered=offered,
        message=proposal.reason,
    )


def known_proposal(status: Mapping[str, Any]) -> KnownProposal | None:
    """What a live status says; None where it proposes nothing, or nothing that can be read."""
    try:
        told = ProposalStatus.model_validate(status.get("proposal") or {})
    except ValidationError:
        return None
    if told.better_since_time is None:
        return None
    return KnownProposal(told.pool, told.precision, told.tensor_parallel, told.better_since_time)


def proposal_change(before: ProposalStatus | None, after: ProposalStatus | None) -> tuple[str, str] | None:
    """Reason and message of the event that is due; None where nothing was offered or withdrawn."""
    old = before if before is not None and before.state == OFFERED else None
    new = after if after is not None and after.state == OFFERED else None
    if new is not None and (old is None or _way(old) != _way(new)):
        return "BetterPlan", f"{_named(new)}: {new.message}"
    if old is not None and new is None:
        return "BetterPlanGone", f"{_named(old)} is no better any more"
    return None


def _way(told: ProposalStatus) -> tuple[str, str, str, int]:
    return told.pool, told.engine, told.precision, told.tensor_parallel


def _named(told: ProposalStatus) -> str:
    if not told.pool:
        return "Giving way"
    return f"Pool {told.pool}, {told.engine} {told.precision} TP{told.tensor_parallel}"
