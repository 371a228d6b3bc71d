"""`penstock rbac`: the rights of operator and server, written where the chart reads them, or compared with that."""

import sys
from pathlib import Path

import click

from penstock.access.document import FILE_NAME, rbac_document

__all__ = ["check", "rbac", "write"]


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default="charts/penstock/files")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 1 where the file differs.")
def rbac(directory: Path, *, only_check: bool) -> None:
    """Write the RBAC rules of operator and server to DIRECTORY/rbac.yaml."""
    if not only_check:
        write(directory)
        return
    stale = check(directory)
    for line in stale:
        click.echo(f"{line}; run `penstock rbac {directory}`", err=True)
    sys.exit(1 if stale else 0)


def write(directory: Path) -> None:
    """Write the file; others in that folder are not ours."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE_NAME).write_text(rbac_document(), encoding="utf-8")


def check(directory: Path) -> tuple[str, ...]:
    """One line where the file is missing, or not as the table has it."""
    path = directory / FILE_NAME
    if not path.is_file():
        return (f"{path}: is missing",)
    return () if path.read_text(encoding="utf-8") == rbac_document() else (f"{path}: differs from the table",)
