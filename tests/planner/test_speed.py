"""How fast a replica is: what makes it faster, what load does to it, and the greatest load within promises."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.accelerators import ACCELERATORS, by_name
from penstock.catalogue.models import ModelFacts, built_in
from penstock.planner.speed import (
    PLANNED_UTILISATION,
    Bound,
    Promise,
    Replica,
    Traffic,
    capacity,
    decode_speed,
    prefill_tokens_per_second,
    speed,
    speed_at_rate,
    unvalidated,
)

CHAT = Traffic(1000, 300)
MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-32B-FP8",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-R1",
    "zai-org/GLM-5-FP8",
    "Qwen/Qwen3.5-397B-A17B-FP8",
    "google/gemma-3-27b-it",
)


def model(name: str) -> ModelFacts:
    found = built_in(name)
    assert found is not None
    return found


def replica(name: str = "Qwen/Qwen3-32B-FP8", on: str = "H100-SXM-80GB", **changes: Any) -> Replica:
    settings_ = {"engine": EngineName.VLLM, "engine_version": "0.33.0", "tensor_parallel": 1}
    return Replica(facts=model(name), accelerator=by_name(on), **(settings_ | changes))


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        (replica(), replica(tensor_parallel=2)),
        (replica(on="H100-PCIe-80GB"), replica()),
        (replica("Qwen/Qwen3-32B"), replica()),
        (replica(on="H200-SXM-141GB"), replica(on="B200-SXM-180GB")),
        (replica(kv_cache_dtype="auto"), replica(kv_cache_dtype="fp8")),
        (replica(engine_version="0.5.4"), replica()),
        (replica(correction=1.3), replica()),
        (replica(max_batched_tokens=64), replica()),
    ],
    ids=[
        "tensor parallel",
        "bandwidth",
        "precision",
        "generation",
        "cache in 8 bits",
        "old engine",
        "correction",
        "budget",
    ],
)
def test_what_makes_a_token_faster(slower: Replica, faster: Replica) -> None:
    before, after = speed(slower, CHAT, 32), speed(faster, CHAT, 32)
    assert after.time_per_output_token_seconds < before.time_per_output_token_seconds
    assert after.requests_per_second > before.requests_per_second


LLAMA_70B = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
LLAMA_405B = "meta-llama/Llama-3.1-405B-Instruct-FP8"


@pytest.mark.parametrize(
    ("made", "traffic", "concurrency", "milliseconds"),
    [
        (replica(LLAMA_70B, tensor_parallel=2), Traffic(5000, 500), 1, 18.6),
        (replica(LLAMA_70B, tensor_parallel=2), Traffic(5000, 500), 25, 38.8),
        (replica("meta-llama/Llama-3.1-8B", "A100-SXM-40GB"), Traffic(512, 200), 1, 13.3),
        (replica("Qwen/Qwen3-8B"), Traffic(1000, 200), 4, 7.4),
        (replica("Qwen/Qwen3-8B-FP8"), Traffic(1000, 200), 4, 5.65),
        (replica(LLAMA_405B, "MI300X", tensor_parallel=8), Traffic(128, 128), 64, 54.0),
        (replica(LLAMA_405B, "MI300X", tensor_parallel=8), Traffic(128, 128), 256, 139.0),
    ],
)
def test_published_times_that_no_constant_was_fitted_to(
    made: Replica, traffic: Traffic, concurrency: int, milliseconds: float
) -> None:
    """NVIDIA NIM's tables, dstack's and vLLM's reports (sizing.md 4.2): within 30 %."""
    found = speed(made, traffic, concurrency)
    assert found.time_per_output_token_seconds * 1000 == pytest.approx(milliseconds, rel=0.3)


def test_a_cached_prefix_shortens_the_wait_and_disturbs_others_less() -> None:
    cold, warm = speed(replica(), Traffic(8000, 200), 16), speed(replica(), Traffic(8000, 200, 0.9), 16)
    assert warm.time_to_first_token_seconds < cold.time_to_first_token_seconds / 2
    assert warm.time_per_output_token_seconds < cold.time_per_output_token_seconds


def test_accepted_drafts_pay_most_when_few_requests_run() -> None:
    def gain(concurrency: int) -> float:
        plain = speed(replica(), CHAT, concurrency)
        drafted = speed(replica(), replace(CHAT, accepted_drafts=1.5), concurrency)
        return plain.time_per_output_token_seconds / drafted.time_per_output_token_seconds

    assert 1 < gain(512) < gain(1) < 2.5


def test_what_the_cache_cannot_hold_waits() -> None:
    limited = replica(most_resident=16)
    full, beyond = speed(limited, CHAT, 16), speed(limited, CHAT, 32)
    assert beyond.requests_per_second == pytest.approx(full.requests_per_second)
    assert beyond.time_per_output_token_seconds == full.time_per_output_token_seconds
    in_system = beyond.requests_per_second * (
        beyond.time_to_first_token_seconds + beyond.time_per_output_token_seconds * (CHAT.output_tokens - 1)
    )
    assert in_system == pytest.approx(32)


def test_a_worker_that_only_decodes_is_not_disturbed_by_prompts() -> None:
    long = Traffic(8000, 100)
    apart, together = decode_speed(replica(), long, 16), speed(replica(), long, 16)
    assert apart.time_per_output_token_seconds < together.time_per_output_token_seconds / 2
    assert apart.time_to_first_token_seconds < together.time_to_first_token_seconds


def test_prefill_workers_gain_with_gpus_and_lose_with_very_long_prompts() -> None:
    one, two = prefill_tokens_per_second(replica(), 4000), prefill_tokens_per_second(replica(tensor_parallel=2), 4000)
    assert one < two < 2 * one
    assert prefill_tokens_per_second(replica(), 100_000) < one


def test_pipeline_stages_add_throughput_and_not_speed() -> None:
    whole = replica("meta-llama/Llama-3.3-70B-Instruct", tensor_parallel=4)
    staged = replace(whole, pipeline_parallel=2)
    alone, many = speed(staged, CHAT, 1), speed(staged, CHAT, 128)
    assert alone.time_per_output_token_seconds == pytest.approx(
        speed(whole, CHAT, 1).time_per_output_token_seconds, rel=0.02
    )
    assert many.requests_per_second > 1.3 * speed(whole, CHAT, 128).requests_per_second


def test_data_parallel_attention_pays_for_one_latent_cache_under_load_and_costs_when_idle() -> None:
    """Each rank reads its own requests' cache only, but the whole of the attention weights."""
    shared = replica("deepseek-ai/DeepSeek-R1", "H200-SXM-141GB", tensor_parallel=8, expert_parallel=True)
    apart, long = replace(shared, attention_ranks=8), Traffic(16000, 1000)
    assert (
        decode_speed(apart, long, 256).requests_per_second > 1.5 * decode_speed(shared, long, 256).requests_per_second
    )
    assert decode_speed(apart, CHAT, 1).requests_per_second < decode_speed(shared, CHAT, 1).requests_per_second


def test_at_a_rate_as_many_run_as_build_up() -> None:
    found = speed_at_rate(replica(), CHAT, 4.0)
    assert found is not None
    assert found.requests_per_second == 4.0
    whole = found.time_to_first_token_seconds + found.time_per_output_token_seconds * (CHAT.output_tokens - 1)
    assert found.concurrency == pytest.approx(4.0 * whole, rel=0.1)
    assert speed_at_rate(replica(), CHAT, 4000.0) is None


def test_waiting_grows_without_end_towards_the_greatest_rate() -> None:
    long = Traffic(8000, 10)
    rates = (0.2, 0.7, 1.2, 1.5)
    waits = [found.time_to_first_token_seconds for rate in rates if (found := speed_at_rate(replica(), long, rate))]
    assert len(waits) == len(rates)
    assert waits == sorted(waits)
    assert waits[-1] - waits[-2] > waits[1] - waits[0]


@pytest.mark.parametrize(
    ("promise", "bound"),
    [
        (Promise(), Bound.CONCURRENCY),
        (Promise(None, 0.03), Bound.TIME_PER_OUTPUT_TOKEN),
        (Promise(0.5, 10.0), Bound.TIME_TO_FIRST_TOKEN),
    ],
)
def test_capacity_is_the_last_load_that_keeps_the_promise(promise: Promise, bound: Bound) -> None:
    found = capacity(replica(), CHAT, promise, most_concurrent=2000)
    assert found is not None
    assert found.bound is bound
    assert found.requests_per_second == found.speed.requests_per_second * PLANNED_UTILISATION
    following = speed(replica(), CHAT, found.speed.concurrency + 1)
    if bound is Bound.TIME_PER_OUTPUT_TOKEN:
        assert found.speed.time_per_output_token_seconds <= 0.03 < following.time_per_output_token_seconds
    elif bound is Bound.TIME_TO_FIRST_TOKEN:
        assert found.speed.time_to_first_token_seconds <= 0.5 < following.time_to_first_token_seconds
    else:
        assert found.speed.concurrency == 2000


@pytest.mark.parametrize("promise", [Promise(0.001, None), Promise(None, 0.001)])
def test_a_promise_that_one_request_breaks_has_no_capacity(promise: Promise) -> None:
    assert capacity(replica(), CHAT, promise, most_concurrent=64) is None


def test_no_room_has_no_capacity() -> None:
    assert capacity(replica(), CHAT, Promise(), most_concurrent=0) is None


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (replica(), []),
        (replica(on="B200-SXM-180GB"), []),
        (replica(on="MI300X"), ["AMD"]),
        (replica(on="A100-SXM-80GB"), ["Ampere"]),
        (replica(engine_version="0.5.4"), ["vLLM before 0.6"]),
        (replica(engine=EngineName.SGLANG, engine_version="0.5.4"), []),
    ],
)
def test_figures_say_what_they_rest_on(made: Replica, names: list[str]) -> None:
    assert [reason.split(":")[0] for reason in unvalidated(made)] == names


def test_amds_derate_multiplies_times() -> None:
    """The same silicon from the other vendor: 1.6 times the time, whatever the load."""
    amd = replica(on="MI300X")
    other = replace(amd, accelerator=replace(amd.accelerator, vendor=by_name("H100-SXM-80GB").vendor))
    for concurrency in (1, 64):
        ratio = speed(amd, CHAT, concurrency).time_per_output_token_seconds / (
            speed(other, CHAT, concurrency).time_per_output_token_seconds
        )
        assert ratio == pytest.approx(1.6)


def test_amperes_derate_grows_with_the_load() -> None:
    ampere = replica("meta-llama/Llama-3.1-8B-Instruct", "A100-SXM-80GB")
    other = replace(ampere, accelerator=replace(ampere.accelerator, architecture="of another name"))

    def ratio(concurrency: int) -> float:
        return decode_speed(ampere, CHAT, concurrency).time_per_output_token_seconds / (
            decode_speed(other, CHAT, concurrency).time_per_output_token_seconds
        )

    assert ratio(1) == pytest.approx(1.0, abs=0.05)
    assert ratio(1) < ratio(64) < ratio(2048) < 1.45


LAYOUTS = st.sampled_from([(1, 1, 1), (2, 1, 1), (8, 1, 1), (8, 1, 8), (8, 2, 1), (4, 1, 2), (16, 1, 16)])


@pytest.mark.property
@settings(deadline=None)
@given(
    name=st.sampled_from(MODELS),
    on=st.sampled_from(sorted(ACCELERATORS)),
    engine=st.sampled_from(list(EngineName)),
    layout=LAYOUTS,
    spread=st.booleans(),
    prompt=st.integers(1, 200_000),
    output=st.integers(1, 100_000),
    hits=st.floats(0, 1),
    drafts=st.floats(0, 5),
    loads=st.lists(st.integers(1, 20_000), min_size=2, max_size=2, unique=True),
    resident=st.none() | st.integers(0, 5000),
)
def test_for_any_replica_load_never_makes_a_request_faster_nor_throughput_lower(**drawn: Any) -> None:
    tensor, stages, ranks = drawn["layout"]
    made = replica(
        drawn["name"],
        drawn["on"],
        engine=drawn["engine"],
        tensor_parallel=tensor,
        pipeline_parallel=stages,
        attention_ranks=ranks,
        expert_parallel=drawn["spread"],
        most_resident=drawn["resident"],
    )
    traffic = Traffic(drawn["prompt"], drawn["output"], drawn["hits"], drawn["drafts"])
    less, more = sorted(drawn["loads"])
    for ask in (speed, decode_speed):
        before, after = ask(made, traffic, less), ask(made, traffic, more)
        assert 0 < before.time_per_output_token_seconds <= after.time_per_output_token_seconds
        assert 0 < before.time_to_first_token_seconds <= after.time_to_first_token_seconds
        assert 0 < before.requests_per_second <= after.requests_per_second * (1 + 1e-9)
    assert prefill_tokens_per_second(made, drawn["prompt"]) > 0


@pytest.mark.parametrize("precision", list(Precision))
def test_every_precision_has_a_speed_on_every_accelerator(precision: Precision) -> None:
    facts = replace(model("Qwen/Qwen3-32B"), precision=precision)
    for accelerator in ACCELERATORS.values():
        made = replace(replica(), facts=facts, accelerator=accelerator)
        assert speed(made, CHAT, 8).requests_per_second > 0
