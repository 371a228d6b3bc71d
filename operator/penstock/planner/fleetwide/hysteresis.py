"""When a proposal is to be believed: after it has stood for so long, unbroken.

Pure: `now` comes in, and since when a proposal stands is kept by whoever writes the status, so that a restart does not
start the clock anew.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.planner.fleet import DeploymentKey, Destination, Move, destination_of
from penstock.planner.fleetwide.proposal import Proposal

__all__ = ["RIPE_AFTER", "Offered", "carry_on", "due", "ripe"]

RIPE_AFTER = timedelta(minutes=15)
"""How long a better place has to stay better (sizing.md 5.3: a cold start costs 2 to 35 minutes of GPU time)."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A proposal, and since when the same destination has been proposed without a break."""

    proposal: Proposal
    since: datetime


def carry_on(
    known: Mapping[DeploymentKey, tuple[Destination, datetime]],
    proposals: Mapping[DeploymentKey, Proposal],
    now: datetime,
) -> dict[DeploymentKey, Offered]:
    """What is offered from now on: the clock of the same destination runs on, another one starts anew."""
    offered = {}
    for key, proposal in proposals.items():
        destination, since = known.get(key, (None, now))
        same = destination == destination_of(proposal.target)
        offered[key] = Offered(proposal, min(since, now) if same else now)
    return offered


def ripe(offered: Offered, now: datetime) -> bool:
    """True where it has stood long enough."""
    return now - offered.since >= RIPE_AFTER


def due(
    offered: Mapping[DeploymentKey, Offered], now: datetime, automatic: Collection[DeploymentKey]
) -> dict[DeploymentKey, Move]:
    """Moves that may be carried out: ripe, of deployments that move by themselves, with all that pay only together.

    Giving way is never carried out: taking a place from somebody who serves is a matter for people.
    """
    ready = {
        key
        for key, each in offered.items()
        if key in automatic and each.proposal.target is not None and ripe(each, now)
    }
    return {key: _move(offered[key].proposal) for key in sorted(ready) if offered[key].proposal.together <= ready}


def _move(proposal: Proposal) -> Move:
    why = f"a better place: {proposal.reason}"
    return Move(destination_of(proposal.target), why, others=proposal.together - {proposal.key})
