"""One engine's metrics as they stand at one moment, from Prometheus' text; pure.

Of a body with thousands of lines the dozen that are wanted are kept before anything is parsed. A value that is none
(NaN, infinite, negative, beyond what a float counts exactly) is as good as not said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from penstock.api.formats import EngineName
from penstock.api.integers import INT53_MAX
from penstock.engine_readings.errors import MalformedMetrics
from penstock.engines import ENGINES
from penstock.engines.contract import MetricNames

__all__ = ["EngineReading", "Total", "read_metrics"]

_MOST_LINES = 1024
_LONGEST_LINE = 8192
_MOST_KV_TOKENS = 10**12


@dataclass(frozen=True, slots=True)
class Total:
    """What a histogram has counted so far, and the sum of it in seconds."""

    count: float
    seconds: float


@dataclass(frozen=True, slots=True)
class EngineReading:
    """Of one engine process; counters run since it started, and None stands for what it does not say.

    `kv_tokens` is what the KV cache of a rank holds, of the smallest one where attention runs data-parallel: a request
    lives on one rank. Where it is not `kv_tokens_stated`, it is blocks times their size, which is true of models whose
    layers all attend alike, and of no others.
    """

    kv_tokens: int | None = None
    kv_tokens_stated: bool = False
    kv_usage: float | None = None
    running: float | None = None
    waiting: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    generation_tokens: float | None = None
    requests: Total | None = None
    to_first: Total | None = None
    between: Total | None = None


def read_metrics(engine: EngineName, text: str) -> EngineReading:
    """Read the body of /metrics; MalformedMetrics where nothing in it is this engine's."""
    names = ENGINES[engine].metrics
    try:
        samples = tuple(_samples(names, text))
    except (ValueError, IndexError, KeyError) as error:
        message = f"its /metrics cannot be parsed ({type(error).__name__})"
        raise MalformedMetrics(message) from error
    if not samples:
        message = f"its /metrics has no metric of {engine}"
        raise MalformedMetrics(message)
    tokens, stated = _kv_tokens(names, samples)
    usage = _mean(samples, names.kv_usage)
    return EngineReading(
        kv_tokens=tokens,
        kv_tokens_stated=stated,
        kv_usage=usage if usage is not None and usage <= 1 else None,
        running=_sum(samples, names.running),
        waiting=_sum(samples, names.waiting),
        prompt_tokens=_sum(samples, names.prompt_tokens),
        cached_tokens=_sum(samples, names.cached_tokens),
        generation_tokens=_sum(samples, names.generation_tokens),
        requests=_total(samples, names.request_latency),
        to_first=_total(samples, names.time_to_first_token),
        between=_total(samples, names.inter_token_latency),
    )


def _samples(names: MetricNames, text: str) -> Iterator[Sample]:
    histograms = (names.request_latency, names.time_to_first_token, names.inter_token_latency)
    wanted = {
        *(names.kv_size, names.kv_usage, names.running, names.waiting),
        *(names.prompt_tokens, names.cached_tokens, names.generation_tokens),
        *(f"{name}_{part}" for name in histograms for part in ("sum", "count")),
    }
    lines = [line for line in text.splitlines() if len(line) <= _LONGEST_LINE and _name(line) in wanted]
    for family in text_string_to_metric_families("\n".join(lines[:_MOST_LINES]) + "\n"):
        yield from family.samples


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def _values(samples: Sequence[Sample], name: str) -> list[float]:
    found = [float(sample.value) for sample in samples if sample.name == name]
    return [value for value in found if isfinite(value) and 0 <= value <= INT53_MAX]


def _sum(samples: Sequence[Sample], name: str) -> float | None:
    """Over ranks and models of one process."""
    values = _values(samples, name)
    return sum(values) if values else None


def _mean(samples: Sequence[Sample], name: str) -> float | None:
    values = _values(samples, name)
    return sum(values) / len(values) if values else None


def _total(samples: Sequence[Sample], name: str) -> Total | None:
    count, seconds = _sum(samples, f"{name}_count"), _sum(samples, f"{name}_sum")
    return None if count is None or seconds is None else Total(count, seconds)


def _kv_tokens(names: MetricNames, samples: Sequence[Sample]) -> tuple[int | None, bool]:
    """SGLang says it as a value; vLLM in labels, newer ones in tokens, older ones in blocks."""
    if not names.kv_size_is_info:
        return _plausible(round(min(_values(samples, names.kv_size), default=0))), True
    labels = [sample.labels for sample in samples if sample.name == names.kv_size]
    stated = [tokens for each in labels if (tokens := _whole(each.get("kv_cache_size_tokens")))]
    if labels and len(stated) == len(labels):
        return _plausible(min(stated)), True
    blocks = [_whole(each.get("num_gpu_blocks")) * _whole(each.get("block_size")) for each in labels]
    return _plausible(min(blocks, default=0)), False


def _plausible(tokens: int) -> int | None:
    return tokens if 0 < tokens <= _MOST_KV_TOKENS else None


def _whole(text: str | None) -> int:
    """0 for what is no whole number; vLLM writes None where it does not know."""
    digits = text or ""
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(INT53_MAX)) else 0
