"""The client against the real server in process: what is published is read back, and each refusal is its own error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders.clock import FakeClock
from builders.control_plane import OPERATOR, PERSON, Caller, hash_of, in_process, on_loopback, report, sqlite_url, table
from penstock.server.application import application
from penstock.server.bounds import LARGEST_TABLE
from penstock.server_client.client import LiveReplica, PublishedHead, ServerClient
from penstock.server_client.errors import ServerAway, ServerRefused, StaleGeneration, StaleTerm, TableConflict

GATEWAY = "serving/entry"


@dataclass
class Pair:
    """The server as tests see it, and the client under test with a token that a test may change."""

    server: Caller
    client: ServerClient
    token: str = OPERATOR

    async def publish(self, generation: int, *, expected: int = 0, term: int = 1) -> PublishedHead:
        """A table of that generation in place of the expected one; 0: none."""
        expects = hash_of(expected) if expected else ""
        return await self.client.publish(GATEWAY, table(generation), term=term, expected_hash=expects)

    async def acknowledge(self, generation: int, *, uid: str = "uid-1", **more: Any) -> None:
        """As a replica does."""
        answer = await self.server.report(await self.server.token(), report(generation, **more), uid=uid)
        assert answer.status_code == 200, answer.text

    async def waiting(self, count: int = 1) -> None:
        """Until that many long polls have arrived."""
        async with asyncio.timeout(20):
            while len(self.server.parts.waiters) < count:
                await asyncio.sleep(0.005)


def paired(server: Caller) -> Pair:
    """A client of that server, without sockets."""
    transport = httpx.ASGITransport(application(server.parts), raise_app_exceptions=False)
    made = Pair(server, ServerClient("http://server", lambda: made.token, transport=transport))
    return made


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """On the machine's clock."""
    async with in_process(sqlite_url(tmp_path)) as server:
        pair = paired(server)
        async with pair.client:
            yield pair


async def test_a_table_is_published_and_read_back_byte_for_byte(pair: Pair) -> None:
    """Nothing is published at first; a repeated publication is success."""
    assert await pair.client.table(GATEWAY) is None
    assert await pair.publish(1, term=4) == PublishedHead(4, 1, hash_of(1))
    assert await pair.publish(1, term=4) == PublishedHead(4, 1, hash_of(1))
    assert await pair.client.table(GATEWAY) == table(1)
    assert await pair.publish(2, expected=1, term=4) == PublishedHead(4, 2, hash_of(2))
    assert await pair.client.table(GATEWAY) == table(2)


@pytest.mark.parametrize(
    ("generation", "expected", "term", "error"),
    [
        pytest.param(6, 5, 4, StaleTerm, id="deposed"),
        pytest.param(6, 0, 5, TableConflict, id="expects none"),
        pytest.param(6, 4, 5, TableConflict, id="expects another"),
        pytest.param(4, 5, 5, StaleGeneration, id="goes back"),
    ],
)
async def test_what_may_not_be_published_says_what_is_there(
    pair: Pair, generation: int, expected: int, term: int, error: type[StaleTerm | TableConflict | StaleGeneration]
) -> None:
    """And where, why and what to do, in one line."""
    await pair.publish(5, term=5)
    with pytest.raises(error) as caught:
        await pair.publish(generation, expected=expected, term=term)
    assert caught.value.current == PublishedHead(5, 5, hash_of(5))
    assert str(caught.value).startswith("publishing the table of serving/entry at http://server: 409 ")
    assert "; " in str(caught.value)


async def test_the_largest_table_passes_and_a_larger_one_is_refused(pair: Pair) -> None:
    """The server's bound is the only one; both ways."""
    small = table(1)
    largest = small + b" " * (LARGEST_TABLE - len(small))
    await pair.client.publish(GATEWAY, largest, term=1, expected_hash="")
    assert await pair.client.table(GATEWAY) == largest
    with pytest.raises(ServerRefused, match=r"413 TooLarge .body.: .*32 MiB; split the gateway") as caught:
        await pair.client.publish(GATEWAY, largest + b" ", term=1, expected_hash="")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param(b"not json", "422 Invalid", id="not JSON"),
        pytest.param(
            table(1, gateway="serving/other"), "422 WrongGateway .gateway.: .*own gateway's path", id="other's"
        ),
    ],
)
async def test_a_table_that_is_none_is_refused(pair: Pair, document: bytes, said: str) -> None:
    """With the field and the cure of the server."""
    with pytest.raises(ServerRefused, match=said):
        await pair.client.publish(GATEWAY, document, term=1, expected_hash="")


@pytest.mark.parametrize(
    ("token", "status"),
    [pytest.param("nobody-" + "n" * 32, 401, id="nobody's"), pytest.param(PERSON, 403, id="may only read")],
)
async def test_who_may_not_publish_is_refused_and_the_token_not_shown(pair: Pair, token: str, status: int) -> None:
    """It is read anew for each request: the right one is used as soon as it is there."""
    pair.token = token
    with pytest.raises(ServerRefused, match=f": {status} ") as caught:
        await pair.publish(1)
    assert caught.value.status == status
    assert token not in repr(caught.value)
    pair.token = OPERATOR
    assert (await pair.publish(1)).generation == 1


async def test_replicas_are_read_as_they_reported(pair: Pair) -> None:
    """By pod uid."""
    await pair.acknowledge(3, uid="uid-2", pod="entry-1", leaving={"http://10.0.0.7:8000": 2, "*": 1})
    await pair.acknowledge(2, uid="uid-1", state="Draining")
    live = await pair.client.replicas(GATEWAY)
    assert live is not None
    first, second = live.replicas
    assert first == LiveReplica("uid-1", "entry-0", 2, hash_of(2), "7", "Draining", "0.1.0", {"a": 1}, {})
    assert (second.uid, second.pod, second.generation) == ("uid-2", "entry-1", 3)
    assert second.leaving == {"http://10.0.0.7:8000": 2, "*": 1}


async def test_a_gateway_without_replicas(pair: Pair) -> None:
    """Is no error: nobody has reported yet."""
    live = await pair.client.replicas(GATEWAY)
    assert live is not None
    assert live.replicas == ()


async def test_nothing_changed_is_none(pair: Pair) -> None:
    """At once, and after a wait."""
    await pair.acknowledge(1)
    live = await pair.client.replicas(GATEWAY)
    assert live is not None
    assert await pair.client.replicas(GATEWAY, since=live.since) is None
    assert await pair.client.replicas(GATEWAY, since=live.since, wait_seconds=0.01) is None


async def test_a_long_poll_ends_with_the_report_that_it_waited_for(pair: Pair) -> None:
    """Long before its time is over."""
    await pair.acknowledge(1)
    live = await pair.client.replicas(GATEWAY)
    assert live is not None
    poll = asyncio.create_task(pair.client.replicas(GATEWAY, since=live.since, wait_seconds=50))
    await pair.waiting()
    await pair.acknowledge(2)
    async with asyncio.timeout(20):
        changed = await poll
    assert changed is not None
    assert [each.generation for each in changed.replicas] == [2]
    assert changed.since != live.since


async def test_a_replica_that_falls_silent_is_not_listed(tmp_path: Path) -> None:
    """By the server's clock."""
    clock = FakeClock()
    async with in_process(sqlite_url(tmp_path), clock=clock) as server:
        pair = paired(server)
        await pair.acknowledge(1)
        await clock.advance(16)
        live = await pair.client.replicas(GATEWAY)
    assert live is not None
    assert live.replicas == ()


async def test_a_longer_wait_than_the_server_allows_is_the_longest_one(pair: Pair) -> None:
    """Not a refusal: without `since` it answers at once."""
    assert await pair.client.replicas(GATEWAY, wait_seconds=3600) is not None
    assert await pair.client.replicas(GATEWAY, wait_seconds=-1) is not None


async def test_a_token_that_was_made_pulls_the_table(pair: Pair) -> None:
    """As a replica would; and two are two."""
    await pair.publish(1)
    token, other = await pair.client.make_token(GATEWAY), await pair.client.make_token(GATEWAY)
    assert token != other
    assert (await pair.server.pull(token)).content == table(1)


async def test_a_gateway_is_forgotten_and_forgotten_again(pair: Pair) -> None:
    """Unless by a leader that was deposed; its term stays."""
    await pair.publish(1, term=5)
    with pytest.raises(StaleTerm) as caught:
        await pair.client.forget(GATEWAY, term=4)
    assert caught.value.current == PublishedHead(5, 1, hash_of(1))
    await pair.client.forget(GATEWAY, term=5)
    assert await pair.client.table(GATEWAY) is None
    await pair.client.forget(GATEWAY, term=5)
    await pair.client.forget("serving/unheard-of", term=1)


@pytest.mark.parametrize("gateway", ["entry", "", "a/b/c", "../x", "a/..", "A/b", "a/b?c", "a/b\n", "a" * 64 + "/b"])
async def test_a_name_that_is_no_gateways_is_not_sent(pair: Pair, gateway: str) -> None:
    """It could lead elsewhere."""
    with pytest.raises(ServerRefused, match="namespace/name"):
        await pair.client.table(gateway)


async def test_a_server_with_too_many_waiters_is_away_and_says_for_how_long(tmp_path: Path) -> None:
    """503 is worth asking again."""
    async with in_process(sqlite_url(tmp_path), most_waiters=0) as server:
        pair = paired(server)
        empty = await pair.client.replicas(GATEWAY)
        assert empty is not None
        with pytest.raises(ServerAway, match=": 503 ") as caught:
            await pair.client.replicas(GATEWAY, since=empty.since, wait_seconds=50)
    assert caught.value.retry_after


async def test_a_server_that_ends_ends_long_polls_as_unchanged(pair: Pair) -> None:
    """The next question finds it away; this one was answered."""
    empty = await pair.client.replicas(GATEWAY)
    assert empty is not None
    poll = asyncio.create_task(pair.client.replicas(GATEWAY, since=empty.since, wait_seconds=50))
    await pair.waiting()
    pair.server.parts.waiters.close()
    async with asyncio.timeout(20):
        assert await poll is None


async def test_over_real_sockets_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """The server answers before it has read it, and that answer is heard."""
    async with real(tmp_path) as pair:
        with pytest.raises(ServerRefused, match="413 TooLarge"):
            await pair.client.publish(GATEWAY, b" " * (LARGEST_TABLE + 1), term=1, expected_hash="")


async def test_over_real_sockets_long_polls_hold_up_no_publication(tmp_path: Path) -> None:
    """There are as many as gateways are promised, and more than connections for short requests."""
    async with real(tmp_path) as pair:
        empty = await pair.client.replicas(GATEWAY)
        assert empty is not None
        names = [f"serving/entry-{number}" for number in range(100)]
        asked = [pair.client.replicas(name, since=empty.since, wait_seconds=50) for name in names]
        polls = [asyncio.create_task(each) for each in asked]
        await pair.waiting(len(polls))
        assert (await pair.publish(1)).generation == 1
        for poll in polls:
            poll.cancel()
        ended = await asyncio.gather(*polls, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        # What was cancelled gives its connection back.
        assert await pair.client.replicas(GATEWAY, since=empty.since, wait_seconds=0.01) is None


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Pair]:
    """A client with its own pools, of a server on loopback."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(on_loopback(sqlite_url(folder)))
        client = ServerClient(str(server.client.base_url), lambda: OPERATOR)
        yield Pair(server, await stack.enter_async_context(client))
