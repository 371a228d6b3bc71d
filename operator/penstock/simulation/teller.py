"""Tells the story on the terminal: chapters, tables, claims. Without a terminal it writes plain lines."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["Teller"]

_PLAIN_WIDTH = 160


class Teller:
    """Writes; decides nothing."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(file=self._console.file, highlight=False, width=_PLAIN_WIDTH, soft_wrap=True)
        self._chapters = 0

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._chapters += 1
        self._console.print(f"\n[bold cyan]{self._chapters}. {escape(title)}[/]")

    def say(self, text: str) -> None:
        """A sentence."""
        self._console.print(f"   {escape(text)}")

    def quote(self, source: str, text: str) -> None:
        """What a resource says, and where it says it."""
        self._console.print(f"   [dim]{escape(source)}:[/] [italic]{escape(text)}[/]")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
        """Rows under headings."""
        table = Table(title=title or None, title_justify="left", header_style="bold", expand=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._console.print(table)

    def waiting(self, claim: str) -> AbstractContextManager[object]:
        """A spinner on a terminal, nothing elsewhere."""
        if not self._console.is_terminal:
            return nullcontext()
        return self._console.status(f"waiting: {escape(claim)}")

    def holds(self, claim: str, seconds: float) -> None:
        """A claim that was checked."""
        self._console.print(f"   [green]✓[/] {escape(claim)} [dim]({seconds:.1f} s)[/]")

    def fails(self, claim: str, reason: str) -> None:
        """A claim that does not hold."""
        self._console.print(f"   [bold red]✗ {escape(claim)}[/]\n     [red]{escape(reason)}[/]")
