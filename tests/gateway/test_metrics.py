"""Metrics never grow without a bound."""

import pytest

from penstock_gateway.metrics import Metrics


def test_label_sets_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_gateway.metrics._MOST_SERIES", 3)
    metrics = Metrics()
    for number in range(10):
        metrics.attempts.of(f"b{number}", "Answered").inc()
    metrics.attempts.of("b0", "Answered").inc()

    def value(backend: str, outcome: str) -> float | None:
        labels = {"backend": backend, "outcome": outcome}
        return metrics.registry.get_sample_value("penstock_gateway_attempts_total", labels)

    assert value("b0", "Answered") == 2
    assert value("b3", "Answered") is None
    assert value("other", "other") == 7
