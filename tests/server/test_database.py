"""Migrations, transactions, and what a sick database does to a request."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from builders.control_plane import OPERATOR, Caller, hash_of, in_process, report, sqlite_url, table
from penstock.server import database as module
from penstock.server.database import Database, DatabaseUnusable
from penstock.server.problems import Problem
from penstock.server.schema import metadata


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Closed at the end."""
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def test_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    """What the code reads and what the steps make are one; a second run changes nothing."""
    async with opened(sqlite_url(tmp_path)) as database:
        await database.migrate()
        await database.migrate()
        async with database.reading() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
            )
            assert differences == []
            assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"


async def test_servers_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    """One waits for the other, or tries again."""
    databases = [Database(sqlite_url(tmp_path)) for _ in range(3)]

    async def migrate(database: Database) -> None:
        while not database.migrated:
            with suppress(Problem):
                await database.migrate()

    async with asyncio.timeout(20):
        await asyncio.gather(*(migrate(database) for database in databases))
    for database in databases:
        await database.check()
        await database.close()


async def test_the_drivers_own_words_are_a_problem_too(tmp_path: Path) -> None:
    """A server that starts beside another one tries again, and does not end with a traceback."""
    database = Database(sqlite_url(tmp_path))
    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    try:
        other.execute("CREATE TABLE held (id)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Problem) as told:
            async with database.session() as driver:
                await driver.execute("PRAGMA journal_mode=WAL")
        assert told.value.reason == "DatabaseBusy"
    finally:
        other.close()
        await database.close()


async def test_a_database_of_a_newer_server(tmp_path: Path) -> None:
    """Is left alone, with words that say so."""
    async with opened(sqlite_url(tmp_path)) as database:
        await database.migrate()
        async with database.writing() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(DatabaseUnusable, match="newer version"):
            await database.migrate()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("sqlite://", id="in memory"),
        pytest.param("sqlite:///:memory:", id="in memory too"),
        pytest.param("mysql://penstock:swordfish@host/name", id="another kind"),
        pytest.param("swordfish", id="no URL"),
    ],
)
def test_urls_that_are_none_of_ours(url: str) -> None:
    """What to write is said; a password is not repeated."""
    with pytest.raises(DatabaseUnusable, match="sqlite:////path") as caught:
        Database(url)
    assert "swordfish" not in str(caught.value)


async def test_a_password_is_not_shown() -> None:
    """Where the database is named in logs."""
    async with opened("postgres://penstock:swordfish@host/name") as database:
        assert str(database) == "postgresql+asyncpg://penstock:***@host/name"
        assert database.is_postgresql


async def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers are told to come again, readers go on; afterwards all is well."""
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.1)
    async with in_process(sqlite_url(tmp_path)) as server:
        await server.publish(1)
        token = await server.token()
        await server.pull(token)
        holder = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        refused = await server.publish(2, expected=1)
        assert (refused.status_code, refused.json()["error"]["reason"]) == (503, "DatabaseBusy")
        assert refused.headers["retry-after"] == "1"
        assert (await server.report(token, report())).status_code == 503
        assert (await server.pull(token)).content == table(1)
        holder.execute("ROLLBACK")
        holder.close()
        assert (await server.publish(2, expected=1)).status_code == 200


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        pytest.param("database or disk is full", 507, "StorageFull", id="full"),
        pytest.param("disk I/O error", 503, "DatabaseUnavailable", id="broken"),
        pytest.param("database is locked", 503, "DatabaseBusy", id="locked"),
    ],
)
async def test_a_database_that_fails_half_way(
    server: Caller, monkeypatch: pytest.MonkeyPatch, said: str, status: int, reason: str
) -> None:
    """After the head was written and before the bytes were: nothing of it is there."""
    await server.publish(1)

    async def fail(*_: Any) -> None:
        statement = "INSERT INTO bodies"
        raise OperationalError(statement, {}, sqlite3.OperationalError(said))

    with monkeypatch.context() as patched:
        patched.setattr("penstock.server.tables.announce", fail)
        refused = await server.publish(2, expected=1)
    assert (refused.status_code, refused.json()["error"]["reason"]) == (status, reason)
    assert "INSERT" not in refused.text
    pulled = await server.pull(OPERATOR)
    assert (pulled.content, pulled.headers["etag"]) == (table(1), f'"{hash_of(1)}"')
    assert (await server.publish(2, expected=1)).status_code == 200


async def test_a_full_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own bound on pages stands for the disk's: nothing is lost, and with room it goes on."""
    monkeypatch.setattr(module, "_POOL_SIZE", 1)
    async with in_process(sqlite_url(tmp_path)) as server:
        await server.publish(1)
        await _bound(server, 0)
        refused = await server.publish(2, expected=1, body=table(2, padding=100_000))
        assert (refused.status_code, refused.json()["error"]["reason"]) == (507, "StorageFull")
        assert (await server.pull(OPERATOR)).content == table(1)
        await _bound(server, 1000)
        assert (await server.publish(2, expected=1, body=table(2, padding=100_000))).status_code == 200


async def _bound(server: Caller, more: int) -> None:
    """At most so many pages more than now; the bound is the one connection's."""
    async with server.parts.database.session() as driver:
        cursor = await driver.execute("PRAGMA page_count")
        (pages,) = await cursor.fetchone()
        await cursor.close()
        await (await driver.execute(f"PRAGMA max_page_count={pages + more}")).close()


async def test_no_database_there(unused_port: int) -> None:
    """The cause is a problem, not a traceback."""
    async with opened(f"postgresql://penstock@127.0.0.1:{unused_port}/name") as database:
        with pytest.raises(Problem) as caught:
            await database.migrate()
        assert (caught.value.status, caught.value.reason) == (503, "DatabaseUnavailable")
