"""Every metric that is exported, with its labels: read from the real registries, not from a list.

Prometheus adds labels of the target; docs/metrics.md says by which scrape configuration the last two come to be there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from builders.observed import one_of_everything
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.engines.contract import MetricNames
from penstock.engines.sglang import _METRICS as SGLANG
from penstock.engines.vllm import _METRICS as VLLM
from penstock.fleet_metrics import fleet_text
from penstock.metrics import ClientCollector
from penstock.metrics import Metrics as OperatorMetrics
from penstock.server.metrics import ServerMetrics
from penstock.simulation.command_line import engine_of, parse
from penstock.simulation.exposition import EngineMetrics
from penstock_gateway.metrics import Metrics as EdgeMetrics

__all__ = ["exported"]

Labels = frozenset[str]

TARGET = frozenset({"namespace", "pod", "instance", "job"})
GATEWAY_TARGET = TARGET | {"gateway"}
ENGINE_TARGET = TARGET | {"deployment"}
SUFFIXES: Mapping[str, tuple[tuple[str, Labels], ...]] = {
    "counter": (("_total", frozenset()),),
    "histogram": (("_bucket", frozenset({"le"})), ("_sum", frozenset()), ("_count", frozenset())),
}


@cache
def exported() -> Mapping[str, Labels]:
    """The labels by the name of the series."""
    operator = OperatorMetrics()
    operator.registry.register(ClientCollector({("get", "pods"): 1}, lambda: 0))
    return {
        **dict(_of_registry(operator.registry, TARGET)),
        **dict(_of_families(text_string_to_metric_families(fleet_text(one_of_everything())), TARGET)),
        **dict(_of_registry(ServerMetrics().registry, TARGET)),
        **dict(_of_registry(EdgeMetrics().registry, GATEWAY_TARGET)),
        **_of_engine(("vllm", "serve", "org/small"), VLLM),
        **_of_engine(("python3", "-m", "sglang.launch_server", "--model-path", "org/small"), SGLANG),
    }


def _of_registry(registry: CollectorRegistry, target: Labels) -> Iterator[tuple[str, Labels]]:
    """A metric without children has no samples; its own labels are known all the same."""
    for collector in tuple(registry._collector_to_names):
        own = frozenset(getattr(collector, "_labelnames", ()))
        yield from _of_collector(collector, own | target)


def _of_collector(collector: Collector, labels: Labels) -> Iterator[tuple[str, Labels]]:
    for family in collector.collect():
        for suffix, more in SUFFIXES.get(family.type, (("", frozenset()),)):
            yield f"{family.name}{suffix}", labels | more
        yield from _of_families([family], labels)


def _of_families(families: Iterable[Metric], target: Labels) -> Iterator[tuple[str, Labels]]:
    for family in families:
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels) | target


def _of_engine(command: Sequence[str], names: MetricNames) -> dict[str, Labels]:
    """The names are the catalogue's; the labels are the simulated engine's, which has the real one's."""
    engine, _ = engine_of(command)
    metrics = EngineMetrics(parse(command, version=DEFAULT_VERSIONS[engine]), kv_tokens=1_000)
    found = dict(_of_families(text_string_to_metric_families(metrics.text().decode()), ENGINE_TARGET))
    known = frozenset(asdict(names).values())
    return {name: labels for name, labels in found.items() if name.removesuffix("_bucket") in known}
