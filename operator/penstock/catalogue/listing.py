"""What the catalogue knows, as rows to print: models, accelerators, engines, each with its source and confidence."""

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.accelerators import Accelerator, FormatSupport, Vendor
from penstock.catalogue.engines import DEFAULT_VERSIONS, default_image, flags_of, known_versions
from penstock.catalogue.hardware import accelerator_table
from penstock.catalogue.lookup import find
from penstock.catalogue.model_table import Checkpoint, KnownTotals, model_table
from penstock.catalogue.models import AttentionKind, ModelFacts, built_in

__all__ = ["AcceleratorRow", "EngineRow", "ModelRow", "list_accelerators", "list_engines", "list_models"]

_ELEMENT_BYTES = 2
_FLAGS_SOURCE = "The flags of the released package."


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One checkpoint. `cache_bytes_per_token` is at 16 bits on one GPU, windows counted as full layers.

    `size_is_published` is False where the weights are computed from the architecture; `source` says whence the
    architecture is known.
    """

    model: str
    precision: Precision
    parameters: int
    active_parameters: int
    weights_bytes: int
    size_is_published: bool
    cache_bytes_per_token: int
    max_context_tokens: int
    attention: str
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class AcceleratorRow:
    """One accelerator; without `accelerator` it is recognised and never planned, for the `reason`."""

    name: str
    accelerator: Accelerator | None
    native: tuple[Precision, ...]
    other: tuple[Precision, ...]
    reason: str
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One release of an engine whose flags are known, with its own image for NVIDIA."""

    engine: EngineName
    version: str
    is_default: bool
    image: str
    flags: int
    source: str


def list_models(containing: str = "") -> tuple[ModelRow, ...]:
    """Every checkpoint whose name contains this (letter case aside), in the order of the files."""
    wanted, table = containing.lower(), model_table()
    rows = [_checkpoint_row(entry) for key, entry in table.checkpoints.items() if wanted in key]
    return (*rows, *(_totals_row(entry) for key, entry in table.totals.items() if wanted in key))


def list_accelerators() -> tuple[AcceleratorRow, ...]:
    """Every accelerator, those that are never planned last."""
    return tuple(_accelerator_rows())


def list_engines() -> tuple[EngineRow, ...]:
    """Every known release, newest first by engine."""
    return tuple(_engine_row(engine, version) for engine in EngineName for version in known_versions(engine))


def _checkpoint_row(entry: Checkpoint) -> ModelRow:
    facts, architecture = built_in(entry.model), model_table().architectures[entry.architecture]
    assert facts is not None  # noqa: S101 - the entry is of the table that built_in reads
    source = model_table().sources[architecture.source]
    confidence = entry.confidence or architecture.confidence
    return _model_row(facts, source, confidence, published=entry.weights_bytes is not None)


def _totals_row(entry: KnownTotals) -> ModelRow:
    facts = find(entry.model)
    assert facts is not None  # noqa: S101 - as above
    source = model_table().sources[entry.source]
    return _model_row(facts, source, entry.confidence, published=entry.weights_bytes is not None)


def _model_row(facts: ModelFacts, source: str, confidence: str, *, published: bool) -> ModelRow:
    return ModelRow(
        model=facts.model,
        precision=facts.precision,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        weights_bytes=facts.weights_bytes,
        size_is_published=published,
        cache_bytes_per_token=_cache_bytes(facts),
        max_context_tokens=facts.max_context_tokens,
        attention=_attention(facts),
        source=source,
        confidence=confidence,
    )


def _cache_bytes(facts: ModelFacts) -> int:
    layers = facts.full_attention_layers + facts.sliding_layers
    if facts.attention is AttentionKind.MLA:
        per_layer = facts.kv_lora_rank + facts.rope_head_dim
    else:
        per_layer = 2 * facts.kv_heads * facts.head_dim
    return layers * per_layer * _ELEMENT_BYTES + facts.index_bytes_per_token


def _attention(facts: ModelFacts) -> str:
    """As an expert would say it: `GQA`, `GQA + window 1024`, `MLA + linear`."""
    if facts.source == "totals":
        return "not public"
    parts = [str(facts.attention)]
    if facts.sliding_layers:
        parts.append(f"window {facts.sliding_window}")
    if facts.linear_layers:
        parts.append("linear")
    if facts.index_bytes_per_token:
        parts.append("sparse")
    return " + ".join(parts)


def _accelerator_rows() -> Iterator[AcceleratorRow]:
    table = accelerator_table()
    for known in table.known:
        formats = known.accelerator.formats.items()
        native = tuple(precision for precision, support in formats if support is FormatSupport.NATIVE)
        other = tuple(precision for precision, support in formats if support is not FormatSupport.NATIVE)
        name = known.accelerator.name
        yield AcceleratorRow(name, known.accelerator, native, other, "", known.source, known.confidence)
    for row in table.unplanned:
        yield AcceleratorRow(row.name, None, (), (), row.reason, row.source, "high")


def _engine_row(engine: EngineName, version: str) -> EngineRow:
    return EngineRow(
        engine=engine,
        version=version,
        is_default=DEFAULT_VERSIONS[engine] == version,
        image=default_image(engine, version, Vendor.NVIDIA),
        flags=len(flags_of(engine, version).names),
        source=_FLAGS_SOURCE,
    )
