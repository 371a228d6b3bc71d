"""What an engine module is given, and what it answers: one container that runs the plan.

An engine is one module with a class of this protocol and a line in `ENGINES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.catalogue.accelerators import Vendor
from penstock.planner.plan import Plan

__all__ = ["PORT", "Drain", "Engine", "EngineContainer", "EngineRequest", "MetricNames", "WeightsLocation"]

PORT = 8000
"""Every engine listens here, so that a headless Service needs no translation."""


@dataclass(frozen=True, slots=True)
class WeightsLocation:
    """Where the engine finds the weights.

    `model` is what it is told to load: a hub name, a path in the pod or an object store's URL. `revision` only goes
    with a hub name, `load_format` only where the engine cannot tell. `download_directory` is where a hub download
    lands.
    """

    model: str
    revision: str | None = None
    load_format: str = ""
    download_directory: str = ""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One replica's engine, as the plan and the user want it."""

    plan: Plan
    vendor: Vendor
    served_model_name: str
    weights: WeightsLocation
    engine_args: tuple[str, ...] = ()
    remote_code: bool = False
    drain_seconds: int = 120


@dataclass(frozen=True, slots=True)
class Drain:
    """The three times of a graceful end, in seconds; `grace` covers both others and the engine's own teardown."""

    pre_stop_seconds: int
    engine_seconds: int
    grace_seconds: int


@dataclass(frozen=True, slots=True)
class MetricNames:
    """What the engine calls the figures that everyone asks for.

    `kv_size` is a gauge of tokens, or, with `kv_size_is_info`, a series whose labels say it.
    """

    running: str
    waiting: str
    kv_usage: str
    time_to_first_token: str
    inter_token_latency: str
    prompt_tokens: str
    generation_tokens: str
    cached_tokens: str
    request_latency: str
    kv_size: str
    kv_size_is_info: bool


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """The engine's part of the pod. `overridden` names the flags whose rendered value the user's own replaced."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: tuple[Mapping[str, Any], ...]
    startup_probe: Mapping[str, Any]
    readiness_probe: Mapping[str, Any]
    liveness_probe: Mapping[str, Any]
    drain: Drain
    shared_memory_bytes: int
    startup_seconds: int
    metrics: MetricNames
    overridden: tuple[str, ...] = field(default=())


class Engine(Protocol):
    """Turns a request into a container; raises `Refused` where the user's arguments contradict the plan."""

    metrics: MetricNames

    def container(self, request: EngineRequest) -> EngineContainer:
        """Render it."""
        ...
