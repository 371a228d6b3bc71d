"""`penstock reference`: the reference pages of kinds and commands, written to a folder or compared with it."""

import importlib
import sys
from pathlib import Path

import click

from penstock.api.pages import reference_documents
from penstock.cli import generated
from penstock.cli.command_pages import command_documents

__all__ = ["check", "reference", "write"]


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 1 where a page differs.")
def reference(directory: Path, *, only_check: bool) -> None:
    """Write a page per kind (its fields, conditions and columns) and one of all commands to DIRECTORY."""
    if not only_check:
        write(directory)
        return
    stale = check(directory)
    for line in stale:
        click.echo(f"{line}; run `penstock reference {directory}`", err=True)
    sys.exit(1 if stale else 0)


def write(directory: Path) -> None:
    """Write every page."""
    generated.write(directory, _documents())


def check(directory: Path) -> tuple[str, ...]:
    """One line per page that is not as the models have it."""
    return generated.differences(directory, _documents())


def _documents() -> dict[str, str]:
    # The root knows this command, so it cannot be imported with it.
    root = importlib.import_module("penstock.cli").main
    return {**reference_documents(), **command_documents(root)}
