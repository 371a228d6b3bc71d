"""Measured rows of perf_rows.csv as what the model of speed takes; a row that cannot be used says why."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.performance.names import accelerator_named, engine_of
from bench.sizing.models import Skip, resolve
from bench.sizing.models import read_rows as read_table
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.models import ModelFacts
from penstock.planner.speed import Traffic

__all__ = ["Layout", "Row", "Skipped", "read_rows"]

_LENGTHS_OF_DATASETS = {"sharegpt": (220, 190)}
"""Mean prompt and output tokens of well-known request sets, for rows that name the set and not its lengths."""
_BURST_REQUESTS = 1000
_BURST_MARKS = ("burst", "at t0", "at once", "rate inf")
_COUNT = re.compile(r"([0-9][0-9,]*)\s*(?:requests|prompts|reqs)")
_SMALLEST_PRODUCT = 2
_SHORT_CACHE_SAMPLE = "silicon_sample"
"""Rows of this sample are of recipes that keep the cache in 8 bits; with 16 the reads would beat the bandwidth."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model is spread over GPUs: `gpus` of one replica."""

    gpus: int
    tensor_parallel: int
    pipeline_parallel: int
    attention_ranks: int
    expert_parallel: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One measured point; times in seconds, None where the row does not say."""

    number: str
    kind: str
    facts: ModelFacts
    accelerator: Accelerator
    engine: str
    engine_version: str
    layout: Layout
    traffic: Traffic
    concurrency: int
    requests_per_second: float | None
    burst: bool
    open_loop: bool
    ttft_seconds: float | None
    tpot_seconds: float | None
    split: str
    quality: str
    short_cache: bool
    gpu_word: str
    model_word: str
    group: str

    @property
    def judged(self) -> bool:
        """Whether the asks are about it: aggregated, of good quality, on an engine that Penstock runs."""
        return self.kind == "agg" and self.quality == "ok" and self.engine in {"vLLM", "SGLang"}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was not used; a miss where the model is known all the same."""

    number: str
    reason: str
    judged: bool
    is_miss: bool


def read_rows(directory: Path) -> Iterator[Row | Skipped]:
    """Every row of perf_rows.csv; models.csv and gpus.csv beside it help with names that the catalogue lacks."""
    gpus = {cells.get("id", ""): cells for cells in read_table(directory / "gpus.csv")}
    for position, cells in enumerate(read_table(directory / "perf_rows.csv")):
        yield _row(cells, cells.get("row") or str(position), directory, gpus)


def _row(
    cells: Mapping[str, str], number: str, directory: Path, gpus: Mapping[str, Mapping[str, str]]
) -> Row | Skipped:
    engine, version = engine_of(cells.get("engine", ""))
    judged = cells.get("kind") == "agg" and cells.get("quality") == "ok" and engine in {"vLLM", "SGLang"}
    accelerator = accelerator_named(cells.get("gpu", ""), gpus)
    if accelerator is None:
        return Skipped(number, "accelerator not known", judged, is_miss=True)
    facts = resolve(cells.get("model", ""), cells.get("precision", ""), row=cells, data=directory)
    if isinstance(facts, Skip):
        return Skipped(number, facts.reason, judged, is_miss=False)
    traffic, concurrency = _traffic(cells), _concurrency(cells)
    if traffic is None:
        return Skipped(number, "no prompt or output length", judged, is_miss=True)
    return Row(
        number=number,
        kind=cells.get("kind", ""),
        facts=facts,
        accelerator=accelerator,
        engine=engine,
        engine_version=version,
        layout=_layout(cells, facts, accelerator),
        traffic=traffic,
        concurrency=concurrency,
        requests_per_second=_number(cells, "req_s"),
        burst=_is_burst(cells),
        open_loop="open" in cells.get("load_mode", "").lower(),
        ttft_seconds=_seconds(cells, "ttft_ms"),
        tpot_seconds=_seconds(cells, "tpot_ms"),
        split=cells.get("split", ""),
        quality=cells.get("quality", ""),
        short_cache=_SHORT_CACHE_SAMPLE in _text(cells),
        gpu_word=cells.get("gpu", ""),
        model_word=cells.get("model", ""),
        group=_group(cells),
    )


def _group(cells: Mapping[str, str]) -> str:
    """One configuration at several loads and lengths is one group: never split over fitting and judging."""
    names = ("model", "precision", "gpu", "gpus", "tp", "dp_attention", "ep", "engine")
    return "|".join(cells.get(name, "") for name in names)


def _number(cells: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(cells.get(name, "").replace(",", ""))
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _whole(cells: Mapping[str, str], name: str, default: int = 1) -> int:
    value = _number(cells, name)
    return default if value is None else max(1, round(value))


def _seconds(cells: Mapping[str, str], name: str) -> float | None:
    value = _number(cells, name)
    return None if value is None else value / 1000


def _text(cells: Mapping[str, str]) -> str:
    return " ".join(cells.get(name, "") for name in ("load_mode", "layout", "source", "note")).lower()


def _traffic(cells: Mapping[str, str]) -> Traffic | None:
    prompt, output = _number(cells, "isl"), _number(cells, "osl")
    if prompt is not None and output is not None:
        return Traffic(max(1, round(prompt)), max(1, round(output)))
    known = next((lengths for name, lengths in _LENGTHS_OF_DATASETS.items() if name in _text(cells)), None)
    return None if known is None else Traffic(*known)


def _is_burst(cells: Mapping[str, str]) -> bool:
    """All requests at the same moment."""
    return any(mark in cells.get("load_mode", "").lower() for mark in _BURST_MARKS)


def _concurrency(cells: Mapping[str, str]) -> int:
    """As stated; for a burst the number of requests; in an open loop by Little's law from the rate or throughput.

    One request alone where nothing says more.
    """
    stated = _number(cells, "concurrency")
    if stated is not None:
        return max(1, round(stated))
    if _is_burst(cells):
        found = _COUNT.search(_text(cells))
        return int(found[1].replace(",", "")) if found else _BURST_REQUESTS
    first, each, output = _seconds(cells, "ttft_ms") or 0.0, _seconds(cells, "tpot_ms"), _number(cells, "osl")
    rate = _number(cells, "req_s")
    if rate is None and output is not None:
        rate = (_number(cells, "output_tok_s") or 0.0) / output
    if not rate or each is None or output is None:
        return 1
    return max(1, round(rate * (first + each * output)))


def _layout(cells: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator) -> Layout:
    gpus, tensor, pipeline = _whole(cells, "gpus"), _whole(cells, "tp"), _whole(cells, "pp")
    ranks, experts = _whole(cells, "dp_attention"), _whole(cells, "ep")
    if "gpus" not in cells or not cells["gpus"]:
        gpus = max(tensor * pipeline, experts)
    counted = _counted_once(gpus, (tensor, ranks, experts), facts, accelerator)
    world = max(1, counted // pipeline)
    return Layout(
        gpus=counted,
        tensor_parallel=world,
        pipeline_parallel=pipeline,
        attention_ranks=math.gcd(min(ranks, world), world),
        expert_parallel=experts > 1,
    )


def _counted_once(gpus: int, sizes: tuple[int, int, int], facts: ModelFacts, accelerator: Accelerator) -> int:
    """The sample multiplies tensor by data or expert parallel sizes that share the same GPUs.

    A row of 8 GPUs with 8-way experts stands there as 64 (the same times to the last digit stand in rows of 8), one of
    4 with data-parallel attention as 16. Such a square is halved to its root where the model fits on that many.
    """
    tensor, ranks, experts = sizes
    root = tensor if 1 < ranks < gpus and experts == gpus == tensor * ranks else experts
    fits = facts.weights_bytes < root * accelerator.memory_bytes * 0.9
    return root if root >= _SMALLEST_PRODUCT and root * root == gpus and fits else gpus
