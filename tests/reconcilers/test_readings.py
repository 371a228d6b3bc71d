"""From what an engine says to what its deployment's status shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.fleet import facts
from builders.live import gpu_pod
from builders.plans import checkpoint, plan
from penstock.api.plan_status import ReportedStatus
from penstock.engine_readings.reading import EngineReading, Total
from penstock.planner.accuracy import modelled_seconds
from penstock.reconcilers.readings import Asked, PodReading, ReadingBook, measured, next_reading, reported_status
from penstock.reconcilers.stored import PodRecord, slim_pod

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FACTS = facts("org/small", 8.2)
PLAN = plan(checkpoint=checkpoint(model="org/small"))
ZERO = EngineReading(
    prompt_tokens=0,
    cached_tokens=0,
    generation_tokens=0,
    requests=Total(0, 0),
    to_first=Total(0, 0),
    between=Total(0, 0),
)
BUSY = EngineReading(
    prompt_tokens=100_000,
    cached_tokens=25_000,
    generation_tokens=30_000,
    requests=Total(100, 600.0),
    to_first=Total(100, 20.0),
    between=Total(29_900, 598.0),
)


def pod(**changes: Any) -> PodRecord:
    return replace(slim_pod(gpu_pod("chat-1", node="a")), uid="u", **changes)


def asked(at: float = 0.0, one: PodRecord | None = None, **known: Any) -> Asked:
    return Asked(one or pod(), PLAN, known.get("facts", {"org/small": FACTS}), at, NOW)


def test_what_happened_between_two_readings() -> None:
    found = measured(ZERO, BUSY, 60.0)
    assert found is not None
    assert found.concurrency == pytest.approx(10)
    assert (found.prompt_tokens, found.output_tokens, found.prefix_hit_rate) == (1000, 300, 0.25)
    assert found.time_to_first_token_seconds == pytest.approx(0.2)
    assert found.time_per_output_token_seconds == pytest.approx(0.02)
    assert found.output_tokens_per_second == pytest.approx(500)


NOTHING: dict[str, tuple[EngineReading, EngineReading, float]] = {
    "nothing happened": (BUSY, BUSY, 60.0),
    "too few requests": (ZERO, replace(BUSY, requests=Total(19, 100.0)), 60.0),
    "too few tokens": (ZERO, replace(BUSY, generation_tokens=999), 60.0),
    "it began anew": (BUSY, ZERO, 60.0),
    "it began anew and did more": (replace(ZERO, requests=Total(1, 9999.0)), BUSY, 60.0),
    "no time between tokens": (ZERO, replace(BUSY, between=None), 60.0),
    "no time went by": (ZERO, BUSY, 0.0),
    "more tokens than there can be": (ZERO, replace(BUSY, generation_tokens=1e12), 60.0),
}


@pytest.mark.parametrize(("before", "after", "seconds"), NOTHING.values(), ids=NOTHING)
def test_when_nothing_can_be_said(before: EngineReading, after: EngineReading, seconds: float) -> None:
    assert measured(before, after, seconds) is None


def test_the_pace_is_smoothed_and_the_peak_kept() -> None:
    """As modelled at first, then ten times as slow for once."""
    pace = measured(ZERO, BUSY, 60.0)
    assert pace is not None
    modelled = modelled_seconds(PLAN, FACTS, pace)
    first = next_reading(None, asked(0.0), ZERO)
    as_modelled = replace(BUSY, between=Total(29_900, 29_900 * modelled))
    second = next_reading(first, asked(60.0), as_modelled)
    assert second.step_time_ratio == pytest.approx(1.0)
    assert second.peak_tokens_per_second == pytest.approx(500)
    slow = replace(as_modelled, requests=_more(BUSY.requests), to_first=_more(BUSY.to_first))
    slow = replace(slow, prompt_tokens=200_000, cached_tokens=50_000, generation_tokens=60_000)
    third = next_reading(second, asked(120.0), replace(slow, between=Total(59_800, 29_900 * 11 * modelled)))
    assert third.step_time_ratio == pytest.approx(1 + 0.3 * 9)
    assert third.peak_tokens_per_second == pytest.approx(500)
    idle = next_reading(third, asked(180.0), third.reading)
    assert (idle.step_time_ratio, idle.peak_tokens_per_second) == (third.step_time_ratio, third.peak_tokens_per_second)


def _more(total: Total | None) -> Total | None:
    return total and Total(total.count * 2, total.seconds * 2)


def test_without_facts_there_is_no_ratio() -> None:
    second = next_reading(next_reading(None, asked(), ZERO), asked(60.0, facts={}), BUSY)
    assert (second.step_time_ratio, second.peak_tokens_per_second) == (None, 500)


ROOM: dict[str, tuple[EngineReading, dict[str, Any], int | None]] = {
    "stated": (EngineReading(kv_tokens=7, kv_tokens_stated=True), {}, 7),
    "blocks of a uniform model": (EngineReading(kv_tokens=7), {"org/small": FACTS}, 7),
    "blocks of a hybrid one": (
        EngineReading(kv_tokens=7),
        {"org/small": replace(FACTS, full_attention_layers=9)},
        None,
    ),
    "blocks of an unknown one": (EngineReading(kv_tokens=7), {}, None),
}


@pytest.mark.parametrize(("reading", "known", "want"), ROOM.values(), ids=ROOM)
def test_whose_word_on_the_cache_is_taken(reading: EngineReading, known: dict[str, Any], want: int | None) -> None:
    assert next_reading(None, asked(facts=known), reading).kv_tokens == want


LOADS: dict[str, tuple[float, float, int | None]] = {
    "just now": (200, 20, 180),
    "long ago": (4000, 1000, None),
    "its clock goes wrong": (20, 200, None),
    "for half a day": (43_200, 10, None),
}


@pytest.mark.parametrize(("started", "ready", "want"), LOADS.values(), ids=LOADS)
def test_how_long_it_loaded(started: float, ready: float, want: int | None) -> None:
    """Seconds before now; a pod that has long been ready may have become so for the second time."""
    one = pod(started=NOW - timedelta(seconds=started), ready_since=NOW - timedelta(seconds=ready))
    assert next_reading(None, asked(one=one), ZERO).load_seconds == want


def of(**said: Any) -> PodReading:
    return PodReading("u", 0.0, ZERO, **said)


OLD = ReportedStatus(
    revision="abc", kv_tokens=1000, load_seconds=100, output_tokens_per_second=500, step_time_percent=100
)
CHANGES: dict[str, tuple[PodReading, dict[str, Any]]] = {
    "the same": (of(kv_tokens=1000), {}),
    "a little less room": (of(kv_tokens=981), {}),
    "less room": (of(kv_tokens=979), {"kv_tokens": 979}),
    "a little slower to load": (of(load_seconds=120), {}),
    "slower to load": (of(load_seconds=121), {"load_seconds": 121}),
    "a little more output": (of(peak_tokens_per_second=599.0), {}),
    "more output": (of(peak_tokens_per_second=600.4), {"output_tokens_per_second": 600}),
    "less output is no news": (of(peak_tokens_per_second=10.0), {}),
    "a little slower": (of(step_time_ratio=1.09), {}),
    "slower": (of(step_time_ratio=1.1), {"step_time_percent": 110}),
}


@pytest.mark.parametrize(("reading", "change"), CHANGES.values(), ids=CHANGES)
def test_the_status_moves_in_steps(reading: PodReading, change: dict[str, Any]) -> None:
    assert reported_status("abc", [reading], OLD) == OLD.model_copy(update=change)


def test_of_several_the_worst_counts() -> None:
    found = reported_status("abc", [of(kv_tokens=5, load_seconds=9), of(kv_tokens=7, load_seconds=80)], None)
    assert found == ReportedStatus(revision="abc", kv_tokens=5, load_seconds=80)


def test_another_revision_begins_with_nothing() -> None:
    assert reported_status("new", [], OLD) is None
    assert reported_status("abc", [], OLD) == OLD
    assert reported_status("new", [of(kv_tokens=5)], OLD) == ReportedStatus(revision="new", kv_tokens=5)


def test_pods_that_are_gone_are_forgotten() -> None:
    book = ReadingBook({"u": of(), "v": replace(of(), uid="v")})
    book.forget_all_but(["v"])
    assert [each.uid for each in book.of([pod(), replace(pod(), uid="v")])] == ["v"]
