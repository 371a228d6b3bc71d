"""A plan for people: tables on a terminal, one line per fact in a pipe."""

from collections.abc import Iterator
from typing import TextIO

from rich.text import Text

from penstock.cli.apart import apart_in_words
from penstock.cli.plan_report import Placement, PlanReport
from penstock.cli.tables import Column, Sheet, has_width, heading, note, show
from penstock.planner.changes import Change, ChangeKind, Footprint
from penstock.planner.explain import Row, counted, headline, table
from penstock.planner.plan import Expectation, Plan

__all__ = [
    "changes_sheet",
    "deployments_sheet",
    "load_lines",
    "memory_in_words",
    "pools_sheet",
    "speed_in_words",
    "unplaced_lines",
    "write_text",
]

_GIB = 2**30
_COLOURS = {
    ChangeKind.UNPLACED: "bold red",
    ChangeKind.NEW: "green",
    ChangeKind.MOVED: "yellow",
    ChangeKind.CHANGED: "yellow",
    ChangeKind.SCALED: "cyan",
    ChangeKind.REPRICED: "cyan",
    ChangeKind.GONE: "magenta",
}


def write_text(made: PlanReport, out: TextIO) -> None:
    """Tables where there is a width, else a line per fact."""
    if has_width(out):
        _write_tables(made, out)
        return
    out.writelines(f"{line}\n" for line in _lines(made))


def _write_tables(made: PlanReport, out: TextIO) -> None:
    if made.changes is not None:
        heading("Changes", out)
        changes = changes_sheet(made)
        if changes.rows:
            show(changes, out)
        else:
            note("nothing changes", out)
    heading("Deployments", out)
    show(deployments_sheet(made), out)
    heading("Pools", out)
    show(pools_sheet(made), out)
    unplaced = tuple(unplaced_lines(made))
    if unplaced:
        heading("Cannot be placed", out)
    for name, why in unplaced:
        note(f"{name}: {why}", out)
    for words in load_lines(made):
        note(words, out)
    for words in _assumed(made):
        note(words, out, style="dim")
    note("why it is so: penstock explain modeldeployment/NAMESPACE/NAME with the same options", out, style="dim")
    note(made.summary, out, style="bold" if made.complete else "bold red")


def _assumed(made: PlanReport) -> Iterator[str]:
    """Pools of which the same is assumed share a line."""
    alike: dict[tuple[int, int], list[str]] = {}
    for each in made.assumed:
        alike.setdefault((each.nodes, each.gpus_per_node), []).append(each.pool)
    for (nodes, gpus), pools in alike.items():
        what = f"{counted(nodes, 'free node')} of {gpus} GPUs assumed (--nodes-per-pool, --gpus-per-node)"
        yield f"{'pool' if len(pools) == 1 else 'in each of the pools'} {', '.join(pools)}: {what}"


def deployments_sheet(made: PlanReport) -> Sheet:
    """A row per deployment."""
    columns = (
        Column("deployment", wide=True, least=40),
        Column("state"),
        Column("pool"),
        Column("per replica", drop=2),
        Column("format", drop=3),
        Column("engine", drop=6),
        Column("replicas", right=True, drop=1),
        Column("TTFT", right=True, drop=8),
        Column("TPOT", right=True, drop=7),
        Column("per hour", right=True),
        Column("per Mtok in+out", right=True, drop=4),
    )
    rows = [_row(each) for each in made.placements]
    rows += [
        (f"{each.namespace}/{each.name}", Text("refused", style="bold red"), *[""] * (len(columns) - 2))
        for each in made.refused
    ]
    return Sheet(columns, tuple(rows))


def _row(each: Placement) -> tuple[str | Text, ...]:
    footprint, expected, price = each.footprint, each.outlook.expected, each.outlook.price
    state = Text("placed", style="green") if each.complete else Text(str(each.decision.reason), style="bold red")
    return (
        *(each.name, state, footprint.pool if footprint else ""),
        f"{footprint.gpus_per_replica} x {footprint.accelerator}" if footprint else "",
        footprint.precision if footprint else "",
        footprint.engine if footprint else "",
        f"{each.placed}/{each.tenant.replicas}{f' of {each.replicas_for_load}' if each.replicas_for_load else ''}",
        f"{expected.time_to_first_token_milliseconds:,.0f} ms" if expected else "",
        f"{expected.time_per_output_token_milliseconds:,.1f} ms" if expected else "",
        str(footprint.price_per_hour or "-") if footprint else "",
        str(price.all_tokens) if price else "",
    )


def pools_sheet(made: PlanReport) -> Sheet:
    """A row per pool."""
    columns = (
        *(Column("pool", wide=True), Column("accelerator", drop=1), Column("nodes", right=True, drop=2)),
        *(Column("GPUs", right=True), Column("held", right=True, drop=3), Column("planned", right=True)),
        *(Column("per GPU-hour", right=True, drop=4), Column("per hour", right=True)),
    )
    rows = tuple(
        (
            *(total.pool, total.accelerator or "-", str(total.nodes), str(total.gpus), str(total.held)),
            *(str(total.planned), str(total.price_per_gpu_hour or "-"), str(total.price_per_hour or "-")),
        )
        for total in made.pools
    )
    return Sheet(columns, rows)


def changes_sheet(made: PlanReport) -> Sheet:
    """A row per deployment that changes; those that do not are left out."""
    columns = (
        *(Column("change"), Column("deployment"), Column("before", drop=2), Column("after", drop=1)),
        *(Column("per hour", right=True), Column("why", wide=True, drop=3)),
    )
    return Sheet(columns, tuple(_changed(each) for each in made.changes or () if each.kind is not ChangeKind.SAME))


def _changed(each: Change) -> tuple[str | Text, ...]:
    kind = Text(each.kind.lower(), style=_COLOURS[each.kind])
    return kind, "/".join(each.key), _in_words(each.before), _in_words(each.after), _money(each), each.why


def _money(each: Change) -> str:
    sides = (str((side and side.price_per_hour) or "-") for side in (each.before, each.after))
    return " -> ".join(sides)


def _in_words(footprint: Footprint | None) -> str:
    """`h100: 2 x 1 H100-SXM-80GB, FP8`; `-` where there is none."""
    if footprint is None:
        return "-"
    gpus = f"{footprint.replicas} x {footprint.gpus_per_replica} {footprint.accelerator}"
    return f"{footprint.pool}: {gpus}, {footprint.precision}"


def unplaced_lines(made: PlanReport) -> Iterator[tuple[str, str]]:
    """What has no place, or not for all of its replicas, with the nearest misses and their cures."""
    for each in made.placements:
        if not each.complete:
            yield each.name, f"{each.decision.reason}: {each.decision.message}"
    for refused in made.refused:
        for refusal in refused.refusals:
            yield f"{refused.namespace}/{refused.name}", str(refusal)
        if refused.key in made.apart:
            yield f"{refused.namespace}/{refused.name}", apart_in_words(made.apart[refused.key])


def load_lines(made: PlanReport) -> Iterator[str]:
    """What is placed, and would not carry its load with so many replicas."""
    yield from (f"{each.name}: {each.short_of_load}" for each in made.placements if each.short_of_load)


def _lines(made: PlanReport) -> Iterator[str]:
    for change in made.changes or ():
        if change.kind is not ChangeKind.SAME:
            sides = f"{_in_words(change.before)} -> {_in_words(change.after)}"
            yield f"{change.kind.lower()} {'/'.join(change.key)}: {sides}; {_money(change)}: {change.why}"
    for each in made.placements:
        yield from _placement_lines(each)
    for refused in made.refused:
        yield from (f"{refused.namespace}/{refused.name}: NotSupported: {refusal}" for refusal in refused.refusals)
        if refused.key in made.apart:
            yield f"  {apart_in_words(made.apart[refused.key])}"
    for total in made.pools:
        spent = f", {total.price_per_hour} per hour" if total.price_per_hour else ""
        planned = f"{total.planned} of {counted(total.gpus, 'GPU')} planned"
        yield f"pool {total.pool}: {planned}, {total.held} held by others{spent}"
    yield from map(str, made.assumed)
    yield made.summary


def _placement_lines(each: Placement) -> Iterator[str]:
    yield f"{each.name}: {headline(each.decision)}"
    if each.short_of_load:
        yield f"  {each.short_of_load}"
    if each.decision.assignment is not None:
        yield f"  memory per GPU: {memory_in_words(each.decision.assignment.plan)}"
    expected, price = each.outlook.expected, each.outlook.price
    if expected is not None:
        cost = f"; {price.all_tokens} per million tokens in and out" if price else ""
        yield f"  a replica with {expected.concurrency} in flight: {speed_in_words(expected)}{cost}"
    for row in table(each.decision):
        if not row.chosen:
            yield f"  not {_where(row)}: {row.reason}: {row.message}"


def speed_in_words(expected: Expectation) -> str:
    """Times to tokens and throughput, with units."""
    return (
        f"TTFT {expected.time_to_first_token_milliseconds:,.0f} ms,"
        f" TPOT {expected.time_per_output_token_milliseconds:,.1f} ms,"
        f" {expected.output_tokens_per_second:,.0f} output tokens/s"
    )


def _where(row: Row) -> str:
    return " ".join(part for part in (row.pool, row.engine, row.precision, row.way) if part) or "this model"


def memory_in_words(plan: Plan) -> str:
    """One GPU's memory by what takes it."""
    memory = plan.memory
    parts = (
        ("weights", memory.weights_bytes),
        ("activations", memory.activation_bytes),
        ("overhead", memory.overhead_bytes),
        ("KV cache", memory.kv_bytes),
    )
    split = ", ".join(f"{name} {count / _GIB:.1f} GiB" for name, count in parts)
    return f"{split}; {memory.kv_tokens:,} KV tokens per replica"
