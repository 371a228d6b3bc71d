"""The operator's replicas and the control-plane server."""

from tools.dashboards.model import Dashboard, Panel, Row, Target, series, stat

__all__ = ["OPERATOR"]

# Standbys fill their queues and work none: only the leader's says anything.
_LEADS = 'on (instance) leader_election_master_status{name="penstock-operator"} == 1'
# Other operators export controller-runtime's names, too.
_OURS = 'and on (instance) penstock_build_info{component="operator"}'
_OF_PENSTOCK = "* on (instance) group_left (component) penstock_build_info"


def _rate(metric: str, by: str) -> str:
    ours = "" if metric.startswith("penstock_") else f" {_OURS}"
    return f"sum by ({by}) (rate({metric}[$__rate_interval]){ours})"


def _quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', labels)})"


def _quantiles(title: str, metric: str, text: str = "", width: int = 12) -> Panel:
    targets = (Target(_quantile(share, metric), f"p{int(share * 100)}") for share in (0.5, 0.99))
    return series(title, "s", *targets, text=text, width=width)


def _process(title: str, unit: str, query: str) -> Panel:
    return series(title, unit, Target(f"{query} {_OF_PENSTOCK}", "{{component}} {{instance}}"), width=8)


OPERATOR = Dashboard(
    name="operator",
    title="Penstock / Operator",
    text="The operator, its queue and its placement; the control-plane server.",
    rows=(
        Row(
            "Now",
            (
                stat("Leaders", 'sum(leader_election_master_status{name="penstock-operator"}) or vector(0)'),
                stat(
                    "Processes",
                    "count by (component, version) (penstock_build_info)",
                    legend="{{component}} {{version}}",
                ),
                stat("Keys that wait", f'sum(workqueue_depth{{name="penstock"}} and {_LEADS}) or vector(0)'),
                stat(
                    "Failed reconciles",
                    f"sum(rate(controller_runtime_reconcile_errors_total[$__rate_interval]) {_OURS})",
                    unit="ops",
                    orange=0.1,
                ),
                stat(
                    "Event loop lag, p99",
                    _quantile(0.99, "penstock_event_loop_lag_seconds"),
                    unit="s",
                    orange=0.25,
                    red=1,
                ),
                stat(
                    "Next certificate ends in",
                    "min(penstock_certificate_expiry_timestamp_seconds) - time()",
                    unit="s",
                ),
            ),
        ),
        Row(
            "Reconciling",
            (
                series(
                    "Reconciles",
                    "ops",
                    Target(_rate("controller_runtime_reconcile_total", "controller"), "{{controller}}"),
                    width=8,
                ),
                series(
                    "Failed reconciles",
                    "ops",
                    Target(_rate("controller_runtime_reconcile_errors_total", "controller"), "{{controller}}"),
                    width=8,
                ),
                series(
                    "Time of a reconcile, p99",
                    "s",
                    Target(
                        _quantile(0.99, "controller_runtime_reconcile_time_seconds", "controller"), "{{controller}}"
                    ),
                    width=8,
                ),
                series(
                    "Keys that wait",
                    "short",
                    Target(f'workqueue_depth{{name="penstock"}} and {_LEADS}', "waiting"),
                    width=8,
                ),
                series(
                    "Keys added, and again after a failure",
                    "ops",
                    Target(_rate("workqueue_adds_total", "name"), "added"),
                    Target(_rate("workqueue_retries_total", "name"), "again"),
                    width=8,
                ),
                _quantiles("How long a key waits", "workqueue_queue_duration_seconds", width=8),
            ),
        ),
        Row(
            "Placement and tables",
            (
                _quantiles("Placing the whole fleet", "penstock_placement_seconds"),
                series(
                    "Publications of tables",
                    "ops",
                    Target(_rate("penstock_table_publications_total", "result"), "{{result}}"),
                ),
            ),
        ),
        Row(
            "Kubernetes API",
            (
                series(
                    "Requests",
                    "reqps",
                    Target(_rate("penstock_api_requests_total", "verb, resource"), "{{verb}} {{resource}}"),
                    text="None but the Lease's renewals while nothing changes.",
                    width=8,
                ),
                series(
                    "Answers",
                    "reqps",
                    Target(_rate("rest_client_requests_total", "code"), "{{code}}"),
                    width=8,
                ),
                series(
                    "Events over the budget",
                    "ops",
                    Target("sum(rate(penstock_events_dropped_total[$__rate_interval]))", "dropped"),
                    width=8,
                ),
            ),
        ),
        Row(
            "Processes",
            (
                _process("CPU", "short", "rate(process_cpu_seconds_total[$__rate_interval])"),
                _process("Memory", "bytes", "process_resident_memory_bytes"),
                _process("Open files", "short", "process_open_fds"),
            ),
        ),
        Row(
            "Control-plane server",
            (
                series(
                    "Requests", "reqps", Target(_rate("penstock_server_requests_total", "code"), "{{code}}"), width=8
                ),
                _quantiles("A publication in the database", "penstock_server_publication_seconds", width=8),
                series(
                    "Long polls",
                    "short",
                    Target("sum by (instance) (penstock_server_waiters)", "{{instance}}"),
                    width=8,
                ),
                series(
                    "Live gateway replicas",
                    "short",
                    Target("max by (gateway) (penstock_server_replicas_live)", "{{gateway}}"),
                    width=8,
                ),
                series(
                    "Size of the tables",
                    "bytes",
                    Target("max by (gateway) (penstock_server_table_bytes)", "{{gateway}}"),
                    width=8,
                ),
                series(
                    "Database answers",
                    "short",
                    Target("min by (instance) (penstock_server_database_up)", "{{instance}}"),
                    width=8,
                ),
            ),
        ),
    ),
)
