"""SGLang 0.5, CUDA and ROCm (engines.md B): plan -> container.

It listens on 127.0.0.1 unless told otherwise and serves metrics only when asked. At SIGTERM it drains without a limit,
so the grace period is the only bound. Its health check generates a token and may take 20 s.
"""

from collections.abc import Iterator
from typing import Any

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import Vendor
from penstock.catalogue.engines import flags_of
from penstock.engines.arguments import SIXTEEN_BITS, Flag, Policy, merge, quantization_cures
from penstock.engines.contract import PORT, EngineContainer, EngineRequest, MetricNames
from penstock.engines.foreign_code import PLUGIN_CURE
from penstock.engines.lifecycle import drain_of, http_probe, shared_memory, startup_seconds
from penstock.planner.memory import sglang_static_fraction
from penstock.planner.plan import Plan

__all__ = ["SGLang"]

_PROBE_PERIOD_SECONDS = 10
_HEALTH_SECONDS = 30

_CURES = {
    "Use `spec.model`": ("model-path",),
    "Use `spec.revision`": ("revision",),
    "Use `spec.remoteCode: Allow`": ("trust-remote-code",),
    "Use `spec.source`": ("load-format", "weight-cache-mode"),
    "Use `spec.weights`": ("download-dir",),
    "Use `spec.adapters`": ("enable-lora", "lora-paths"),
    "Use `spec.disaggregation`": ("disaggregation-mode", "enable-pd-role-switch", "encoder-only", "language-only"),
    "Write the flags into `spec.engineArgs`": ("config",),
    "The served name is the deployment's own": ("served-model-name",),
    f"The engine listens on the pod's address and on {PORT}": (
        "host",
        "port",
        "grpc-mode",
        "grpc-port",
        "smg-grpc-mode",
        "smg-http-sidecar-port",
    ),
    "Keys are the gateway's; a NetworkPolicy keeps others out": ("api-key", "admin-api-key"),
    "TLS ends at the gateway": ("ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-keyfile-password"),
    "Use `spec.replicas`": ("dp-size",),
    "Use `spec.variants`: weights are never quantised while they load": ("quantize-and-serve", "modelopt-quant"),
    "The planner decides on GPUs": (
        "device",
        "base-gpu-id",
        "gpu-id-step",
        "attn-dp-size",
        "attn-cp-size",
        "dcp-size",
        "moe-dp-size",
        "dwdp-size",
        "enable-dp-attention",
    ),
    "One replica is one pod": ("nnodes", "node-rank", "dist-init-addr", "use-ray"),
    "Other replicas and later starts read the same files": ("delete-ckpt-after-loading",),
    "Nobody would open the gate": ("gated-launch-port",),
    PLUGIN_CURE: (
        "custom-weight-loader",
        "enable-custom-logit-processor",
        "forward-hooks",
        "sidecar",
        "sidecar-args",
    ),
}
_RESERVED = {name: cure for cure, names in _CURES.items() for name in names}

_ALIASES = {"tp": "tp-size", "pp": "pp-size", "dp": "dp-size"}
"""Beginnings that everybody writes: argparse completes them, the list of flags does not have them."""

_UNITS = {
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}

_METRICS = MetricNames(
    running="sglang:num_running_reqs",
    waiting="sglang:num_queue_reqs",
    kv_usage="sglang:token_usage",
    time_to_first_token="sglang:time_to_first_token_seconds",  # noqa: S106 - the name of a metric
    inter_token_latency="sglang:inter_token_latency_seconds",  # noqa: S106 - the name of a metric
    prompt_tokens="sglang:prompt_tokens_total",
    generation_tokens="sglang:generation_tokens_total",
    cached_tokens="sglang:cached_tokens_total",
    request_latency="sglang:e2e_request_latency_seconds",
    kv_size="sglang:max_total_num_tokens",
    kv_size_is_info=False,
)


class SGLang:
    """The renderer of SGLang."""

    metrics = _METRICS

    def container(self, request: EngineRequest) -> EngineContainer:
        """Render it."""
        plan = request.plan
        drain = drain_of(request.vendor, request.drain_seconds)
        rendered = list(_flags(request))
        words = merge(rendered, request.engine_args, flags_of(EngineName.SGLANG, plan.engine_version), _policy(plan))
        seconds = startup_seconds(plan)
        failures = -(-seconds // _PROBE_PERIOD_SECONDS)
        return EngineContainer(
            image=plan.image,
            command=("python3", "-m", "sglang.launch_server"),
            args=words.words,
            environment=tuple(_environment(request.vendor)),
            startup_probe=http_probe("/ready", period=_PROBE_PERIOD_SECONDS, failures=failures, timeout=5),
            readiness_probe=http_probe("/ready", period=2, failures=2, timeout=2),
            liveness_probe=http_probe("/health", period=30, failures=4, timeout=_HEALTH_SECONDS),
            drain=drain,
            shared_memory_bytes=shared_memory(plan),
            startup_seconds=seconds,
            metrics=_METRICS,
            overridden=words.overridden,
        )


def _flags(request: EngineRequest) -> Iterator[Flag]:
    plan, weights = request.plan, request.weights
    yield Flag("model-path", weights.model)
    yield Flag("served-model-name", request.served_model_name)
    if weights.revision:
        yield Flag("revision", weights.revision)
    if weights.load_format:
        yield Flag("load-format", weights.load_format)
    if weights.download_directory:
        yield Flag("download-dir", weights.download_directory)
    yield Flag("host", "0.0.0.0")  # noqa: S104 - the pod's own address; a NetworkPolicy guards it
    yield Flag("port", str(PORT))
    yield Flag("tp-size", str(plan.tensor_parallel))
    if plan.attention_ranks > 1:
        yield Flag("attn-dp-size", str(plan.attention_ranks))
    yield Flag("pp-size", str(plan.pipeline_parallel))
    if plan.expert_parallel:
        yield Flag("ep-size", str(plan.tensor_parallel))
    yield from _memory(plan)
    if request.remote_code:
        yield Flag("trust-remote-code")
    yield Flag("enable-metrics")
    if plan.attention_ranks > 1:
        yield Flag("enable-metrics-for-all-schedulers")


def _memory(plan: Plan) -> Iterator[Flag]:
    """Every setting that decides memory is said: a default that moves with a release would break the plan."""
    yield Flag("mem-fraction-static", _fraction(plan))
    yield Flag("context-length", str(plan.max_context_tokens))
    yield Flag("max-running-requests", str(plan.max_sequences))
    yield Flag("chunked-prefill-size", str(_chunk(plan)))
    yield Flag("kv-cache-dtype", plan.kv_cache_dtype)


def _policy(plan: Plan) -> Policy:
    planned = {
        "tp-size": str(plan.tensor_parallel),
        "pp-size": str(plan.pipeline_parallel),
        "ep-size": str(plan.tensor_parallel if plan.expert_parallel else 1),
        "kv-cache-dtype": plan.kv_cache_dtype,
        "mem-fraction-static": _fraction(plan),
    }
    ceilings = {
        "context-length": plan.max_context_tokens,
        "max-running-requests": plan.max_sequences,
        "chunked-prefill-size": _chunk(plan),
    }
    return Policy(
        reserved=_RESERVED | quantization_cures(plan, "quantization"),
        planned=planned,
        ceilings=ceilings,
        units=_UNITS,
        counted=frozenset({"context-length"}),
        choices={"dtype": SIXTEEN_BITS},
        aliases=_ALIASES,
    )


def _chunk(plan: Plan) -> int:
    """Tokens per step of all attention ranks together: SGLang divides its setting by their number."""
    return plan.max_batched_tokens * plan.attention_ranks


def _fraction(plan: Plan) -> str:
    """Two places, rounded down: SGLang's fraction covers weights and KV cache only (sizing.md 2.3)."""
    percent = int(sglang_static_fraction(plan.memory) * 100)
    return f"0.{percent:02d}"


def _environment(vendor: Vendor) -> Iterator[dict[str, Any]]:
    yield {"name": "SGLANG_HOST_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}
    if vendor is Vendor.AMD:
        yield {"name": "SGLANG_USE_AITER", "value": "1"}
