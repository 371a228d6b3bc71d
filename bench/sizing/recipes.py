"""Deployments that people run: how many of them the planner would refuse, with the leanest settings that serve them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.counting import RowCount
from bench.figures import figure
from bench.sizing.cells import read_rows, whole
from bench.sizing.hardware import RunningEngine, engines_of, resolve_accelerator
from bench.sizing.models import Skip, resolve
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Accelerator
from penstock.catalogue.engines import engine_supports
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import MemoryRequest, default_utilization, plan_memory
from penstock.planner.sharding import shard_problem

__all__ = ["Refusal", "Worker", "judge", "run", "workers_of"]

_LAYOUT = re.compile(r"tp(\d+)(?:pp(\d+))?(?:ep(\d+))?(dpa)?")
_SHAPE = re.compile(r"(\d+)\s*/\s*(\d+)")
_NODE_GPUS = 8
_RECENT = {EngineName.VLLM: "0.25.0", EngineName.SGLANG: "0.5.14"}
"""For rows without a version: the releases that the published recipes of 2026 ran."""

_LEAN_SEQUENCES, _LEAN_BATCHED_TOKENS = 16, 2048
_SHORT_CONTEXT, _LONG_CONTEXT = 2048, 131_072


@dataclass(frozen=True, slots=True)
class Worker:
    """One engine of a replica: GPUs of a pipeline stage, stages, and how attention and experts are laid over them.

    `is_open` where the row does not say how experts are cut: then whatever works is tried, as the planner does.
    """

    tensor_parallel: int
    pipeline_parallel: int = 1
    attention_ranks: int = 1
    expert_parallel: bool = False
    is_open: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of the worker."""
        return self.tensor_parallel * self.pipeline_parallel


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the planner refuses, and why."""

    row: str
    model: str
    gpu: str
    worker: Worker
    engine: EngineName
    reason: str

    def __str__(self) -> str:
        return f"{self.row}: {self.model} on {self.worker.gpus} x {self.gpu} ({self.engine}): {self.reason}"


def run(data: Path) -> None:
    """Print `recipes_refused` and `recipes_used`."""
    counted, refused, partly, by_engine = RowCount(), list[str](), list[str](), Counter[str]()
    for row in read_rows(data / "recipes.csv"):
        if not _is_judged(row):
            continue
        verdict = judge(row, data)
        if isinstance(verdict, Skip):
            counted.skip(verdict.reason)
            continue
        counted.used += 1
        engines = {engine.name for engine in engines_of(row.get("engine", ""))}
        by_engine.update(engines)
        if verdict:
            (refused if {refusal.engine for refusal in verdict} == engines else partly).append(str(verdict[0]))
    details = {**counted.details(), "by_engine": dict(by_engine), "refused": refused[:20], "on_one_engine": partly[:20]}
    figure("recipes_refused", len(refused), "rows", **details)
    figure("recipes_used", counted.share, "share", **counted.details())


def judge(row: Mapping[str, str], data: Path) -> list[Refusal] | Skip:
    """Every worker on every engine of the row that the planner refuses; a row is refused where every engine is."""
    facts = resolve(row.get("model", ""), row.get("precision", ""), row=row, data=data)
    if isinstance(facts, Skip):
        return facts
    accelerator = resolve_accelerator(row.get("gpu", ""))
    if isinstance(accelerator, Skip):
        return accelerator
    workers = workers_of(row)
    if not workers:
        return Skip("no layout and no number of GPUs")
    return list(_refusals(row, facts, accelerator, workers))


def workers_of(row: Mapping[str, str]) -> list[Worker]:
    """The row's own worker, else those of its prefill and decode layout, else one over all its GPUs."""
    size = whole(row.get("tp", ""))
    if size:
        is_parallel = row.get("dp_attention", "").lower() == "true"
        worker = _worker(size, whole(row.get("pp", "")) or 1, whole(row.get("ep", "")) or 1, is_parallel=is_parallel)
        return [replace(worker, is_open=not whole(row.get("ep", "")))]
    parts = _LAYOUT.findall(row.get("layout", ""))
    if parts:
        found = [
            _worker(int(tp), int(pp or 1), int(ep or 1), is_parallel=bool(parallel)) for tp, pp, ep, parallel in parts
        ]
        return list(dict.fromkeys(found))
    gpus = whole(row.get("gpus_per_replica", ""))
    return [Worker(gpus, is_open=True)] if gpus else []


def _is_judged(row: Mapping[str, str]) -> bool:
    return row.get("evidence", "").lower().startswith("run") and bool(engines_of(row.get("engine", "")))


def _worker(tensor: int, stages: int, experts: int, *, is_parallel: bool) -> Worker:
    """GPUs are max(tp * pp, ep): some engines call the whole group tensor parallel, others one attention rank."""
    group = max(tensor * stages, experts) // stages
    alone = group if is_parallel else 1
    ranks = group // tensor if group > tensor else alone
    return Worker(group, stages, ranks, expert_parallel=experts > 1)


def _refusals(
    row: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator, workers: list[Worker]
) -> Iterator[Refusal]:
    for engine in engines_of(row.get("engine", "")):
        for worker in workers:
            reason = _problem(row, facts, accelerator, worker, engine)
            if reason and worker.is_open and facts.experts:
                reason = _problem(row, facts, accelerator, replace(worker, expert_parallel=True), engine)
            if reason:
                name, gpu = row.get("model", ""), row.get("gpu", "")
                yield Refusal(row.get("row", ""), name, gpu, worker, engine.name, reason)


def _problem(
    row: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator, worker: Worker, engine: RunningEngine
) -> str | None:
    if not engine_supports(engine.name, accelerator, facts.precision):
        return f"{engine.name} does not run {facts.precision} on {accelerator.name}"
    problem = shard_problem(
        facts,
        accelerator,
        worker.tensor_parallel,
        expert_parallel=worker.expert_parallel,
        attention_ranks=worker.attention_ranks,
        pipeline_parallel=worker.pipeline_parallel,
        redundant_experts=worker.attention_ranks > 1,
        across_nodes=worker.gpus > _NODE_GPUS,
    )
    return problem or _shortage(_context(row, facts), facts, accelerator, worker, engine)


def _shortage(
    context: int, facts: ModelFacts, accelerator: Accelerator, worker: Worker, engine: RunningEngine
) -> str | None:
    version = engine.version or _RECENT[engine.name]
    plan = plan_memory(
        MemoryRequest(
            facts=facts,
            accelerator=accelerator,
            engine=engine.name,
            engine_version=version,
            tensor_parallel=worker.tensor_parallel,
            pipeline_parallel=worker.pipeline_parallel,
            attention_ranks=worker.attention_ranks,
            expert_parallel=worker.expert_parallel,
            max_sequences=_LEAN_SEQUENCES,
            max_batched_tokens=_LEAN_BATCHED_TOKENS,
            max_context_tokens=context,
            utilization_percent=default_utilization(engine.name, version),
        )
    )
    return None if plan.kv_tokens >= context else f"{plan.kv_tokens} KV tokens for a context of {context}"


def _context(row: Mapping[str, str], facts: ModelFacts) -> int:
    """The longest request of the row's traffic; agents fill contexts of 128k tokens."""
    lengths = [int(prompt) + int(output) for prompt, output in _SHAPE.findall(row.get("seq_lens", ""))]
    if "agentic" in row.get("seq_lens", ""):
        lengths.append(_LONG_CONTEXT)
    return min(facts.max_context_tokens, max(lengths, default=_SHORT_CONTEXT))
