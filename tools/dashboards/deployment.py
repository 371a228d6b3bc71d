"""One ModelDeployment: its plan, its replicas, its traffic as gateways see it, and its engines."""

from tools.dashboards.model import Dashboard, Row, Target, Variable, series, stat, table

__all__ = ["DEPLOYMENT"]

_OF = 'namespace="$namespace", deployment="$deployment"'
_BACKEND = 'backend="deployment/$namespace/$deployment"'


def _ours(metric: str, more: str = "") -> str:
    """From the leader's account of the fleet."""
    return f"penstock_deployment_{metric}{{{_OF}{more}}}"


_READY = _ours("condition", ', type="Ready"')
_NOT_TRUE = _ours("condition", ', status!="True"')


_ACCURACY = {"kv_tokens": "room for tokens", "step_time": "time per token"}


def _replicas(state: str) -> str:
    which = f', state="{state}"'
    return f"max({_ours('replicas', which)})"


def _gauges(vllm: str, sglang: str) -> tuple[Target, ...]:
    """By pod; only the engine that serves has any."""
    return tuple(Target(f"max by (pod) ({name}{{{_OF}}})", "{{pod}}") for name in (vllm, sglang))


def _quantiles(vllm: str, sglang: str) -> tuple[Target, ...]:
    return tuple(
        Target(
            f"histogram_quantile({share}, sum by (le) (rate({name}_bucket{{{_OF}}}[$__rate_interval])))",
            f"p{int(share * 100)}",
        )
        for share in (0.5, 0.95)
        for name in (vllm, sglang)
    )


def _rates(what: str, vllm: str, sglang: str) -> tuple[Target, ...]:
    return tuple(Target(f"sum(rate({name}{{{_OF}}}[$__rate_interval]))", what) for name in (vllm, sglang))


DEPLOYMENT = Dashboard(
    name="deployment",
    title="Penstock / Deployment",
    text="One ModelDeployment: plan, replicas, traffic and engines.",
    variables=(
        Variable("namespace", "label_values(penstock_deployment_replicas, namespace)", several=False),
        Variable(
            "deployment",
            'label_values(penstock_deployment_replicas{namespace="$namespace"}, deployment)',
            several=False,
        ),
    ),
    rows=(
        Row(
            "Now",
            (
                stat(
                    "Verdict",
                    f"max by (reason) ({_READY})",
                    legend="{{reason}}",
                    shows="name",
                    text="The reason of its condition Ready.",
                ),
                stat("Replicas ready", _replicas("ready")),
                stat("Replicas desired", _replicas("desired")),
                stat("GPUs", f"max({_ours('gpus')})"),
                stat(
                    "Cost per hour", f"max by (currency) ({_ours('cost_per_hour')})", legend="{{currency}}", unit="none"
                ),
                stat(
                    "Tokens generated",
                    f'sum(rate(penstock_gateway_tokens_total{{{_BACKEND}, kind="out"}}[$__rate_interval]))',
                    text="Per second, as gateways count them.",
                ),
                table(
                    "Plan",
                    "max by (pool, accelerator, engine, engine_version, precision, model, tensor_parallel) "
                    f"({_ours('info')})",
                    width=24,
                ),
            ),
        ),
        Row(
            "Traffic, as gateways see it",
            (
                series(
                    "Attempts",
                    "reqps",
                    Target(
                        f"sum by (outcome) (rate(penstock_gateway_attempts_total{{{_BACKEND}}}[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                    stacked=True,
                ),
                series(
                    "Tokens per second",
                    "short",
                    Target(
                        f"sum by (kind) (rate(penstock_gateway_tokens_total{{{_BACKEND}}}[$__rate_interval]))",
                        "{{kind}}",
                    ),
                ),
            ),
        ),
        Row(
            "Latency of the engines",
            (
                series(
                    "Time to first token",
                    "s",
                    *_quantiles("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds"),
                ),
                series(
                    "Time between tokens",
                    "s",
                    *_quantiles("vllm:inter_token_latency_seconds", "sglang:inter_token_latency_seconds"),
                ),
            ),
        ),
        Row(
            "Saturation of the engines",
            (
                series(
                    "KV cache in use",
                    "percentunit",
                    *_gauges("vllm:kv_cache_usage_perc", "sglang:token_usage"),
                    width=8,
                ),
                series(
                    "Requests that run",
                    "short",
                    *_gauges("vllm:num_requests_running", "sglang:num_running_reqs"),
                    width=8,
                ),
                series(
                    "Requests that wait",
                    "short",
                    *_gauges("vllm:num_requests_waiting", "sglang:num_queue_reqs"),
                    width=8,
                ),
                series(
                    "Tokens per second",
                    "short",
                    *_rates("prompt", "vllm:prompt_tokens_total", "sglang:prompt_tokens_total"),
                    *_rates("generation", "vllm:generation_tokens_total", "sglang:generation_tokens_total"),
                ),
                series(
                    "Against the plan",
                    "percentunit",
                    *(Target(f"max(penstock_plan_{name}_ratio{{{_OF}}})", what) for name, what in _ACCURACY.items()),
                    text="What engines report over what was planned; below 90 % of the room or above 125 % of the time"
                    " PlanAccuracy is False.",
                ),
                series(
                    "Replicas",
                    "short",
                    *(Target(_replicas(state), state) for state in ("desired", "existing", "ready")),
                ),
            ),
        ),
        Row(
            "Trouble",
            (
                table("What does not hold", f"max by (type, status, reason) ({_NOT_TRUE})"),
                table(
                    "Drain",
                    f"time() - max by (reason) ({_ours('drain_started_timestamp_seconds')})",
                    unit="s",
                    text="How long it has been in this phase.",
                ),
            ),
        ),
    ),
)
