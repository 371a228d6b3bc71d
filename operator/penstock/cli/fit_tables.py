"""What `penstock fit` found, for people: what fits as a table, and why the rest does not in a line per cause."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TextIO

from rich.text import Text

from penstock.cli.tables import Column, Sheet, escaped, heading, markdown, note, show
from penstock.planner.plan import RejectionReason
from penstock.planner.survey import Limit, SurveyQuestion, SurveyRow

__all__ = ["write_markdown", "write_rows"]

_GIB = 2**30
_LIMITS = {
    Limit.TIME_TO_FIRST_TOKEN: "TTFT",
    Limit.TIME_PER_OUTPUT_TOKEN: "TPOT",
    Limit.CACHE: "KV cache",
    Limit.SEQUENCES: "max sequences",
}
_WHOLE_MILLISECONDS = 100
_CURE = "; would work: "
_CHEAPEST = "the cheapest per token of those with a price"
_OPTIONS = {
    "`spec.workload.maxContextTokens`": "`--context`",
    "`spec.serviceLevel.timeToFirstTokenMilliseconds`": "`--ttft`",
    "`spec.serviceLevel.timePerOutputTokenMilliseconds`": "`--tpot`",
    "`spec.workload`": "`--prompt` and `--answer`",
}
"""The planner speaks of resources; here the same is an option."""


def write_rows(question: SurveyQuestion, rows: Sequence[SurveyRow], out: TextIO) -> None:
    """What fits first, the best marked with a star."""
    fitting = [row for row in rows if row.fits]
    note(_asked(question), out)
    if fitting:
        heading("Fits", out)
        show(_sheet(question, fitting), out)
    misfits = list(_misfits(question, rows))
    if misfits:
        heading("Does not fit", out)
    for where, why in misfits:
        note(f"{where}: {why}", out)
    for words in _notes(question, fitting):
        note(words, out, style="dim")


def write_markdown(question: SurveyQuestion, rows: Sequence[SurveyRow], out: TextIO) -> None:
    """The same as Markdown."""
    fitting = [row for row in rows if row.fits]
    lines = [f"**{escaped(_asked(question))}**", ""]
    lines += [*markdown(_sheet(question, fitting)), ""] if fitting else []
    lines += [f"- **{where}** does not fit: {escaped(why)}" for where, why in _misfits(question, rows)]
    lines += ["", *_notes(question, fitting)]
    out.writelines(f"{line}\n" for line in lines)


def _asked(question: SurveyQuestion) -> str:
    """The question in a sentence."""
    load = question.load
    models = ", ".join(
        f"{facts.model} ({facts.precision}, {facts.weights_bytes / _GIB:.1f} GiB)" for facts in question.checkpoints
    )
    how = "as much as it carries"
    if load.total_requests_per_second is not None:
        how = f"{load.total_requests_per_second:,g} requests/s"
    elif load.total_concurrency is not None:
        how = f"{load.total_concurrency:,} in flight per replica"
    longest = f", requests up to {load.max_context_tokens:,} tokens" if load.max_context_tokens else ""
    return f"{models}: prompts of {load.prompt_tokens:,} and answers of {load.output_tokens:,} tokens, {how}{longest}"


def _sheet(question: SurveyQuestion, rows: Sequence[SurveyRow]) -> Sheet:
    several, replicated = len(question.checkpoints) > 1, question.load.total_requests_per_second is not None
    priced, loaded = bool(question.prices), question.load.known
    columns = {
        "": Column(""),
        "GPU": Column("GPU"),
        "layout": Column("layout"),
        **({"format": Column("format")} if several else {}),
        "engine": Column("engine", drop=12),
        "weights/GPU": Column("weights/GPU", right=True, drop=11),
        "KV/GPU": Column("KV/GPU", right=True, drop=10),
        "KV tokens": Column("KV tokens", right=True, drop=2),
        "context": Column("context", right=True, drop=6),
        "at once": Column("at once", right=True, drop=7),
        **({"replicas": Column("replicas", right=True)} if replicated else {}),
        "req/s": Column("most req/s each" if loaded else "req/s", right=True, drop=8),
        "out tok/s": Column("out tok/s", right=True, drop=1),
        "TTFT": Column("TTFT", right=True, drop=4),
        "TPOT": Column("TPOT", right=True, drop=3),
        "bound": Column("bound", drop=5),
        **({"per hour": Column("per hour", right=True, drop=1)} if priced else {}),
        **({"per Mtok in+out": Column("per Mtok in+out", right=True)} if priced else {}),
    }
    cells = [_cells(row) for row in rows]
    return Sheet(tuple(columns.values()), tuple(tuple(each[name] for name in columns) for each in cells))


def _cells(row: SurveyRow) -> dict[str, str | Text]:
    """Every cell by its heading; empty where nothing is known."""
    expected, memory = row.expected, row.memory
    name = f"{row.accelerator} ?" if row.unvalidated else row.accelerator
    return {
        "": Text("*", style="bold green") if row.best else "",
        "GPU": Text(name, style="bold") if row.best else name,
        "layout": row.layout,
        "format": row.precision,
        "engine": f"{row.engine} {row.engine_version}",
        "weights/GPU": f"{memory.weights_bytes / _GIB:.1f} GiB" if memory else "",
        "KV/GPU": f"{memory.kv_bytes / _GIB:.1f} GiB" if memory else "",
        "KV tokens": f"{row.kv_tokens:,}" if memory else "",
        "context": f"{row.longest_context_tokens:,}",
        "at once": f"{row.most_concurrent:,}",
        "replicas": f"{row.replicas:,}",
        "out tok/s": f"{expected.output_tokens_per_second * row.replicas:,.0f}" if expected else "",
        "TTFT": f"{expected.time_to_first_token_milliseconds:,.0f} ms" if expected else "",
        "TPOT": _milliseconds(expected.time_per_output_token_milliseconds) if expected else "",
        "bound": _LIMITS[row.limit] if row.limit else "",
        "req/s": f"{row.requests_per_second:,.2f}",
        "per hour": str(row.price_per_hour or "-"),
        "per Mtok in+out": str(row.token_price.all_tokens) if row.token_price else "-",
    }


def _milliseconds(value: float) -> str:
    """A tenth only where it says something."""
    return f"{value:,.0f} ms" if value >= _WHOLE_MILLISECONDS else f"{value:,.1f} ms"


def _misfits(question: SurveyQuestion, rows: Sequence[SurveyRow]) -> Iterator[tuple[str, str]]:
    """A line per GPU type and cause; a cure that several share is told once, below them."""
    told = list(_causes(question, rows))
    cures = Counter(why.partition(_CURE)[2] for _, why in told)
    for where, why in told:
        cause, _, cure = why.partition(_CURE)
        yield where, cause if cures[cure] > 1 else why
    yield from (("would work there", cure) for cure, times in cures.items() if cure and times > 1)


def _causes(question: SurveyQuestion, rows: Sequence[SurveyRow]) -> Iterator[tuple[str, str]]:
    """Where a GPU type has ways that fit, those with too few GPUs for the weights need no figures."""
    fitting = {(row.accelerator, row.model) for row in rows if row.fits}
    smaller: list[str] = []
    misfits = (row for row in rows if not row.fits and not _replaced(row, rows))
    for (gpu, model, reason, _), group in groupby(misfits, _alike):
        alike = list(group)
        where = _where(question, alike)
        if reason == RejectionReason.WEIGHTS_TOO_LARGE and (gpu, model) in fitting:
            smaller.append(where)
            continue
        # The largest came nearest: its figures say what is missing.
        yield where, f"{reason}: {_without_place(alike[-1])}"
    if smaller:
        yield "too few GPUs for the weights", "; ".join(smaller)


def _alike(row: SurveyRow) -> tuple[str, str, str, bool]:
    """One cause. A pipeline has more memory with each GPU, and is no faster: its latencies are its own."""
    slow_pipeline = row.reason == RejectionReason.SERVICE_LEVEL and row.pipeline_parallel > 1
    return row.accelerator, row.model, row.reason, slow_pipeline


def _where(question: SurveyQuestion, alike: Sequence[SurveyRow]) -> str:
    """`L4-24GB FP8 TP1, TP2`; the format only where several are compared."""
    which = f" {alike[0].precision}" if len(question.checkpoints) > 1 else ""
    return f"{alike[0].accelerator}{which} {', '.join(dict.fromkeys(row.layout for row in alike))}"


def _replaced(row: SurveyRow, rows: Sequence[SurveyRow]) -> bool:
    """A group that cannot be cut says nothing where a pipeline over as many GPUs was tried."""
    return row.reason == RejectionReason.SHARDING and any(
        other.pipeline_parallel > 1
        and (other.accelerator, other.model, other.gpus) == (row.accelerator, row.model, row.gpus)
        for other in rows
    )


def _without_place(row: SurveyRow) -> str:
    """The line starts with the GPUs already, and what resources call a field is an option here."""
    message = row.message.removeprefix(f"{row.gpus} x {row.accelerator}: ").removeprefix(f"{row.accelerator} ")
    for field, option in _OPTIONS.items():
        message = message.replace(field, option)
    return message


def _notes(question: SurveyQuestion, fitting: Sequence[SurveyRow]) -> Iterator[str]:
    if any(row.best for row in fitting):
        priced = any(row.token_price for row in fitting)
        yield f"* best: {_CHEAPEST if priced else 'the most tokens per second and GPU'}"
    reasons = sorted({row.unvalidated for row in fitting if row.unvalidated})
    yield from (f"? {reason}" for reason in reasons)
    if not question.prices:
        yield "no prices: give them by --price GPU=AMOUNT per GPU-hour"
