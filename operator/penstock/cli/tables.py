"""How tables look, of every command: on a terminal as wide as that is, in a pipe one line per row, in Markdown.

Where a terminal is too narrow, the columns that say least are left out, and a line below says which.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "Column",
    "Sheet",
    "console",
    "escaped",
    "fitted",
    "has_width",
    "heading",
    "markdown",
    "note",
    "show",
    "table",
    "text_sheet",
]

_GAP = 2
_PIPE_WIDTH = 160
_LEAST_WIDTH = 20

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `right`: numbers; `wide`: takes what is left, and folds; `drop`: left out first the greater it is.

    Others are left out before a wide one has fewer than `least` characters, if it has so many.
    """

    heading: str
    right: bool = False
    wide: bool = False
    drop: int = 0
    least: int = 24


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before anybody knows how wide it may be."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def console(out: TextIO) -> Console:
    """As wide as the terminal, or as COLUMNS says; 160 columns in a pipe, colour only on a terminal."""
    if has_width(out):
        return Console(file=out, highlight=False, soft_wrap=False, _environ=_environment())
    return Console(file=out, highlight=False, width=_PIPE_WIDTH)


def has_width(out: TextIO) -> bool:
    """True on a terminal, and where COLUMNS says how wide it is; a pipe has none."""
    return Console(file=out).is_terminal or "COLUMNS" in _environment()


def _environment() -> dict[str, str]:
    """Without a COLUMNS in which nothing can be told, such as the 0 of a shell that does not know: it is unknown."""
    columns = os.environ.get("COLUMNS", "")
    known = columns.isdecimal() and int(columns) >= _LEAST_WIDTH
    return {name: value for name, value in os.environ.items() if known or name != "COLUMNS"}


def heading(words: str, out: TextIO) -> None:
    """Above a table, after an empty line."""
    console(out).print(f"\n[bold underline]{words}[/]")


def note(words: str, out: TextIO, style: str = "") -> None:
    """A sentence below tables, folded to the width."""
    console(out).print(Text(words, style=style))


def show(sheet: Sheet, out: TextIO) -> None:
    """Fitted to the terminal; in a pipe whole, a line per row."""
    if not has_width(out):
        out.writelines(f"{line}\n" for line in text_sheet(sheet))
        return
    screen = console(out)
    kept, left_out = fitted(sheet, screen.width)
    screen.print(_grid(kept))
    if left_out:
        note(
            f"left out at {screen.width} columns: {', '.join(left_out)}; a wider terminal or -o json has them",
            out,
            "dim",
        )


def fitted(sheet: Sheet, width: int) -> tuple[Sheet, tuple[str, ...]]:
    """The columns that have room side by side, what says most first, and the headings of those that have none."""
    kept = [index for index, column in enumerate(sheet.columns) if not column.drop]
    rest = [index for index, column in enumerate(sheet.columns) if column.drop]
    for index in sorted(rest, key=lambda index: sheet.columns[index].drop):
        if _needed(sheet, [*kept, index]) <= width:
            kept.append(index)
    kept.sort()
    columns = tuple(sheet.columns[index] for index in kept)
    left_out = tuple(column.heading for index, column in enumerate(sheet.columns) if index not in kept)
    return Sheet(columns, tuple(tuple(row[index] for index in kept) for row in sheet.rows)), left_out


def _needed(sheet: Sheet, kept: Sequence[int]) -> int:
    widths = (
        min(sheet.columns[index].least, _natural(sheet, index)) if sheet.columns[index].wide else _natural(sheet, index)
        for index in kept
    )
    return sum(widths) + _GAP * max(0, len(kept) - 1)


def _natural(sheet: Sheet, index: int) -> int:
    cells = (_text(row[index]).cell_len for row in sheet.rows)
    return max(len(sheet.columns[index].heading), max(cells, default=0))


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _grid(sheet: Sheet) -> Table:
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in sheet.columns:
        grid.add_column(
            column.heading.upper(),
            overflow="fold",
            no_wrap=not column.wide,
            ratio=1 if column.wide else None,
            justify="right" if column.right else "left",
        )
    for row in sheet.rows:
        grid.add_row(*map(_text, row))
    return grid


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, wide: Sequence[str] = ()) -> Table:
    """One line per row where it fits; columns in `wide` take what is left, and fold."""
    columns = tuple(Column(heading, wide=heading in wide) for heading in headings)
    return _grid(Sheet(columns, tuple(tuple(row) for row in rows)))


def text_sheet(sheet: Sheet) -> Iterator[str]:
    """A line per row, columns aligned, nothing folded and nothing left out."""
    widths = [_natural(sheet, index) for index in range(len(sheet.columns))]
    headings = tuple(column.heading.upper() for column in sheet.columns)
    for row in (headings, *sheet.rows):
        cells = (
            _text(cell).plain.rjust(width) if column.right else _text(cell).plain.ljust(width)
            for cell, width, column in zip(row, widths, sheet.columns, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def markdown(sheet: Sheet) -> Iterator[str]:
    """The lines of a Markdown table; what would end a cell is escaped."""
    yield f"| {' | '.join(column.heading for column in sheet.columns)} |"
    yield f"|{'|'.join('---:' if column.right else '---' for column in sheet.columns)}|"
    for row in sheet.rows:
        yield f"| {' | '.join(escaped(_text(cell).plain) for cell in row)} |"


def escaped(text: str) -> str:
    """Text that Markdown takes as it is."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
