"""The fitted constants: what each is expected to be, and how values become the planner's own tuning over many rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bench.performance.cases import replica_of
from bench.performance.regression import Array, Parameter
from bench.performance.rows import Row
from penstock.catalogue.hardware import FormatSupport
from penstock.catalogue.roofline import Tuning, generation_of
from penstock.planner.speed.amounts import Amounts, amounts_of

__all__ = ["ENGINES", "FIRST_TOKEN", "GENERATIONS", "STEP", "Batch", "batch_of", "expected_values", "tuning_of"]

ENGINES = ("vLLM", "SGLang", "TRT-LLM")
GENERATIONS = ("blackwell",)
_FORMATS = ("NVFP4",)

_SHARED = (
    Parameter("weights_efficiency", 0.85, 0.1),
    Parameter("experts_efficiency", 0.85, 0.1),
    Parameter("cache_efficiency", 0.6, 0.3),
    Parameter("link_efficiency", 0.6, 0.3),
    Parameter("decode_arithmetic", 0.5, 0.3),
    Parameter("prefill_arithmetic", 0.5, 0.3),
    Parameter("expert_prefill_arithmetic", 0.3, 0.4),
    Parameter("attention_arithmetic", 0.4, 0.4),
    Parameter("linear_layer", 20e-6, 0.7),
    Parameter("latent_layer", 15e-6, 0.7),
    Parameter("sparse_layer", 30e-6, 0.7),
    Parameter("expert_parallel_layer", 10e-6, 0.7),
    Parameter("all_reduce", 20e-6, 0.5),
    Parameter("all_reduce_per_gpu", 3e-6, 0.7),
    Parameter("prefill_layer", 50e-6, 0.7),
    Parameter("activation", 30.0, 0.8),
    Parameter("routed_activation", 30.0, 0.8),
    Parameter("routing", 0.95, 0.02),
)
_PER_ENGINE = (
    Parameter("layer", 30e-6, 0.5),
    Parameter("expert_layer", 45e-6, 0.5),
    Parameter("step", 300e-6, 1.0),
    Parameter("request", 15e-6, 0.7),
    Parameter("interference", 1.0, 0.2),
)
_PER_ENGINE_FIRST = (Parameter("admission", 0.03, 1.0), Parameter("wave", 0.05, 0.7))
_SHARED_FIRST = (
    Parameter("steps_before", 6.0, 0.2),
    Parameter("own_prompt", 1.0, 0.3),
    Parameter("queue", 0.5, 0.7),
)


def _each(parameters: Sequence[Parameter], scopes: Sequence[str]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(f"{parameter.name}@{scope}", parameter.expected, parameter.deviation)
        for scope in scopes
        for parameter in parameters
    )


STEP = (
    _SHARED
    + _each(_PER_ENGINE, ENGINES)
    + _each((Parameter("launch", 0.9, 0.2), Parameter("arithmetic", 0.9, 0.2)), GENERATIONS)
    + _each((Parameter("arithmetic", 0.7, 0.3),), _FORMATS)
)
"""Constants of steps and prompts; `name@scope` holds for one engine, generation or format."""

FIRST_TOKEN = _SHARED_FIRST + _each(_PER_ENGINE_FIRST, ENGINES)
"""Constants of the time to the first token, fitted after those of steps."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Many rows as arrays: their amounts, the requests that run, and to which scopes each row belongs."""

    rows: tuple[Row, ...]
    amounts: Amounts
    running: Array
    waiting: Array
    scopes: Mapping[str, Array]


def batch_of(rows: Sequence[Row]) -> Batch:
    """Amounts as the planner computes them, row by row."""
    replicas = [replica_of(row) for row in rows]
    single = [amounts_of(replica, row.traffic) for replica, row in zip(replicas, rows, strict=True)]
    arrays: dict[str, Any] = {
        field.name: np.array([getattr(amounts, field.name) for amounts in single]) for field in fields(Amounts)
    }
    most = np.array([replica.most_resident or np.inf for replica in replicas])
    concurrency = np.array([float(row.concurrency) for row in rows])
    running = np.minimum(concurrency, most)
    return Batch(tuple(rows), Amounts(**arrays), running, concurrency - running, _scopes(rows))


def _scopes(rows: Sequence[Row]) -> dict[str, Array]:
    marks: dict[str, Array] = {name: np.array([float(row.engine == name) for row in rows]) for name in ENGINES}
    # An engine that was not fitted goes by the constants of vLLM.
    marks["vLLM"] = 1 - marks["SGLang"] - marks["TRT-LLM"]
    for name in GENERATIONS:
        marks[name] = np.array([float(generation_of(row.accelerator) == name) for row in rows])
    for name in _FORMATS:
        marks[name] = np.array([float(row.facts.precision == name and _is_native(row)) for row in rows])
    return marks


def _is_native(row: Row) -> bool:
    return row.accelerator.formats.get(row.facts.precision) is FormatSupport.NATIVE


def expected_values(parameters: Sequence[Parameter]) -> dict[str, float]:
    """Each at what it is expected to be."""
    return {parameter.name: parameter.expected for parameter in parameters}


def tuning_of(values: Mapping[str, float], batch: Batch) -> Tuning:
    """The planner's constants with an array in each field that differs between rows."""
    known: dict[str, Any] = {"launch": 1.0, "arithmetic": 1.0}
    for name, value in values.items():
        plain, _, scope = name.partition("@")
        if not scope:
            known[plain] = value
        elif plain in {"launch", "arithmetic"}:
            known[plain] = known[plain] * (1 + batch.scopes[scope] * (value - 1))
        else:
            known[plain] = known.get(plain, 0.0) + batch.scopes[scope] * value
    return Tuning(**known)
