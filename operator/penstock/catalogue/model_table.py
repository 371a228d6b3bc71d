"""The files of known models: architectures, checkpoints and number formats, checked against their schema on reading.

`models.py` is the door. A file that breaks the schema is refused with its name and the place in it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused

__all__ = ["Architecture", "Checkpoint", "KnownTotals", "ModelTable", "model_table", "read_model_files"]

_Value = TypeVar("_Value")
Confidence = Literal["high", "medium", "low"]
_Count = Annotated[int, Field(gt=0, le=10**14)]
_Text = Annotated[str, Field(min_length=1, max_length=500)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, protected_namespaces=())


class Architecture(_Entry):
    """What checkpoints share: the deciding part of their config.json, whence it is known and how surely."""

    source: _Text
    confidence: Confidence
    config: dict[str, Any]


class Checkpoint(_Entry):
    """One repository of weights: its architecture, its number format and, where published, its size in bytes.

    `also_called` are formats that people name it by, besides its own (mixed checkpoints). `source` is that of the size,
    `confidence` says how sure it is that it has this architecture, where that is less sure than the architecture.
    """

    model: _Text
    architecture: _Text
    quantization: str | dict[str, Any] | None = None
    weights_bytes: _Count | None = None
    parameters: _Count | None = None
    active_parameters: _Count | None = None
    also_called: tuple[Precision, ...] = ()
    source: str = ""
    confidence: Confidence | None = None


class KnownTotals(_Entry):
    """A model of which only its parameters are public here, or of which its shape has no formula."""

    model: _Text
    precision: Precision
    parameters: _Count
    active_parameters: _Count | None = None
    weights_bytes: _Count | None = None
    context_tokens: int = Field(default=0, ge=0, le=10**9)
    source: _Text
    confidence: Confidence


class _File(_Entry):
    about: _Text
    sources: dict[str, _Text] = Field(default_factory=dict)
    formats: dict[str, dict[str, Any]] = Field(default_factory=dict)
    architectures: dict[str, Architecture] = Field(default_factory=dict)
    models: tuple[Checkpoint, ...] = ()
    totals: tuple[KnownTotals, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelTable:
    """All files together; checkpoints and totals by their name in small letters, in the order of the files."""

    sources: Mapping[str, str]
    formats: Mapping[str, Mapping[str, Any]]
    architectures: Mapping[str, Architecture]
    checkpoints: Mapping[str, Checkpoint]
    totals: Mapping[str, KnownTotals]


@cache
def model_table() -> ModelTable:
    """What the package's own files hold."""
    entries = sorted(
        resources.files("penstock.catalogue").joinpath("model_data").iterdir(), key=lambda entry: entry.name
    )
    return read_model_files({entry.name: entry.read_text("utf-8") for entry in entries if entry.name.endswith(".json")})


def read_model_files(texts: Mapping[str, str]) -> ModelTable:
    """The table of these files (name -> JSON); Refused names file, place and reason of everything that is wrong."""
    files = {name: _read(name, text) for name, text in texts.items()}
    table = ModelTable(
        sources=_merged((name, file.sources) for name, file in files.items()),
        formats=_merged((name, file.formats) for name, file in files.items()),
        architectures=_merged((name, file.architectures) for name, file in files.items()),
        checkpoints=_merged((name, {each.model.lower(): each for each in file.models}) for name, file in files.items()),
        totals=_merged((name, {each.model.lower(): each for each in file.totals}) for name, file in files.items()),
    )
    problems = [*_repeated(files), *_dangling(table)]
    if problems:
        raise Refused(problems)
    return table


def _read(name: str, text: str) -> _File:
    try:
        return TypeAdapter(_File).validate_python(json.loads(text))
    except ValidationError as error:
        raise Refused(
            [
                _refusal(f"{name}:{'.'.join(str(part) for part in each['loc'])}", repr(each["input"])[:80], each["msg"])
                for each in error.errors()
            ]
        ) from None
    except ValueError as error:
        raise Refused([_refusal(name, "", f"it is not JSON: {error}")]) from None


def _merged(parts: Iterable[tuple[str, Mapping[str, _Value]]]) -> Mapping[str, _Value]:
    merged: dict[str, _Value] = {}
    for name, part in parts:
        for key in part:
            if key in merged:
                raise Refused([_refusal(f"{name}:{key}", key, "another file has it already")])
        merged.update(part)
    return MappingProxyType(merged)


def _repeated(files: Mapping[str, _File]) -> Iterable[Refusal]:
    for name, file in files.items():
        seen: set[str] = set()
        for model in (*(each.model for each in file.models), *(each.model for each in file.totals)):
            if model.lower() in seen:
                yield _refusal(f"{name}:models", model, "the file names this model twice")
            seen.add(model.lower())


def _dangling(table: ModelTable) -> Iterable[Refusal]:
    """Every word that stands for an entry elsewhere must lead to one."""
    for each in table.checkpoints.values():
        if each.architecture not in table.architectures:
            yield _refusal(each.model, each.architecture, "no file has this architecture")
        if isinstance(each.quantization, str) and each.quantization not in table.formats:
            yield _refusal(each.model, each.quantization, "no file has this format")
        if each.source and each.source not in table.sources:
            yield _refusal(each.model, each.source, "no file has this source")
    known = {name: each.source for name, each in table.architectures.items()}
    for name, source in (known | {name: each.source for name, each in table.totals.items()}).items():
        if source not in table.sources:
            yield _refusal(name, source, "no file has this source")


def _refusal(place: str, value: str, reason: str) -> Refusal:
    return Refusal(place, value, reason, "Correct the file of known models")
