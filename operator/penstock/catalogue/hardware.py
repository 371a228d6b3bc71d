"""What an accelerator is, and the table of those that are known, read from accelerators.json.

`accelerators.py` is the door to it; here are the types and the reading, which labels also need.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from penstock.api.formats import Precision

__all__ = ["Accelerator", "FormatSupport", "KnownAccelerator", "Spelling", "Vendor", "known_accelerators"]

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
    """A row of the table; `catalogue_id` is the row's name in the published reference data."""

    catalogue_id: str
    accelerator: Accelerator
    spelling: Spelling


@cache
def known_accelerators() -> tuple[KnownAccelerator, ...]:
    """Every row, in the order of the data file."""
    text = resources.files("penstock.catalogue").joinpath("accelerators.json").read_text(encoding="utf-8")
    return tuple(_row(entry) for entry in json.loads(text)["accelerators"])


def _row(entry: Mapping[str, Any]) -> KnownAccelerator:
    return KnownAccelerator(entry["catalogueId"], _accelerator(entry), _spelling(entry))


def _accelerator(entry: Mapping[str, Any]) -> Accelerator:
    formats = {Precision(name): FormatSupport(support) for name, support in entry["formats"].items()}
    return Accelerator(
        name=entry["name"],
        vendor=Vendor(entry["vendor"]),
        architecture=entry["architecture"],
        resource=entry["resource"],
        memory_bytes=round(entry["memoryGiB"] * _GIB),
        bandwidth=entry["bandwidthTBs"] * 1e12,
        bf16_flops=entry["bf16TFLOPS"] * 1e12,
        fp8_flops=_flops(entry.get("fp8TFLOPS")),
        fp4_flops=_flops(entry.get("fp4TFLOPS")),
        scale_up_domain=entry["scaleUpDomain"],
        formats=MappingProxyType(formats),
    )


def _flops(tera: float | None) -> float | None:
    return None if tera is None else tera * 1e12


def _spelling(entry: Mapping[str, Any]) -> Spelling:
    return Spelling(
        chip=entry["chip"],
        form=entry["form"],
        memory_mib=entry["labelMiB"],
        products=tuple(entry.get("products", ())),
        device_ids=tuple(entry.get("deviceIds", ())),
        gke=tuple(entry.get("gke", ())),
        karpenter=entry.get("karpenter", ""),
        instance_types=tuple(entry.get("instanceTypes", ())),
    )
