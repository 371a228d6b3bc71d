"""Input that is not acted on, as commands tell it: a line per refusal on standard error, and exit code 2."""

from collections.abc import Iterable
from typing import IO, Any

import click

from penstock.api.refusals import Refusal

__all__ = ["EXIT_REFUSED", "InputRefused", "option_refused"]

EXIT_REFUSED = 2


class InputRefused(click.ClickException):
    """Input that is not acted on: a line per refusal, and exit code 2."""

    exit_code = EXIT_REFUSED

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))

    def show(self, file: IO[Any] | None = None) -> None:
        """The lines as they are, on standard error."""
        for line in self.lines:
            click.echo(line, file=file, err=file is None)


def option_refused(*, field: str, value: object, reason: str, cure: str) -> InputRefused:
    """The refusal of one option, to be raised."""
    return InputRefused([str(Refusal(field, str(value), reason, cure))])
