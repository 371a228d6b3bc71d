"""Backup and restore: what comes back is what was there, on either database; whatever goes wrong changes nothing."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, text

from builders.control_plane import in_process, report, sqlite_url
from penstock.errors import PenstockError
from penstock.operations.backup_format import BackupUnreadable
from penstock.server.backup import NotRestored, back_up, restore
from penstock.server.database import Database
from penstock.server.problems import Problem
from penstock.server.schema import bodies, gateways, metadata, replicas, tokens

NOW = datetime(2026, 11, 1, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]


def quiet(_table: str, _rows: int) -> None:
    """No progress."""


@asynccontextmanager
async def opened(url: str, *, migrated: bool = True) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        if migrated:
            await database.migrate()
        yield database
    finally:
        await database.close()


async def fill(database: Database, rows: Rows) -> None:
    async with database.writing() as connection:
        for table in metadata.sorted_tables:
            if rows.get(table.name):
                await connection.execute(insert(table), rows[table.name])


async def content(database: Database) -> Rows:
    async with database.snapshot() as connection:
        return {
            table.name: [
                dict(row._mapping)
                for row in await connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in metadata.sorted_tables
        }


async def taken(database: Database) -> bytes:
    out = io.BytesIO()
    await back_up(database, out, now=NOW, progress=quiet)
    return out.getvalue()


_number = st.integers(0, 2**62)
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_time = st.floats(0, 4e9, allow_nan=False)


@st.composite
def fleets(draw: st.DrawFn) -> Rows:
    count = draw(st.integers(0, 4))
    numbers = draw(st.lists(st.integers(1, 10_000), min_size=count, max_size=count, unique=True))
    found: Rows = {"gateways": [], "bodies": [], "replicas": [], "tokens": []}
    for number in numbers:
        figures = ("term", "generation", "bytes", "table_version", "replicas_version")
        row = {
            "id": number,
            "namespace": "team",
            "name": f"gateway-{number}",
            "hash": "ab",
            "published_at": draw(_time),
        }
        found["gateways"].append({**row, **{name: draw(_number) for name in figures}})
        found["bodies"].append({"gateway_id": number, "body": draw(st.binary(max_size=200))})
        for pod in draw(st.lists(st.integers(0, 9), max_size=3, unique=True)):
            said = {"report": draw(_text), "applied_at": draw(_time), "seen_at": draw(_time)}
            found["replicas"].append({"gateway_id": number, "pod_uid": f"uid-{pod}", **said})
        row = {"id": number, "gateway_id": number, "digest": f"{number:064x}"}
        found["tokens"].append({**row, "created_at": draw(_time), "used_at": 0.0})
    return found


ONE: Rows = {
    "gateways": [
        {
            "id": 7,
            "namespace": "serving",
            "name": "entry",
            "term": 3,
            "generation": 9,
            "hash": "ab",
            "bytes": 2,
            "published_at": 1.5,
            "table_version": 4,
            "replicas_version": 5,
        }
    ],
    "bodies": [{"gateway_id": 7, "body": b"\x00\xff"}],
    "replicas": [{"gateway_id": 7, "pod_uid": "uid-1", "report": "{}", "applied_at": 1.0, "seen_at": 2.0}],
    "tokens": [{"id": 5, "gateway_id": 7, "digest": "d" * 64, "created_at": 1.0, "used_at": 0.0}],
}


@pytest.fixture
async def whole(tmp_path: Path) -> bytes:
    """A backup of one gateway with all that belongs to it."""
    async with opened(sqlite_url(tmp_path)) as database:
        await fill(database, ONE)
        return await taken(database)


@pytest.mark.property
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(rows=fleets())
def test_what_was_there_comes_back_from_sqlite(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def round_trip(folder: Path) -> None:
        async with (
            opened(f"sqlite:///{folder}/a.db") as one,
            opened(f"sqlite:///{folder}/b.db", migrated=False) as other,
        ):
            await fill(one, rows)
            backup = await taken(one)
            await restore(other, io.BytesIO(backup), force=False, progress=quiet)
            assert await content(other) == await content(one)
            assert await taken(other) == backup

    asyncio.run(round_trip(tmp_path_factory.mktemp("round")))


@pytest.mark.property
@settings(deadline=None, max_examples=10)
@given(rows=fleets())
def test_what_was_there_comes_back_from_postgresql_too(
    rows: Rows, postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def round_trip(folder: Path) -> None:
        async with opened(f"sqlite:///{folder}/a.db") as one, opened(postgresql) as other:
            await fill(one, rows)
            backup = await taken(one)
            await restore(other, io.BytesIO(backup), force=True, progress=quiet)
            assert await content(other) == await content(one)
            assert await taken(other) == backup

    asyncio.run(round_trip(tmp_path_factory.mktemp("round")))


async def test_new_rows_get_new_numbers_on_postgresql(postgresql: str, whole: bytes) -> None:
    async with opened(postgresql) as database:
        await restore(database, io.BytesIO(whole), force=True, progress=quiet)
        values = {name: value for name, value in ONE["gateways"][0].items() if name != "id"} | {"name": "second"}
        async with database.writing() as connection:
            made = await connection.execute(insert(gateways).values(values).returning(gateways.c.id))
            assert made.scalar_one() == 8


async def test_one_state_is_backed_up_while_another_writes(postgresql: str, whole: bytes) -> None:
    """A writer commits after the first table was read: nothing of it may be in what is read later."""
    async with opened(postgresql) as database:
        await restore(database, io.BytesIO(whole), force=True, progress=quiet)
        out = io.BytesIO()

        async def change() -> None:
            other = await asyncpg.connect(postgresql)
            await other.execute("UPDATE bodies SET body = 'changed'")
            await other.close()

        def read(table: str, _rows: int) -> None:
            if table == "gateways":
                # The loop stands still meanwhile: the change is there before the next table is read.
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(asyncio.run, change()).result(timeout=20)

        await back_up(database, out, now=NOW, progress=read)
        again = await taken(database)
    assert b"AP8=" in out.getvalue()
    assert b"AP8=" not in again


async def test_a_server_goes_on_from_its_backup(tmp_path: Path) -> None:
    """A token is good after it, the table is there, and neither is in the file but as a digest."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with in_process(sqlite_url(tmp_path / "a")) as server:
        await server.publish(1)
        token = await server.token()
        await server.report(token, report(1))
        backup = await taken(server.parts.database)
    assert token.encode() not in backup
    async with opened(sqlite_url(tmp_path / "b"), migrated=False) as database:
        rows = await restore(database, io.BytesIO(backup), force=False, progress=quiet)
        assert rows == {"gateways": 1, "bodies": 1, "replicas": 1, "tokens": 1}
    async with in_process(sqlite_url(tmp_path / "b")) as server:
        answer = await server.pull(token)
        assert answer.status_code == 200
        assert answer.json()["generation"] == 1


def _without_footer(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def _changed(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"entry", b"other") for line in lines]


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _longer(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-2]]


def _newer_schema(lines: list[bytes]) -> list[bytes]:
    return [json.dumps({**json.loads(lines[0]), "schema": "9999"}).encode() + b"\n", *lines[1:]]


def _newer_format(lines: list[bytes]) -> list[bytes]:
    return [json.dumps({**json.loads(lines[0]), "version": 2}).encode() + b"\n", *lines[1:]]


def _foreign_table(lines: list[bytes]) -> list[bytes]:
    return [json.dumps({**json.loads(lines[0]), "tables": ["alembic_version"]}).encode() + b"\n", *lines[1:]]


def _no_backup(_: list[bytes]) -> list[bytes]:
    return [b"hello\n"]


Broken = tuple[Callable[[list[bytes]], list[bytes]], type[Exception], str]

BROKEN: dict[str, Broken] = {
    "cut off": (_without_footer, BackupUnreadable, "ends in the middle"),
    "changed": (_changed, BackupUnreadable, "checksum"),
    "swapped": (_swapped, NotRestored, "does not fit"),
    "longer": (_longer, BackupUnreadable, "follows its last line"),
    "of a newer schema": (_newer_schema, NotRestored, "does not know it. Restore with that version"),
    "of a newer format": (_newer_format, BackupUnreadable, "Use a newer penstock"),
    "with a foreign table": (_foreign_table, NotRestored, "alembic_version"),
    "no backup": (_no_backup, BackupUnreadable, "not JSON"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("full", [True, False], ids=["over another", "into nothing"])
async def test_a_broken_backup_changes_nothing(tmp_path: Path, whole: bytes, broken: Broken, *, full: bool) -> None:
    break_it, error, said = broken
    backup = b"".join(break_it(whole.splitlines(keepends=True)))
    (tmp_path / "b").mkdir()
    async with opened(sqlite_url(tmp_path / "b")) as database:
        if full:
            await fill(database, ONE)
        before = await content(database)
        with pytest.raises(error, match=said):
            await restore(database, io.BytesIO(backup), force=True, progress=quiet)
        assert await content(database) == before


async def test_what_is_there_is_replaced_by_force_only(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "b").mkdir()
    async with opened(sqlite_url(tmp_path / "b")) as database:
        await fill(database, {"gateways": [{**ONE["gateways"][0], "name": "another"}]})
        with pytest.raises(NotRestored, match="not empty: 1 gateways"):
            await restore(database, io.BytesIO(whole), force=False, progress=quiet)
        await restore(database, io.BytesIO(whole), force=True, progress=quiet)
        assert await content(database) == ONE


async def test_a_database_of_a_newer_server_is_left_alone(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "b").mkdir()
    async with opened(sqlite_url(tmp_path / "b")) as database:
        async with database.writing() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(NotRestored, match="of a newer Penstock"):
            await restore(database, io.BytesIO(whole), force=True, progress=quiet)
        with pytest.raises(PenstockError, match="has schema 9999"):
            await taken(database)


async def test_a_full_disk_leaves_what_was_there(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "b").mkdir()
    large = {**ONE, "bodies": [{"gateway_id": 7, "body": bytes(2**20)}]}
    (tmp_path / "c").mkdir()
    async with opened(sqlite_url(tmp_path / "c")) as source:
        await fill(source, large)
        backup = await taken(source)
    async with opened(sqlite_url(tmp_path / "b")) as database:
        await fill(database, ONE)
        before = await content(database)
        await database.close()

        @event.listens_for(database._engine.sync_engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA max_page_count=40")
            cursor.close()

        with pytest.raises(Problem, match="no space left") as caught:
            await restore(database, io.BytesIO(backup), force=True, progress=quiet)
        assert caught.value.status == 507
        assert await content(database) == before
    assert whole != backup


def test_every_table_of_the_schema_is_in_a_backup() -> None:
    assert {table.name for table in metadata.sorted_tables} == {
        table.name for table in (gateways, bodies, replicas, tokens)
    }


async def test_a_database_without_a_schema_is_told(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").touch()
    async with opened(sqlite_url(tmp_path), migrated=False) as database:
        with pytest.raises(PenstockError, match="Run the server of this version once"):
            await taken(database)
