"""`penstock`: the command line. Each command is a module; it is imported when it is called."""

import importlib

import click

from penstock import __version__

__all__ = ["main"]

_COMMANDS = {
    "backup": ("penstock.cli.backup", "backup"),
    "catalogue": ("penstock.cli.catalogue", "catalogue"),
    "completion": ("penstock.cli.completion", "completion"),
    "crds": ("penstock.cli.crds", "crds"),
    "demo": ("penstock.cli.demo", "demo"),
    "doctor": ("penstock.cli.doctor", "doctor"),
    "explain": ("penstock.cli.explain", "explain"),
    "fit": ("penstock.cli.fit", "fit"),
    "operator": ("penstock.cli.operator", "operator"),
    "plan": ("penstock.cli.plan", "plan"),
    "rbac": ("penstock.cli.rbac", "rbac"),
    "reference": ("penstock.cli.reference", "reference"),
    "restore": ("penstock.cli.restore", "restore"),
    "server": ("penstock.cli.server", "server"),
    "status": ("penstock.cli.status", "status"),
    "support-bundle": ("penstock.cli.support_bundle", "support_bundle"),
    "uninstall": ("penstock.cli.uninstall", "uninstall"),
    "validate": ("penstock.cli.validate", "validate"),
}


class _Lazy(click.Group):
    """Finds commands by name, so that `penstock plan` does not wait for kopf's import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Every command, sorted."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import the one that was named."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        # Docstrings are raw text, and click's mark for lines that stay as they are is the character.
        command.help = (command.help or "").replace("\\b\n", "\b\n")
        return command


@click.group(cls=_Lazy)
@click.version_option(__version__, prog_name="penstock")
def main() -> None:
    """Many models, one control plane: LLM inference on Kubernetes."""
