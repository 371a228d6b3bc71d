"""What commands print for programs: JSON and YAML; ages in kubectl's short form. Tables are tables.py's."""

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TextIO

import click
import yaml

__all__ = ["age", "markdown_output_option", "output_option", "plain", "write_data"]

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

markdown_output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "yaml", "markdown"]),
    default="table",
    show_default=True,
    help="table for people, markdown for comments on pull requests, json and yaml for programs.",
)


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
