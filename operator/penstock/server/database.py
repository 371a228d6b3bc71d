"""One SQL database: SQLite in WAL mode from a file, or PostgreSQL. Transactions in, problems out."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from penstock.errors import PenstockError
from penstock.server.problems import Problem

__all__ = ["Database", "DatabaseUnusable", "known_revisions", "upgrade"]

_log = logging.getLogger(__name__)

_EXCERPT_LENGTH = 300
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_BUSY_SECONDS = 5
_POOL_SIZE = 8
_MIGRATION_LOCK = 0x50454E53
_FULL = ("disk is full", "No space left", "DiskFull", "53100")
_BUSY = ("is locked", "40001", "40P01", "55P03")


class DatabaseUnusable(PenstockError):
    """The URL is none of ours, or the database was written by a newer server: trying again does not help."""


class Database:
    """The engine and its transactions. Whatever the database does wrong is a `Problem` of status 503 or 507."""

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.migrated = False
        self._turn = asyncio.Lock()
        self._engine = create_async_engine(
            self.url,
            # Error messages end in logs: they must not carry tokens' digests or tables.
            hide_parameters=True,
            pool_size=_POOL_SIZE,
            max_overflow=0,
            pool_timeout=_BUSY_SECONDS,
            pool_pre_ping=self.is_postgresql,
            connect_args=_connect_arguments(self.url),
        )
        if not self.is_postgresql:
            _prepare_sqlite(self._engine)

    @property
    def is_postgresql(self) -> bool:
        """Else it is SQLite."""
        return self.url.get_backend_name() == "postgresql"

    def __str__(self) -> str:
        """Without the password."""
        return _shown(self.url)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state and writes nothing."""
        self._insist()
        async with _problems(), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; whoever changes a gateway locks its row first."""
        self._insist()
        async with _problems(), self._write() as connection:
            yield connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """The driver's own connection outside transactions: for LISTEN."""
        async with _problems(), self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection

    @asynccontextmanager
    async def rebuilding(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may change the schema, whatever state that is in; one at a time over all servers."""
        async with _problems(), self._write() as connection:
            if self.is_postgresql:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state in all its statements and cannot write, whatever schema is there."""
        async with _problems(), self._engine.begin() as connection:
            if self.is_postgresql:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection

    async def migrate(self) -> None:
        """Bring the schema up to date; servers that start at once wait for each other.

        DatabaseUnusable where a newer server has been here; Problem where the database does not answer or is
        busy: then try again.
        """
        try:
            async with self.rebuilding() as connection:
                await connection.run_sync(upgrade)
        except CommandError as error:
            message = f"the database {self} was written by a newer version of Penstock: {error}"
            raise DatabaseUnusable(message) from error
        if not self.is_postgresql:
            await self._write_ahead()
        self.migrated = True

    async def check(self) -> None:
        """Problem where it does not answer or is not migrated."""
        async with self.reading() as connection, asyncio.timeout(_BUSY_SECONDS):
            await connection.execute(text("SELECT 1 FROM gateways LIMIT 1"))

    async def close(self) -> None:
        """End all connections."""
        await self._engine.dispose()

    async def _write_ahead(self) -> None:
        """Readers and the writer do not wait for each other; the file remembers. SQLite waits for nobody here."""
        async with self.session() as driver:
            cursor = await driver.execute("PRAGMA journal_mode=WAL")
            await cursor.close()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        # SQLite's own waiting is neither fair nor quick: within the process writers queue here.
        turn = contextlib.nullcontext() if self.is_postgresql else self._turn
        async with turn, self._engine.execution_options(writes=True).begin() as connection:
            yield connection

    def _insist(self) -> None:
        if not self.migrated:
            message = "the database is not ready: its migrations are not done"
            raise Problem(503, "NotReady", message, cure="try again", retry_after=1)


def _checked(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError as error:
        # The text may hold a password: it is not repeated.
        message = "the database URL cannot be read; write sqlite:////path/to/file.db or postgresql://user@host/name"
        raise DatabaseUnusable(message) from error
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None or (driver.startswith("sqlite") and url.database in {None, "", ":memory:"}):
        message = f"{_shown(url)}: write sqlite:////path/to/file.db or postgresql://user@host/name"
        raise DatabaseUnusable(message)
    return url.set(drivername=driver)


def _shown(url: URL) -> str:
    # A query may hold a password too.
    return url.set(query={}).render_as_string(hide_password=True)


def _connect_arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "postgresql":
        return {"timeout": _BUSY_SECONDS, "command_timeout": 6 * _BUSY_SECONDS}
    return {"timeout": _BUSY_SECONDS}


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """Transactions that begin where we say; a writer locks at once, so that it never fails half-way as a reader."""

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the steps up to that revision of the schema, in the connection's transaction; CommandError."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def known_revisions() -> tuple[str, ...]:
    """Revisions of the schema that this version can make, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    # Alembic takes a percent sign for the start of an interpolation.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config


@asynccontextmanager
async def _problems() -> AsyncIterator[None]:
    """What the driver raises, as an answer that says what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise _problem_of(error) from error


def _problem_of(error: Exception) -> Problem:
    origin = error.orig if isinstance(error, DBAPIError) else error
    said = f"{type(origin).__name__} {getattr(origin, 'sqlstate', '')} {origin}"
    # The answer does not say it; without parameters there is no secret in it.
    _log.warning("the database %s", said[:_EXCERPT_LENGTH])
    if any(mark in said for mark in _FULL):
        cure = "make room for the database; nothing was changed"
        return Problem(507, "StorageFull", "the database has no space left", cure=cure, retry_after=30)
    if any(mark in said for mark in _BUSY):
        cure = "try again; where it stays, look for a program that holds the database"
        return Problem(503, "DatabaseBusy", "the database is locked by another writer", cure=cure, retry_after=1)
    cure = "try again; see the server's log"
    return Problem(503, "DatabaseUnavailable", "the database does not answer", cure=cure, retry_after=2)
