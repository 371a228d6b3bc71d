"""The rows of `penstock catalogue`: what each kind shows as a table, and as plain data."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import ACCELERATORS, Accelerator, FormatSupport
from penstock.catalogue.engines import DEFAULT_VERSIONS, engine_supports, known_versions
from penstock.catalogue.models import ModelFacts, built_in, built_in_names
from penstock.cli.tables import Column, Sheet
from penstock.planner.memory import kv_bytes_per_token

__all__ = ["accelerator_rows", "engine_rows", "model_rows"]

_GIB = 2**30
_BILLION = 10**9
_KV_ELEMENT_BYTES = 2

Rows = tuple[Sheet, list[dict[str, Any]]]


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


def model_rows(words: str) -> Rows:
    """Every checkpoint, in the order of the data."""
    facts = [built_in(name) for name in built_in_names()]
    data = _matching((_model(each) for each in facts if each), words)
    columns = (
        *(Column("model", wide=True), Column("format", drop=1), Column("parameters", right=True, drop=2)),
        *(Column("active", right=True, drop=4), Column("weights", right=True), Column("KV/token", right=True, drop=3)),
        *(Column("context", right=True, drop=5), Column("attention", drop=6), Column("experts", right=True, drop=7)),
    )
    rows = (
        (
            *(each["model"], each["precision"], f"{each['parameters'] / _BILLION:,.1f}B"),
            *(f"{each['activeParameters'] / _BILLION:,.1f}B", f"{each['weightsBytes'] / _GIB:,.1f} GiB"),
            *(f"{each['kvBytesPerToken']:,} B", f"{each['maxContextTokens']:,}"),
            *(each["attention"], str(each["experts"] or "")),
        )
        for each in data
    )
    return _sheet(columns, rows), data


def _model(facts: ModelFacts) -> dict[str, Any]:
    """KV bytes are those of a token on one GPU at BF16, windows not counted."""
    per_token = kv_bytes_per_token(
        facts,
        tensor_parallel=1,
        element_bytes=_KV_ELEMENT_BYTES,
        engine_version=DEFAULT_VERSIONS[EngineName.VLLM],
    )
    return {
        "model": facts.model,
        "architecture": facts.architecture,
        "precision": str(facts.precision),
        "parameters": facts.parameters,
        "activeParameters": facts.active_parameters,
        "weightsBytes": facts.weights_bytes,
        "kvBytesPerToken": per_token,
        "maxContextTokens": facts.max_context_tokens,
        "attention": str(facts.attention),
        "layers": facts.layers,
        "experts": facts.experts,
        "source": facts.source,
    }


def accelerator_rows(words: str) -> Rows:
    """Every GPU type, in the order of the data."""
    data = _matching(map(_accelerator, ACCELERATORS.values()), words)
    columns = (
        *(Column("accelerator"), Column("vendor", drop=5), Column("memory", right=True)),
        *(Column("bandwidth", right=True), Column("BF16", right=True, drop=1), Column("FP8", right=True, drop=2)),
        *(
            Column("FP4", right=True, drop=3),
            Column("linked", right=True, drop=4),
            Column("formats", wide=True, drop=6),
        ),
    )
    rows = (
        (
            *(each["accelerator"], each["vendor"], f"{each['memoryBytes'] / _GIB:,.1f} GiB"),
            f"{each['bandwidthBytesPerSecond'] / 1e12:.2f} TB/s",
            *(_teraflops(each[name]) for name in ("bf16Flops", "fp8Flops", "fp4Flops")),
            *(_linked(each["scaleUpDomain"]), ", ".join(map(_format, each["formats"].items()))),
        )
        for each in data
    )
    return _sheet(columns, rows), data


def _linked(gpus: int) -> str:
    """How many share a fast fabric."""
    return f"{gpus} GPUs" if gpus > 1 else "alone"


def _format(pair: tuple[str, str]) -> str:
    """What is not native says how it runs."""
    name, support = pair
    return name if support == FormatSupport.NATIVE else f"{name} ({support})"


def _teraflops(flops: float | None) -> str:
    return f"{flops / 1e12:,.0f} TF" if flops else "-"


def _accelerator(each: Accelerator) -> dict[str, Any]:
    return {
        "accelerator": each.name,
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
    }


def engine_rows(words: str) -> Rows:
    """Every engine by the formats that it runs, and the accelerators that it runs just these on."""
    data = _matching((row for engine in EngineName for row in _engine(engine)), words)
    columns = (
        *(Column("engine"), Column("installed", drop=1), Column("known releases", drop=2)),
        *(Column("formats", wide=True), Column("on", wide=True)),
    )
    rows = (
        (
            *(each["engine"], each["defaultVersion"], ", ".join(each["knownVersions"])),
            *(", ".join(each["formats"]), ", ".join(each["accelerators"])),
        )
        for each in data
    )
    return _sheet(columns, rows), data


def _engine(engine: EngineName) -> Iterator[dict[str, Any]]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, accelerator in ACCELERATORS.items():
        runs = tuple(str(each) for each in accelerator.formats if engine_supports(engine, accelerator, each))
        alike.setdefault(runs, []).append(name)
    for runs, names in alike.items():
        yield {
            "engine": str(engine),
            "defaultVersion": DEFAULT_VERSIONS[engine],
            "knownVersions": list(known_versions(engine)),
            "formats": list(runs),
            "accelerators": names,
        }
