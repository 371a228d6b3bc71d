"""`penstock backup`: the control-plane server's database as one file."""

import gzip
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import click

from penstock.cli.atomic_file import atomic_file
from penstock.cli.connection import Refusal, run
from penstock.server.backup import back_up
from penstock.server.database import Database

__all__ = ["backup", "counted", "database_option", "progress"]

database_option = click.option(
    "--database-url",
    envvar="PENSTOCK_DATABASE_URL",
    show_envvar=True,
    required=True,
    help="sqlite:////path/to/file.db or postgresql://user@host/name. A password belongs in the variable, not here.",
)


@click.command()
@database_option
@click.option(
    "--output",
    "target",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="The file to write, whole or not at all; - is standard output.",
)
def backup(*, database_url: str, target: Path) -> None:
    r"""Write the server's database to one file, from one consistent snapshot.

    The server may go on serving. The file fits SQLite and PostgreSQL alike. It holds published routing tables and the
    digests of gateways' tokens; of tokens and keys themselves the database has none. Progress goes to standard error.

    \b
    Exit codes
      0  the backup is whole
      2  it is not there: the database does not answer, or the file cannot be written

    \b
    Examples
      kubectl exec -n penstock-system deploy/penstock-server -- penstock backup --output - > penstock.backup
      penstock backup --database-url sqlite:////var/lib/penstock/penstock.db --output penstock.backup
    """
    try:
        with _opened(target) as out:
            rows = run(_back_up(database_url, out))
    except OSError as error:
        message = f"writing {target}: {error.strerror or error}. Make room, or name another --output"
        raise Refusal(message) from error
    click.echo(f"backup done: {counted(rows)}", err=True)


async def _back_up(url: str, out: BinaryIO) -> Mapping[str, int]:
    database = Database(url)
    try:
        # No file name and no time in gzip's header: equal databases make equal rows, and - has no name.
        with gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=0, compresslevel=6) as packed:
            return await back_up(database, cast("BinaryIO", packed), now=datetime.now(UTC), progress=progress)
    finally:
        await database.close()


@contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    if str(target) != "-":
        with atomic_file(target) as out:
            yield out
        return
    if sys.stdout.isatty():
        message = "a backup is not for a terminal. Write --output FILE, or send standard output into a file"
        raise click.UsageError(message)
    out = sys.stdout.buffer
    yield out
    out.flush()


def progress(table: str, rows: int) -> None:
    """One line per table and thousand rows."""
    click.echo(f"{table}: {rows} rows", err=True)


def counted(rows: Mapping[str, int]) -> str:
    """`2 gateways, 3 tokens`."""
    return ", ".join(f"{count} {name}" for name, count in rows.items()) or "nothing"
