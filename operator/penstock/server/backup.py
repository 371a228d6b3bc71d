"""The whole database as a file, and back: one consistent snapshot out, all or nothing in.

What leaves is what is stored: digests of tokens, published tables, what replicas said. A restore makes the schema of
the backup, fills it, and brings it up to date, in one transaction: whatever goes wrong leaves what was there.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text
from sqlalchemy.exc import CompileError, DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock import __version__
from penstock.errors import PenstockError
from penstock.operations.backup_format import LONGEST_LINE, Header, Reader, Row, Writer
from penstock.server.database import Database, known_revisions, upgrade
from penstock.server.schema import metadata

__all__ = ["NotRestored", "Progress", "back_up", "restore"]

Progress = Callable[[str, int], None]
"""Called with a table's name and how many of its rows are done."""

_TOGETHER = 100
_TOGETHER_BYTES = 4 * 2**20
_STEP = 1000
_VERSION_TABLE = "alembic_version"


class NotRestored(PenstockError):
    """The database or the backup is not fit for it; nothing was changed."""


async def back_up(database: Database, out: BinaryIO, *, now: datetime, progress: Progress) -> Mapping[str, int]:
    """Write the backup's lines; how many rows each table had.

    PenstockError where the schema is not this version's, Problem where the
    database does not answer, OSError where `out` takes no more.
    """
    _insist_on_file(database)
    writer, tables = Writer(), metadata.sorted_tables
    async with database.snapshot() as connection:
        schema = await _insist_on_schema(connection, database)
        header = Header(schema, __version__, now.isoformat(), tuple(table.name for table in tables))
        out.write(writer.header(header))
        for table in tables:
            async for values in _rows(connection, table):
                out.write(writer.row(table.name, values))
                done = writer.rows[table.name]
                if done % _STEP == 0:
                    progress(table.name, done)
            progress(table.name, writer.rows[table.name])
        out.write(writer.footer())
    return writer.rows


async def restore(database: Database, source: BinaryIO, *, force: bool, progress: Progress) -> Mapping[str, int]:
    """Fill the database from the backup's lines; how many rows each table has then.

    NotRestored or BackupUnreadable leave everything as it was, as does a Problem of the database: no connection, no
    space left. `force` replaces what the database holds.
    """
    reader = Reader(_lines(source))
    header = reader.header()
    if header.schema not in known_revisions():
        message = (
            f"the backup has schema {header.schema or 'none'}, made by penstock {header.penstock}, and this is"
            f" {__version__}, which does not know it. Restore with that version"
        )
        raise NotRestored(message)
    async with database.rebuilding() as connection:
        await connection.run_sync(_make_room, force)
        await connection.run_sync(upgrade, header.schema)
        return await connection.run_sync(_fill, reader, header, progress)


def _insist_on_file(database: Database) -> None:
    """SQLite would make an empty one of a name that is misspelt."""
    if not database.is_postgresql and not Path(database.url.database or "").exists():
        message = f"there is no file {database.url.database}. Name the server's database file"
        raise PenstockError(message)


async def _insist_on_schema(connection: AsyncConnection, database: Database) -> str:
    found, newest = await connection.run_sync(_revision), known_revisions()[0]
    if found != newest:
        cure = (
            "Run the server of this version once" if found in {"", *known_revisions()} else "Use the server's penstock"
        )
        message = f"the database {database} has schema {found or 'none'}, and this version writes {newest}. {cure}"
        raise PenstockError(message)
    return found


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return ""
    return str(connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar() or "")  # noqa: S608 - ours


async def _rows(connection: AsyncConnection, table: Table) -> AsyncIterator[Mapping[str, Any]]:
    """In the order of the primary key, so that equal databases make equal files."""
    async with connection.stream(select(table).order_by(*table.primary_key.columns)) as result:
        async for row in result:
            yield {column.name: row[index] for index, column in enumerate(table.columns)}


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """The lines, and of a line that has no end as much as the reader needs to refuse it."""
    while line := source.readline(LONGEST_LINE + 1):
        yield line


def _make_room(connection: Connection, force: bool) -> None:  # noqa: FBT001 - run_sync passes no keywords
    """Take our tables away where nothing is in them, or the user says so."""
    found = _revision(connection)
    if found and found not in known_revisions():
        message = f"the database has schema {found}, of a newer Penstock. Restore with that version"
        raise NotRestored(message)
    present = [table for table in metadata.sorted_tables if inspect(connection).has_table(table.name)]
    held = {table.name: connection.execute(select(func.count()).select_from(table)).scalar() or 0 for table in present}
    if any(held.values()) and not force:
        counted = ", ".join(f"{count} {name}" for name, count in held.items() if count)
        message = f"the database is not empty: {counted}. Name another database, or say --force to replace all of it"
        raise NotRestored(message)
    metadata.drop_all(connection)
    if found:
        connection.execute(text(f"DROP TABLE {_VERSION_TABLE}"))


def _fill(connection: Connection, reader: Reader, header: Header, progress: Progress) -> Mapping[str, int]:
    tables = _tables(connection, header)
    counts = dict.fromkeys(header.tables, 0)
    for table, batch in _batches(reader.rows()):
        try:
            connection.execute(tables[table].insert(), batch)
        except (IntegrityError, DataError, CompileError) as error:
            message = f"a row of {table} in the backup does not fit its schema {header.schema}. Name an unchanged file"
            raise NotRestored(message) from error
        counts[table] += len(batch)
        progress(table, counts[table])
    if connection.dialect.name == "postgresql":
        for filled in tables.values():
            _follow(connection, filled)
    upgrade(connection)
    return counts


def _tables(connection: Connection, header: Header) -> dict[str, Table]:
    """As the schema of the backup has them, which may be older than ours."""
    reflected = MetaData()
    reflected.reflect(connection)
    missing = [name for name in header.tables if name not in reflected.tables or name == _VERSION_TABLE]
    if missing:
        message = f"the backup has tables that its schema {header.schema} has not: {', '.join(missing)}"
        raise NotRestored(message)
    return {name: reflected.tables[name] for name in header.tables}


def _batches(rows: Iterator[Row]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of one table together, bounded in number and size."""
    name, batch, size = "", list[dict[str, Any]](), 0
    for row in rows:
        if batch and (row.table != name or len(batch) == _TOGETHER or size > _TOGETHER_BYTES):
            yield name, batch
            batch, size = [], 0
        name = row.table
        batch.append(row.values)
        size += sum(len(value) for value in row.values.values() if isinstance(value, bytes | str))
    if batch:
        yield name, batch


def _follow(connection: Connection, table: Table) -> None:
    """New rows get numbers above those that were restored."""
    for column in table.primary_key.columns:
        sequence = connection.execute(func.pg_get_serial_sequence(table.name, column.name).select()).scalar()
        highest = connection.execute(select(func.max(column))).scalar()
        if sequence and highest:
            connection.execute(func.setval(sequence, highest).select())
