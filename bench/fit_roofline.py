"""Fit the constants of the performance model on the calibration rows of perf_rows.csv, and write roofline.json.

`python -m bench.fit_roofline --data DIR [--output FILE] [--dry-run]`: robust regression in logarithms, first of the
time per output token, then of the time to the first token; then factors for kinds of models that rows show to differ.
Figures are cross-validated: a configuration, a model or a GPU type is judged by constants fitted without it.
"""

import argparse
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import figure, progress
from bench.performance.parameters import FIRST_TOKEN, STEP, Batch, batch_of, expected_values, tuning_of
from bench.performance.regression import Array, fit, shrunken_centre
from bench.performance.rows import Row, read_rows
from penstock.catalogue.roofline import generation_of
from penstock.planner.speed.steps import first_token_seconds, interference_seconds, step_seconds, unloaded_seconds

__all__ = ["SPLITS", "main"]

_STEP_SCALE, _FIRST_SCALE = 0.12, 0.3
_PRIOR_ROWS = 6.0
_BACKFITS = 8
_RANDOM_FOLDS = 5
_LEAST_FACTOR = 0.01
_DIGITS = 4
_KEYS = ("architecture", "engine", "version", "generation", "precision")

_Key = tuple[str, str, str, str, str]
_Factors = Mapping[_Key, float]


class _Fitted:
    """Constants and factors from one set of rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        batch = batch_of(rows)
        each = np.array([row.tpot_seconds for row in rows])
        first = np.array([row.ttft_seconds for row in rows])
        self.constants = fit(lambda values: _each(values, batch), each, STEP, scale=_STEP_SCALE)
        self.constants |= fit(
            lambda values: _first(self.constants | values, batch), first, FIRST_TOKEN, scale=_FIRST_SCALE
        )
        self.each_factors = _factors(np.log(each / _each(self.constants, batch)), rows)
        self.first_factors = _factors(np.log(first / _first(self.constants, batch)), rows)

    def errors(self, rows: Sequence[Row]) -> tuple[Array, Array]:
        """Of predictions for these rows: TPOT and TTFT, relative to what was measured."""
        batch = batch_of(rows)
        each = _each(self.constants, batch) * np.exp(_applied(self.each_factors, rows))
        first = _first(self.constants, batch) * np.exp(_applied(self.first_factors, rows))
        return (
            np.abs(each / np.array([row.tpot_seconds for row in rows]) - 1),
            np.abs(first / np.array([row.ttft_seconds for row in rows]) - 1),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, cross-validate, print the figures, write the file."""
    parser = argparse.ArgumentParser(prog="fit_roofline")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=_present_file())
    parser.add_argument("--dry-run", action="store_true", help="print the figures, write nothing")
    options = parser.parse_args(arguments)
    rows = _usable(options.data)
    progress(f"{len(rows)} calibration rows")
    _report("before", rows, *_unfitted_errors(rows))
    whole = _Fitted(rows)
    _report("fitted", rows, *whole.errors(rows))
    ranges: dict[str, list[float]] = {name: [value] for name, value in whole.constants.items()}
    for name, fold_of in SPLITS.items():
        each, first = _cross_validated(rows, [fold_of(row) for row in rows], ranges)
        _report(f"leave_{name}_out", rows, each, first)
    if not options.dry_run:
        options.output.write_text(_document(options.output, rows, whole, ranges), encoding="utf-8")
        progress(f"wrote {options.output}")


def _usable(directory: Path) -> list[Row]:
    return [
        row
        for row in read_rows(directory)
        if isinstance(row, Row)
        and row.split == "calibration"
        and row.kind == "agg"
        and row.quality == "ok"
        and not row.burst
        and row.tpot_seconds is not None
        and row.ttft_seconds is not None
    ]


def _each(values: Mapping[str, float], batch: Batch) -> Array:
    """Modelled TPOT; the fit of steps knows nothing of the first token."""
    tuning = tuning_of(expected_values(FIRST_TOKEN) | dict(values), batch)
    amounts, unloaded = batch.amounts, unloaded_seconds(batch.amounts, tuning)
    running: Any = batch.running
    taken: Any = step_seconds(amounts, tuning, unloaded, running)
    taken += interference_seconds(amounts, tuning, unloaded, running)
    result: Array = taken / amounts.tokens_per_step
    return result


def _first(values: Mapping[str, float], batch: Batch) -> Array:
    """Modelled TTFT, the wait for room in the cache included."""
    each, tuning = _each(values, batch), tuning_of(values, batch)
    running: Any = batch.running
    unloaded = unloaded_seconds(batch.amounts, tuning)
    step: Any = each
    interference: Any = interference_seconds(batch.amounts, tuning, unloaded, running)
    first: Any = first_token_seconds(tuning, unloaded, running, step=step, interference=interference)
    whole = first + each * (batch.amounts.output_tokens - 1)
    result: Array = first + batch.waiting / running * whole
    return result


def _unfitted_errors(rows: Sequence[Row]) -> tuple[Array, Array]:
    """With every constant at what it is expected to be."""
    batch, values = batch_of(rows), expected_values(STEP) | expected_values(FIRST_TOKEN)
    each = np.array([row.tpot_seconds for row in rows])
    first = np.array([row.ttft_seconds for row in rows])
    return np.abs(_each(values, batch) / each - 1), np.abs(_first(values, batch) / first - 1)


def _keys(row: Row) -> tuple[_Key, _Key, _Key]:
    """From the general to the special, as `catalogue.roofline.residual` looks them up."""
    architecture, engine = row.facts.architecture, row.engine
    generation, precision = generation_of(row.accelerator), row.facts.precision.value
    return (
        (architecture, engine, "", "", ""),
        (architecture, engine, row.engine_version or "unstated", "", ""),
        (architecture, engine, "", generation, precision),
    )


def _factors(residuals: Array, rows: Sequence[Row]) -> _Factors:
    """Logarithms of factors per kind, each fitted to what the others leave."""
    members: dict[_Key, list[int]] = {}
    for index, row in enumerate(rows):
        for key in _keys(row):
            members.setdefault(key, []).append(index)
    found = dict.fromkeys(sorted(members), 0.0)
    for _ in range(_BACKFITS):
        for key in found:
            found[key] = 0.0
            left = residuals[members[key]] - _applied(found, [rows[index] for index in members[key]])
            found[key] = shrunken_centre(left, prior_rows=_PRIOR_ROWS)
    return found


def _applied(factors: _Factors, rows: Sequence[Row]) -> Array:
    return np.array([sum(factors.get(key, 0.0) for key in _keys(row)) for row in rows])


def _cross_validated(rows: Sequence[Row], folds: Sequence[str], ranges: dict[str, list[float]]) -> tuple[Array, Array]:
    """Errors of rows by fits that did not see their fold; the fits' constants are added to `ranges`."""
    each, first = np.zeros(len(rows)), np.zeros(len(rows))
    for fold in sorted(set(folds)):
        inside = [index for index, name in enumerate(folds) if name == fold]
        fitted = _Fitted([row for row, name in zip(rows, folds, strict=True) if name != fold])
        each[inside], first[inside] = fitted.errors([rows[index] for index in inside])
        for name, value in fitted.constants.items():
            ranges[name].append(value)
    return each, first


def _report(name: str, rows: Sequence[Row], each: Array, first: Array) -> None:
    """Over the rows that the asks are about."""
    judged = np.array([row.judged for row in rows])
    for quantity, errors in (("tpot", each[judged]), ("ttft", first[judged])):
        figure(
            f"{name}_{quantity}_error_median",
            float(np.median(errors)),
            "fraction",
            p90=round(float(np.quantile(errors, 0.9)), 4),
            rows=int(judged.sum()),
        )


def _present_file() -> Path:
    return Path(str(resources.files("penstock.catalogue").joinpath("roofline.json")))


def _document(path: Path, rows: Sequence[Row], fitted: _Fitted, ranges: Mapping[str, Sequence[float]]) -> str:
    """The file anew: what was stated by hand stays, what is fitted is replaced; same rows, same bytes."""
    stated = json.loads(path.read_text(encoding="utf-8"))
    document: dict[str, Any] = {
        "source": "Fitted by bench/fit_roofline.py on measured rows (AIConfigurator core 0.12 silicon sample,"
        " Apache-2.0, of InferenceX runs; vLLM, SGLang and TRT-LLM on H100, H200, B200 and B300). `low` and `high`:"
        " the range over refits without a fold of configurations, a model or a GPU type. Seconds; see roofline.py.",
        "rows": len(rows),
        "constants": _scoped(fitted.constants, ranges, ""),
        "engines": {name: _scoped(fitted.constants, ranges, name) for name in ("vLLM", "SGLang", "TRT-LLM")},
        "generations": {"blackwell": _scoped(fitted.constants, ranges, "blackwell")},
        "formats": {"NVFP4": _scoped(fitted.constants, ranges, "NVFP4")},
        "residuals": _listed(fitted, rows),
        "links": stated["links"],
        "derates": stated["derates"],
    }
    return _readable(document)


def _scoped(constants: Mapping[str, float], ranges: Mapping[str, Sequence[float]], scope: str) -> dict[str, Any]:
    found = {}
    for parameter in STEP + FIRST_TOKEN:
        name, _, owner = parameter.name.partition("@")
        if owner == scope:
            seen = ranges[parameter.name]
            found[name] = {
                "value": _rounded(constants[parameter.name]),
                "low": _rounded(min(seen)),
                "high": _rounded(max(seen)),
            }
    return found


def _listed(fitted: _Fitted, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Factors that differ from one, with the rows behind each."""
    counts: dict[_Key, int] = {}
    for row in rows:
        for key in _keys(row):
            counts[key] = counts.get(key, 0) + 1
    return [
        {name: part for name, part in zip(_KEYS, key, strict=True) if part}
        | {
            "step": _rounded(float(np.exp(fitted.each_factors[key]))),
            "firstToken": _rounded(float(np.exp(fitted.first_factors[key]))),
            "rows": counts[key],
        }
        for key in sorted(counts)
        if max(abs(fitted.each_factors[key]), abs(fitted.first_factors[key])) >= _LEAST_FACTOR
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _readable(document: Mapping[str, Any]) -> str:
    """One line per constant, factor, link and derate."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(entry)}" for entry in value)
            parts.append(f' "{name}": [\n{lines}\n ]')
        elif isinstance(value, Mapping):
            lines = ",\n".join(f"  {json.dumps(key)}: {_nested(entry)}" for key, entry in value.items())
            parts.append(f' "{name}": {{\n{lines}\n }}')
        else:
            parts.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _nested(entry: Any) -> str:
    if isinstance(entry, Mapping) and any(isinstance(value, Mapping) for value in entry.values()):
        lines = ",\n".join(f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
        return f"{{\n{lines}\n  }}"
    return json.dumps(entry)


def _random_fold(row: Row) -> str:
    """By configuration: its loads and lengths stay together."""
    return str(zlib.crc32(row.group.encode()) % _RANDOM_FOLDS)


SPLITS: Mapping[str, Callable[[Row], str]] = {
    "configuration": _random_fold,
    "model": lambda row: row.model_word,
    "gpu": lambda row: row.gpu_word,
}
"""What is left out together when the fit is judged."""


if __name__ == "__main__":
    main()
