"""Engines' metrics as text: real names, ranks, older releases, and bodies that are none."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.formats import EngineName
from penstock.catalogue.engines import DEFAULT_VERSIONS
from penstock.engine_readings.errors import MalformedMetrics
from penstock.engine_readings.reading import EngineReading, Total, read_metrics
from penstock.simulation.command_line import parse
from penstock.simulation.exposition import EngineMetrics

VLLM, SGLANG = EngineName.VLLM, EngineName.SGLANG
COMMANDS = {VLLM: "vllm serve org/small", SGLANG: "python3 -m sglang.launch_server --model-path org/small"}
RUNNING = 'vllm:num_requests_running{engine="0"} 1\n'


def cache(*, engine: int = 0, **labels: str) -> str:
    """The line in which vLLM says how large its cache is."""
    said = ",".join(f'{name}="{value}"' for name, value in {"engine": str(engine), **labels}.items())
    return f"vllm:cache_config_info{{{said}}} 1.0\n"


@pytest.mark.parametrize("engine", COMMANDS)
def test_the_simulated_engines_metrics(engine: EngineName) -> None:
    """They bear the real names; every figure is found."""
    metrics = EngineMetrics(parse(COMMANDS[engine].split(), version=DEFAULT_VERSIONS[engine]), kv_tokens=100_000)
    metrics.started(100)
    metrics.queued(2)
    metrics.answered(prompt_tokens=300, tokens=20, reason="stop")
    metrics.timed(first_token=0.1, token=0.02, request=0.5)
    assert read_metrics(engine, metrics.text().decode()) == EngineReading(
        kv_tokens=100_000,
        kv_tokens_stated=True,
        kv_usage=0.001,
        running=1,
        waiting=2,
        prompt_tokens=300,
        cached_tokens=None,
        generation_tokens=20,
        requests=Total(1, 0.5),
        to_first=Total(1, 0.1),
        between=Total(1, 0.02),
    )


SIZES: dict[str, tuple[EngineName, str, tuple[int | None, bool]]] = {
    "in tokens": (VLLM, cache(kv_cache_size_tokens="10576", num_gpu_blocks="661", block_size="16"), (10_576, True)),
    "in blocks": (VLLM, cache(num_gpu_blocks="661", block_size="16"), (10_576, False)),
    "of two ranks": (VLLM, cache(kv_cache_size_tokens="7") + cache(engine=1, kv_cache_size_tokens="5"), (5, True)),
    "of one rank of two": (
        VLLM,
        cache(kv_cache_size_tokens="7") + cache(engine=1, num_gpu_blocks="None", block_size="16"),
        (None, False),
    ),
    "None, while it is not known": (VLLM, cache(num_gpu_blocks="None", block_size="16"), (None, False)),
    "no number": (VLLM, cache(kv_cache_size_tokens="many", num_gpu_blocks="-3", block_size="1e9"), (None, False)),
    "too many digits": (VLLM, cache(kv_cache_size_tokens="9" * 40), (None, False)),
    "more than there is memory": (VLLM, cache(kv_cache_size_tokens="9" * 15), (None, True)),
    "a gauge": (SGLANG, 'sglang:max_total_num_tokens{tp_rank="0"} 4.2e+05\n', (420_000, True)),
    "a gauge of ranks": (
        SGLANG,
        'sglang:max_total_num_tokens{dp_rank="0"} 110\nsglang:max_total_num_tokens{dp_rank="1"} 100\n',
        (100, True),
    ),
    "a gauge that says NaN": (SGLANG, "sglang:max_total_num_tokens NaN\n", (None, True)),
}


@pytest.mark.parametrize(("engine", "text", "want"), SIZES.values(), ids=SIZES)
def test_the_size_of_the_cache(engine: EngineName, text: str, want: tuple[int | None, bool]) -> None:
    found = read_metrics(engine, text)
    assert (found.kv_tokens, found.kv_tokens_stated) == want


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e300"])
def test_a_value_that_is_none_is_not_said(value: str) -> None:
    text = f"{RUNNING}vllm:generation_tokens_total {value}\nvllm:e2e_request_latency_seconds_sum {value}\n"
    found = read_metrics(VLLM, f"{text}vllm:e2e_request_latency_seconds_count 3\nvllm:kv_cache_usage_perc {value}\n")
    assert (found.generation_tokens, found.requests, found.kv_usage, found.running) == (None, None, None, 1)


NONE_OF_OURS = {
    "empty": "",
    "a page": "<!doctype html><html><body>Not found</body></html>",
    "JSON": '{"vllm:num_requests_running": 1}',
    "another engine's": "sglang:num_running_reqs 1\n",
    "a broken line": 'vllm:num_requests_running{engine="0} 1\n',
    "no value": "vllm:num_requests_running\n",
    "a word for a value": "vllm:num_requests_running many\n",
}


@pytest.mark.parametrize("text", NONE_OF_OURS.values(), ids=NONE_OF_OURS)
def test_what_is_none_of_its_metrics_is_refused(text: str) -> None:
    with pytest.raises(MalformedMetrics):
        read_metrics(VLLM, text)


def test_what_others_write_around_it_costs_nothing() -> None:
    """A broken line of another metric, and one of a megabyte, are not looked at."""
    text = 'python_info{version="3} 1\n' + "x" * 2**20 + "\n" + RUNNING
    assert read_metrics(VLLM, text).running == 1


@pytest.mark.property
@given(st.text(max_size=200), st.sampled_from((*COMMANDS,)), st.floats() | st.sampled_from((nan, inf)))
def test_nothing_else_than_a_refusal(text: str, engine: EngineName, value: float) -> None:
    """Whatever it answers."""
    for body in (text, f"{RUNNING}vllm:cache_config_info{{{text}}} {value}\n", f"vllm:generation_tokens_total {text}"):
        try:
            found = read_metrics(engine, body)
        except MalformedMetrics:
            continue
        assert found.kv_tokens is None or 0 < found.kv_tokens <= 10**12
