"""One or several gateways: requests, latency, backends, and whether replicas have the newest table."""

from tools.dashboards.model import Dashboard, Row, Target, Variable, series, stat

__all__ = ["GATEWAY"]

_OF = 'namespace=~"$namespace", gateway=~"$gateway"'
_ROUTE = f'{_OF}, route=~"$route"'
_FAILED = f'{_ROUTE}, status=~"5.."'
# What clients do themselves is no fault of a backend.
_BAD = f'{_OF}, outcome!~"Answered|ClientsFault|ClientLeft|Stopped"'


def _replicas(state: str) -> str:
    return f'max by (namespace, gateway) (penstock_gateway_replicas{{{_OF}, state="{state}"}})'


def _generation(state: str) -> str:
    return f'max by (namespace, gateway) (penstock_table_generation{{{_OF}, state="{state}"}})'


def _rate(metric: str, by: str, of: str = _OF) -> str:
    grouped = f" by ({by}) " if by else ""
    return f"sum{grouped}(rate(penstock_gateway_{metric}{{{of}}}[$__rate_interval]))"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', 'le', _ROUTE)})"


def _quantiles(metric: str) -> tuple[Target, ...]:
    return tuple(Target(_quantile(share, metric), f"p{int(share * 100)}") for share in (0.5, 0.95, 0.99))


GATEWAY = Dashboard(
    name="gateway",
    title="Penstock / Gateway",
    text="Requests, latency, backends and tables of InferenceGateways.",
    variables=(
        Variable("namespace", "label_values(penstock_gateway_replicas, namespace)"),
        Variable("gateway", 'label_values(penstock_gateway_replicas{namespace=~"$namespace"}, gateway)'),
        Variable("route", f"label_values(penstock_gateway_requests_total{{{_OF}}}, route)"),
    ),
    rows=(
        Row(
            "Now",
            (
                stat("Requests", _rate("requests_total", "", _ROUTE), unit="reqps"),
                stat(
                    "Failed by us",
                    f"({_rate('requests_total', '', _FAILED)} or vector(0)) / {_rate('requests_total', '', _ROUTE)}",
                    unit="percentunit",
                    text="Share of answers with a status of 500 or above.",
                    orange=0.01,
                    red=0.05,
                ),
                stat("First byte, p95", _quantile(0.95, "first_byte_seconds"), unit="s"),
                stat("In flight", f"sum(penstock_gateway_in_flight{{{_OF}}})"),
                stat("Replicas missing", f"sum({_replicas('desired')} - {_replicas('ready')})", orange=1),
                stat(
                    "Replicas behind",
                    f"sum({_replicas('behind')})",
                    text="Replicas that have not acknowledged the published table.",
                    orange=1,
                ),
            ),
        ),
        Row(
            "Requests",
            (
                series(
                    "By status", "reqps", Target(_rate("requests_total", "status", _ROUTE), "{{status}}"), stacked=True
                ),
                series(
                    "By route", "reqps", Target(f"topk(10, {_rate('requests_total', 'route', _ROUTE)})", "{{route}}")
                ),
                series("Tokens per second", "short", Target(_rate("tokens_total", "kind"), "{{kind}}")),
                series(
                    "In flight by replica",
                    "short",
                    Target(f"max by (pod) (penstock_gateway_in_flight{{{_OF}}})", "{{pod}}"),
                ),
            ),
        ),
        Row(
            "Latency",
            (
                series("To the first byte", "s", *_quantiles("first_byte_seconds")),
                series("To the last byte", "s", *_quantiles("request_seconds")),
            ),
        ),
        Row(
            "Backends and limits",
            (
                series(
                    "Attempts by outcome", "reqps", Target(_rate("attempts_total", "outcome"), "{{outcome}}"), width=8
                ),
                series(
                    "Failed attempts by backend",
                    "reqps",
                    Target(
                        f"topk(10, {_rate('attempts_total', 'backend', _BAD)})",
                        "{{backend}}",
                    ),
                    width=8,
                ),
                series(
                    "Requests over a limit",
                    "reqps",
                    Target(f"topk(10, {_rate('limited_total', 'consumer, limit')})", "{{consumer}} {{limit}}"),
                    width=8,
                ),
            ),
        ),
        Row(
            "Tables and the server",
            (
                series(
                    "Generations",
                    "short",
                    Target(_generation("published"), "{{namespace}}/{{gateway}} published"),
                    Target(_generation("applied"), "{{namespace}}/{{gateway}} acknowledged by all"),
                    Target(f"max by (pod) (penstock_gateway_table_generation{{{_OF}}})", "{{pod}}"),
                    width=8,
                ),
                series(
                    "Replicas",
                    "short",
                    *(Target(f"sum({_replicas(state)})", state) for state in ("desired", "ready", "live", "behind")),
                    width=8,
                ),
                series(
                    "Errors",
                    "ops",
                    Target(_rate("table_refusals_total", "reason"), "table refused: {{reason}}"),
                    Target(_rate("server_errors_total", "call"), "server: {{call}}"),
                    Target(_rate("spool_dropped_total", "reason"), "usage lost: {{reason}}"),
                    width=8,
                ),
            ),
        ),
    ),
)
