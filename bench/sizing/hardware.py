"""From a row's words for a GPU and an engine to what the planner knows of them."""

import re
from dataclasses import dataclass, replace

from bench.sizing.cells import GIB
from bench.sizing.models import Skip
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator, by_catalogue_id, find_spelled
from penstock.catalogue.hardware import known_accelerators

__all__ = ["RunningEngine", "accelerators_of", "engines_of", "resolve_accelerator"]

_GIB_OF_GB = 0.98
_MEMORY = re.compile(r"(\d{2,3})\s*-?\s*GI?B?\b", re.IGNORECASE)
_MONTH = re.compile(r"20(\d\d)-(\d\d)")
_RELEASED = (
    (26, 8, "0.25.0"),
    (26, 6, "0.24.0"),
    (26, 3, "0.19.0"),
    (25, 12, "0.12.0"),
    (25, 10, "0.11"),
    (25, 7, "0.10.0"),
)
"""Of vLLM, newest first: from that year and month on."""

_RELATIVES = (
    (re.compile(r"\bmi\d"), "mi300x"),
    (re.compile(r"\bh20\b|\bh800|\bh100|\bh200"), "h100-sxm"),
    (re.compile(r"\ba800|\ba100"), "a100-80"),
    (re.compile(r"\bgb?\d"), "b200"),
    (re.compile(r"\brtx\s*50|blackwell"), "rtxpro6000"),
    (re.compile(r"\brtx\s*30|\ba\d0\b|\ba\d000|\bv100|\bt4\b"), "a10g"),
    (re.compile(r"\brtx\s*40|\bl\d"), "l40s"),
)
"""What a GPU without an entry of its own is taken for, with the memory that the row states."""


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine of a row, with the release that it names; empty where it names none."""

    name: EngineName
    version: str


def resolve_accelerator(text: str, memory_gib: float | None = None) -> Accelerator | Skip:
    """The accelerator that a cell names; `memory_gib`, what the engine saw, goes before the catalogue's figure."""
    words = _words(text)
    known = find_spelled(text)
    stated = memory_gib or _stated_gib(words)
    if known is not None:
        return replace(known, memory_bytes=round(memory_gib * GIB)) if memory_gib else known
    if stated is None:
        return Skip("unknown GPU, and the row states no memory")
    relative = next((by_catalogue_id(name) for pattern, name in _RELATIVES if pattern.search(words)), None)
    model = relative or by_catalogue_id("h100-sxm" if stated > 60 else "l40s")
    return replace(model, name=text, memory_bytes=round(stated * GIB))


def accelerators_of(text: str) -> list[Accelerator]:
    """Every accelerator of a list such as `h100/h200/a100`; for `any`, every one whose servers link eight."""
    if text.strip().lower() in {"", "any", "all", "-"}:
        return [known.accelerator for known in known_accelerators() if known.accelerator.scale_up_domain == 8]
    found = [resolve_accelerator(part) for part in re.split(r"\s*(?:/|,|\+|\bor\b)\s*", text) if part.strip()]
    return [each for each in found if isinstance(each, Accelerator)]


def engines_of(text: str) -> list[RunningEngine]:
    """Every engine of a cell that Penstock runs; `dynamo-vllm`, `trt+vllm` and `vllm/sglang (Dynamo)` name them too."""
    words = text.lower()
    named = [name for name in EngineName if name.lower() in words or (name is EngineName.VLLM and "llm-d" in words)]
    return [RunningEngine(name, _version(name, words)) for name in named]


def _version(name: EngineName, words: str) -> str:
    """The release beside the engine's name, else the one that a month stands for; empty where neither is stated."""
    found = re.search(rf"{name.lower()}[\s:=(v-]*(\d+\.\d+(?:\.\d+)?)", words)
    if found is not None:
        return ".".join(found[1].split(".")[:2]) if "era" in words else found[1]
    month = _MONTH.search(words)
    if month is None or name is not EngineName.VLLM:
        return ""
    stated = (int(month[1]), int(month[2]))
    return next((version for year, first, version in _RELEASED if stated >= (year, first)), "0.9.0")


def _words(text: str) -> str:
    return re.sub(r"[\s_,()]+", " ", text.strip().lower().removeprefix("nvidia").removeprefix("amd")).strip()


def _stated_gib(words: str) -> float | None:
    found = _MEMORY.search(words)
    return float(found[1]) * _GIB_OF_GB if found else None
