"""Prometheus metrics under controller-runtime's names, so that everyone's dashboards know them."""

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily

from penstock import __version__

__all__ = ["ClientCollector", "Metrics", "show_build"]

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Every metric of the operator, on a registry of its own; `fleet` is the leader's text about the resources."""

    def __init__(self) -> None:
        self.fleet: Callable[[], str] = lambda: ""
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        show_build(registry, "operator")
        self.depth = Gauge("workqueue_depth", "Keys that wait.", ["name"], registry=registry)
        self.adds = Counter("workqueue_adds", "Keys added.", ["name"], registry=registry)
        self.retries = Counter("workqueue_retries", "Keys that came back after a failure.", ["name"], registry=registry)
        self.queue_seconds = Histogram(
            "workqueue_queue_duration_seconds", "How long a key waits.", ["name"], buckets=_SECONDS, registry=registry
        )
        self.work_seconds = Histogram(
            "workqueue_work_duration_seconds", "How long a key takes.", ["name"], buckets=_SECONDS, registry=registry
        )
        self.reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciles by outcome: success, requeue_after, error.",
            ["controller", "result"],
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciles that failed.", ["controller"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long a reconcile takes.",
            ["controller"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.requests = Counter(
            "rest_client_requests", "Requests to the API server.", ["method", "code"], registry=registry
        )
        self.leading = Gauge(
            "leader_election_master_status", "1 while this replica leads.", ["name"], registry=registry
        )
        self.loop_lag = Histogram(
            "penstock_event_loop_lag_seconds",
            "How late the event loop wakes.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
            registry=registry,
        )
        self.placement_seconds = Histogram(
            "penstock_placement_seconds", "How long placing the whole fleet takes.", buckets=_SECONDS, registry=registry
        )
        self.decisions = Counter(
            "penstock_placement_decisions", "Decisions that changed, by reason.", ["reason"], registry=registry
        )
        self.engine_readings = Counter(
            "penstock_engine_readings",
            "Engines asked for their metrics, by what came of it.",
            ["result"],
            registry=registry,
        )
        self.publications = Counter(
            "penstock_table_publications", "Routing tables published, or why not.", ["result"], registry=registry
        )
        self.certificate_expiry = Gauge(
            "penstock_certificate_expiry_timestamp_seconds",
            "When the certificate in a Secret ends.",
            ["secret"],
            registry=registry,
        )

    def text(self, names: Collection[str] = ()) -> bytes:
        """The exposition; for a thread, because a fleet of thousands takes a while.

        With `names` only those series of the process itself: the fleet's are left out, which makes it cheap.
        """
        if names:
            return generate_latest(self.registry.restricted_registry(names))
        return generate_latest(self.registry) + self.fleet().encode()


def show_build(registry: CollectorRegistry, component: str) -> None:
    """`penstock_build_info`: which component runs here, and of which version."""
    info = Gauge("penstock_build_info", "1 for what runs here.", ["component", "version"], registry=registry)
    info.labels(component=component, version=__version__).set(1)


class ClientCollector:
    """Shows what the client and the event recorder count themselves, without counting twice."""

    def __init__(self, requests: Mapping[tuple[str, str], int], dropped_events: Callable[[], int]) -> None:
        self._requests = requests
        self._dropped_events = dropped_events

    def describe(self) -> Iterator[CounterMetricFamily]:
        """The names alone, by which a scrape may be narrowed."""
        yield self._requests_family()
        yield CounterMetricFamily("penstock_events_dropped", "Events over the budget.")

    @staticmethod
    def _requests_family() -> CounterMetricFamily:
        return CounterMetricFamily("penstock_api_requests", "Requests to the API server.", labels=["verb", "resource"])

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Requests by verb and resource, and events over the budget."""
        family = self._requests_family()
        for (verb, resource), count in sorted(self._requests.items()):
            family.add_metric([verb, resource], count)
        yield family
        yield CounterMetricFamily("penstock_events_dropped", "Events over the budget.", value=self._dropped_events())
