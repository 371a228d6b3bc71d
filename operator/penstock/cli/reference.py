"""`penstock reference`: the reference pages of the kinds, written to a folder or compared with it."""

import sys
from pathlib import Path

import click

from penstock.api.pages import reference_documents
from penstock.cli import generated

__all__ = ["check", "reference", "write"]


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 1 where a page differs.")
def reference(directory: Path, *, only_check: bool) -> None:
    """Write a page per kind to DIRECTORY: its fields, conditions and columns."""
    if not only_check:
        write(directory)
        return
    stale = check(directory)
    for line in stale:
        click.echo(f"{line}; run `penstock reference {directory}`", err=True)
    sys.exit(1 if stale else 0)


def write(directory: Path) -> None:
    """Write every page."""
    generated.write(directory, reference_documents())


def check(directory: Path) -> tuple[str, ...]:
    """One line per page that is not as the models have it."""
    return generated.differences(directory, reference_documents())
