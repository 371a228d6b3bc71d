"""The rows of `penstock catalogue`: what each kind shows as a table, and as plain data."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator, FormatSupport
from penstock.catalogue.engines import engine_supports
from penstock.catalogue.listing import (
    AcceleratorRow,
    EngineRow,
    ModelRow,
    list_accelerators,
    list_engines,
    list_models,
)
from penstock.cli.tables import Column, Sheet

__all__ = ["Listed", "accelerator_rows", "engine_rows", "model_rows"]

_GIB = 2**30
_BILLION = 10**9
_TERA = 10**12


@dataclass(frozen=True, slots=True)
class Listed:
    """A table, the same as plain data, and what is said below the table."""

    sheet: Sheet
    data: list[dict[str, Any]]
    notes: tuple[str, ...] = ()


def _matching(data: Iterable[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """Rows in which a text, or a text of a list, has the letters."""
    return [row for row in data if any(words.lower() in text.lower() for text in _texts(row))]


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | dict):
            yield from (each for each in value if isinstance(each, str))


def _sheet(columns: tuple[Column, ...], rows: Iterable[Iterable[str]]) -> Sheet:
    return Sheet(columns, tuple(tuple(row) for row in rows))


def model_rows(words: str) -> Listed:
    """Every checkpoint, in the order of the data; `~` before a size that is computed and not published."""
    data = _matching(map(_model, list_models()), words)
    columns = (
        *(Column("model"), Column("format", drop=1), Column("parameters", right=True, drop=2)),
        *(Column("active", right=True, drop=4), Column("weights", right=True), Column("KV/token", right=True, drop=3)),
        *(Column("context", right=True, drop=5), Column("attention", drop=6), Column("confidence", drop=7)),
    )
    rows = (
        (
            *(each["model"], each["precision"], f"{each['parameters'] / _BILLION:,.1f}B"),
            *(f"{each['activeParameters'] / _BILLION:,.1f}B", _size(each), f"{each['kvBytesPerToken']:,} B"),
            *(f"{each['maxContextTokens']:,}", each["attention"], each["confidence"]),
        )
        for each in data
    )
    return Listed(_sheet(columns, rows), data)


def _size(model: Mapping[str, Any]) -> str:
    return f"{'' if model['weightsArePublished'] else '~'}{model['weightsBytes'] / _GIB:,.1f} GiB"


def _model(row: ModelRow) -> dict[str, Any]:
    """KV bytes are those of a token on one GPU at 16 bits, windows counted as full layers."""
    return {
        "model": row.model,
        "precision": str(row.precision),
        "parameters": row.parameters,
        "activeParameters": row.active_parameters,
        "weightsBytes": row.weights_bytes,
        "weightsArePublished": row.size_is_published,
        "kvBytesPerToken": row.cache_bytes_per_token,
        "maxContextTokens": row.max_context_tokens,
        "attention": row.attention,
        "source": row.source,
        "confidence": row.confidence,
    }


def accelerator_rows(words: str) -> Listed:
    """Every GPU type, in the order of the data; below, those that are never planned, with the reason."""
    data = _matching(map(_accelerator, list_accelerators()), words)
    columns = (
        *(Column("accelerator"), Column("vendor", drop=5), Column("memory", right=True)),
        *(Column("bandwidth", right=True), Column("BF16", right=True, drop=1), Column("FP8", right=True, drop=2)),
        *(Column("FP4", right=True, drop=3), Column("linked", right=True, drop=4)),
        *(Column("confidence", drop=7), Column("formats", wide=True, drop=6)),
    )
    rows = (_accelerator_cells(each) for each in data if not each["reason"])
    notes = tuple(f"{each['accelerator']} is never planned: {each['reason']}" for each in data if each["reason"])
    return Listed(_sheet(columns, rows), data, notes)


def _accelerator_cells(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        *(each["accelerator"], each["vendor"], f"{each['memoryBytes'] / _GIB:,.1f} GiB"),
        f"{each['bandwidthBytesPerSecond'] / _TERA:.2f} TB/s",
        *(_teraflops(each[name]) for name in ("bf16Flops", "fp8Flops", "fp4Flops")),
        *(_linked(each["scaleUpDomain"]), each["confidence"], ", ".join(map(_format, each["formats"].items()))),
    )


def _linked(gpus: int) -> str:
    """How many share a fast fabric."""
    return f"{gpus} GPUs" if gpus > 1 else "alone"


def _format(pair: tuple[str, str]) -> str:
    """What is not native says how it runs."""
    name, support = pair
    return name if support == FormatSupport.NATIVE else f"{name} ({support})"


def _teraflops(flops: float | None) -> str:
    return f"{flops / _TERA:,.0f} TF" if flops else "-"


def _accelerator(row: AcceleratorRow) -> dict[str, Any]:
    """Figures where it is planned, else the reason."""
    figures = _figures(row.accelerator) if row.accelerator else {}
    told = {"reason": row.reason, "source": row.source, "confidence": row.confidence}
    return {"accelerator": row.name, **figures, **told}


def _figures(each: Accelerator) -> dict[str, Any]:
    return {
        "vendor": str(each.vendor),
        "architecture": each.architecture,
        "resource": each.resource,
        "memoryBytes": each.memory_bytes,
        "bandwidthBytesPerSecond": each.bandwidth,
        "bf16Flops": each.bf16_flops,
        "fp8Flops": each.fp8_flops,
        "fp4Flops": each.fp4_flops,
        "scaleUpDomain": each.scale_up_domain,
        "formats": {str(precision): str(support) for precision, support in each.formats.items()},
        "engines": {
            str(engine): [str(precision) for precision in each.formats if engine_supports(engine, each, precision)]
            for engine in EngineName
        },
    }


def engine_rows(words: str) -> Listed:
    """Every release whose flags are known, the newest first; a star marks the one that is installed."""
    data = _matching(map(_engine, list_engines()), words)
    columns = (
        *(Column("engine"), Column("version"), Column("installed"), Column("flags", right=True, drop=1)),
        Column("image", wide=True, drop=2),
    )
    rows = (
        (each["engine"], each["version"], "*" if each["default"] else "", str(each["flags"]), each["image"])
        for each in data
    )
    return Listed(_sheet(columns, rows), data)


def _engine(row: EngineRow) -> dict[str, Any]:
    return {
        "engine": str(row.engine),
        "version": row.version,
        "default": row.is_default,
        "image": row.image,
        "flags": row.flags,
        "source": row.source,
    }
