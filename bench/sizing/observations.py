"""What engines printed of their memory, against what the planner predicts from the same flags.

Each row is judged by all that it states: the room for the cache (in GiB, or in tokens), the bytes of a token where it
prints both, the weights, and whether a request that found no room finds none in the plan either.
"""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.counting import RowCount
from bench.figures import figure
from bench.sizing.cells import GIB, number, read_rows, whole
from bench.sizing.hardware import RunningEngine, engines_of, resolve_accelerator
from bench.sizing.models import Skip, resolve
from penstock.catalogue.accelerators import ACCELERATORS, Accelerator, by_name
from penstock.catalogue.behaviour import BudgetScope, behaviour_of
from penstock.catalogue.models import ModelFacts
from penstock.planner.memory import MemoryRequest, plan_memory, unmargined_kv_bytes

__all__ = ["Observation", "Room", "errors_of", "observation_of", "overestimates_of", "run"]

_FAILED = re.compile(r"no[- ]?kv[- ]?room|\boom\b|out of memory|did not start", re.IGNORECASE)
_ANY_GPU = "H100-SXM-80GB"


@dataclass(frozen=True, slots=True)
class Observation:
    """A row, and the request that repeats its flags; `has_memory` False where the row's GPU is not known."""

    row: Mapping[str, str]
    request: MemoryRequest
    has_memory: bool

    @property
    def failed(self) -> bool:
        """Whether the engine had too little room for what its flags asked for."""
        return _FAILED.search(self.row.get("outcome", "")) is not None

    @property
    def per_token(self) -> int:
        """Bytes that a token of the cache takes on one GPU."""
        return plan_memory(self.request).kv_bytes_per_token

    def tokens(self) -> float | None:
        """KV tokens of one engine, as printed."""
        return number(self.row.get("reported_kv_tokens", "")) / self.request.attention_ranks or None

    def room_gib(self) -> float | None:
        """What the engine had for its cache per GPU: as printed, else what its requests or its tokens take."""
        printed, tokens = self.row.get("reported_kv_gib_per_gpu", ""), self.tokens()
        if printed:
            return number(printed)
        requests = number(self.row.get("reported_max_concurrency", ""))
        context = number(self.row.get("max_model_len", ""))
        plan = plan_memory(self.request)
        if requests and context:
            each = plan.sequence_bytes + context * plan.kv_bytes_per_token
            return requests / self.request.attention_ranks * each / GIB
        return (plan.sequence_bytes + tokens * plan.kv_bytes_per_token) / GIB if tokens else None


@dataclass(frozen=True, slots=True)
class Room:
    """One comparison of room: predicted over measured, less one."""

    row: str
    model: str
    engine: str
    kind: str
    predicted_gib: float
    measured_gib: float

    @property
    def error(self) -> float:
        """As a fraction of what was measured."""
        return self.predicted_gib / self.measured_gib - 1

    def __str__(self) -> str:
        sizes = f"{self.predicted_gib:.1f} for {self.measured_gib:.1f} GiB"
        return f"{self.row}: {self.model}, {self.engine}: {sizes}, {self.error:+.1%}"


def run(data: Path) -> None:
    """Print the errors of room, of bytes per token and of weights, what was overestimated, and how many rows count."""
    counted, observations = RowCount(), list[Observation]()
    for row in read_rows(data / "kv_observations.csv"):
        observation = observation_of(row, data)
        if isinstance(observation, Skip):
            counted.skip(observation.reason)
        elif not _says_something(observation):
            counted.skip("states nothing that can be compared")
        else:
            counted.used += 1
            observations.append(observation)
    _print_rooms(observations, counted)
    _print_bytes(observations)
    _print_weights(observations)
    _print_overestimates(observations, counted)
    figure("kv_rows_used", counted.share, "share", **counted.details())


def observation_of(row: Mapping[str, str], data: Path) -> Observation | Skip:
    """The row with the flags that it states and the defaults of its engine's release for the rest."""
    facts = resolve(row.get("model", ""), row.get("weight_precision", ""), row=row, data=data)
    if isinstance(facts, Skip):
        return facts
    engine = next(iter(engines_of(row.get("engine", ""))), None)
    if engine is None:
        return Skip("an engine that is not planned for")
    stated = number(row.get("gpu_mem_total_gib", "")) or None
    accelerator = resolve_accelerator(row.get("gpu", ""), stated)
    if isinstance(accelerator, Skip):
        # Bytes per token and weights do not depend on the GPU.
        return Observation(row, _request(row, facts, by_name(_ANY_GPU), engine), has_memory=False)
    has_memory = stated is not None or accelerator.name in ACCELERATORS
    return Observation(row, _request(row, facts, accelerator, engine), has_memory)


def errors_of(observations: Iterable[Observation]) -> list[Room]:
    """Predicted room over measured, of every row that states both and had any."""
    return [room for observation in observations if (room := _room(observation)) is not None]


def _request(
    row: Mapping[str, str], facts: ModelFacts, accelerator: Accelerator, engine: RunningEngine
) -> MemoryRequest:
    behaviour = behaviour_of(engine.name, engine.version)
    sequences, batched = behaviour.defaults_on(accelerator)
    ranks, share = _count(row, "dp"), number(row.get("gpu_memory_utilization", ""))
    is_static = share > 0 and behaviour.utilization_covers is BudgetScope.WEIGHTS_AND_CACHE
    return MemoryRequest(
        facts=facts,
        accelerator=accelerator,
        engine=engine.name,
        engine_version=engine.version,
        tensor_parallel=_count(row, "tp") * ranks,
        pipeline_parallel=_count(row, "pp"),
        attention_ranks=ranks,
        decode_context_parallel=_count(row, "dcp"),
        expert_parallel=ranks > 1 or re.search(r"\bEP\d*\b", row.get("engine", "")) is not None,
        max_sequences=_count(row, "max_num_seqs", sequences),
        max_batched_tokens=_count(row, "max_num_batched_tokens", batched),
        max_context_tokens=_count(row, "max_model_len", facts.max_context_tokens),
        utilization_percent=round(share * 100) if share else behaviour.utilization_percent,
        kv_cache_dtype="fp8" if number(row.get("kv_bytes", "")) == 1 else "auto",
        budget=BudgetScope.WEIGHTS_AND_CACHE if is_static else BudgetScope.EVERYTHING,
    )


def _count(row: Mapping[str, str], column: str, default: int = 1) -> int:
    return whole(row.get(column, "")) or default


def _says_something(observation: Observation) -> bool:
    judged = observation.has_memory and (observation.failed or observation.room_gib() is not None)
    weights = number(observation.row.get("reported_weights_gib_per_gpu", ""))
    return judged or weights > 0 or _bytes_error(observation) is not None


def _room(observation: Observation) -> Room | None:
    measured = observation.room_gib()
    if not observation.has_memory or measured is None or measured <= 0:
        return None
    row, request = observation.row, observation.request
    return Room(
        row=row.get("n", ""),
        model=row.get("model", ""),
        engine=f"{request.engine} {'.'.join(request.engine_version.split('.')[:2]) or 'of no stated version'}",
        kind=row.get("use", ""),
        predicted_gib=unmargined_kv_bytes(request) / GIB,
        measured_gib=measured,
    )


def _bytes_error(observation: Observation) -> float | None:
    """Of a token's bytes, where the row prints the room and the tokens in it."""
    printed, tokens = number(observation.row.get("reported_kv_gib_per_gpu", "")), observation.tokens()
    if not printed or not tokens:
        return None
    return observation.per_token / (printed * GIB / tokens) - 1


def _print_rooms(observations: list[Observation], counted: RowCount) -> None:
    rooms = errors_of(observations)
    if not rooms:
        return
    worst = sorted(rooms, key=lambda room: -abs(room.error))[:8]
    figure(
        "kv_gib_error_median",
        _median(rooms),
        "fraction",
        compared=len(rooms),
        **counted.details(),
        by_engine=_by_group((room.engine, room) for room in rooms),
        by_kind=_by_group((room.kind, room) for room in rooms),
        by_model_left_out=_left_out(rooms),
        worst=[str(room) for room in worst],
    )


def _print_bytes(observations: list[Observation]) -> None:
    errors = {each.row.get("n", ""): error for each in observations if (error := _bytes_error(each)) is not None}
    if errors:
        worst = sorted(errors.items(), key=lambda item: -abs(item[1]))[:4]
        shown = {name: round(error, 4) for name, error in worst}
        median = statistics.median(abs(error) for error in errors.values())
        figure("kv_token_bytes_error_median", median, "fraction", compared=len(errors), worst=shown)


def _print_weights(observations: list[Observation]) -> None:
    errors = {}
    for each in observations:
        printed = number(each.row.get("reported_weights_gib_per_gpu", ""))
        if printed:
            errors[f"{each.row.get('n', '')}: {each.row.get('model', '')}"] = (
                plan_memory(each.request).weights_bytes / GIB / printed - 1
            )
    if errors:
        worst = sorted(errors.items(), key=lambda item: -abs(item[1]))[:4]
        shown = {name: round(error, 4) for name, error in worst}
        median = statistics.median(abs(error) for error in errors.values())
        figure("loaded_weights_error_median", median, "fraction", compared=len(errors), worst=shown)


def overestimates_of(observations: Iterable[Observation]) -> tuple[int, list[str]]:
    """How many rows found no room, and those for which the plan, margin taken off, has room for one request."""
    failed = [each for each in observations if each.failed and each.has_memory]
    plans = ((each, plan_memory(each.request).kv_tokens) for each in failed)
    return len(failed), [
        f"{each.row.get('n', '')}: {each.row.get('model', '')}: {tokens} tokens"
        for each, tokens in plans
        if tokens >= each.request.max_context_tokens
    ]


def _print_overestimates(observations: list[Observation], counted: RowCount) -> None:
    count, over = overestimates_of(observations)
    figure("kv_overestimates", len(over), "rows", failed=count, **counted.details(), overestimated=over)


def _median(rooms: Iterable[Room]) -> float:
    return statistics.median(abs(room.error) for room in rooms)


def _by_group(pairs: Iterable[tuple[str, Room]]) -> dict[str, dict[str, float]]:
    groups: defaultdict[str, list[Room]] = defaultdict(list)
    for name, room in pairs:
        groups[name].append(room)
    return {name: {"rows": len(group), "median": round(_median(group), 4)} for name, group in sorted(groups.items())}


def _left_out(rooms: list[Room]) -> dict[str, float]:
    """The median without each model in turn: a figure that hangs on one model shows here."""
    medians = dict(_medians_without(rooms))
    if not medians:
        return {}
    return {"lowest": round(min(medians.values()), 4), "highest": round(max(medians.values()), 4)}


def _medians_without(rooms: list[Room]) -> Iterator[tuple[str, float]]:
    for model in sorted({room.model for room in rooms}):
        others = [room for room in rooms if room.model != model]
        if others:
            yield model, _median(others)
