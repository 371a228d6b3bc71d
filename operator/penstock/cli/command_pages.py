"""The reference page of the command line, from the commands' own definitions. Writes no files."""

import inspect
from collections.abc import Iterator

import click

__all__ = ["command_documents"]

_HEADER = "<!-- Generated from the commands by `penstock reference`; edit those. -->\n"
_VERBATIM = "\b"
"""By which click marks a paragraph that is not to be folded."""


def command_documents(root: click.Group) -> dict[str, str]:
    """One page with every command, by file name."""
    context = click.Context(root, info_name="penstock")
    lines = [
        _HEADER,
        "# Every command and option",
        "",
        "What the commands are for says [The command line](../cli.md).",
        "",
    ]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is not None:
            lines += _command(click.Context(command, info_name=name, parent=context), command)
    return {"commands.md": "\n".join(lines)}


def _command(context: click.Context, command: click.Command) -> Iterator[str]:
    yield from (f"## {context.info_name}", "", f"    {context.command_path} {' '.join(_pieces(context, command))}", "")
    yield from _help(inspect.cleandoc(command.help or ""))
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        yield from ("| option | default | |", "|---|---|---|")
        yield from (_option(context, each) for each in options)
        yield ""


def _pieces(context: click.Context, command: click.Command) -> list[str]:
    return [piece for each in command.get_params(context) for piece in each.get_usage_pieces(context)] + ["[OPTIONS]"]


def _help(text: str) -> Iterator[str]:
    """Paragraphs; what is not to be folded stands as it is."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == _VERBATIM:
            yield from (
                f"**{lines[1].strip()}**",
                "",
                "```text",
                *inspect.cleandoc("\n".join(lines[2:])).splitlines(),
                "```",
            )
        else:
            yield " ".join(line.strip() for line in lines)
        yield ""


def _option(context: click.Context, option: click.Option) -> str:
    """A row: every spelling, the default where it is shown, what it means."""
    known = option.get_help_record(context)
    words = option.help or ""
    spelling = (known[0] if known else ", ".join(option.opts)).replace("|", "\\|")
    default = "" if option.default is None or not option.show_default else f"`{_shown(option)}`"
    variable = f" (`{option.envvar}`)" if isinstance(option.envvar, str) else ""
    return f"| `{spelling}` | {default} | {words.replace('|', chr(92) + '|')}{variable} |"


def _shown(option: click.Option) -> str:
    if option.is_bool_flag and option.secondary_opts:
        return (option.opts if option.default else option.secondary_opts)[0]
    return str(option.default)
