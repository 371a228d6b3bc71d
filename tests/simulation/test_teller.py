"""What the teller writes where there is no terminal."""

import io

from rich.console import Console

from penstock.simulation.teller import Teller


def test_lines_are_plain_and_whole_without_a_terminal() -> None:
    output = io.StringIO()
    teller = Teller(Console(file=output))
    long = "a [bracketed] word and " + "more " * 60
    teller.chapter("Begin")
    teller.say(long)
    teller.quote("event Moved", "because")
    with teller.waiting("nothing"):
        teller.fails("claim", "reason")
    lines = output.getvalue().splitlines()
    assert "1. Begin" in lines
    assert f"   {long}" in lines
    assert "   event Moved: because" in lines
    assert "\x1b" not in output.getvalue()


def test_a_table_has_its_cells_whatever_they_contain() -> None:
    output = io.StringIO()
    Teller(Console(file=output)).table(("a", "b"), [("[x]", "y" * 30)], title="T")
    assert "[x]" in output.getvalue()
    assert "y" * 30 in output.getvalue()
