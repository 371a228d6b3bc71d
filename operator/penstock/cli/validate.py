"""`penstock validate`: are these files good, before anything is applied."""

import sys
from pathlib import Path
from typing import Any

import click
import yaml

from penstock.api.meta import GROUP
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refusal, Refused
from penstock.api.supported import unsupported
from penstock.api.validation import parse

__all__ = ["validate"]

_LARGEST_FILE = 16 * 2**20


@click.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
def validate(paths: tuple[Path, ...]) -> None:
    """Check files or folders of resources; exit code 1 where something is refused."""
    bad = 0
    for path in _files(paths):
        for number, document in enumerate(_documents(path)):
            bad += _judge(path, number, document)
    sys.exit(1 if bad else 0)


def _files(paths: tuple[Path, ...]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.glob("*.y*ml")) if path.is_dir() else [path])]


def _documents(path: Path) -> list[Any]:
    if path.stat().st_size > _LARGEST_FILE:
        message = f"{path}: larger than {_LARGEST_FILE // 2**20} MiB; split it"
        raise click.ClickException(message)
    try:
        return [
            document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document is not None
        ]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path}: not YAML: {error}"
        raise click.ClickException(message) from error


def _judge(path: Path, number: int, document: Any) -> int:
    if isinstance(document, dict) and not str(document.get("apiVersion", "")).startswith(f"{GROUP}/"):
        click.echo(f"{path}[{number}]: {document.get('kind', 'a document')} is not Penstock's, passed over")
        return 0
    refusals = _refusals(document)
    name = document.get("metadata", {}).get("name", "") if isinstance(document, dict) else ""
    for refusal in refusals:
        click.echo(f"{path}[{number}] {name}: {refusal}", err=True)
    if not refusals:
        click.echo(f"{path}[{number}]: {document['kind']} {name} is good")
    return int(bool(refusals))


def _refusals(document: Any) -> tuple[Refusal, ...]:
    try:
        resource = parse(document, strict=True)
    except Refused as refused:
        return refused.refusals
    return unsupported(resource.spec) if isinstance(resource, ModelDeployment) else ()
