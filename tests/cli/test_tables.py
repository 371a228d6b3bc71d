"""How tables look: what is left out of a narrow terminal, what a pipe gets, what Markdown needs escaped."""

import io

import pytest
from rich.cells import cell_len

from penstock.cli.tables import Column, Sheet, fitted, has_width, markdown, note, show, text_sheet

SHEET = Sheet(
    (
        Column("name"),
        Column("gpus", right=True, drop=2),
        Column("price", right=True, drop=1),
        Column("why", wide=True),
    ),
    (("first", "8", "2.00 USD", "word " * 30), ("second", "16", "12.00 USD", "short")),
)


@pytest.mark.parametrize(
    ("width", "left_out"), [(160, ()), (49, ()), (48, ("gpus",)), (42, ("price",)), (37, ("gpus", "price"))]
)
def test_what_says_least_is_left_out_first(width: int, left_out: tuple[str, ...]) -> None:
    assert fitted(SHEET, width)[1] == left_out


def test_what_has_room_is_kept_though_something_better_has_none() -> None:
    sheet = Sheet((Column("a"), Column("b", drop=1), Column("c", drop=2)), (("x", "y" * 50, "z"),))
    kept, left_out = fitted(sheet, 20)
    assert [column.heading for column in kept.columns] == ["a", "c"]
    assert left_out == ("b",)


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_no_line_is_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    show(SHEET, out)
    lines = out.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert ("left out" in out.getvalue()) is (columns == 40)


def test_a_pipe_gets_a_whole_line_per_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    assert not has_width(out)
    show(SHEET, out)
    heading, first, second = out.getvalue().splitlines()
    assert heading.split() == ["NAME", "GPUS", "PRICE", "WHY"]
    assert first.endswith("word word")
    assert second == "second    16  12.00 USD  short"


@pytest.mark.parametrize("columns", ["0", "19", "wide", ""])
def test_a_width_in_which_nothing_can_be_told_is_unknown(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    out = io.StringIO()
    assert not has_width(out)
    show(SHEET, out)
    note("a sentence " * 10, out)
    assert len(out.getvalue().splitlines()) == 4


def test_numbers_stand_under_each_other() -> None:
    _, first, second = text_sheet(SHEET)
    assert first.index("2.00 USD") + len("2.00 USD") == second.index("12.00 USD") + len("12.00 USD")


def test_markdown_keeps_what_would_end_a_cell() -> None:
    lines = list(markdown(Sheet((Column("a|b"), Column("n", right=True)), (("x|y\n<z>", "1"),))))
    assert lines[1:] == ["|---|---:|", "| x\\|y &lt;z> | 1 |"]
