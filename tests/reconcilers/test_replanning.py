"""When the fleet is planned anew, what is offered since when, and what a restart remembers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders.clock import FakeClock
from builders.fleet import NOW, fleet, pool, settled, tenant
from penstock.planner.exchange import Rates
from penstock.planner.fleet import FleetSnapshot
from penstock.planner.placement import place
from penstock.reconcilers import replanning
from penstock.reconcilers.replanning import Replanning

KEY = ("team", "chat")
AUTOMATIC = {"placement": {"movePolicy": "Automatic"}}


def offering(**spec: Any) -> FleetSnapshot:
    """A fleet in which a cheaper pool came."""
    before = fleet([pool("dear", price="3.00")], tenant(spec=spec or AUTOMATIC))
    running = settled(before, place(before, NOW))
    return replace(running, pools=(*running.pools, pool("cheap", price="1.00")))


async def looked(plan: Replanning, before: FleetSnapshot, status: dict[str, Any] | None = None) -> None:
    await plan.plan_anew(before, place(before, NOW), {KEY: status or {}})


async def test_the_clock_of_an_offer_runs_on_until_it_may_be_carried_out() -> None:
    clock = FakeClock()
    plan, before = Replanning(clock), offering()
    assert plan.offered is None
    assert plan.wait_seconds == 300
    since = clock.now()
    for _ in range(3):
        await looked(plan, before)
        assert plan.offered is not None
        assert plan.offered[KEY].since == since
        assert plan.moves(before) == {}
        await clock.advance(plan.wait_seconds)
    assert plan.moves(before)[KEY].to.pool == "cheap"
    assert plan.moves(offering(placement={"movePolicy": "Propose"})) == {}


TOLD: dict[str, tuple[dict[str, Any], bool]] = {
    "the same": ({"pool": "cheap", "engine": "vLLM", "precision": "BF16", "layout": "TP1"}, True),
    "another": ({"pool": "other", "engine": "vLLM", "precision": "BF16", "layout": "TP1"}, False),
    "none": ({}, False),
}


@pytest.mark.parametrize(("told", "ready"), TOLD.values(), ids=TOLD)
async def test_a_restart_does_not_start_the_clock_anew(told: dict[str, Any], ready: bool) -> None:  # noqa: FBT001 - a table
    clock = FakeClock()
    since = (clock.now() - timedelta(minutes=20)).isoformat() if told else None
    plan, before = Replanning(clock), offering()
    await looked(plan, before, {"proposal": {**told, "betterSinceTime": since}} if told else {})
    assert bool(plan.moves(before)) == ready


async def test_a_fleet_in_which_nothing_changed_is_not_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    propose = replanning.propose
    monkeypatch.setattr(replanning, "propose", lambda *given, **limits: asked.append(1) or propose(*given, **limits))
    plan, before = Replanning(FakeClock()), offering()
    await looked(plan, before)
    await looked(plan, before)
    assert len(asked) == 1
    assert plan.offered
    await looked(plan, replace(before, pools=before.pools[:1]))
    assert len(asked) == 2
    assert plan.offered == {}
    await looked(plan, replace(before, pools=before.pools[:1], rates=Rates.parse("USD", {"EUR": "1.08"})))
    assert len(asked) == 3
