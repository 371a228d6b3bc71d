"""`penstock`: the command line. Each command is a module; it is imported when it is called."""

import errno
import importlib
import os
import sys
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from penstock import __version__

__all__ = ["main"]

_COMMANDS = {
    "backup": "Write the server's database to one file.",
    "catalogue": "List the models, accelerators and engines that are known.",
    "completion": "Print the completion script of a shell.",
    "crds": "Write the CRDs of every kind to a folder.",
    "demo": "Watch models being placed, served and routed to.",
    "doctor": "Check the cluster and the installation, and say cures.",
    "explain": "Show why a deployment stands where it does.",
    "fit": "Show on which GPUs a model fits, and how it does there.",
    "operator": "Run the operator: place models and serve them.",
    "plan": "Show where deployments would go and what they cost.",
    "rbac": "Write the RBAC rules of operator and server.",
    "reference": "Write the reference pages of kinds and commands.",
    "restore": "Fill the server's database from a backup.",
    "server": "Run the server: tables out, acknowledgements in.",
    "status": "Show what needs attention, then everything else.",
    "support-bundle": "Collect what explains a problem, without secrets.",
    "uninstall": "Drain every model and take Penstock out of a cluster.",
    "validate": "Check files or folders of resources.",
}
"""What `penstock --help` and a shell's completion say of each: they would else wait for every import there is."""


_UNWRITABLE = frozenset({errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE})
_EXIT_BROKEN_PIPE, _EXIT_UNWRITTEN = 1, 2


def _flushed() -> None:
    """Python would write what is left only when it ends, where nobody can tell that it failed."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _unwritten(error: OSError) -> NoReturn:
    """End for an output that takes nothing; quietly where a reader went away, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        sys.exit(_EXIT_BROKEN_PIPE)
    click.echo(f"the output cannot be written: {error.strerror}. Write it where there is room for it.", err=True)
    sys.exit(_EXIT_UNWRITTEN)


class _Lazy(click.Group):
    """Finds commands by name, so that `penstock plan` does not wait for kopf's import."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command, and tell where its output went nowhere."""
        if sys.stdout is None:
            # A closed output is no object at all to Python; this one says so when it is written to.
            sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
        try:
            try:
                return super().main(*args, **options)
            finally:
                _flushed()
        except OSError as error:
            if error.errno not in _UNWRITABLE or error.filename is not None:
                raise
            _unwritten(error)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Every command, sorted."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import the one that was named; `penstock.cli.support_bundle` has `support_bundle`."""
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"penstock.cli.{name}"), name)
        # Docstrings are raw text, and click's mark for lines that stay as they are is the character.
        command.help = (command.help or "").replace("\\b\n", "\b\n")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """A line each, and no import."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and our own options, and no import."""
        found = [CompletionItem(name, help=_COMMANDS[name]) for name in self.list_commands(ctx)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [each for each in found if each.value.startswith(incomplete)] + options


@click.group(cls=_Lazy)
@click.version_option(__version__, prog_name="penstock")
def main() -> None:
    """Many models, one control plane: LLM inference on Kubernetes."""
