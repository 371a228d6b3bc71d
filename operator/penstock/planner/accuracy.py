"""What engines really do against what was planned: the room in the KV cache, and the time of a step at the same load.

A plan is compared at the load that was measured, never at the load that it was made for: an idle engine is fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts
from penstock.planner.plan import Plan
from penstock.planner.speed import Replica, Traffic, speed

__all__ = [
    "Measured",
    "PlanVerdict",
    "StepTimes",
    "Verdict",
    "compared",
    "facts_of",
    "is_uniform",
    "judge",
    "modelled_seconds",
]

_LEAST_ROOM = 0.9
_MOST_STEP_PERCENT = 125
_LEAST_RATIO, _MOST_RATIO = 0.05, 20.0
"""What lies outside measures something else than the engine."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One replica over some minutes: requests in flight on average, means of a request, times in seconds."""

    concurrency: float
    prompt_tokens: float
    output_tokens: float
    prefix_hit_rate: float
    time_to_first_token_seconds: float | None
    time_per_output_token_seconds: float
    output_tokens_per_second: float


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds per output token."""

    measured: float
    modelled: float

    @property
    def ratio(self) -> float:
        """Above 1: slower than the model."""
        return self.measured / self.modelled


class Verdict(StrEnum):
    """Whether the plan holds; the reasons of the condition `PlanAccuracy`."""

    AS_PLANNED = "AsPlanned"
    CONTEXT_BEYOND_ROOM = "ContextBeyondRoom"
    LESS_ROOM = "LessRoomThanPlanned"
    SLOWER = "SlowerThanPlanned"


@dataclass(frozen=True, slots=True)
class PlanVerdict:
    """The verdict, with the numbers in words."""

    verdict: Verdict
    message: str


def judge(plan: Plan, kv_tokens: int | None, step_time_percent: int | None) -> PlanVerdict | None:
    """The worst that the engine's own figures say of the plan; None where there are none."""
    if kv_tokens is None and step_time_percent is None:
        return None
    told = "; ".join([*_room(plan, kv_tokens), *_pace(plan, step_time_percent)])
    return PlanVerdict(_verdict(plan, kv_tokens, step_time_percent), told)


def _verdict(plan: Plan, kv_tokens: int | None, step_time_percent: int | None) -> Verdict:
    if kv_tokens is not None and kv_tokens < plan.max_context_tokens:
        return Verdict.CONTEXT_BEYOND_ROOM
    if kv_tokens is not None and kv_tokens < _LEAST_ROOM * plan.memory.kv_tokens:
        return Verdict.LESS_ROOM
    if step_time_percent is not None and step_time_percent > _MOST_STEP_PERCENT * plan.speed_correction:
        return Verdict.SLOWER
    return Verdict.AS_PLANNED


def _room(plan: Plan, kv_tokens: int | None) -> list[str]:
    if kv_tokens is None:
        return []
    planned = plan.memory.kv_tokens
    share = f", {100 * kv_tokens // planned} % of the planned {planned:,}" if planned else ""
    longest = plan.max_context_tokens
    beyond = f"; requests up to {longest:,} tokens are promised" if kv_tokens < longest else ""
    return [f"the KV cache holds {kv_tokens:,} tokens{share}{beyond}"]


def _pace(plan: Plan, step_time_percent: int | None) -> list[str]:
    if step_time_percent is None:
        return []
    planned = round(100 * plan.speed_correction)
    counted_on = "" if planned == 100 else f"; the plan counts on {planned} %"  # noqa: PLR2004 - percent
    return [f"a token takes {step_time_percent} % of the modelled time at this load{counted_on}"]


def compared(plan: Plan, facts: ModelFacts, measured: Measured) -> StepTimes | None:
    """Measured and modelled time per output token, both at the measured load; None where they can mean nothing."""
    found = StepTimes(measured.time_per_output_token_seconds, modelled_seconds(plan, facts, measured))
    sensible = found.modelled > 0 and _LEAST_RATIO <= found.ratio <= _MOST_RATIO
    return found if sensible else None


def modelled_seconds(plan: Plan, facts: ModelFacts, measured: Measured) -> float:
    """Per output token, without what was learnt: else what is learnt would correct itself away."""
    replica = Replica(
        facts=facts,
        accelerator=by_name(plan.accelerator),
        engine=plan.engine,
        engine_version=plan.engine_version,
        tensor_parallel=plan.tensor_parallel,
        pipeline_parallel=plan.pipeline_parallel,
        expert_parallel=plan.expert_parallel,
        attention_ranks=plan.attention_ranks,
        kv_cache_dtype=plan.kv_cache_dtype,
        max_batched_tokens=plan.max_batched_tokens,
    )
    prompt, output = max(1, round(measured.prompt_tokens)), max(1, round(measured.output_tokens))
    traffic = Traffic(prompt, output, prefix_hit_rate=measured.prefix_hit_rate)
    return speed(replica, traffic, max(1, round(measured.concurrency))).time_per_output_token_seconds


def facts_of(plan: Plan, known: Mapping[str, ModelFacts]) -> ModelFacts | None:
    """Of the plan's checkpoint, among those that the deployment names."""
    return next((facts for facts in known.values() if facts.model == plan.checkpoint.model), None)


def is_uniform(facts: ModelFacts) -> bool:
    """True where all layers keep the same for each token: then blocks times their size is what the cache holds."""
    return facts.full_attention_layers == facts.layers
