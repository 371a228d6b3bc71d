"""Finding models by what people call them, in the format that they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.formats import Precision
from penstock.catalogue.lookup import find, find_in_format
from penstock.catalogue.models import built_in

SPELLINGS = {
    "letter case": ("QWEN/qwen3-32b", "Qwen/Qwen3-32B"),
    "without its organisation": ("DeepSeek-R1-0528", "deepseek-ai/DeepSeek-R1-0528"),
    "another organisation": ("zhipuai/GLM-5", "zai-org/GLM-5"),
    "spaces": ("Llama 3.1 8B Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    "family and number apart": ("Qwen-3-32B", "Qwen/Qwen3-32B"),
    "underscores for points": ("Llama-3_1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    "a maker before the family": (
        "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B",
        "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    ),
    "two models of one size": ("deepseek-ai/DeepSeek-V3/R1", "deepseek-ai/DeepSeek-V3"),
    "a remark": ("MiniMaxAI/MiniMax-M2 (fp8)", "MiniMaxAI/MiniMax-M2"),
    "the format in a remark": ("MiniMaxAI/MiniMax-M3 (MXFP8)", "MiniMaxAI/MiniMax-M3-MXFP8"),
    "the format in the name": ("deepseek-r1-fp4", "nvidia/DeepSeek-R1-FP4"),
    "a date that is not listed": ("deepseek-ai/DeepSeek-R1-0131", "deepseek-ai/DeepSeek-R1"),
    "a short name": ("Llama-4-Scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    "without the active parameters": ("Qwen3-235B", "Qwen/Qwen3-235B-A22B"),
    "the format's own checkpoint of another maker": (
        "deepseek-ai/DeepSeek-V4-Flash-FP8",
        "sgl-project/DeepSeek-V4-Flash-FP8",
    ),
    "an alias": ("deepseek-ai/DeepSeek-V4", "deepseek-ai/DeepSeek-V4-Pro"),
}


@pytest.mark.parametrize(("spelled", "want"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_other_spellings_lead_to_the_model(spelled: str, want: str) -> None:
    found, known = find(spelled), built_in(want)
    assert found is not None
    assert known is not None
    assert (found.architecture, found.precision) == (known.architecture, known.precision)
    assert found.weights_bytes == pytest.approx(known.weights_bytes, rel=0.001)


UNKNOWN = [
    "",
    "acme/model",
    "acme/Llama-9B",
    "Qwen3",
    "microsoft/Phi-4-nano",
    "a/b/c/d",
    "7B",
    "-",
    "Llama-3.1-13B",
    "Llama-3.1",
    "gpt-oss",
]


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_guessed_of_another_size_or_family(name: str) -> None:
    assert find(name) is None
    assert find_in_format(name, "fp8") is None


FORMATS = {
    "the official eight-bit checkpoint": ("Qwen/Qwen3-32B", "fp8", "Qwen/Qwen3-32B-FP8", Precision.FP8),
    "its block size is said": ("Qwen/Qwen3-235B-A22B", "fp8 block", "Qwen/Qwen3-235B-A22B-FP8", Precision.FP8),
    "AWQ is INT4": ("Qwen/Qwen3-32B", "awq", "Qwen/Qwen3-32B-AWQ", Precision.INT4),
    "four bits of NVIDIA": ("Qwen/Qwen3-235B-A22B", "nvfp4", "nvidia/Qwen3-235B-A22B-NVFP4", Precision.NVFP4),
    "the name's own format wins over none": ("Qwen/Qwen3-32B-FP8", "", "Qwen/Qwen3-32B-FP8", Precision.FP8),
    "`any` is no format": ("deepseek-ai/DeepSeek-R1", "any", "deepseek-ai/DeepSeek-R1", Precision.FP8),
    "mixed checkpoints answer to several words": ("openai/gpt-oss-120b", "fp4", "openai/gpt-oss-120b", Precision.MXFP4),
    "also to eight bits": ("openai/gpt-oss-120b", "fp8", "openai/gpt-oss-120b", Precision.MXFP4),
}


@pytest.mark.parametrize(("name", "words", "want", "precision"), FORMATS.values(), ids=FORMATS.keys())
def test_a_word_picks_the_checkpoint_of_that_format(name: str, words: str, want: str, precision: Precision) -> None:
    found = find_in_format(name, words)
    assert found is not None
    assert (found.model, found.precision) == (want, precision)


def test_four_bits_mean_the_hardware_s_own_kind() -> None:
    on_nvidia, on_amd = (find_in_format("moonshotai/Kimi-K2.5", "fp4", is_amd=is_amd) for is_amd in (False, True))
    assert on_nvidia is not None
    assert on_amd is not None
    assert (on_nvidia.precision, on_amd.precision) == (Precision.NVFP4, Precision.MXFP4)


def test_a_format_without_a_checkpoint_is_sized_by_formula() -> None:
    whole, published = find_in_format("deepseek-ai/DeepSeek-V3", "bf16"), built_in("deepseek-ai/DeepSeek-V3")
    assert whole is not None
    assert published is not None
    assert (whole.source, whole.precision, whole.block_size) == ("formula", Precision.BF16, 0)
    assert whole.weights_bytes == pytest.approx(2 * published.weights_bytes, rel=0.01)
    assert whole.kv_lora_rank == published.kv_lora_rank


def test_a_family_without_a_public_shape_is_sized_from_its_totals() -> None:
    plain, eight_bit = find("tencent/Hy3"), find_in_format("tencent/Hy3-preview", "fp8")
    assert plain is not None
    assert eight_bit is not None
    assert (plain.source, plain.parameters, plain.active_parameters) == ("totals", 295 * 10**9, 21 * 10**9)
    assert plain.weights_bytes == 590 * 10**9
    assert (eight_bit.source, eight_bit.precision) == ("totals", Precision.FP8)
    assert eight_bit.weights_bytes == pytest.approx(plain.weights_bytes / 2, rel=0.05)


@given(st.text(max_size=80), st.text(max_size=20), st.booleans())
def test_no_name_and_no_word_breaks_the_search(name: str, words: str, is_amd: bool) -> None:  # noqa: FBT001 - hypothesis fills it
    found = find_in_format(name, words, is_amd=is_amd)
    assert found is None or found.weights_bytes > 0
