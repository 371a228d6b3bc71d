"""What the engines of a deployment say, from single readings to what its status shows; pure.

A status moves only when something really changed: between two readings everything moves a little.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median

from penstock.api.plan_status import ReportedStatus
from penstock.catalogue.models import ModelFacts
from penstock.engine_readings.reading import EngineReading, Total
from penstock.planner.accuracy import Measured, StepTimes, compared, facts_of, is_uniform
from penstock.planner.plan import Plan
from penstock.reconcilers.stored import PodRecord

__all__ = ["Asked", "PodReading", "ReadingBook", "measured", "next_reading", "reported_status"]

_FEWEST_REQUESTS = 20
_FEWEST_TOKENS = 1000
_MOST_TOKENS_PER_SECOND = 10_000_000
"""More than any replica will generate: what counts faster counts something else."""
_WEIGHT_OF_THE_NEW = 0.3
_KV_STEP = 0.02
_LOAD_STEP, _LOAD_STEP_SECONDS = 0.2, 10
_PEAK_STEP = 1.2
_PERCENT_STEP = 10
_FRESH_SECONDS = 900.0
_LONGEST_LOAD_SECONDS = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class PodReading:
    """The latest of one pod. `at` is the monotonic clock's.

    `step_times` are of the time since the reading before, None where too little happened; the ratio is smoothed over
    all readings, the peak is of all of them.
    """

    uid: str
    at: float
    reading: EngineReading
    kv_tokens: int | None = None
    load_seconds: int | None = None
    step_times: StepTimes | None = None
    step_time_ratio: float | None = None
    peak_tokens_per_second: float | None = None


@dataclass(slots=True)
class ReadingBook:
    """The latest reading of each pod, by its uid; what is gone is forgotten."""

    by_pod: dict[str, PodReading] = field(default_factory=dict)

    def of(self, pods: Iterable[PodRecord]) -> tuple[PodReading, ...]:
        """Those of these pods."""
        return tuple(self.by_pod[pod.uid] for pod in pods if pod.uid in self.by_pod)

    def forget_all_but(self, uids: Iterable[str]) -> None:
        """Drop the pods that are gone, or are not ready any more."""
        living = set(uids)
        self.by_pod = {uid: reading for uid, reading in self.by_pod.items() if uid in living}


@dataclass(frozen=True, slots=True)
class Asked:
    """A pod that was asked just now, and the plan that it runs."""

    pod: PodRecord
    plan: Plan
    facts: Mapping[str, ModelFacts]
    monotonic: float
    now: datetime


def next_reading(before: PodReading | None, asked: Asked, reading: EngineReading) -> PodReading:
    """The pod's latest, with what it adds to those before."""
    facts = facts_of(asked.plan, asked.facts)
    found = PodReading(
        uid=asked.pod.uid,
        at=asked.monotonic,
        reading=reading,
        kv_tokens=_kv_tokens(reading, facts),
        load_seconds=before.load_seconds if before else _load_seconds(asked.pod, asked.now),
    )
    if before is None:
        return found
    found = replace(found, step_time_ratio=before.step_time_ratio, peak_tokens_per_second=before.peak_tokens_per_second)
    pace = measured(before.reading, reading, asked.monotonic - before.at)
    return found if pace is None else _paced(found, asked.plan, facts, pace)


def _paced(found: PodReading, plan: Plan, facts: ModelFacts | None, pace: Measured) -> PodReading:
    peak = max(pace.output_tokens_per_second, found.peak_tokens_per_second or 0.0)
    found, times = replace(found, peak_tokens_per_second=peak), compared(plan, facts, pace) if facts else None
    if times is None:
        return found
    old = times.ratio if found.step_time_ratio is None else found.step_time_ratio
    return replace(found, step_times=times, step_time_ratio=old + _WEIGHT_OF_THE_NEW * (times.ratio - old))


def measured(before: EngineReading, after: EngineReading, seconds: float) -> Measured | None:
    """The time between two readings of one engine; None where too little happened, or the engine began anew."""
    requests, between = _since(before.requests, after.requests), _since(before.between, after.between)
    prompt = _difference(before.prompt_tokens, after.prompt_tokens)
    output = _difference(before.generation_tokens, after.generation_tokens)
    if requests is None or between is None or prompt is None or output is None or seconds <= 0:
        return None
    if requests.count < _FEWEST_REQUESTS or output < _FEWEST_TOKENS or not between.count or not between.seconds:
        return None
    if output > _MOST_TOKENS_PER_SECOND * seconds:
        return None
    cached = _difference(before.cached_tokens, after.cached_tokens) or 0.0
    first = _since(before.to_first, after.to_first)
    return Measured(
        concurrency=requests.seconds / seconds,
        prompt_tokens=prompt / requests.count,
        output_tokens=output / requests.count,
        prefix_hit_rate=min(1.0, cached / prompt) if prompt else 0.0,
        time_to_first_token_seconds=first.seconds / first.count if first and first.count else None,
        time_per_output_token_seconds=between.seconds / between.count,
        output_tokens_per_second=output / seconds,
    )


def _difference(before: float | None, after: float | None) -> float | None:
    """A counter that went back began anew."""
    return None if before is None or after is None or after < before else after - before


def _since(before: Total | None, after: Total | None) -> Total | None:
    if before is None or after is None or after.count < before.count or after.seconds < before.seconds:
        return None
    return Total(after.count - before.count, after.seconds - before.seconds)


def _kv_tokens(reading: EngineReading, facts: ModelFacts | None) -> int | None:
    honest = reading.kv_tokens_stated or (facts is not None and is_uniform(facts))
    return reading.kv_tokens if honest else None


def _load_seconds(pod: PodRecord, now: datetime) -> int | None:
    """Only just after it became ready: later, nobody knows whether that was for the first time."""
    if pod.started is None or pod.ready_since is None or (now - pod.ready_since).total_seconds() > _FRESH_SECONDS:
        return None
    seconds = (pod.ready_since - pod.started).total_seconds()
    return round(seconds) if 0 <= seconds <= _LONGEST_LOAD_SECONDS else None


def reported_status(revision: str, readings: Iterable[PodReading], old: ReportedStatus | None) -> ReportedStatus | None:
    """What the status says of the revision's engines; as it was while none of them says anything else."""
    known = old if old is not None and old.revision == revision else ReportedStatus(revision=revision)
    found = list(readings)
    told = ReportedStatus(
        revision=revision,
        kv_tokens=_settled(known.kv_tokens, min(_those(each.kv_tokens for each in found), default=None), _KV_STEP),
        load_seconds=_load(known.load_seconds, max(_those(each.load_seconds for each in found), default=None)),
        output_tokens_per_second=_peak(
            known.output_tokens_per_second, max(_those(each.peak_tokens_per_second for each in found), default=None)
        ),
        step_time_percent=_percent(known.step_time_percent, _those(each.step_time_ratio for each in found)),
    )
    return None if told == ReportedStatus(revision=revision) else told


def _those(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _settled(old: int | None, new: float | None, step: float) -> int | None:
    if new is None or (old is not None and abs(new - old) <= step * old):
        return old
    return round(new)


def _load(old: int | None, new: float | None) -> int | None:
    if old is not None and new is not None and abs(new - old) <= _LOAD_STEP_SECONDS:
        return old
    return _settled(old, new, _LOAD_STEP)


def _peak(old: int | None, new: float | None) -> int | None:
    if new is None or new < 1 or (old is not None and new < _PEAK_STEP * old):
        return old
    return round(new)


def _percent(old: int | None, ratios: list[float]) -> int | None:
    if not ratios:
        return old
    new = round(100 * median(ratios))
    return old if old is not None and abs(new - old) < _PERCENT_STEP else new
