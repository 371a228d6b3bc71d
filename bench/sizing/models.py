"""From a row's model name and precision to the facts that the planner reckons with, or why there are none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.sizing.cells import GIB, number, read_rows, whole
from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.lookup import find_in_format
from penstock.catalogue.models import ConfigFacts, ModelFacts, facts_from_config
from penstock.catalogue.spelling import StoredFormat, format_of_words, stated_parameters
from penstock.catalogue.totals import Totals, facts_from_totals

__all__ = ["Skip", "from_table", "read_rows", "resolve"]

_NUMBER = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([MBT])?", re.IGNORECASE)
_SCALE = {"M": 10**6, "B": 10**9, "T": 10**12}
_UNQUANTISED = StoredFormat((Precision.BF16, Precision.FP16))


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a row says nothing that can be used."""

    reason: str


def resolve(
    name: str, precision: str = "", *, row: Mapping[str, str] | None = None, data: Path | None = None
) -> ModelFacts | Skip:
    """The facts of a row's model in the row's precision.

    In this order: the catalogue (exact name, other spelling, sibling checkpoint, formula in that format), models.csv
    of `data`, then the totals that the row or the name states. Never raises on what a row holds.
    """
    name, row = _one_model(name, precision), row or {}
    if not name:
        return Skip("no model named")
    try:
        found = find_in_format(name, precision, is_amd=row.get("gpu", "").lower().startswith("mi"))
        return found or _named_in_table(name, precision, data) or _from_totals(name, precision, row)
    except Refused as refused:
        return Skip(f"refused: {refused.refusals[0].reason}")


def _one_model(name: str, precision: str) -> str:
    """Rows about many models (`any FP8 MoE`, `Kimi-K2 family / ...`) are judged by one of them."""
    first = re.split(r"\s+/\s+|\s+or\s+", name.strip())[0]
    if not first.lower().startswith("any "):
        return re.sub(r"\s+family$", "", first, flags=re.IGNORECASE)
    base = "Qwen/Qwen3-235B-A22B" if "moe" in first.lower() else "meta-llama/Llama-3.3-70B-Instruct"
    return base if format_of_words(precision) else f"{base} {first.split()[1]}"


def _named_in_table(name: str, precision: str, data: Path | None) -> ModelFacts | None:
    row = _table(data).get(name.strip().lower()) if data else None
    return None if row is None else from_table(row, precision)


def from_table(row: Mapping[str, str], precision: str = "") -> ModelFacts | None:
    """Facts of a row of models.csv by its own columns: geometry where it has one, sized by its computed total.

    Published sizes and totals are not read. None where the row has neither layers nor a computed total.
    """
    total, active = _billions(row.get("params_total_b_calc", "")), _billions(row.get("params_active_b_published", ""))
    if not row.get("layers") or not total:
        return None
    stored = format_of_words(precision) or format_of_words(row.get("native_weights", "")) or _UNQUANTISED
    size = _from_parameters(row["id"], stored, total, active)
    known = ConfigFacts(
        model=row["id"],
        config=_config(row),
        weights_bytes=size.weights_bytes,
        parameters=total,
        active_parameters=size.active_parameters,
        source="models.csv",
    )
    return replace(
        facts_from_config(known),
        precision=size.precision,
        loaded_bytes=size.loaded_bytes,
        sliding_layers=whole(row.get("n_swa_layers", "")),
        full_attention_layers=whole(row.get("n_full_layers", "")),
        sliding_window=whole(row.get("swa_window", "")),
        linear_layers=whole(row.get("n_linear_layers", "")),
    )


def _config(row: Mapping[str, str]) -> dict[str, object]:
    """A config.json made of the columns of models.csv; columns that are empty are left out."""
    keys = {
        "num_hidden_layers": "layers",
        "hidden_size": "hidden",
        "num_attention_heads": "q_heads",
        "num_key_value_heads": "kv_heads",
        "head_dim": "head_dim",
        "vocab_size": "vocab",
        "max_position_embeddings": "max_ctx",
        "kv_lora_rank": "kv_lora_rank",
        "qk_rope_head_dim": "qk_rope_dim",
        "index_head_dim": "indexer_head_dim",
        "n_routed_experts": "experts",
        "num_experts_per_tok": "topk",
        "moe_intermediate_size": "moe_inter",
    }
    config: dict[str, object] = {key: number for key, column in keys.items() if (number := whole(row.get(column, "")))}
    return {"model_type": "models.csv", "max_position_embeddings": 131072, "intermediate_size": 1} | config


def _from_totals(name: str, precision: str, row: Mapping[str, str]) -> ModelFacts | Skip:
    """Totals that the row states, else the name; the weights per GPU that the row states give a size."""
    stated, active = stated_parameters(name)
    parameters = stated or _amount(row.get("params", ""))
    active = active or _amount(row.get("active", ""))
    stored = format_of_words(precision) or format_of_words(name) or _UNQUANTISED
    if parameters:
        return _from_parameters(name, stored, parameters, active)
    size = _stated_bytes(row)
    if size:
        return _from_parameters(name, stored, round(size * 8 / _bits(stored)), None)
    return Skip("unknown model, and the row states no parameters")


def _from_parameters(name: str, stored: StoredFormat, parameters: int, active: int | None) -> ModelFacts:
    return facts_from_totals(
        Totals(model=name, precision=stored.precisions[0], parameters=parameters, active_parameters=active)
    )


def _bits(stored: StoredFormat) -> float:
    precision = stored.precisions[0]
    if precision in _UNQUANTISED.precisions:
        return 16.0
    return 4.5 if precision in {Precision.INT4, Precision.NVFP4, Precision.MXFP4} else 8.0


def _stated_bytes(row: Mapping[str, str]) -> int:
    """`est_weights_gib_per_gpu` times the GPUs that hold one replica."""
    each = number(row.get("est_weights_gib_per_gpu") or row.get("formula_weights_gib_per_gpu") or "")
    return round(each * GIB * max(1, whole(row.get("tp", ""))) * max(1, whole(row.get("pp", ""))))


def _billions(text: str) -> int:
    return round(number(text) * 10**9)


def _amount(text: str) -> int | None:
    """`36B`, `0.9B`, `230M`, `2.8T` as a number of parameters."""
    found = _NUMBER.match(text)
    if found is None or not found[2]:
        return None
    return round(float(found[1]) * _SCALE[found[2].upper()]) or None


@cache
def _table(data: Path) -> Mapping[str, dict[str, str]]:
    return {row.get("id", "").lower(): row for row in read_rows(data / "models.csv")}
