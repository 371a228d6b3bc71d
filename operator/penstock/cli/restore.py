"""`penstock restore`: a backup into a database, all of it or nothing."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import click

from penstock.cli.backup import counted, database_option, progress
from penstock.cli.connection import Refusal, run
from penstock.server.backup import restore as restore_database
from penstock.server.database import Database

__all__ = ["restore"]


@click.command()
@database_option
@click.option(
    "--input",
    "source",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="A file that `penstock backup` wrote; - is standard input.",
)
@click.option("--force", is_flag=True, help="Replace what the database holds; without it only an empty one is filled.")
def restore(*, database_url: str, source: Path, force: bool) -> None:
    r"""Fill the server's database from a backup, in one transaction: all of it or nothing.

    Stop the server first (kubectl scale deploy/penstock-server --replicas=0): what it writes meanwhile is lost with
    --force. Refused are a database that is not empty, a backup of a newer schema, and one that was cut off or changed.
    Gateways go on serving; the operator publishes what is missing above what the backup has, so nothing turns back.

    \b
    Exit codes
      0  all of it is there
      2  nothing was changed; the message says why

    \b
    Examples
      penstock restore --database-url sqlite:////var/lib/penstock/penstock.db --input penstock.backup
      penstock restore --input - --force < penstock.backup    # with PENSTOCK_DATABASE_URL
    """
    try:
        with click.open_file(str(source), "rb") as packed:
            rows = run(_restore(database_url, cast("BinaryIO", packed), force=force))
    except (OSError, EOFError, zlib.error) as error:
        message = f"reading {source}: {error}. Nothing was changed; name a whole file that `penstock backup` wrote"
        raise Refusal(message) from error
    click.echo(f"restored: {counted(rows)}. Start the server; gateways whose token is older get a new one", err=True)


async def _restore(url: str, packed: BinaryIO, *, force: bool) -> Mapping[str, int]:
    database = Database(url)
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as lines:
            return await restore_database(database, cast("BinaryIO", lines), force=force, progress=progress)
    finally:
        await database.close()
