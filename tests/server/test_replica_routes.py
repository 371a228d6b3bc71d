"""Acknowledgements: who is live, what each has applied since when, and waking on any change."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders.clock import FakeClock
from builders.control_plane import GATEWAY, OPERATOR, PERSON, Caller, bearer, hash_of, in_process, report, sqlite_url


async def moved_on(clock: FakeClock, asking: "asyncio.Task[httpx.Response]") -> httpx.Response:
    """Let a second pass at a time until there is an answer."""
    async with asyncio.timeout(20):
        while not asking.done():
            await clock.advance(1)
            await asyncio.sleep(0.01)
    return asking.result()


async def test_what_a_replica_says_is_what_is_read(still_server: Caller, clock: FakeClock) -> None:
    """With since when it has its table, and when it was heard of."""
    server = still_server
    token = await server.token()
    assert (await server.report(token, report(1))).json() == {
        "generation": 0,
        "hash": "",
        "seconds": 15.0,
        "replicas": 1,
    }
    await server.publish(2)
    await clock.advance(5)
    answer = await server.report(token, report(1, inFlight={"a": 0, "b": 3}))
    assert answer.json() == {"generation": 2, "hash": hash_of(2), "seconds": 15.0, "replicas": 1}
    assert (await server.replicas()).json()["replicas"] == [
        {
            **report(1, inFlight={"a": 0, "b": 3}),
            "leaving": {},
            "uid": "uid-1",
            "appliedAt": "2026-11-21T00:00:00Z",
            "seenAt": "2026-11-21T00:00:05Z",
        }
    ]
    await server.report(token, report(2))
    assert (await server.replicas()).json()["replicas"][0]["appliedAt"] == "2026-11-21T00:00:05Z"


async def test_a_silent_replica_is_not_live(still_server: Caller, clock: FakeClock) -> None:
    """After 15 seconds; when it is heard of again it is."""
    server, token = still_server, await still_server.token()
    await server.report(token, report())
    await clock.advance(15)
    assert len((await server.replicas()).json()["replicas"]) == 1
    await clock.advance(1)
    assert (await server.replicas()).json()["replicas"] == []
    await server.report(token, report())
    assert len((await server.replicas()).json()["replicas"]) == 1


async def test_a_clock_that_was_set_back_keeps_nobody_alive(tmp_path: Path) -> None:
    """What was seen in the future is not live."""
    clock = FakeClock()
    async with in_process(sqlite_url(tmp_path), clock=clock) as server:
        await server.report(await server.token(), report())
        clock._elapsed -= 3600
        assert (await server.replicas()).json()["replicas"] == []


async def test_a_replica_is_told_how_many_are_live(still_server: Caller, clock: FakeClock) -> None:
    """Those of its own gateway, without the silent and the gone."""
    server, token = still_server, await still_server.token()

    async def told(uid: str, **more: Any) -> int:
        return int((await server.report(token, report(**more), uid=uid)).json()["replicas"])

    assert [await told(f"uid-{number}") for number in range(3)] == [1, 2, 3]
    await clock.advance(10)
    assert await told("uid-1") == 3
    await clock.advance(10)
    assert await told("uid-1") == 1
    assert [await told("uid-2"), await told("uid-2", state="Gone"), await told("uid-1")] == [2, 1, 1]


async def test_one_that_goes_is_off_the_list_at_once(server: Caller) -> None:
    """`Gone`; saying it twice does no harm."""
    token = await server.token()
    await server.report(token, report())
    for _ in range(2):
        assert (await server.report(token, report(state="Gone"))).status_code == 200
    assert (await server.replicas()).json()["replicas"] == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"generation": 2, "hash": hash_of(2)}, id="another table"),
        pytest.param({"credentialVersion": "8"}, id="other credentials"),
        pytest.param({"state": "Draining"}, id="draining"),
        pytest.param({"state": "Gone"}, id="gone"),
        pytest.param({"inFlight": {}}, id="nothing in flight"),
        pytest.param({"leaving": {"http://10.0.0.1:8000": 1}}, id="a pod that leaves"),
    ],
)
async def test_any_change_wakes(server: Caller, change: dict[str, Any]) -> None:
    """The operator need not ask again and again."""
    token = await server.token()
    await server.report(token, report())
    since = (await server.replicas()).json()["since"]
    asking = asyncio.create_task(server.replicas(since=since, wait=30))
    while not len(server.parts.waiters):
        await asyncio.sleep(0.005)
    await server.report(token, report(**change))
    assert (await asking).json()["since"] != since


async def test_being_heard_of_again_wakes_nobody(still_server: Caller, clock: FakeClock) -> None:
    """Heartbeats are no change; after the wait there is nothing new."""
    server, token = still_server, await still_server.token()
    await server.report(token, report())
    since = (await server.replicas()).json()["since"]
    await clock.advance(5)
    await server.report(token, report())
    assert (await server.replicas(since=since)).status_code == 304
    asking = asyncio.create_task(server.replicas(since=since, wait=3))
    assert (await moved_on(clock, asking)).status_code == 304


async def test_silence_wakes_too(still_server: Caller, clock: FakeClock) -> None:
    """Nobody writes anything when a replica is lost."""
    server = still_server
    await server.report(await server.token(), report())
    since = (await server.replicas()).json()["since"]
    asking = asyncio.create_task(server.replicas(since=since, wait=55))
    assert (await moved_on(clock, asking)).json()["replicas"] == []


async def test_a_report_to_another_process_wakes(tmp_path: Path) -> None:
    """Two servers on one file."""
    async with in_process(sqlite_url(tmp_path)) as one, in_process(sqlite_url(tmp_path)) as other:
        since = (await one.replicas()).json()["since"]
        asking = asyncio.create_task(one.replicas(since=since, wait=30))
        while not len(one.parts.waiters):
            await asyncio.sleep(0.005)
        await other.report(await other.token(), report())
        assert len((await asking).json()["replicas"]) == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        pytest.param(report(state="Resting"), "state", id="unknown state"),
        pytest.param(report(hash="no hash"), "hash", id="no hash"),
        pytest.param({**report(), "generation": -1}, "generation", id="negative"),
        pytest.param(report(inFlight={"a": "many"}), "inFlight.a", id="no count"),
        pytest.param(report(leaving={"http://a": -1}), "leaving.http://a", id="less than none"),
        pytest.param(report(leaving={f"http://{n}": 1 for n in range(4097)}), "leaving", id="too many leave"),
        pytest.param([], "body", id="no object"),
    ],
)
async def test_reports_that_are_wrong(server: Caller, said: Any, field: str) -> None:
    """The field is named, and nothing is stored."""
    answer = await server.report(await server.token(), said)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert (await server.replicas()).json()["replicas"] == []


async def test_a_report_that_is_too_large(server: Caller) -> None:
    """1 MiB is enough for anybody's, and 4,096 pods with long names are not too many."""
    many = {f"http://{n}.{'p' * 80}:8000": 9 for n in range(4096)}
    assert (await server.report(await server.token(), report(leaving=many))).status_code == 200
    answer = await server.report(await server.token(), report(version="v" * 2**20))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "TooLarge")


async def test_a_newer_gateway_may_say_more(server: Caller) -> None:
    """Servers and gateways are not upgraded in one moment."""
    assert (await server.report(await server.token(), report(mood="good"))).status_code == 200


async def test_there_is_an_end_to_replicas(server: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a gateway's token cannot fill the database."""
    monkeypatch.setattr("penstock.server.replicas._MOST_REPLICAS", 2)
    token = await server.token()
    answers = [await server.report(token, report(), uid=f"uid-{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert (await server.report(token, report(2), uid="uid-1")).status_code == 200


async def test_the_long_lost_make_room(still_server: Caller, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods come and go for years."""
    monkeypatch.setattr("penstock.server.replicas._MOST_REPLICAS", 2)
    token = await still_server.token()
    for number in range(4):
        assert (await still_server.report(token, report(), uid=f"uid-{number}")).status_code == 200
        await clock.advance(301)


async def test_people_read_and_gateways_do_not(server: Caller) -> None:
    """A gateway's token is for its own table and its own reports."""
    assert (await server.replicas(token=PERSON)).status_code == 200
    assert (await server.replicas(token=await server.token())).status_code == 403
    answer = await server.client.put(f"{GATEWAY}/replicas/uid-1", json=report(), headers=bearer(OPERATOR))
    assert answer.status_code == 401
