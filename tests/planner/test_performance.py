"""Floors of latency: figures that physics gives, and their order."""

import pytest

from penstock.catalogue.accelerators import Accelerator, by_name
from penstock.catalogue.models import ModelFacts, built_in
from penstock.planner.performance import time_per_output_token_floor_seconds, time_to_first_token_floor_seconds


def model(name: str) -> ModelFacts:
    facts = built_in(name)
    assert facts is not None
    return facts


DENSE = model("meta-llama/Llama-3.3-70B-Instruct")
SPARSE = model("deepseek-ai/DeepSeek-R1")
H100, A100, B200 = by_name("H100-SXM-80GB"), by_name("A100-SXM-80GB"), by_name("B200-SXM-180GB")


def test_reading_all_weights_once_takes_size_over_bandwidth() -> None:
    floor = time_per_output_token_floor_seconds(DENSE, H100, tensor_parallel=4)
    assert floor == pytest.approx(131.42 * 2**30 / (4 * 3.35e12), rel=0.02)


def test_more_gpus_lower_both_floors_in_proportion() -> None:
    one, four = (time_per_output_token_floor_seconds(DENSE, H100, tensor_parallel=size) for size in (1, 4))
    assert one == pytest.approx(4 * four)
    one, four = (
        time_to_first_token_floor_seconds(DENSE, H100, tensor_parallel=size, prompt_tokens=1000) for size in (1, 4)
    )
    assert one == pytest.approx(4 * four)


def test_only_active_experts_count() -> None:
    assert time_per_output_token_floor_seconds(SPARSE, H100, tensor_parallel=8) < time_per_output_token_floor_seconds(
        DENSE, H100, tensor_parallel=8
    )


def test_formats_that_are_unpacked_multiply_as_bf16() -> None:
    """FP8 doubles the arithmetic on H100 and changes nothing on A100."""
    quantised = model("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic")

    def first_token(facts: ModelFacts, accelerator: Accelerator) -> float:
        return time_to_first_token_floor_seconds(facts, accelerator, tensor_parallel=4, prompt_tokens=2000)

    assert first_token(DENSE, H100) / first_token(quantised, H100) == pytest.approx(2, rel=0.01)
    assert first_token(DENSE, A100) == pytest.approx(first_token(quantised, A100))
    nvfp4 = model("nvidia/Llama-3.3-70B-Instruct-FP4")
    assert first_token(DENSE, B200) / first_token(nvfp4, B200) == pytest.approx(4, rel=0.01)


MEASURED = {
    "Llama-3.3-70B FP8 on two H100, one client": ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", H100, 2, 0.0186),
    "Llama-3.1-70B BF16 on four H100": ("meta-llama/Llama-3.1-70B-Instruct", H100, 4, 0.0183),
    "Qwen2.5-7B BF16 on one H100": ("Qwen/Qwen2.5-7B-Instruct", H100, 1, 0.0070),
    "Llama-3.1-8B BF16 on one A100-40": ("meta-llama/Llama-3.1-8B-Instruct", by_name("A100-SXM-40GB"), 1, 0.0133),
}


@pytest.mark.parametrize(("name", "accelerator", "size", "measured"), MEASURED.values(), ids=MEASURED.keys())
def test_published_measurements_lie_above_the_floor_and_not_far(
    name: str, accelerator: Accelerator, size: int, measured: float
) -> None:
    floor = time_per_output_token_floor_seconds(model(name), accelerator, tensor_parallel=size)
    assert 0.5 * measured < floor < measured
