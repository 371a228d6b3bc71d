"""Corrections of modelled speed: slow, bounded, forgetting nothing that makes sense."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.planner.corrections import HIGHEST, LOWEST, CorrectionKey, Corrections, calls_for_a_new_plan

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEY = CorrectionKey("Qwen/Qwen3-32B", "H100-SXM-80GB", "vLLM")
OTHER = CorrectionKey("Qwen/Qwen3-32B", "MI300X", "vLLM")


def after(*ratios: float, start: Corrections | None = None) -> Corrections:
    """Corrections after measurements that took so many times what was modelled."""
    learnt = start or Corrections.none()
    for number, ratio in enumerate(ratios):
        learnt = learnt.learnt(KEY, measured=0.02 * ratio, modelled=0.02, now=NOW + timedelta(minutes=number))
    return learnt


def test_nothing_is_corrected_before_there_is_enough_to_trust() -> None:
    assert Corrections.none().factor(KEY) == 1.0
    assert after(1.5, 1.5, 1.5, 1.5).factor(KEY) == 1.0
    assert after(*[1.5] * 5).factor(KEY) > 1.2


def test_steady_measurements_are_learnt() -> None:
    assert after(*[1.5] * 60).factor(KEY) == pytest.approx(1.5, rel=0.01)
    assert after(*[0.7] * 60).factor(KEY) == pytest.approx(0.7, rel=0.01)
    assert after(*[1.5] * 60).factor(OTHER) == 1.0


def test_one_outlier_moves_little() -> None:
    settled = after(*[1.2] * 40)
    assert after(50.0, start=settled).factor(KEY) < settled.factor(KEY) * 1.26


def test_it_stays_within_bounds() -> None:
    assert after(*[40.0] * 200).factor(KEY) == pytest.approx(HIGHEST)
    assert after(*[0.01] * 200).factor(KEY) == pytest.approx(LOWEST)


@pytest.mark.parametrize(
    ("measured", "modelled"), [(0.0, 0.02), (-1.0, 0.02), (float("nan"), 0.02), (float("inf"), 0.02), (0.02, 0.0)]
)
def test_senseless_times_teach_nothing(measured: float, modelled: float) -> None:
    assert Corrections.none().learnt(KEY, measured=measured, modelled=modelled, now=NOW).document() == {}


def test_what_is_written_is_read_again() -> None:
    learnt = after(*[1.4] * 7)
    document = json.loads(json.dumps(learnt.document()))
    assert document["Qwen/Qwen3-32B|H100-SXM-80GB|vLLM"]["count"] == 7
    assert document["Qwen/Qwen3-32B|H100-SXM-80GB|vLLM"]["since"] == "2026-11-01T00:00:00+00:00"
    assert Corrections.from_document(document).document() == document
    assert Corrections.from_document(document).factor(KEY) == pytest.approx(learnt.factor(KEY), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("no separators", {"factor": 1.2, "count": 9, "since": "2026-11-01T00:00:00+00:00"}),
        ("||", {"factor": 1.2, "count": 9, "since": "2026-11-01T00:00:00+00:00"}),
        ("m|a|e", "1.2"),
        ("m|a|e", {"factor": "1.2", "count": 9, "since": "2026-11-01T00:00:00+00:00"}),
        ("m|a|e", {"factor": 0, "count": 9, "since": "2026-11-01T00:00:00+00:00"}),
        ("m|a|e", {"factor": 1.2, "count": -1, "since": "2026-11-01T00:00:00+00:00"}),
        ("m|a|e", {"factor": 1.2, "count": 9, "since": "yesterday"}),
        ("m|a|e", {"factor": 1.2, "count": 9, "since": "2026-11-01T00:00:00"}),
        ("m|a|e", {"factor": 1.2, "count": 9}),
    ],
)
def test_entries_that_make_no_sense_are_left_out(name: str, entry: Any) -> None:
    assert Corrections.from_document({name: entry}).document() == {}


def test_an_edited_factor_is_bounded() -> None:
    entry = {"factor": 900, "count": 9, "since": "2026-11-01T00:00:00+00:00"}
    assert Corrections.from_document({"m|a|e": entry}).factor(CorrectionKey("m", "a", "e")) == HIGHEST


def test_what_no_longer_runs_is_dropped() -> None:
    learnt = after(*[1.4] * 7).learnt(OTHER, measured=1.0, modelled=1.0, now=NOW)
    assert list(learnt.kept([OTHER]).entries) == [OTHER]


@pytest.mark.parametrize(("planned", "present", "calls"), [(1.0, 1.1, False), (1.0, 1.25, True), (1.3, 1.0, True)])
def test_a_move_by_a_fifth_calls_for_a_new_plan(planned: float, present: float, *, calls: bool) -> None:
    assert calls_for_a_new_plan(planned, present) is calls
