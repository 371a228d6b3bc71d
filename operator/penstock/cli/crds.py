"""`penstock crds`: the CustomResourceDefinitions, written to a folder or compared with it."""

import sys
from pathlib import Path

import click

from penstock.api.crd import crd_documents
from penstock.cli import generated

__all__ = ["check", "crds", "write"]


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit code 1 where a file differs.")
def crds(directory: Path, *, only_check: bool) -> None:
    """Write the CRDs of every kind to DIRECTORY, one file each."""
    if not only_check:
        write(directory)
        return
    stale = check(directory)
    for line in stale:
        click.echo(f"{line}; run `penstock crds {directory}`", err=True)
    sys.exit(1 if stale else 0)


def write(directory: Path) -> None:
    """Write every CRD."""
    generated.write(directory, crd_documents())


def check(directory: Path) -> tuple[str, ...]:
    """One line per file that is not as the models have it."""
    return generated.differences(directory, crd_documents())
