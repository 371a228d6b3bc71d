"""`penstock doctor`: is the cluster, and is Penstock in it, as it has to be; and what to do where it is not."""

import sys
from typing import TextIO

import click
from rich.table import Table
from rich.text import Text

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.cli.connection import EXIT_ATTENTION, Target, cluster_options, connected, run
from penstock.cli.examining import CHECKS, gather
from penstock.cli.output import output_option, write_data
from penstock.cli.tables import console
from penstock.operations.checks import Check, Result, Verdict, examine

__all__ = ["doctor"]

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.SKIP: "dim"}


@click.command()
@click.option(
    "-n", "--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Where the operator and the server run."
)
@click.option(
    "--check",
    "names",
    multiple=True,
    metavar="NAME",
    type=click.Choice([check.name for check in CHECKS]),
    help="Only this one; may be given again. --list names them.",
)
@click.option("--list", "only_list", is_flag=True, help="Name the checks and what they look at; ask nobody.")
@click.option("--strict", is_flag=True, help="A warning fails too.")
@output_option
@cluster_options
def doctor(*, namespace: str, names: tuple[str, ...], only_list: bool, strict: bool, form: str, target: Target) -> None:
    r"""Check the cluster and the installation, and say cures.

    A check says ok, warn (it works, not as it should), fail, or skip (it cannot be seen, or there is nothing to see).
    It only reads; what you may not read is skipped and told.

    \b
    Exit codes
      0  nothing failed
      1  a check failed; with --strict, or warned
      2  the cluster does not answer, or refuses; or bad usage

    \b
    Examples
      penstock doctor
      penstock doctor --check gpu-labels --check device-plugins
      penstock doctor -o json | jq '.[] | select(.result == "fail")'
    """
    chosen = [check for check in CHECKS if not names or check.name in names]
    if only_list:
        for check in chosen:
            click.echo(f"{check.name:18} {check.looks_at}")
        return
    results = run(_examine(target, namespace, chosen))
    _write(results, form, sys.stdout)
    bad = {Verdict.FAIL, Verdict.WARN} if strict else {Verdict.FAIL}
    sys.exit(EXIT_ATTENTION if any(each.result in bad for each in results) else 0)


async def _examine(target: Target, namespace: str, chosen: list[Check]) -> tuple[Result, ...]:
    async with connected(target) as (client, version):
        return examine(chosen, await gather(client, version, namespace))


def _write(results: tuple[Result, ...], form: str, out: TextIO) -> None:
    if form != "table":
        write_data(results, form, out)
        return
    screen = console(out)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for each in results:
        grid.add_row(Text(each.result, style=_COLOURS[each.result]), each.name, Text(each.detail))
        if each.cure and each.result is not Verdict.OK:
            grid.add_row("", "", Text(f"cure: {each.cure}", style="italic"))
    screen.print(grid)
    counts = {verdict: sum(each.result is verdict for each in results) for verdict in Verdict}
    screen.print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
