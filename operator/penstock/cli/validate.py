"""`penstock validate`: are these files good, before anything is applied."""

import sys
from pathlib import Path
from typing import Any

import click

from penstock.api.meta import GROUP
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.api.validation import parse
from penstock.cli.input_files import contents, files_of
from penstock.cli.refusing import InputRefused

__all__ = ["validate"]


@click.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
def validate(paths: tuple[Path, ...]) -> None:
    r"""Check files or folders of resources.

    \b
    Exit codes
      0  everything is good; what is not Penstock's is passed over, and said
      1  a resource is refused
      2  a file cannot be read, or there is nothing to check
    """
    files, passed_over = files_of(paths)
    for line in passed_over:
        click.echo(line, err=True)
    bad, read = 0, 0
    problems: list[str] = []
    for path in files:
        found, unread = contents(path)
        problems += unread
        read += len(found)
        bad += sum(_judge(path, number, document) for number, document in enumerate(found))
    if not read and not problems:
        problems = [f"{', '.join(map(str, paths))}: there is nothing to check. Name a file with resources by -f."]
    if problems:
        raise InputRefused(problems)
    sys.exit(1 if bad else 0)


def _judge(path: Path, number: int, document: Any) -> int:
    if isinstance(document, dict) and not str(document.get("apiVersion", "")).startswith(f"{GROUP}/"):
        click.echo(f"{path}[{number}]: {document.get('kind', 'a document')} is not Penstock's, passed over")
        return 0
    refusals = _refusals(document)
    name = _name(document)
    for refusal in refusals:
        click.echo(f"{path}[{number}] {name}: {refusal}", err=True)
    if not refusals:
        click.echo(f"{path}[{number}]: {document['kind']} {name} is good")
    return int(bool(refusals))


def _name(document: Any) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _refusals(document: Any) -> tuple[Refusal, ...]:
    try:
        resource = parse(document, strict=True)
    except Refused as refused:
        return refused.refusals
    return unsupported(resource.spec) if isinstance(resource, ModelDeployment) else ()
