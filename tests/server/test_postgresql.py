"""The same on PostgreSQL, where several servers share one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from builders.control_plane import OPERATOR, Caller, hash_of, in_process, report, table
from penstock.server.database import Database
from penstock.server.problems import Problem
from penstock.server.schema import metadata


@pytest.fixture
async def servers(postgresql: str) -> AsyncIterator[tuple[Caller, Caller]]:
    """Two of them, on an empty database that both migrate at once."""
    emptying = Database(postgresql)
    emptying.migrated = True
    async with emptying.writing() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await emptying.close()
    databases = [Database(postgresql) for _ in range(3)]
    await asyncio.gather(*(database.migrate() for database in databases))
    for database in databases:
        await database.close()
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(in_process(postgresql)),
            await stack.enter_async_context(in_process(postgresql)),
        )


async def listening(server: Caller) -> None:
    """Until it hears what others notify."""
    async with asyncio.timeout(20):
        while not server.parts.watcher.listening:
            await asyncio.sleep(0.01)


async def waiting(server: Caller) -> None:
    """Until somebody waits."""
    async with asyncio.timeout(20):
        while not len(server.parts.waiters):
            await asyncio.sleep(0.005)


async def test_migrations_lead_to_the_schema(servers: tuple[Caller, Caller]) -> None:
    """Here too."""
    async with servers[0].parts.database.reading() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []


async def test_a_notification_wakes_the_other_server(servers: tuple[Caller, Caller]) -> None:
    """For tables and for what replicas report."""
    one, other = servers
    await listening(other)
    await one.publish(1)
    token = await other.token()
    pulling = asyncio.create_task(other.pull(token, have=hash_of(1), wait=50))
    since = (await other.replicas()).json()["since"]
    asking = asyncio.create_task(other.replicas(since=since, wait=50))
    await waiting(other)
    await one.publish(2, expected=1)
    await one.report(token, report(2))
    assert (await pulling).content == table(2)
    assert [each["generation"] for each in (await asking).json()["replicas"]] == [2]


async def test_a_broken_connection_is_made_anew(servers: tuple[Caller, Caller]) -> None:
    """Meanwhile the server looks by itself."""
    one, other = servers
    await listening(other)
    await one.publish(1)
    async with one.parts.database.writing() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
            )
        )
    async with asyncio.timeout(20):
        while other.parts.watcher.listening:
            await asyncio.sleep(0.01)
    pulling = asyncio.create_task(other.pull(OPERATOR, have=hash_of(1), wait=50))
    await waiting(other)
    await one.publish(2, expected=1)
    assert (await pulling).content == table(2)
    await listening(other)


async def test_a_database_that_is_not_there(postgresql: str) -> None:
    """Is a problem that may pass, not a crash."""
    database = Database(f"{postgresql.rpartition('/')[0]}/nothing")
    with pytest.raises(Problem) as caught:
        await database.migrate()
    assert (caught.value.status, caught.value.reason) == (503, "DatabaseUnavailable")
    await database.close()


async def test_connections_that_were_cut(servers: tuple[Caller, Caller]) -> None:
    """As by a restart of PostgreSQL: the next requests are served over new ones."""
    one, other = servers
    await one.publish(1)
    async with one.parts.database.writing() as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        )
    for server in servers:
        assert (await server.pull(OPERATOR)).content == table(1)
    assert (await other.publish(2, expected=1)).status_code == 200


async def test_publishers_at_once(servers: tuple[Caller, Caller]) -> None:
    """One of those who expect the same table wins; a whole race leaves the greatest."""
    answers = await asyncio.gather(*(servers[number % 2].publish(10 + number) for number in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


async def test_replicas_report_at_once(servers: tuple[Caller, Caller]) -> None:
    """None is lost."""
    token = await servers[0].token()
    answers = await asyncio.gather(
        *(servers[number % 2].report(token, report(), uid=f"uid-{number:02}") for number in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    uids = [each["uid"] for each in (await servers[0].replicas()).json()["replicas"]]
    assert uids == [f"uid-{number:02}" for number in range(20)]


async def test_a_large_table(servers: tuple[Caller, Caller]) -> None:
    """Through asyncpg, and back from the other server."""
    body = table(1, padding=4 * 2**20)
    assert (await servers[0].publish(1, body=body)).status_code == 200
    assert (await servers[1].pull(OPERATOR)).content == body
