"""What an accelerator is, and the table of those that are known: accelerators.json, checked against its schema.

`accelerators.py` is the door to it; here are the types and the reading, which labels also need.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from penstock.api.formats import Precision
from penstock.api.refusals import Refusal, Refused

__all__ = [
    "Accelerator",
    "AcceleratorTable",
    "FormatSupport",
    "KnownAccelerator",
    "Spelling",
    "UnplannedAccelerator",
    "Vendor",
    "accelerator_table",
    "known_accelerators",
    "read_accelerator_file",
]

_GIB = 2**30


class Vendor(StrEnum):
    """Who makes it: decides the image, the resource name and the environment."""

    NVIDIA = "NVIDIA"
    AMD = "AMD"


class FormatSupport(StrEnum):
    """How the hardware runs a weight format."""

    NATIVE = "Native"
    WEIGHT_ONLY = "WeightOnly"
    EMULATED = "Emulated"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU type. Memory is what the engine sees (torch total), in bytes; bandwidth in bytes/s, FLOPS dense."""

    name: str
    vendor: Vendor
    architecture: str
    resource: str
    memory_bytes: int
    bandwidth: float
    bf16_flops: float
    fp8_flops: float | None
    fp4_flops: float | None
    scale_up_domain: int
    formats: Mapping[Precision, FormatSupport]

    def __hash__(self) -> int:
        """Names are unique, and a mapping has no hash."""
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How nodes name an accelerator: product chip and form, stated memory, AMD device ids, and clouds' words."""

    chip: str
    form: str
    memory_mib: int
    products: tuple[str, ...]
    device_ids: tuple[str, ...]
    gke: tuple[str, ...]
    karpenter: str
    instance_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownAccelerator:
    """A row of the table; `catalogue_id` is the row's name in the published reference data.

    `source` says whence the figures are, `confidence` how surely (`high`, `medium`, `low`).
    """

    catalogue_id: str
    accelerator: Accelerator
    spelling: Spelling
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class UnplannedAccelerator:
    """One that is recognised by its labels (`*`: whatever the value) and never planned, with the reason."""

    name: str
    catalogue_id: str
    labels: Mapping[str, str]
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class AcceleratorTable:
    """The whole file, in its order."""

    known: tuple[KnownAccelerator, ...]
    unplanned: tuple[UnplannedAccelerator, ...]


_Positive = Annotated[float, Field(gt=0, lt=10**6)]
_Text = Annotated[str, Field(min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Named(_Strict):
    name: _Text
    catalogue_id: _Text = Field(alias="catalogueId")
    source: _Text


class _Row(_Named):
    vendor: Vendor
    architecture: _Text
    resource: _Text
    chip: _Text
    form: Literal["SXM", "PCIe", "NVL", "OAM"]
    memory_gib: _Positive = Field(alias="memoryGiB")
    label_mib: Annotated[int, Field(gt=0, lt=10**7)] = Field(alias="labelMiB")
    bandwidth: _Positive = Field(alias="bandwidthTBs")
    bf16_teraflops: _Positive = Field(alias="bf16TFLOPS")
    fp8_teraflops: _Positive | None = Field(default=None, alias="fp8TFLOPS")
    fp4_teraflops: _Positive | None = Field(default=None, alias="fp4TFLOPS")
    scale_up_domain: Annotated[int, Field(ge=1, le=10_000)] = Field(alias="scaleUpDomain")
    formats: dict[Precision, FormatSupport]
    products: tuple[str, ...] = ()
    device_ids: tuple[str, ...] = Field(default=(), alias="deviceIds")
    gke: tuple[str, ...] = ()
    karpenter: str = ""
    instance_types: tuple[str, ...] = Field(default=(), alias="instanceTypes")
    confidence: Literal["high", "medium", "low"]


class _Unplanned(_Named):
    labels: dict[str, str]
    reason: _Text


class _File(_Strict):
    about: _Text
    sources: dict[str, _Text]
    accelerators: tuple[_Row, ...]
    unplanned: tuple[_Unplanned, ...] = ()


def known_accelerators() -> tuple[KnownAccelerator, ...]:
    """Every row that can be planned, in the order of the data file."""
    return accelerator_table().known


@cache
def accelerator_table() -> AcceleratorTable:
    """What the package's own file holds."""
    text = resources.files("penstock.catalogue").joinpath("accelerators.json").read_text(encoding="utf-8")
    return read_accelerator_file(text)


def read_accelerator_file(text: str) -> AcceleratorTable:
    """The table of this JSON; Refused names the place and the reason of everything that is wrong."""
    file = _checked(text)
    _refuse_repeated(file)
    return AcceleratorTable(
        known=tuple(
            KnownAccelerator(
                row.catalogue_id, _accelerator(row), _spelling(row), file.sources[row.source], row.confidence
            )
            for row in file.accelerators
        ),
        unplanned=tuple(
            UnplannedAccelerator(
                row.name, row.catalogue_id, MappingProxyType(row.labels), row.reason, file.sources[row.source]
            )
            for row in file.unplanned
        ),
    )


def _checked(text: str) -> _File:
    try:
        return TypeAdapter(_File).validate_python(json.loads(text))
    except ValidationError as error:
        raise Refused(
            [
                _refusal(".".join(str(part) for part in each["loc"]), repr(each["input"])[:80], each["msg"])
                for each in error.errors()
            ]
        ) from None
    except ValueError as error:
        raise Refused([_refusal("", "", f"it is not JSON: {error}")]) from None


def _refuse_repeated(file: _File) -> None:
    """Names are unique, and every source that a row names is listed."""
    problems: list[Refusal] = []
    seen: set[str] = set()
    rows: tuple[_Named, ...] = (*file.accelerators, *file.unplanned)
    for row in rows:
        if row.name in seen or row.catalogue_id in seen:
            problems.append(_refusal(row.name, row.catalogue_id, "another row has this name"))
        if row.source not in file.sources:
            problems.append(_refusal(f"{row.name}.source", row.source, "it is not among the sources"))
        seen.update((row.name, row.catalogue_id))
    if problems:
        raise Refused(problems)


def _accelerator(row: _Row) -> Accelerator:
    return Accelerator(
        name=row.name,
        vendor=row.vendor,
        architecture=row.architecture,
        resource=row.resource,
        memory_bytes=round(row.memory_gib * _GIB),
        bandwidth=row.bandwidth * 1e12,
        bf16_flops=row.bf16_teraflops * 1e12,
        fp8_flops=_flops(row.fp8_teraflops),
        fp4_flops=_flops(row.fp4_teraflops),
        scale_up_domain=row.scale_up_domain,
        formats=MappingProxyType(row.formats),
    )


def _flops(tera: float | None) -> float | None:
    return None if tera is None else tera * 1e12


def _spelling(row: _Row) -> Spelling:
    return Spelling(
        chip=row.chip,
        form=row.form,
        memory_mib=row.label_mib,
        products=row.products,
        device_ids=row.device_ids,
        gke=row.gke,
        karpenter=row.karpenter,
        instance_types=row.instance_types,
    )


def _refusal(place: str, value: str, reason: str) -> Refusal:
    return Refusal(f"accelerators.json:{place}", value, reason, "Correct the file of known accelerators")
