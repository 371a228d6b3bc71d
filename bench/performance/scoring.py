"""The errors of modelled times against measured rows, over all of them and by what they have in common."""

import argparse
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import figure, progress
from bench.performance import judge
from bench.performance.cases import beats_memory, predicted, replica_of
from bench.performance.rows import Row, Skipped, read_rows
from penstock.planner.speed import unvalidated

__all__ = ["Scored", "main"]

_MISS = 1.0
_ENOUGH_ROWS = 5


@dataclass(frozen=True, slots=True)
class Scored:
    """A row with its errors: |modelled / measured - 1|; None where the row does not measure it."""

    row: Row
    tpot_error: float | None
    ttft_error: float | None
    is_unvalidated: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a figure for each ask, with rows used and skipped, and its anatomy."""
    parser = argparse.ArgumentParser(prog="performance")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--judge", type=int, default=0, metavar="ROWS", help="ask AIConfigurator about so many rows")
    options = parser.parse_args(arguments)
    if not (options.data / "perf_rows.csv").exists():
        progress(f"no perf_rows.csv in {options.data}: nothing to judge")
        return
    entries = list(read_rows(options.data))
    skipped = [entry for entry in entries if isinstance(entry, Skipped)]
    scored = [_scored(entry) for entry in entries if isinstance(entry, Row)]
    _report(scored, skipped)
    if options.judge:
        _compare(scored, options.judge)


def _scored(row: Row) -> Scored:
    modelled = predicted(row)
    return Scored(
        row=row,
        tpot_error=_error(modelled.time_per_output_token_seconds, row.tpot_seconds),
        ttft_error=_error(modelled.time_to_first_token_seconds, row.ttft_seconds),
        is_unvalidated=bool(unvalidated(replica_of(row))),
    )


def _error(modelled: float, measured: float | None) -> float | None:
    return None if measured is None else abs(modelled / measured - 1)


def _report(scored: Sequence[Scored], skipped: Sequence[Skipped]) -> None:
    """The asks are about aggregated rows of good quality on vLLM or SGLang; the others stand apart."""
    judged = [each for each in scored if each.row.judged]
    validated = [each for each in judged if not each.is_unvalidated]
    reasons = Counter(entry.reason for entry in skipped if entry.judged)
    misses = sum(entry.is_miss for entry in skipped if entry.judged)
    left_out = Counter(_why_not_judged(each.row) for each in scored if not each.row.judged)
    for name, error_of in _QUANTITIES.items():
        errors = _errors(validated, error_of)
        details: dict[str, object] = {
            "rows": len(errors) + misses,
            "skipped": dict(sorted(reasons.items())),
            "missed": misses,
            "not_judged": dict(sorted(left_out.items())),
            "not_measured": len(validated) - len(errors),
        }
        _figures(f"{name}_error", errors + [_MISS] * misses, details)
        _figures(f"{name}_error_unvalidated", _errors([each for each in judged if each.is_unvalidated], error_of), {})
        _figures(f"{name}_error_with_unvalidated", _errors(judged, error_of), {})
        _anatomy(name, judged, error_of)
    _other_kinds(scored)
    beating = [each for each in scored if beats_memory(each.row)]
    figure(
        "rows_faster_than_memory", len(beating), "rows", of=len(scored), judged=sum(each.row.judged for each in beating)
    )


def _compare(scored: Sequence[Scored], count: int) -> None:
    """The judge's errors beside the model's own, on the same rows, evenly taken; those it cannot do are left out."""
    program = judge.command()
    if program is None:
        progress("AIConfigurator is not installed: no second opinion")
        return
    able = [each for each in scored if each.row.judged and judge.arguments_for(each.row)]
    taken = able[:: max(1, len(able) // count)][:count]
    pairs = [(each, found) for each in taken if (found := judge.estimate(program, each.row)) is not None]
    for name, theirs, ours in (
        ("tpot", [_error(found.tpot_seconds, each.row.tpot_seconds) for each, found in pairs], "tpot"),
        ("ttft", [_error(found.ttft_seconds, each.row.ttft_seconds) for each, found in pairs], "ttft"),
    ):
        errors = [error for error in theirs if error is not None]
        own = _errors([each for each, _ in pairs], _QUANTITIES[ours])
        if errors and own:
            details = {"rows": len(errors), "asked": len(taken), "own": round(statistics.median(own), 4)}
            figure(f"judge_{name}_error_median", statistics.median(errors), "fraction", **details)


def _why_not_judged(row: Row) -> str:
    if row.kind != "agg":
        return f"kind {row.kind or 'unstated'}"
    return f"quality {row.quality or 'unstated'}" if row.quality != "ok" else f"engine {row.engine or 'unstated'}"


def _errors(scored: Sequence[Scored], error_of: Callable[[Scored], float | None]) -> list[float]:
    return [error for each in scored if (error := error_of(each)) is not None]


def _figures(name: str, errors: Sequence[float], details: Mapping[str, object]) -> None:
    if errors:
        figure(f"{name}_median", statistics.median(errors), "fraction", **{"rows": len(errors), **details})
        figure(f"{name}_p90", _quantile(errors), "fraction", rows=len(errors))


def _quantile(errors: Sequence[float]) -> float:
    ordered = sorted(errors)
    return ordered[max(0, -(-len(ordered) * 9 // 10) - 1)]


def _anatomy(name: str, judged: Sequence[Scored], error_of: Callable[[Scored], float | None]) -> None:
    """Median and ninth decile by what rows have in common."""
    for what, key in _CUTS.items():
        groups: dict[str, list[Scored]] = {}
        for each in judged:
            groups.setdefault(key(each.row), []).append(each)
        parts = {
            group: {
                "median": round(statistics.median(errors), 4),
                "p90": round(_quantile(errors), 4),
                "rows": len(errors),
            }
            for group, members in sorted(groups.items())
            if (errors := _errors(members, error_of))
        }
        if parts:
            several = [part for part in parts.values() if part["rows"] >= _ENOUGH_ROWS] or list(parts.values())
            worst = max(part["median"] for part in several)
            figure(f"{name}_error_median_worst_{what}", worst, "fraction", parts=parts)


def _other_kinds(scored: Sequence[Scored]) -> None:
    """Rows that no ask is about: other engines by the constants of vLLM, flagged rows, prefill and decode apart."""
    for kind in sorted({_why_not_judged(each.row) for each in scored if not each.row.judged}):
        members = [each for each in scored if not each.row.judged and _why_not_judged(each.row) == kind]
        for name, error_of in _QUANTITIES.items():
            errors = _errors(members, error_of)
            if errors:
                figure(f"{name}_error_median_of_{kind}", statistics.median(errors), "fraction", rows=len(errors))


_QUANTITIES: Mapping[str, Callable[[Scored], float | None]] = {
    "tpot": lambda each: each.tpot_error,
    "ttft": lambda each: each.ttft_error,
}

_CUTS: Mapping[str, Callable[[Row], str]] = {
    "gpu": lambda row: row.gpu_word,
    "model": lambda row: row.model_word,
    "engine_version": lambda row: f"{row.engine} {row.engine_version or 'unstated'}",
    "load": lambda row: "burst" if row.burst else "open loop" if row.open_loop else _band(row.concurrency),
    "split": lambda row: row.split or "unstated",
}


def _band(concurrency: int) -> str:
    """Concurrency by powers of four."""
    low = 1
    while low * 4 <= concurrency:
        low *= 4
    return f"closed loop from {low:>4}"
