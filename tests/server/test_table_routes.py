"""Publishing and pulling: the same bytes, forward only, woken at once."""

import asyncio
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.clock import FakeClock
from builders.control_plane import GATEWAY, OPERATOR, PERSON, Caller, bearer, hash_of, in_process, sqlite_url, table
from penstock.server import bounds
from penstock.server.access import GatewayName


async def waiting(server: Caller, count: int = 1) -> None:
    """Until that many wait."""
    async with asyncio.timeout(20):
        while len(server.parts.waiters) < count:
            await asyncio.sleep(0.005)


async def test_the_bytes_come_back_as_they_went_in(server: Caller) -> None:
    """White space, order and all."""
    body = b'{ "hash":"aaaaaaaa",\n "x":1.0, "generation":1,"gateway":"serving/entry" }\n'
    published = await server.publish(1, body=body)
    assert published.json() == {"term": 1, "generation": 1, "hash": "aaaaaaaa", "changed": True}
    pulled = await server.pull(await server.token())
    assert pulled.content == body
    assert pulled.headers["etag"] == '"aaaaaaaa"'
    assert pulled.headers["content-type"] == "application/json"
    assert (pulled.headers["penstock-term"], pulled.headers["penstock-generation"]) == ("1", "1")


async def test_a_repeated_publication_changes_nothing(server: Caller) -> None:
    """The answer to the first one was lost: the second says that it is there."""
    await server.publish(1)
    again = await server.publish(1)
    assert (again.status_code, again.json()["changed"]) == (200, False)


async def test_the_same_content_goes_above_what_replicas_know(server: Caller) -> None:
    """They come from a database that was lost, with greater generations, and take nothing that is older."""
    await server.publish(1)
    above = await server.publish(0, expected=1, body=table(51, number=1))
    assert (above.status_code, above.json()["changed"], above.json()["generation"]) == (200, True, 51)
    below = await server.publish(0, expected=1, body=table(7, number=1))
    assert (below.status_code, below.json()["changed"], below.json()["generation"]) == (200, False, 51)


@pytest.mark.parametrize(
    ("term", "expected", "generation", "reason"),
    [
        pytest.param(4, 5, 6, "StaleTerm", id="deposed"),
        pytest.param(5, "", 6, "Conflict", id="expects none"),
        pytest.param(5, 4, 6, "Conflict", id="expects another"),
        pytest.param(5, 5, 4, "StaleGeneration", id="goes back"),
    ],
)
async def test_what_may_not_be_published(
    server: Caller, term: int, expected: int | str, generation: int, reason: str
) -> None:
    """The answer says what is there, and the table stays."""
    await server.publish(5, term=5)
    refused = await server.publish(generation, expected=expected, term=term)
    error = refused.json()["error"]
    assert (refused.status_code, error["reason"]) == (409, reason)
    assert error["current"] == {"term": 5, "generation": 5, "hash": hash_of(5)}
    assert error["cure"]
    assert (await server.pull(OPERATOR)).content == table(5)


async def test_a_refused_leader_deposes_its_predecessor_too(server: Caller) -> None:
    """Its term was seen, though its publication was refused."""
    await server.publish(1, term=1)
    conflict = await server.publish(2, expected=7, term=2)
    assert conflict.json()["error"]["current"]["term"] == 2
    late = await server.publish(2, expected=1, term=1)
    assert late.json()["error"]["reason"] == "StaleTerm"


async def test_after_a_restored_backup_the_operator_publishes_anew(tmp_path: Path) -> None:
    """The database is older than what gateways have: none is turned back, and one conflict later all go on."""
    backup = tmp_path / "backup.db"
    async with in_process(sqlite_url(tmp_path)) as server:
        await server.publish(1)
        token = await server.token()
        await server.parts.database.close()
        backup.write_bytes((tmp_path / "penstock.db").read_bytes())
        await server.publish(2, expected=1, term=2)
    for leftover in tmp_path.glob("penstock.db*"):
        leftover.unlink()
    backup.rename(tmp_path / "penstock.db")
    async with in_process(sqlite_url(tmp_path)) as server:
        older = await server.pull(token, have=hash_of(2), generation=2)
        assert older.status_code == 304
        conflict = await server.publish(3, expected=2, term=2)
        current = conflict.json()["error"]["current"]
        assert (conflict.status_code, current) == (409, {"term": 2, "generation": 1, "hash": hash_of(1)})
        anew = await server.publish(3, expected=current["hash"], term=2)
        assert anew.status_code == 200
        assert (await server.pull(token, have=hash_of(2), generation=2)).content == table(3)


async def test_nothing_newer_is_answered_after_the_wait(server: Caller) -> None:
    """Without a wait, at once."""
    await server.publish(1)
    for wait in (0, 0.05):
        answer = await server.pull(OPERATOR, have=hash_of(1), wait=wait)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", f'"{hash_of(1)}"')


async def test_what_was_never_published_is_not_found(server: Caller) -> None:
    """At once, though the client would wait."""
    answer = await server.pull(OPERATOR, wait=50)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "NotPublished")


async def test_a_publication_wakes_everybody_at_once(server: Caller) -> None:
    """Fifty replicas, one read of the table; the watcher stands still."""
    await server.publish(1)
    token = await server.token()
    pulls = [asyncio.create_task(server.pull(token, have=hash_of(1), wait=30)) for _ in range(50)]
    await waiting(server, 50)
    began = time.monotonic()
    await server.publish(2, expected=1)
    answers = await asyncio.gather(*pulls)
    assert {answer.content for answer in answers} == {table(2)}
    # Generous: a shared machine. Alone it takes some 30 ms for all fifty.
    assert time.monotonic() - began < 5
    assert len(server.parts.waiters) == 0


async def test_another_process_wakes_too(tmp_path: Path) -> None:
    """Two servers on one SQLite file."""
    async with in_process(sqlite_url(tmp_path)) as one, in_process(sqlite_url(tmp_path)) as other:
        await one.publish(1)
        pulling = asyncio.create_task(other.pull(OPERATOR, have=hash_of(1), wait=30))
        await waiting(other)
        await one.publish(2, expected=1)
        assert (await pulling).content == table(2)


async def test_many_publishers_on_two_servers_are_one_after_the_other(tmp_path: Path) -> None:
    """All expect the same table: one of them wins."""
    async with in_process(sqlite_url(tmp_path)) as one, in_process(sqlite_url(tmp_path)) as other:
        answers = await asyncio.gather(
            *(server.publish(10 + number) for number, server in enumerate([one, other] * 6)),
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11


async def test_too_many_who_wait_are_sent_away(tmp_path: Path) -> None:
    """With when to come again; who does not wait is served."""
    async with in_process(sqlite_url(tmp_path), most_waiters=1) as server:
        await server.publish(1)
        first = asyncio.create_task(server.pull(OPERATOR, have=hash_of(1), wait=30))
        await waiting(server)
        second = await server.pull(OPERATOR, have=hash_of(1), wait=30)
        assert (second.status_code, second.json()["error"]["reason"]) == (503, "TooManyWaiters")
        assert int(second.headers["retry-after"]) > 0
        assert (await server.pull(OPERATOR)).status_code == 200
        server.parts.waiters.close()
        assert (await first).status_code == 304


async def test_forgetting_wakes_who_waits(server: Caller) -> None:
    """There is nothing to wait for any more."""
    await server.publish(1)
    pulling = asyncio.create_task(server.pull(OPERATOR, have=hash_of(1), wait=30))
    await waiting(server)
    assert (await server.client.delete(GATEWAY, headers=bearer(OPERATOR))).status_code == 204
    assert (await pulling).status_code == 404


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "streamed"])
async def test_a_table_that_is_too_large(server: Caller, monkeypatch: pytest.MonkeyPatch, *, declared: bool) -> None:
    """Whether or not its length was announced; one that just fits is taken."""
    body = table(1, padding=1000)
    monkeypatch.setattr("penstock.server.table_routes.LARGEST_TABLE", len(body) - 1)

    async def pieces() -> object:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    headers = {**bearer(OPERATOR), "Penstock-Term": "1", "Penstock-Expected-Hash": ""}
    content = body if declared else pieces()
    refused = await server.client.put(f"{GATEWAY}/table", headers=headers, content=content)  # type: ignore[arg-type] # pieces are bytes
    error = refused.json()["error"]
    assert (refused.status_code, error["reason"]) == (413, "TooLarge")
    assert "split" in error["cure"]
    monkeypatch.setattr("penstock.server.table_routes.LARGEST_TABLE", len(body))
    assert (await server.publish(1, body=body)).status_code == 200


async def test_the_largest_table_goes_through(server: Caller) -> None:
    """32 MiB, byte by byte the same."""
    empty = len(table(1))
    body = table(1, padding=(bounds.LARGEST_TABLE - empty) // 2)
    assert (await server.publish(1, body=body)).status_code == 200
    assert (await server.pull(OPERATOR)).content == body


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        pytest.param({"Penstock-Expected-Hash": ""}, "Penstock-Term", id="no term"),
        pytest.param({"Penstock-Term": "1"}, "Penstock-Expected-Hash", id="no expected hash"),
        pytest.param({"Penstock-Term": "-1", "Penstock-Expected-Hash": ""}, "Penstock-Term", id="negative term"),
        pytest.param({"Penstock-Term": "x", "Penstock-Expected-Hash": ""}, "Penstock-Term", id="no number"),
        pytest.param({"Penstock-Term": "1", "Penstock-Expected-Hash": "%"}, "Penstock-Expected-Hash", id="no hash"),
    ],
)
async def test_headers_that_are_wrong(server: Caller, headers: dict[str, str], field: str) -> None:
    """The one that is wrong is named, in the shape of all errors."""
    answer = await server.client.put(f"{GATEWAY}/table", headers={**headers, **bearer(OPERATOR)}, content=table(1))
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_a_person_reads_and_does_not_publish(server: Caller) -> None:
    """As their roles say."""
    await server.publish(1)
    assert (await server.pull(PERSON)).status_code == 200
    assert (await server.publish(2, expected=1, token=PERSON)).status_code == 403


_publications = st.lists(
    st.tuples(
        st.integers(0, 3),  # which of four publishers, each with its own term
        st.sampled_from(["publish", "publish", "publish", "look", "forget"]),
        st.integers(-1, 2),  # how far it moves the generation that it believes in
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(_publications)
def test_publishers_at_once_never_turn_the_database_back(steps: list[tuple[int, str, int]]) -> None:
    """Two servers on one file, steps that overlap in pairs: neither term nor generation is ever seen to fall."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_race(Path(folder), steps))


async def _race(folder: Path, steps: list[tuple[int, str, int]]) -> None:
    believed = dict.fromkeys(range(4), ("", 0))
    async with (
        in_process(sqlite_url(folder), clock=FakeClock()) as one,
        in_process(sqlite_url(folder), clock=FakeClock()) as other,
    ):

        async def act(server: Caller, number: int, publisher: int, action: str, distance: int) -> None:
            digest, generation = believed[publisher]
            if action == "forget":
                headers = {**bearer(OPERATOR), "Penstock-Term": str(publisher)}
                await server.client.delete(GATEWAY, headers=headers)
                return
            new = max(generation + distance, 1)
            body = table(new, number=number) if action == "publish" else b"{}"
            answer = await server.publish(0, expected=digest, term=publisher, body=body)
            seen = answer.json() if answer.status_code == 200 else answer.json()["error"].get("current")
            if seen:
                believed[publisher] = (seen["hash"], seen["generation"])

        lowest = (0, 0)
        for start in range(0, len(steps), 2):
            pair = enumerate(steps[start : start + 2], start=start + 1)
            await asyncio.gather(
                *(act(server, number, *step) for (number, step), server in zip(pair, (one, other), strict=False))
            )
            lowest = await _not_below(lowest, one)


async def _not_below(lowest: tuple[int, int], server: Caller) -> tuple[int, int]:
    """What the database has now, by a publication that is always refused and is of no higher term."""
    probe = await server.publish(1, expected=hash_of(999), term=0, body=table(1, number=998))
    current = probe.json()["error"]["current"]
    now = (current["term"], current["generation"])
    assert now[0] >= lowest[0]
    assert now[1] >= lowest[1]
    return now


def test_names_are_shown_as_tables_have_them() -> None:
    """Namespace and name."""
    assert str(GatewayName("serving", "entry")) == "serving/entry"
