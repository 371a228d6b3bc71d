"""`penstock status`: the fleet on one screen, what needs attention first."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from penstock.cli.connection import EXIT_ATTENTION, MISSING_CRDS, Refusal, Target, cluster_options, connected, run
from penstock.cli.output import age, output_option, write_data
from penstock.cli.reading import read_view
from penstock.cli.tables import console, table
from penstock.cluster.client import Client
from penstock.cluster.resources import OWN_KINDS
from penstock.operations.attention import Finding, Urgency
from penstock.operations.overview import Overview, is_missing, overview

__all__ = ["status"]

_COLOURS = {
    Urgency.NOT_SERVING: "bold red",
    Urgency.DEGRADED: "yellow",
    Urgency.REFUSED: "magenta",
    Urgency.PENDING: "cyan",
}
_LONGEST_MESSAGE = 300


@click.command()
@click.option("-n", "--namespace", help="Only this namespace; pools are shown all the same. Left out: all.")
@output_option
@click.option("-w", "--watch", is_flag=True, help="Show it anew until Ctrl-C; for -o table.")
@click.option(
    "--interval", type=click.FloatRange(1, 3600), default=5.0, show_default=True, help="Seconds between two looks."
)
@cluster_options
def status(*, namespace: str | None, form: str, watch: bool, interval: float, target: Target) -> None:
    r"""Show what needs attention, then pools, deployments, routes and gateways.

    Most urgent first: `not serving` (nobody gets an answer), `degraded` (some do, or not as asked), `refused` (the
    spec is not acted on), `pending` (on its way). The reason is the first cause, not every consequence of it.

    \b
    Exit codes
      0  all is well
      1  something needs attention
      2  the cluster does not answer, or refuses; or bad usage

    \b
    Examples
      penstock status
      penstock status -n assistants -o json | jq '.attention[].message'
      penstock status --watch
    """
    if watch and form != "table":
        message = f"--watch shows tables, and -o {form} is given. Leave one of them out"
        raise click.UsageError(message)
    seen = run(_watch(target, namespace, interval) if watch else _once(target, namespace))
    if not watch:
        _write(seen, form, sys.stdout)
    sys.exit(EXIT_ATTENTION if seen.attention else 0)


async def _once(target: Target, namespace: str | None) -> Overview:
    async with connected(target) as (client, _):
        return await _look(client, namespace)


async def _watch(target: Target, namespace: str | None, interval: float) -> Overview:
    """Until Ctrl-C, which ends it as it ends a pager: with what was seen last."""
    async with connected(target) as (client, _):
        seen = await _look(client, namespace)
        try:
            while True:
                click.clear()
                _write(seen, "table", sys.stdout)
                await asyncio.sleep(interval)
                seen = await _look(client, namespace)
        except asyncio.CancelledError:
            return seen


async def _look(client: Client, namespace: str | None) -> Overview:
    view = await read_view(client, OWN_KINDS, namespace)
    if is_missing(view):
        raise Refusal(MISSING_CRDS)
    if not any(listing.gap is None for listing in view.listings.values()):
        first = next(iter(view.listings.values()))
        message = f"nothing can be read: {first.message}. Name a namespace that you may read by -n, or ask for its role"
        raise Refusal(message)
    return overview(view, datetime.now(UTC))


def _write(seen: Overview, form: str, out: TextIO) -> None:
    if form != "table":
        write_data(seen, form, out)
        return
    screen, now = console(out), datetime.now(UTC)
    _write_attention(screen, seen.attention, now)
    for heading, grid in _tables(seen):
        screen.print(f"\n[bold underline]{heading}[/]")
        screen.print(grid)
    for line in (*seen.next_steps, *(f"not seen: {gap}" for gap in seen.unseen)):
        screen.print(f"\n{line}", markup=False)


def _write_attention(screen: Console, found: tuple[Finding, ...], now: datetime) -> None:
    if not found:
        screen.print("[green]Nothing needs attention.[/]")
        return
    screen.print(f"[bold underline]Needs attention[/] ({len(found)})")
    # Long messages want the whole width, and names do not share a line with them.
    for each in found:
        line = Text.assemble(
            (each.urgency.words, _COLOURS[each.urgency]),
            f"  {each.kind} ",
            (each.place, "bold"),
            f"  {each.condition}: {each.reason}",
            (f"  {age(each.since, now)}", "dim"),
        )
        screen.print(line)
        message = each.message if len(each.message) <= _LONGEST_MESSAGE else f"{each.message[:_LONGEST_MESSAGE]} ..."
        if message:
            screen.print(Padding(Text(message), (0, 0, 0, 4)))


def _tables(seen: Overview) -> Iterator[tuple[str, object]]:
    if seen.pools:
        yield (
            "Pools",
            table(
                ("pool", "accelerator", "nodes", "gpus", "used", "free", "cost/h"),
                (
                    (
                        *(each.name, each.accelerator or "-", f"{each.ready_nodes}/{each.nodes}", str(each.gpus)),
                        *(str(each.allocated), str(each.free), each.cost_per_hour or "-"),
                    )
                    for each in seen.pools
                ),
            ),
        )
    if seen.deployments:
        yield (
            "Deployments",
            table(
                ("deployment", "phase", "ready", "pool", "engine", "precision", "cost/h"),
                (
                    (
                        *(f"{each.namespace}/{each.name}", _phase(each.phase), _ready(each.ready, each.wanted)),
                        *(each.pool or "-", each.engine or "-", each.precision or "-", each.cost_per_hour or "-"),
                    )
                    for each in seen.deployments
                ),
                wide=("deployment", "pool"),
            ),
        )
    if seen.routes:
        yield (
            "Routes",
            table(
                ("route", "gateway", "rules", "programmed", "answered by"),
                (
                    (
                        *(f"{each.namespace}/{each.name}", each.gateway, f"{each.answering_rules}/{each.rules}"),
                        *(each.programmed, ", ".join(each.backends) or "nobody"),
                    )
                    for each in seen.routes
                ),
                wide=("route", "answered by"),
            ),
        )
    if seen.gateways:
        yield (
            "Gateways",
            table(
                ("gateway", "ready", "in step", "table", "address"),
                (
                    (
                        *(f"{each.namespace}/{each.name}", _ready(each.ready, each.wanted)),
                        *(f"{each.in_step}/{each.live}", str(each.generation or "-"), each.address or "-"),
                    )
                    for each in seen.gateways
                ),
                wide=("gateway", "address"),
            ),
        )


def _ready(ready: int, wanted: int | None) -> str:
    return f"{ready}/{wanted}" if wanted is not None else str(ready)


def _phase(phase: str) -> Text:
    return Text(phase, style="green" if phase == "Serving" else "yellow")
