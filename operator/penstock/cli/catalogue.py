"""`penstock catalogue`: the models, accelerators and engines that Penstock knows without asking anybody."""

import sys
from collections.abc import Callable, Mapping

import click

from penstock.cli.catalogue_rows import Listed, accelerator_rows, engine_rows, model_rows
from penstock.cli.output import output_option, write_data
from penstock.cli.refusing import option_refused
from penstock.cli.tables import note, show

__all__ = ["catalogue"]

_KINDS: Mapping[str, Callable[[str], Listed]] = {
    "models": model_rows,
    "accelerators": accelerator_rows,
    "engines": engine_rows,
}


@click.command()
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.argument("words", metavar="[FILTER]", default="")
@output_option
def catalogue(*, kind: str, words: str, form: str) -> None:
    r"""List what the built-in catalogue knows: models, accelerators or engines.

    FILTER keeps the rows in which a name, a family, a format or a source has these letters. A model that is not here is
    planned with its config.json (`metadata.config`, `penstock fit --config`) or what the hub says of it.

    \b
    Exit codes
      0  something is listed
      2  nothing matches FILTER; or bad usage

    \b
    Examples
      penstock catalogue models qwen3
      penstock catalogue accelerators
      penstock catalogue models -o json | jq '.[] | select(.precision == "NVFP4").model'
    """
    found = _KINDS[kind](words)
    if not found.data:
        cure = f"Try fewer letters, or `penstock catalogue {kind}` for all of them"
        raise option_refused(field="FILTER", value=words, reason=f"is in no row of the {kind}", cure=cure)
    if form == "table":
        if found.sheet.rows:
            show(found.sheet, sys.stdout)
        for words_below in found.notes:
            note(words_below, sys.stdout)
    else:
        write_data(found.data, form, sys.stdout)
