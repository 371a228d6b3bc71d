"""A command line's list of namespaces: `a,b`."""

import re
from typing import Any

import click

__all__ = ["NamespaceList", "is_namespace"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def is_namespace(name: str) -> bool:
    """True where a namespace can have that name."""
    return _LABEL.fullmatch(name) is not None


class NamespaceList(click.ParamType[tuple[str, ...]]):
    """Names apart by commas, each once, in the order given; `if_empty` is the cure where none at all makes no sense.

    At most `most`: there is a watch per name and kind.
    """

    name = "a,b"

    def __init__(self, if_empty: str = "", *, most: int) -> None:
        self.if_empty = if_empty
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names; a usage error where one is none."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not names and self.if_empty:
            self.fail(f"'{value}' names no namespace. Name one, or {self.if_empty}.", param, ctx)
        for name in names:
            if not is_namespace(name):
                self.fail(f"'{name}' is no name of a namespace: write lower-case letters, digits and '-'.", param, ctx)
        if len(names) > self.most:
            self.fail(f"{len(names)} names are more than {self.most}. Leave the option out, or name fewer.", param, ctx)
        return names
