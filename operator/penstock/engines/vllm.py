"""vLLM 0.18 and later, CUDA and ROCm (engines.md A): plan -> container.

The API server listens on every interface by default; `--shutdown-timeout` is what drains, and its default of 0 would
break streams at every stop, so it is always set.
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
from penstock.planner.plan import Plan

__all__ = ["VLLM"]

_PROBE_PERIOD_SECONDS = 10
_ENGINE_GIVES_UP_BEFORE_SECONDS = 30
"""The engine's own start-up limit lies below the probe's, so that its log says why before the kubelet kills it."""

_CURES = {
    "Use `spec.model`": ("model",),
    "Use `spec.revision`": ("revision",),
    "Use `spec.remoteCode: Allow`": ("trust-remote-code", "code-revision"),
    "Use `spec.credentialsRef`": ("hf-token",),
    "Use `spec.source`": ("load-format",),
    "Use `spec.weights`": ("download-dir",),
    "Use `spec.adapters`": ("enable-lora", "lora-modules", "default-mm-loras"),
    "Use `spec.disaggregation`": ("kv-transfer-config", "ec-transfer-config"),
    "Use `spec.rollout.drainSeconds`": ("shutdown-timeout",),
    "Use `spec.workload`: the plan decides on the cache": ("kv-cache-memory-bytes", "num-gpu-blocks-override"),
    "Use `spec.metadata`: the plan is made from the model's config": ("hf-config-path",),
    "Write the flags into `spec.engineArgs`": ("config",),
    "The served name is the deployment's own": ("served-model-name",),
    f"The engine listens on the pod's address and on {PORT}": ("host", "port", "uds", "grpc", "grpc-port"),
    "Keys are the gateway's; a NetworkPolicy keeps others out": ("api-key",),
    "TLS ends at the gateway": ("ssl-keyfile", "ssl-certfile", "ssl-ca-certs"),
    "Penstock reads the engine's figures": ("disable-log-stats",),
    "Requests may read no files of the pod": ("allowed-local-media-path",),
    "The planner decides on GPUs": ("device-ids", "prefill-context-parallel-size"),
    "Use `spec.replicas`": (
        "data-parallel-size",
        "data-parallel-size-local",
        "data-parallel-address",
        "data-parallel-rpc-port",
        "data-parallel-rank",
        "data-parallel-start-rank",
        "data-parallel-backend",
        "data-parallel-hybrid-lb",
        "data-parallel-external-lb",
        "data-parallel-multi-port-external-lb",
        "data-parallel-supervisor-port",
    ),
    "One replica is one pod": (
        "headless",
        "nnodes",
        "node-rank",
        "master-addr",
        "master-port",
        "distributed-executor-backend",
    ),
    PLUGIN_CURE: (
        "middleware",
        "tool-parser-plugin",
        "reasoning-parser-plugin",
        "io-processor-plugin",
        "worker-extension-cls",
        "worker-cls",
        "scheduler-cls",
        "logits-processors",
        "model-class-overrides",
        "log-config-file",
        "logging-config",
    ),
}
_RESERVED = {name: cure for cure, names in _CURES.items() for name in names}

_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_COUNTED = frozenset({"max-model-len", "max-num-batched-tokens"})

_METRICS = MetricNames(
    running="vllm:num_requests_running",
    waiting="vllm:num_requests_waiting",
    kv_usage="vllm:kv_cache_usage_perc",
    time_to_first_token="vllm:time_to_first_token_seconds",  # noqa: S106 - the name of a metric
    inter_token_latency="vllm:inter_token_latency_seconds",  # noqa: S106 - the name of a metric
    prompt_tokens="vllm:prompt_tokens_total",
    generation_tokens="vllm:generation_tokens_total",
    cached_tokens="vllm:prefix_cache_hits_total",
    request_latency="vllm:e2e_request_latency_seconds",
    kv_size="vllm:cache_config_info",
    kv_size_is_info=True,
)


class VLLM:
    """The renderer of vLLM."""

    metrics = _METRICS

    def container(self, request: EngineRequest) -> EngineContainer:
        """Render it."""
        plan = request.plan
        drain = drain_of(request.vendor, request.drain_seconds)
        rendered = list(_flags(request, drain.engine_seconds))
        words = merge(rendered, request.engine_args, flags_of(EngineName.VLLM, plan.engine_version), _policy(plan))
        seconds = startup_seconds(plan)
        failures = -(-seconds // _PROBE_PERIOD_SECONDS)
        return EngineContainer(
            image=plan.image,
            command=("vllm", "serve"),
            args=(request.weights.model, *words.words),
            environment=tuple(_environment(request.vendor, seconds)),
            startup_probe=http_probe("/health", period=_PROBE_PERIOD_SECONDS, failures=failures, timeout=5),
            readiness_probe=http_probe("/health", period=2, failures=2, timeout=2),
            liveness_probe=http_probe("/health", period=10, failures=10, timeout=10),
            drain=drain,
            shared_memory_bytes=shared_memory(plan),
            startup_seconds=seconds,
            metrics=_METRICS,
            overridden=words.overridden,
        )


def _flags(request: EngineRequest, drain_seconds: int) -> Iterator[Flag]:
    plan, weights = request.plan, request.weights
    yield Flag("served-model-name", request.served_model_name)
    if weights.revision:
        yield Flag("revision", weights.revision)
    if weights.load_format:
        yield Flag("load-format", weights.load_format)
    if weights.download_directory:
        yield Flag("download-dir", weights.download_directory)
    yield Flag("port", str(PORT))
    yield Flag("tensor-parallel-size", str(_attention_group(plan)))
    if plan.attention_ranks > 1:
        # In one pod, with the engine's own balancing between the ranks; the experts are spread over all of them.
        yield Flag("data-parallel-size", str(plan.attention_ranks))
    yield Flag("pipeline-parallel-size", str(plan.pipeline_parallel))
    if plan.expert_parallel:
        yield Flag("enable-expert-parallel")
    yield from _memory(plan)
    if request.remote_code:
        yield Flag("trust-remote-code")
    yield Flag("shutdown-timeout", str(drain_seconds))
    yield Flag("disable-access-log-for-endpoints", "/health,/metrics,/ping")


def _memory(plan: Plan) -> Iterator[Flag]:
    """Every setting that decides memory is said: a default that moves with a release would break the plan."""
    yield Flag("gpu-memory-utilization", _fraction(plan.memory.utilization_percent))
    yield Flag("max-model-len", str(plan.max_context_tokens))
    yield Flag("max-num-seqs", str(_sequences_of_rank(plan)))
    yield Flag("max-num-batched-tokens", str(plan.max_batched_tokens))
    yield Flag("kv-cache-dtype", plan.kv_cache_dtype)


def _policy(plan: Plan) -> Policy:
    planned = {
        "tensor-parallel-size": str(_attention_group(plan)),
        "pipeline-parallel-size": str(plan.pipeline_parallel),
        "kv-cache-dtype": plan.kv_cache_dtype,
        "gpu-memory-utilization": _fraction(plan.memory.utilization_percent),
    }
    ceilings = {
        "max-model-len": plan.max_context_tokens,
        "max-num-seqs": _sequences_of_rank(plan),
        "max-num-batched-tokens": plan.max_batched_tokens,
    }
    return Policy(
        reserved=_RESERVED | quantization_cures(plan, "quantization", "quantization-config"),
        planned=planned,
        ceilings=ceilings,
        floors={"max-num-batched-tokens": "max-num-seqs"},
        units=_UNITS,
        counted=_COUNTED,
        choices={"dtype": SIXTEEN_BITS},
        # Without chunks a whole prompt must fit a batch, which the plan has no memory for.
        switches={"enable-expert-parallel": plan.expert_parallel, "enable-chunked-prefill": True},
        aliases={"O": "optimization-level"},
        dotted=True,
    )


def _attention_group(plan: Plan) -> int:
    """GPUs that attend together: vLLM's tensor parallelism is that of one data-parallel rank."""
    return plan.tensor_parallel // plan.attention_ranks


def _sequences_of_rank(plan: Plan) -> int:
    """Requests at once of one data-parallel rank, which is what vLLM's flag counts (engines.md A.1)."""
    return -(-plan.max_sequences // plan.attention_ranks)


def _fraction(percent: int) -> str:
    return f"{percent // 100}.{percent % 100:02d}"


def _environment(vendor: Vendor, seconds: int) -> Iterator[dict[str, Any]]:
    yield {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": str(seconds - _ENGINE_GIVES_UP_BEFORE_SECONDS)}
    yield {"name": "VLLM_NO_USAGE_STATS", "value": "1"}
    yield {"name": "VLLM_CACHE_ROOT", "value": "/cache/vllm"}
    if vendor is Vendor.AMD:
        yield {"name": "VLLM_ROCM_USE_AITER", "value": "1"}
