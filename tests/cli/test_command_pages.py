"""The page of commands, and help: every option is there, and lines that stand as they are do."""

import click
from click.testing import CliRunner

from penstock.cli import main
from penstock.cli.command_pages import command_documents


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command}


def test_every_command_and_option_is_on_the_page() -> None:
    (page,) = command_documents(main).values()
    parts = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    assert list(parts) == sorted(commands())
    for name, command in commands().items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[0] in parts[name]


def test_bars_do_not_end_a_cell_and_defaults_of_machines_are_not_told() -> None:
    (page,) = command_documents(main).values()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {4}
    assert not any("`/" in row for row in rows)


def test_help_shows_exit_codes_and_examples_as_they_are_written() -> None:
    for name in ("plan", "status"):
        lines = CliRunner().invoke(main, [name, "--help"]).output.splitlines()
        assert "  Exit codes" in lines
        assert any(line.startswith(f"    penstock {name}") for line in lines)
        assert "\\b" not in "\n".join(lines)
