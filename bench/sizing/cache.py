"""Cache bytes of one token on one GPU, against the table of models and against what engines' logs imply."""

import re
from collections.abc import Mapping
from pathlib import Path

from bench.sizing.cells import number, read_rows
from bench.sizing.models import Skip, resolve
from bench.sizing.tally import Tally
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import kv_bytes_per_token

__all__ = ["run"]

_COLUMNS = ((1, "kv_bytes_per_token_bf16_unsharded"), (8, "kv_bytes_per_token_per_gpu_tp8_bf16"))
_ELEMENT_BYTES = 2
_WINDOWS_AS_FULL = "0.20.0"
_CONTRADICTION = re.compile(r"inconsistent|\bquotes\b|treat \+-|approximate")


def run(data: Path) -> None:
    """`kv_bytes_error_p95`, and the same of linear hybrids, whose pages are padded (they may be 0.11 off)."""
    plain, hybrid = Tally(), Tally()
    for row in read_rows(data / "models.csv"):
        _judge_table(plain, hybrid, row, data)
    for row in read_rows(data / "kv_observations.csv"):
        _judge_log(plain, hybrid, row, data)
    plain.error("kv_bytes_error_p95", 0.95)
    hybrid.error("kv_bytes_error_hybrids_p95", 0.95, allowed=0.11)


def _judge_table(plain: Tally, hybrid: Tally, row: Mapping[str, str], data: Path) -> None:
    facts = resolve(row.get("id", ""), data=data)
    for size, column in _COLUMNS:
        stated = number(row.get(column, ""))
        if stated <= 0:
            plain.skipped[f"no {column}"] += 1
        elif isinstance(facts, Skip):
            plain.missed[facts.reason] += 1
        else:
            found = kv_bytes_per_token(
                facts, tensor_parallel=size, element_bytes=_ELEMENT_BYTES, engine_version=_WINDOWS_AS_FULL
            )
            _tally_of(facts, plain, hybrid).add(f"{row['id']} tp{size}", found / stated - 1)


def _judge_log(plain: Tally, hybrid: Tally, row: Mapping[str, str], data: Path) -> None:
    stated = number(row.get("implied_bytes_per_token", ""))
    facts = resolve(row.get("model", ""), row.get("weight_precision", ""), row=row, data=data)
    if stated <= 0:
        plain.skipped["the log implies no bytes per token"] += 1
    elif _CONTRADICTION.search(row.get("note", "")):
        plain.skipped["the row contradicts itself or rounds, and says so"] += 1
    elif isinstance(facts, Skip):
        plain.missed[facts.reason] += 1
    else:
        label = f"log {row.get('n', '')} {row.get('model', '')}"
        _tally_of(facts, plain, hybrid).add(label, _of_log(facts, row) / stated - 1)


def _of_log(facts: ModelFacts, row: Mapping[str, str]) -> float:
    whole = kv_bytes_per_token(
        facts,
        tensor_parallel=round(number(row.get("tp", ""))) or 1,
        element_bytes=round(number(row.get("kv_bytes", ""))) or _ELEMENT_BYTES,
        engine_version=_version(row.get("engine", "")),
    )
    side = facts.index_bytes_per_token
    return (whole + side) / max(1.0, number(row.get("dcp", "")))


def _tally_of(facts: ModelFacts, plain: Tally, hybrid: Tally) -> Tally:
    return hybrid if facts.linear_layers else plain


def _version(engine: str) -> str:
    """The release that the row names; builds without one count windows as full layers, as old ones did."""
    found = re.search(r"\d+\.\d+(\.\d+)?", engine)
    return found[0] if found is not None and "sglang" not in engine.lower() else _WINDOWS_AS_FULL
