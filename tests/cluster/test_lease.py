"""One leads, whatever happens; who cannot renew stops before another starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

import pytest

from builders.clock import FakeClock
from builders.lease_api import LeaseAPI
from penstock.cluster.client import Client
from penstock.cluster.errors import Unavailable
from penstock.cluster.lease import LeaseElection


def election(api: LeaseAPI, clock: FakeClock, identity: str = "one") -> LeaseElection:
    """A replica that wants to lead."""
    return LeaseElection(cast("Client", api), "penstock", "system", identity, clock)


@asynccontextmanager
async def running(*elections: LeaseElection) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Run them until the test is through."""
    tasks = [asyncio.create_task(one.run()) for one in elections]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_first_one_makes_the_lease_and_leads() -> None:
    """With what the API asks of a Lease."""
    api, clock = LeaseAPI(), FakeClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
    one = election(api, clock)
    async with running(one):
        await clock.advance(0)
        assert one.leading.is_set()
        assert one.generation == 1
        assert api.spec == {
            "holderIdentity": "one",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-21T12:00:00.000000Z",
            "renewTime": "2026-11-21T12:00:00.000000Z",
            "leaseTransitions": 1,
        }


async def test_a_leader_renews_and_keeps_its_term() -> None:
    """Every two seconds; the token and the time of taking stay."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one):
        await clock.advance(60)
        assert one.generation == 1
        assert api.spec["acquireTime"] != api.spec["renewTime"]
        assert api.live is not None
        assert int(api.live["metadata"]["resourceVersion"]) == 31


async def test_a_standby_takes_over_when_the_leader_is_silent() -> None:
    """Fifteen seconds after it saw the last renewal, with a higher token."""
    api, clock = LeaseAPI(), FakeClock()
    one, two = election(api, clock), election(api, clock, "two")
    async with running(one) as tasks:
        await clock.advance(1)
        tasks[0].cancel()
        async with running(two):
            await clock.advance(14)
            assert not two.leading.is_set()
            await clock.advance(4)
            assert two.leading.is_set()
            assert two.generation == 2


@pytest.mark.parametrize("renewed", ["2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"])
async def test_clocks_that_go_wrong_do_no_harm(renewed: str) -> None:
    """What the Lease says of the time is only looked at for change."""
    api, clock = LeaseAPI(), FakeClock()
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": renewed, "leaseTransitions": 4}
    await api.create({"metadata": {"name": "penstock"}, "spec": spec})
    one = election(api, clock)
    async with running(one):
        await clock.advance(14)
        assert not one.leading.is_set()
        await clock.advance(4)
        assert one.leading.is_set()
        assert one.generation == 5


async def test_a_leader_that_cannot_renew_ends_within_its_deadline() -> None:
    """Ten seconds, well before anybody else may take it."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one) as tasks:
        await clock.advance(3)
        api.away = True
        await clock.advance(8)
        assert one.leading.is_set()
        await clock.advance(1.5)
        assert not one.leading.is_set()
        assert tasks[0].done()


async def test_an_answer_that_never_comes_does_not_keep_a_leader() -> None:
    """The attempt is cut at the deadline, not after it."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one) as tasks:
        await clock.advance(1)
        api.hanging = True
        await clock.advance(8.9)
        assert one.leading.is_set()
        await clock.advance(0.2)
        assert not one.leading.is_set()
        assert tasks[0].done()


async def test_a_short_outage_costs_nothing() -> None:
    """The leader leads on."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one) as tasks:
        await clock.advance(1)
        api.away = True
        await clock.advance(6)
        api.away = False
        await clock.advance(60)
        assert one.leading.is_set()
        assert one.generation == 1
        assert not tasks[0].done()


async def test_a_leader_that_finds_anothers_name_ends() -> None:
    """Somebody wrote the Lease by hand, or we slept too long."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one) as tasks:
        await clock.advance(1)
        api.spec["holderIdentity"] = "two"
        await clock.advance(2)
        assert not one.leading.is_set()
        assert tasks[0].done()


async def test_a_released_lease_is_free_at_once() -> None:
    """A roll-out of the operator costs two seconds, not fifteen."""
    api, clock = LeaseAPI(), FakeClock()
    one, two = election(api, clock), election(api, clock, "two")
    async with running(one, two) as tasks:
        await clock.advance(1)
        assert [one.leading.is_set(), two.leading.is_set()] == [True, False]
        tasks[0].cancel()
        await one.release()
        assert "holderIdentity" not in api.spec
        await clock.advance(2)
        assert two.leading.is_set()
        assert two.generation == 2


async def test_who_does_not_lead_releases_nothing() -> None:
    """Not even where its name stands there."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one):
        await clock.advance(1)
    await election(api, clock).release()
    assert api.spec["holderIdentity"] == "one"


async def test_a_release_is_given_up_when_nobody_answers() -> None:
    """A shutdown has little time."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one):
        await clock.advance(1)
    api.hanging = True
    releasing = asyncio.create_task(one.release())
    await clock.advance(5)
    assert releasing.done()


async def test_a_new_process_of_the_same_name_starts_a_new_term() -> None:
    """Writes of the former one can be told from ours."""
    api, clock = LeaseAPI(), FakeClock()
    async with running(election(api, clock)):
        await clock.advance(1)
    again = election(api, clock)
    async with running(again):
        await clock.advance(0)
        assert again.leading.is_set()
        assert again.generation == 2


async def test_a_lease_that_was_deleted_does_not_set_the_token_back() -> None:
    """It is made anew with a higher one."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one):
        await clock.advance(1)
        api.live = None
        await clock.advance(2)
        assert one.leading.is_set()
        assert one.generation == 2


@pytest.mark.property
@pytest.mark.parametrize("seed", range(20))
async def test_never_two_lead_whatever_fails(seed: int) -> None:
    """Three replicas, each with a connection that comes, goes and hangs: looked at five times a second."""
    random, clock, api = Random(seed), FakeClock(), LeaseAPI()
    lines = [_Line(api) for _ in range(3)]
    elections = [election(cast("LeaseAPI", line), clock, f"replica-{n}") for n, line in enumerate(lines)]
    terms: list[int] = []
    async with running(*elections) as tasks:
        for _ in range(600):
            await clock.advance(0.2)
            leaders = [one for one in elections if one.leading.is_set()]
            assert len(leaders) <= 1
            terms.extend(one.generation for one in leaders)
            if random.random() < 0.1:
                random.choice(lines).state = random.choice(["up", "up", "away", "hanging"])
            for number, task in enumerate(tasks):
                if task.done():
                    elections[number] = election(cast("LeaseAPI", lines[number]), clock, f"replica-{number}")
                    tasks[number] = asyncio.create_task(elections[number].run())
    assert terms == sorted(terms)
    assert terms


class _Line:
    """A replica's own connection."""

    def __init__(self, api: LeaseAPI) -> None:
        self.api = api
        self.state = "up"

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            if self.state == "hanging":
                await asyncio.Event().wait()
            if self.state == "away":
                message = "no connection"
                raise Unavailable(message)
            return await getattr(self.api, name)(*arguments)

        return call


async def test_a_leader_raises_its_token_above_an_older_life_of_the_lease() -> None:
    """The Lease was deleted and counts from 1 again, while somebody remembers greater terms."""
    api, clock = LeaseAPI(), FakeClock()
    one = election(api, clock)
    async with running(one):
        await clock.advance(0)
        assert await one.outrank(41)
        assert (one.generation, api.spec["leaseTransitions"]) == (42, 42)
        await clock.advance(60)
        assert one.leading.is_set()
        assert one.generation == 42


async def test_who_does_not_lead_raises_nothing() -> None:
    """Neither a standby, nor one whose Lease somebody took without its knowing, nor while the API server is away."""
    api, clock = LeaseAPI(), FakeClock()
    one, two = election(api, clock), election(api, clock, "two")
    async with running(one):
        await clock.advance(0)
        assert not await two.outrank(41)
        api.away = True
        assert not await one.outrank(41)
        api.away = False
        api.spec["holderIdentity"] = "somebody"
        assert not await one.outrank(41)
        assert one.generation == 1
