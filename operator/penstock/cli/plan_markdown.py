"""A plan as a comment on a pull request: the summary, what changes and why, what has no place, the rest folded away."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from penstock.cli.plan_report import PlanReport
from penstock.cli.plan_text import changes_sheet, deployments_sheet, load_lines, pools_sheet, unplaced_lines
from penstock.cli.tables import Sheet, escaped, markdown
from penstock.planner.changes import ChangeKind

__all__ = ["write_markdown"]

_MARK = "<!-- penstock plan -->"
"""By which a pipeline finds its own comment again."""


def write_markdown(made: PlanReport, out: TextIO) -> None:
    """The whole comment."""
    out.writelines(f"{line}\n" for line in _lines(made))


def _lines(made: PlanReport) -> Iterator[str]:
    yield from (_MARK, f"**penstock plan: {made.summary}**", "")
    unplaced = tuple(unplaced_lines(made))
    if unplaced:
        yield from ("### Cannot be placed", "")
        yield from (f"- **{escaped(name)}**: {escaped(why)}" for name, why in unplaced)
        yield ""
    if made.changes is not None:
        yield from _changes(made)
    yield from _folded("Deployments", deployments_sheet(made), opened=made.changes is None)
    yield from _folded("Pools", pools_sheet(made))
    yield from _notes((*load_lines(made), *map(str, made.assumed)))


def _changes(made: PlanReport) -> Iterator[str]:
    sheet = changes_sheet(made)
    same = sum(each.kind is ChangeKind.SAME for each in made.changes or ())
    if sheet.rows:
        yield from ("### Changes", "", *markdown(sheet), "")
    yield from (f"{same} deployment{'' if same == 1 else 's'} unchanged.", "")


def _folded(title: str, sheet: Sheet, *, opened: bool = False) -> Iterator[str]:
    """Readers open it when they want it."""
    start = "<details open>" if opened else "<details>"
    yield from (f"{start}<summary>{title}</summary>", "", *markdown(sheet), "", "</details>", "")


def _notes(notes: Iterable[str]) -> Iterator[str]:
    yield from (f"- {escaped(note)}" for note in notes)
