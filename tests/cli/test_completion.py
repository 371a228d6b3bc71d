"""`penstock completion`: a script that the shell takes, and that leads to our commands."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli import main
from penstock.cli.completion import completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_us(shell: str) -> None:
    result = CliRunner().invoke(completion, [shell])
    assert result.exit_code == 0
    assert "_PENSTOCK_COMPLETE" in result.output
    assert "penstock" in result.output


def test_bash_takes_it(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(CliRunner().invoke(completion, ["bash"]).output)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_another_shell_is_refused_with_the_ones_there_are() -> None:
    result = CliRunner().invoke(completion, ["tcsh"])
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.output


def test_commands_are_completed_as_a_shell_asks_for_them() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from penstock.cli import main; main(prog_name='penstock')"],
        env={
            "_PENSTOCK_COMPLETE": "bash_complete",
            "COMP_WORDS": "penstock sup",
            "COMP_CWORD": "1",
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() == "plain,support-bundle", told.stderr


def test_help_names_every_command_and_imports_none() -> None:
    """A first `penstock --help` is no matter of seconds."""
    told = subprocess.run(
        [sys.executable, "-c", _HELP],
        env={"PYTHONPATH": ":".join(sys.path), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr.split() == []
    lines = told.stdout.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == main.list_commands(None)  # type: ignore[arg-type] # it reads no context
    assert all(line.endswith(".") for line in lines)


_HELP = """
import sys
from penstock.cli import main
main(["--help"], prog_name="penstock", standalone_mode=False)
print(*(name for name in sys.modules if name.startswith("penstock.cli.")), file=sys.stderr)
"""


@pytest.mark.parametrize("command", sorted(main.list_commands(None)))  # type: ignore[arg-type] # it reads no context
def test_every_command_teaches(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 4
