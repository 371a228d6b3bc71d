"""The engines' own metrics under their real names and labels (engines.md A.5 and B.4); counted, not made up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from penstock.api.formats import EngineName
from penstock.simulation.command_line import EngineSettings

__all__ = ["EngineMetrics"]

_FIRST_TOKEN_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 40.0, 160.0, 640.0, 2560)
_TOKEN_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0, 80.0)
_REQUEST_BUCKETS = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 30.0, 60.0, 240.0, 960.0)


@dataclass(frozen=True, slots=True)
class _Names:
    running: str
    waiting: str
    kv_usage: str
    prompt_tokens: str
    generation_tokens: str
    finished: str
    to_first: str
    between: str
    request: str
    scheduler_labels: Mapping[str, str]
    request_labels: Mapping[str, str]


_NAMES: Mapping[EngineName, _Names] = MappingProxyType(
    {
        EngineName.VLLM: _Names(
            running="vllm:num_requests_running",
            waiting="vllm:num_requests_waiting",
            kv_usage="vllm:kv_cache_usage_perc",
            prompt_tokens="vllm:prompt_tokens",
            generation_tokens="vllm:generation_tokens",
            finished="vllm:request_success",
            to_first="vllm:time_to_first_token_seconds",
            between="vllm:inter_token_latency_seconds",
            request="vllm:e2e_request_latency_seconds",
            scheduler_labels={"engine": "0"},
            request_labels={"engine": "0"},
        ),
        EngineName.SGLANG: _Names(
            running="sglang:num_running_reqs",
            waiting="sglang:num_queue_reqs",
            kv_usage="sglang:token_usage",
            prompt_tokens="sglang:prompt_tokens",
            generation_tokens="sglang:generation_tokens",
            finished="sglang:num_requests",
            to_first="sglang:time_to_first_token_seconds",
            between="sglang:inter_token_latency_seconds",
            request="sglang:e2e_request_latency_seconds",
            scheduler_labels={"engine_type": "unified", "tp_rank": "0", "pp_rank": "0"},
            request_labels={},
        ),
    }
)


class EngineMetrics:
    """What one engine counts; `text` is the body of its /metrics."""

    def __init__(self, settings: EngineSettings, *, kv_tokens: int) -> None:
        self._names = _NAMES[settings.engine]
        self._registry = CollectorRegistry()
        self._kv_tokens = max(1, kv_tokens)
        self._used_tokens = 0
        self._model = settings.served_names[0]
        self._running = self._gauge(self._names.running, "Requests in execution.")
        self._waiting = self._gauge(self._names.waiting, "Requests that wait.")
        self._kv_usage = self._gauge(self._names.kv_usage, "Share of the KV cache in use, 0 to 1.")
        self._prompt = self._counter(self._names.prompt_tokens, "Prompt tokens processed.")
        self._generation = self._counter(self._names.generation_tokens, "Tokens generated.")
        self._first = self._histogram(self._names.to_first, "Time to the first token.", _FIRST_TOKEN_BUCKETS)
        self._inter = self._histogram(self._names.between, "Time between tokens.", _TOKEN_BUCKETS)
        self._request = self._histogram(self._names.request, "Time of a whole request.", _REQUEST_BUCKETS)
        self._finished = self._finished_counter(settings.engine)
        self._used = self._constants(settings, kv_tokens)

    def queued(self, change: int) -> None:
        """A request began or ceased to wait."""
        self._waiting.inc(change)

    def started(self, tokens: int) -> None:
        """A request runs; it holds so many tokens of the KV cache at most."""
        self._running.inc()
        self._hold(tokens)

    def ended(self, tokens: int) -> None:
        """It runs no more."""
        self._running.dec()
        self._hold(-tokens)

    def answered(self, *, prompt_tokens: int, tokens: int, reason: str) -> None:
        """A request was answered to its end."""
        self._prompt.inc(prompt_tokens)
        self._generation.inc(tokens)
        self._finished[reason].inc()

    def timed(self, *, first_token: float, token: float, request: float) -> None:
        """Its times, in seconds."""
        self._first.observe(first_token)
        self._inter.observe(token)
        self._request.observe(request)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)

    def _hold(self, tokens: int) -> None:
        self._used_tokens += tokens
        self._kv_usage.set(min(1.0, self._used_tokens / self._kv_tokens))
        if self._used is not None:
            self._used.set(self._used_tokens)

    def _labels(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {"model_name": self._model, **extra}

    def _gauge(self, name: str, text: str, extra: Mapping[str, str] | None = None) -> Gauge:
        labels = self._labels({**self._names.scheduler_labels, **(extra or {})})
        return Gauge(name, text, list(labels), registry=self._registry).labels(**labels)

    def _counter(self, name: str, text: str) -> Counter:
        labels = self._labels(self._names.request_labels)
        return Counter(name, text, list(labels), registry=self._registry).labels(**labels)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        labels = self._labels(self._names.request_labels)
        return Histogram(name, text, list(labels), registry=self._registry, buckets=buckets).labels(**labels)

    def _finished_counter(self, engine: EngineName) -> dict[str, Counter]:
        """By reason for vLLM; SGLang only counts requests."""
        if engine is EngineName.SGLANG:
            counter = self._counter(self._names.finished, "Requests processed.")
            return {"stop": counter, "length": counter}
        labels = self._labels(self._names.request_labels)
        family = Counter(
            self._names.finished, "Requests that ended well.", [*labels, "finished_reason"], registry=self._registry
        )
        return {reason: family.labels(**labels, finished_reason=reason) for reason in ("stop", "length")}

    def _constants(self, settings: EngineSettings, kv_tokens: int) -> Gauge | None:
        """What is said of the KV cache's size; for SGLang the gauge of the tokens in use, too."""
        if settings.engine is EngineName.SGLANG:
            self._gauge("sglang:max_total_num_tokens", "Tokens that the KV cache holds.").set(kv_tokens)
            return self._gauge("sglang:num_used_tokens", "Tokens in use.")
        information = {
            "block_size": str(settings.block_tokens),
            "cache_dtype": settings.kv_cache_dtype,
            "num_gpu_blocks": str(kv_tokens // settings.block_tokens),
            "kv_cache_size_tokens": str(kv_tokens),
            "engine": "0",
        }
        family = Gauge("vllm:cache_config_info", "The KV cache.", list(information), registry=self._registry)
        family.labels(**information).set(1)
        return None
