"""Better plans in a status: what is kept, what is told, and what the next operator reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.observed import add_deployment, empty_world
from builders.plans import plan
from penstock.api.plan_status import ProposalStatus
from penstock.api.quantities import Money
from penstock.planner.fleet import Destination
from penstock.planner.fleetwide.hysteresis import Offered
from penstock.planner.fleetwide.proposal import Proposal
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.proposals import (
    CONSIDERED,
    OFFERED,
    known_proposal,
    offered_statuses,
    proposal_change,
)

CHAT = ("team", "chat")
SINCE = datetime(2026, 11, 21, 12, 0, 0, 123, tzinfo=UTC)


def proposal(*, offered: bool = True, **changes: Any) -> ProposalStatus:
    known: dict[str, Any] = {
        "pool": "b200",
        "accelerator": "B200-SXM-180GB",
        "engine": "vLLM",
        "precision": "nvfp4",
        "layout": "TP1",
        "saving_per_hour": "1.20 USD",
        "better_since_time": SINCE.replace(microsecond=0),
        "message": "pool b200 serves the same and saves 1.20 USD/h",
    }
    return ProposalStatus(state=OFFERED if offered else CONSIDERED, **(known | changes))


def test_the_clock_is_in_the_status() -> None:
    status = {"proposal": proposal(offered=False).model_dump(mode="json", by_alias=True)}
    assert status["proposal"]["betterSinceTime"] == "2026-11-21T12:00:00Z"
    assert known_proposal(status) == (
        Destination("b200", "vLLM", "nvfp4", "TP1"),
        SINCE.replace(microsecond=0),
    )


@pytest.mark.parametrize(
    "status", [{}, {"proposal": {}}, {"proposal": {"betterSinceTime": "soon"}}, {"proposal": None}]
)
def test_a_status_that_proposes_nothing(status: dict[str, Any]) -> None:
    assert known_proposal(status) is None


EVENTS: dict[str, tuple[ProposalStatus | None, ProposalStatus | None, str]] = {
    "nothing": (None, None, ""),
    "it is considered": (None, proposal(offered=False), ""),
    "it is ripe": (proposal(offered=False), proposal(), "BetterPlan"),
    "it is ripe at once": (None, proposal(), "BetterPlan"),
    "it saves more now": (proposal(), proposal(saving_per_hour="2.00 USD"), ""),
    "cut otherwise": (proposal(), proposal(layout="TP1 DP1"), "BetterPlan"),
    "another pool": (proposal(), proposal(pool="h200"), "BetterPlan"),
    "it is gone": (proposal(), None, "BetterPlanGone"),
    "another one is considered": (proposal(), proposal(pool="h200", offered=False), "BetterPlanGone"),
    "what was only considered is gone": (proposal(offered=False), None, ""),
}


@pytest.mark.parametrize(("before", "after", "want"), EVENTS.values(), ids=EVENTS)
def test_events(before: ProposalStatus | None, after: ProposalStatus | None, want: str) -> None:
    change = proposal_change(before, after)
    assert (change[0] if change else "") == want


def test_only_whose_proposal_changed_is_reconciled() -> None:
    """The first time that the fleet was planned, everybody: what a status proposes may be out of date."""
    asked: list[Key] = []
    world = empty_world()
    world.enqueue = asked.append
    for name in ("a", "b", "c"):
        add_deployment(world, name)
        world.tenants["team", name] = None  # type: ignore[assignment] # only its key is read
    world.propose({("team", "a"): proposal()})
    assert {key.name for key in asked} == {"a", "b", "c"}
    asked.clear()
    world.propose({("team", "a"): proposal(), ("team", "b"): proposal()})
    world.propose({("team", "b"): proposal()})
    assert asked == [Key(Subject.MODEL_DEPLOYMENT, "team", name) for name in ("b", "a")]


def test_what_the_planner_offers_is_what_a_status_holds() -> None:
    """After a quarter of an hour it is offered; without a target, a deployment would give way."""
    target = plan(pool="b200", accelerator="B200-SXM-180GB")
    better = Proposal(CHAT, plan(), target, 2, Money("USD", 1_200_000), "it saves 1.20 USD/h", frozenset({CHAT}))
    since = SINCE.replace(microsecond=0)
    for minutes, state in ((14, "Considered"), (15, "Offered")):
        (told,) = offered_statuses({CHAT: Offered(better, since)}, since + timedelta(minutes=minutes)).values()
        assert (told.pool, told.state, told.saving_per_hour, told.better_since_time) == (
            "b200",
            state,
            "1.20 USD",
            since,
        )
    (gone,) = offered_statuses({CHAT: Offered(replace(better, target=None, saving=None), since)}, since).values()
    assert (gone.pool, gone.layout, gone.saving_per_hour) == ("", "", "")
