"""Prometheus metrics of the edge, on a registry of its own. Labels come from the table and from fixed words only."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_MOST_SERIES = 5_000

M = TypeVar("M", bound=MetricWrapperBase)


class Bounded(Generic[M]):
    """A metric with at most `_MOST_SERIES` label sets; what comes after goes to `other`.

    It also remembers the children, because looking them up in the metric itself takes a lock.
    """

    def __init__(self, metric: M, width: int) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], M] = {}
        self._other = ("other",) * width

    def of(self, *values: str) -> M:
        """The child with these labels."""
        child = self._children.get(values)
        if child is not None:
            return child
        names = values if len(self._children) < _MOST_SERIES else self._other
        child = self._metric.labels(*names)
        if names is values:
            self._children[values] = child
        return child


class Metrics:
    """Every metric of a replica."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "penstock_gateway_requests", "Requests by their answer.", ["route", "rule", "backend", "status"]
        )
        self.attempts = self._counter("penstock_gateway_attempts", "Attempts by outcome.", ["backend", "outcome"])
        self.limited = self._counter(
            "penstock_gateway_limited", "Requests refused by a limit of their consumer.", ["consumer", "limit"]
        )
        self.first_byte = self._histogram(
            "penstock_gateway_first_byte_seconds", "From the request to the first byte of the answer.", ["route"]
        )
        self.total = self._histogram(
            "penstock_gateway_request_seconds", "From the request to the last byte of the answer.", ["route"]
        )
        self.tokens = self._counter("penstock_gateway_tokens", "Tokens by kind.", ["backend", "kind"])
        self.in_flight = Gauge("penstock_gateway_in_flight", "Requests in flight.", registry=self.registry)
        self.generation = Gauge(
            "penstock_gateway_table_generation", "Generation of the table that decides.", registry=self.registry
        )
        self.table_refusals = Counter(
            "penstock_gateway_table_refusals", "Tables refused.", ["reason"], registry=self.registry
        )
        self.spool_dropped = Counter(
            "penstock_gateway_spool_dropped", "Usage records lost, by reason.", ["reason"], registry=self.registry
        )
        self.server_errors = Counter(
            "penstock_gateway_server_errors", "Failed calls of the server.", ["call"], registry=self.registry
        )

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Bounded[Counter]:
        return Bounded(Counter(name, text, labels, registry=self.registry), len(labels))

    def _histogram(self, name: str, text: str, labels: Sequence[str]) -> Bounded[Histogram]:
        histogram = Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)
        return Bounded(histogram, len(labels))
