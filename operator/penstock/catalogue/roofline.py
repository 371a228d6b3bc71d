"""Constants of the performance model, with where they come from: read from roofline.json.

`bench/fit_roofline.py` writes its fitted part from measured rows; links and derates are stated by hand with sources.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from penstock.api.formats import Precision
from penstock.catalogue.hardware import Accelerator, FormatSupport

__all__ = [
    "Derate",
    "Residual",
    "Tuning",
    "derates",
    "generation_of",
    "link_bytes_per_second",
    "residual",
    "tuning",
    "under_load",
]

_LEADING_NUMBERS = 3


@dataclass(frozen=True, slots=True)
class Tuning:
    """Fitted constants of one engine on one generation of hardware: times in seconds, the rest shares or factors.

    `*_efficiency` are of peak bandwidth and `*_arithmetic` of peak FLOPS. `layer` to `all_reduce_per_gpu` are per layer
    of their kind and step, `step` per step, `request` per running request and step. `activation` and
    `routed_activation` are bytes per token and hidden dimension. `routing` is the exponent of the tokens that choose
    experts independently. `interference` is the part of a prompt's time that other requests lose; `own_prompt`, `wave`
    and `queue` are prompts' times before a first token, `steps_before` steps.
    """

    weights_efficiency: float
    experts_efficiency: float
    cache_efficiency: float
    link_efficiency: float
    decode_arithmetic: float
    prefill_arithmetic: float
    expert_prefill_arithmetic: float
    attention_arithmetic: float
    arithmetic: float
    launch: float
    layer: float
    expert_layer: float
    linear_layer: float
    latent_layer: float
    sparse_layer: float
    expert_parallel_layer: float
    all_reduce: float
    all_reduce_per_gpu: float
    prefill_layer: float
    step: float
    request: float
    activation: float
    routed_activation: float
    routing: float
    interference: float
    admission: float
    steps_before: float
    own_prompt: float
    wave: float
    queue: float


@dataclass(frozen=True, slots=True)
class Residual:
    """What measured rows of this kind of model differ from the formula by: factors on times."""

    step: float
    first_token: float


@dataclass(frozen=True, slots=True)
class Derate:
    """What is slower than the fitted rows for a reason outside them.

    `time` multiplies every time, `saturation` what each running request and each prompt takes (`under_load`).
    """

    name: str
    time: float
    saturation: float
    evidence: str


def tuning(engine: str, accelerator: Accelerator, precision: Precision) -> Tuning:
    """The constants for an engine by name; those of vLLM for one that was not fitted."""
    is_native = accelerator.formats.get(precision) is FormatSupport.NATIVE
    return _tuning(engine, generation_of(accelerator), precision.value if is_native else "")


def under_load(fitted: Tuning, factor: float) -> Tuning:
    """With all costs that grow with the load so many times as great; weights are read and kernels started as before."""
    return fitted if factor == 1 else _under_load(fitted, factor)


@lru_cache(maxsize=64)
def _under_load(fitted: Tuning, factor: float) -> Tuning:
    return replace(
        fitted,
        cache_efficiency=fitted.cache_efficiency / factor,
        link_efficiency=fitted.link_efficiency / factor,
        decode_arithmetic=fitted.decode_arithmetic / factor,
        prefill_arithmetic=fitted.prefill_arithmetic / factor,
        expert_prefill_arithmetic=fitted.expert_prefill_arithmetic / factor,
        attention_arithmetic=fitted.attention_arithmetic / factor,
        request=fitted.request * factor,
        activation=fitted.activation * factor,
        routed_activation=fitted.routed_activation * factor,
    )


def generation_of(accelerator: Accelerator) -> str:
    """`blackwell` for both of its steppings; other architectures by their own name."""
    return accelerator.architecture.split("-", 1)[0]


def link_bytes_per_second(accelerator: Accelerator) -> float:
    """Peak of the link between GPUs of one node, per direction."""
    links = _table()["links"]
    form = accelerator.architecture if accelerator.scale_up_domain > 1 else "card"
    return float(links.get(form, links["card"])["gigabytesPerSecond"]) * 1e9


def residual(architecture: str, engine: str, version: str, accelerator: Accelerator, precision: Precision) -> Residual:
    """The product of what is known of architecture and engine, of this version, and of this generation and format."""
    return _residual(architecture, engine, version, generation_of(accelerator), precision.value)


@lru_cache(maxsize=1024)
def _residual(architecture: str, engine: str, version: str, generation: str, precision: str) -> Residual:
    known = _residuals()
    keys = (
        (architecture, engine, "", "", ""),
        (architecture, engine, version or "unstated", "", ""),
        (architecture, engine, "", generation, precision),
    )
    step = first = 1.0
    for key in keys:
        found = known.get(key)
        if found is not None:
            step, first = step * found.step, first * found.first_token
    return Residual(step, first)


def derates(engine: str, version: str, accelerator: Accelerator) -> tuple[Derate, ...]:
    """Those that hold for this hardware and release; a version that is not stated is taken for a present one."""
    return _derates(engine, version, accelerator.vendor.value, accelerator.architecture)


@lru_cache(maxsize=256)
def _derates(engine: str, version: str, vendor: str, architecture: str) -> tuple[Derate, ...]:
    return tuple(
        Derate(entry["name"], entry.get("time", 1.0), entry.get("saturation", 1.0), entry["evidence"])
        for entry in _table()["derates"]
        if entry.get("vendor", vendor) == vendor
        and entry.get("architecture", architecture) == architecture
        and _is_of_release(entry, engine, version)
    )


def _is_of_release(entry: Mapping[str, Any], engine: str, version: str) -> bool:
    if "engine" not in entry:
        return True
    release = _release(version)
    return entry["engine"] == engine and bool(release) and release < _release(entry["before"])


def _release(version: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in version.removeprefix("v").split(".")[:_LEADING_NUMBERS]:
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("penstock.catalogue").joinpath("roofline.json").read_text(encoding="utf-8")
    table: Mapping[str, Any] = json.loads(text)
    return table


@cache
def _residuals() -> Mapping[tuple[str, str, str, str, str], Residual]:
    names = ("architecture", "engine", "version", "generation", "precision")
    return {
        (entry[names[0]], entry[names[1]], *(entry.get(name, "") for name in names[2:])): Residual(
            entry["step"], entry["firstToken"]
        )
        for entry in _table()["residuals"]
    }


@cache
def _tuning(engine: str, generation: str, native_format: str) -> Tuning:
    """The cache is bounded: engines, generations and formats are few."""
    table = _table()
    engines, generations = table["engines"], table["generations"]
    values = {name: entry["value"] for name, entry in table["constants"].items()}
    values |= {name: entry["value"] for name, entry in engines.get(engine, engines["vLLM"]).items()}
    ours = {name: entry["value"] for name, entry in generations.get(generation, {}).items()}
    format_share = table["formats"].get(native_format, {}).get("arithmetic", {"value": 1.0})["value"]
    return Tuning(launch=ours.get("launch", 1.0), arithmetic=ours.get("arithmetic", 1.0) * format_share, **values)
