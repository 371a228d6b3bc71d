"""What runs where, what it costs, and what is in trouble."""

from tools.dashboards.model import Dashboard, Row, Target, Variable, series, stat, table

__all__ = ["FLEET"]

_OF = '{namespace=~"$namespace"}'
# The leader alone shows the fleet; `max` keeps a change of leaders from counting twice.
_REPLICAS = 'sum(max by (namespace, deployment) (penstock_deployment_replicas{{namespace=~"$namespace", state="{}"}}))'
_GPUS = 'sum(max by (pool) (penstock_pool_gpus{{state="{}"}}))'
_HELD = f"max by (namespace, deployment) (penstock_deployment_gpus{_OF})"
_COST = f"max by (namespace, deployment, currency) (penstock_deployment_cost_per_hour{_OF})"
_NOT_READY = 'penstock_deployment_condition{namespace=~"$namespace", type="Ready", status!="True"}'
_DRAINS = f"max by (namespace, deployment, reason) (penstock_deployment_drain_started_timestamp_seconds{_OF})"

FLEET = Dashboard(
    name="fleet",
    title="Penstock / Fleet",
    text="Deployments, GPU pools and cost of the whole cluster.",
    variables=(Variable("namespace", "label_values(penstock_deployment_replicas, namespace)"),),
    rows=(
        Row(
            "Now",
            (
                stat("Deployments", f"count({_HELD}) or vector(0)"),
                stat(
                    "Not ready",
                    f"count(max by (namespace, deployment) ({_NOT_READY})) or vector(0)",
                    orange=1,
                ),
                stat(
                    "Replicas ready", f"{_REPLICAS.format('ready')} / {_REPLICAS.format('desired')}", unit="percentunit"
                ),
                stat(
                    "GPUs allocated",
                    f"{_GPUS.format('allocated')} / {_GPUS.format('total')}",
                    unit="percentunit",
                    text="Of all GPUs of the pools, whoever holds them.",
                ),
                stat("Cost per hour", f"sum by (currency) ({_COST})", legend="{{currency}}", unit="none"),
                stat(
                    "Drains under way", f"count({_DRAINS}) or vector(0)", text="Capacity that waits to be taken away."
                ),
            ),
        ),
        Row(
            "Capacity",
            (
                series(
                    "GPUs allocated by pool",
                    "short",
                    Target('max by (pool) (penstock_pool_gpus{state="allocated"})', "{{pool}}"),
                    stacked=True,
                ),
                series(
                    "GPUs free by pool",
                    "short",
                    Target('max by (pool) (penstock_pool_gpus{state="free"})', "{{pool}}"),
                    text="Free on ready, schedulable nodes.",
                ),
                series(
                    "GPUs by namespace",
                    "short",
                    Target(
                        f"topk(10, sum by (namespace) ({_HELD}))",
                        "{{namespace}}",
                    ),
                    stacked=True,
                ),
                series(
                    "Cost per hour by namespace",
                    "none",
                    Target(f"topk(10, sum by (namespace, currency) ({_COST}))", "{{namespace}} {{currency}}"),
                    Target(
                        "sum by (currency) (max by (pool, currency) (penstock_pool_cost_per_hour))",
                        "pools {{currency}}",
                    ),
                    text="What the plans of a namespace cost; `pools` is what all GPUs cost, used or not.",
                ),
            ),
        ),
        Row(
            "Replicas and placement",
            (
                series(
                    "Replicas",
                    "short",
                    Target(_REPLICAS.format("desired"), "desired"),
                    Target(_REPLICAS.format("existing"), "existing"),
                    Target(_REPLICAS.format("ready"), "ready"),
                ),
                series(
                    "Placement decisions",
                    "ops",
                    Target(
                        "sum by (reason) (rate(penstock_placement_decisions_total[$__rate_interval]))", "{{reason}}"
                    ),
                    text="Decisions that changed.",
                ),
            ),
        ),
        Row(
            "Trouble",
            (
                table("Deployments that are not ready", f"max by (namespace, deployment, reason) ({_NOT_READY})"),
                table("Drains", f"time() - {_DRAINS}", unit="s", text="How long each has been in this phase."),
                table(
                    "Pools that are not ready",
                    'max by (pool, type, reason) (penstock_pool_condition{status!="True"})',
                ),
                table(
                    "Routes and providers that are not ready",
                    'max by (namespace, route, reason) (penstock_route_condition{type="Ready", status!="True"})'
                    " or "
                    'max by (namespace, provider, reason) (penstock_provider_condition{type="Ready", status!="True"})',
                ),
            ),
        ),
    ),
)
