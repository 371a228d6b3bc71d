"""What the server tells Prometheus; gateways' names and counts, nothing of what is in tables."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from penstock.metrics import show_build
from penstock.server.access import GatewayName

__all__ = ["ServerMetrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ServerMetrics:
    """Every metric of one server, on a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        show_build(registry, "server")
        self.database_up = Gauge(
            "penstock_server_database_up", "1 while the database answers, asked at each scrape.", registry=registry
        )
        self.requests = Counter(
            "penstock_server_requests", "Requests by route and status.", ["method", "route", "code"], registry=registry
        )
        self.publications = Counter(
            "penstock_server_publications",
            "Publications by result: published, unchanged, or the reason of the refusal.",
            ["result"],
            registry=registry,
        )
        self.publication_seconds = Histogram(
            "penstock_server_publication_seconds",
            "How long a publication takes in the database.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.waiters = Gauge("penstock_server_waiters", "Requests that wait for a change.", registry=registry)
        self.replicas = Gauge("penstock_server_replicas_live", "Live gateway replicas.", ["gateway"], registry=registry)
        self.table_bytes = Gauge(
            "penstock_server_table_bytes", "Size of the published table.", ["gateway"], registry=registry
        )

    def show(self, replicas: Mapping[GatewayName, int], sizes: Mapping[GatewayName, int]) -> None:
        """Put both gauges to what the database says; gateways that are gone are gone here too."""
        for gauge, values in ((self.replicas, replicas), (self.table_bytes, sizes)):
            gauge.clear()
            for gateway, value in values.items():
                gauge.labels(gateway=str(gateway)).set(value)
        for gateway in sizes.keys() - replicas.keys():
            self.replicas.labels(gateway=str(gateway)).set(0)
