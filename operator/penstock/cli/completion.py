"""`penstock completion`: the script that makes a shell complete our commands and options."""

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_VARIABLE = "_PENSTOCK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print the completion script of SHELL.

    \b
    Examples
      source <(penstock completion bash)                            # now; or into ~/.bashrc
      penstock completion zsh > "${fpath[1]}/_penstock"
      penstock completion fish > ~/.config/fish/completions/penstock.fish
    """
    from penstock.cli import main  # noqa: PLC0415 - the group finds this module by name when it is called

    made = get_completion_class(shell)
    if made is None:
        message = f"the installed click has no completion for {shell}. Install click 8.1 or newer"
        raise click.ClickException(message)
    click.echo(made(main, {}, "penstock", _VARIABLE).source())
