"""Tables for people, JSON and YAML for programs; ages in kubectl's short form."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TextIO

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["age", "console", "output_option", "plain", "table", "write_data"]

_STEPS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="table for people, json and yaml for programs.",
)


def console(out: TextIO) -> Console:
    """As wide as the terminal, or as COLUMNS says; 160 columns in a pipe, colour only on a terminal."""
    made = Console(file=out, highlight=False, soft_wrap=False)
    return made if made.is_terminal or "COLUMNS" in made._environ else Console(file=out, highlight=False, width=160)  # noqa: SLF001 - rich has no public name for it


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, wide: Sequence[str] = ()) -> Table:
    """One line per row where it fits; columns in `wide` take what is left, and fold."""
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        folds = heading in wide
        grid.add_column(heading.upper(), overflow="fold", no_wrap=not folds, ratio=1 if folds else None)
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return grid


def write_data(content: Any, form: str, out: TextIO) -> None:
    """Plain data as `json` or `yaml`."""
    data = plain(content)
    if form == "json":
        out.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        yaml.safe_dump(data, out, sort_keys=False, allow_unicode=True, width=120)


def plain(value: Any) -> Any:
    """Dataclasses, tuples, enums and times as JSON has them; keys in camelCase, as in resources."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(name): plain(each) for name, each in asdict(value).items()}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Enum):
        return getattr(value, "words", None) or value.value
    return value.isoformat() if isinstance(value, datetime) else value


def age(since: datetime | None, now: datetime) -> str:
    """`3d`, `5h`, `12m`, `40s`; empty where nobody knows."""
    if since is None:
        return ""
    seconds = max(int((now - since).total_seconds()), 0)
    unit, size = next(((unit, size) for unit, size in _STEPS if seconds >= 2 * size), ("s", 1))
    return f"{seconds // size}{unit}"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
