"""Taking names of models apart."""

import pytest

from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.models import built_in
from penstock.catalogue.spelling import aliases, format_of_words, parse_name, read_spelling, stated_parameters

WORDS = {
    "bf16": Precision.BF16,
    "float16": Precision.FP16,
    "FP8": Precision.FP8,
    "fp8_block": Precision.FP8,
    "mixed fp8/fp4": Precision.FP8,
    "mxfp8": Precision.FP8,
    "nvfp4": Precision.NVFP4,
    "mixed nvfp4": Precision.NVFP4,
    "fp4": Precision.NVFP4,
    "mxfp4 experts": Precision.MXFP4,
    "int4_g32": Precision.INT4,
    "int4 experts g32 + bf16 rest": Precision.INT4,
    "gptq_int4": Precision.INT4,
    "w4a8": Precision.INT4,
    "int2/4/8": Precision.INT4,
    "w8a8_int8": Precision.INT8,
    "8bit": Precision.INT8,
}


@pytest.mark.parametrize(("words", "want"), WORDS.items())
def test_words_of_formats(words: str, want: Precision) -> None:
    stored = format_of_words(words)
    assert stored is not None
    assert stored.precisions[0] is want
    assert stored.is_micro_scaled == (words == "mxfp8")


@pytest.mark.parametrize("words", ["", "any", "-", "native", "int16", "mixed"])
def test_words_that_name_no_format(words: str) -> None:
    assert format_of_words(words) is None


TOTALS = {
    "baidu/ERNIE-4.5-300B-A47B-PT": (300 * 10**9, 47 * 10**9),
    "26B-A4B": (26 * 10**9, 4 * 10**9),
    "Mixtral-8x7B-v0.1": (56 * 10**9, None),
    "Qwen3.8-2.4T-A95B": (2_400 * 10**9, 95 * 10**9),
    "LFM2.5-230M": (230 * 10**6, None),
    "gemma-4-E4B-it": (None, None),
    "DeepSeek-R1": (None, None),
}


@pytest.mark.parametrize(("name", "want"), TOTALS.items())
def test_totals_that_a_name_states(name: str, want: tuple[int | None, int | None]) -> None:
    assert stated_parameters(name) == want


def test_formats_roles_and_organisations_do_not_decide_the_stem() -> None:
    stem = parse_name("meta-llama/Llama-3.3-70B-Instruct").stem
    assert stem == ("llama", "3.3", "70b")
    for name in (
        "RedHatAI/Llama-3.3-70B-Instruct-quantized.w8a8",
        "nvidia/Llama-3.3-70B-Instruct-NVFP4-v2",
        "llama3.3-70b",
    ):
        assert parse_name(name).stem == stem
    assert parse_name("openai/gpt-oss-20b").stem != parse_name("openai/gpt-oss-120b").stem


def test_sizes_are_numbers_and_words() -> None:
    assert parse_name("Qwen/Qwen3-30B-A3B").sizes == {"30b", "a3b"}
    assert parse_name("mistralai/Mistral-Small-24B").sizes == {"small", "24b"}
    assert parse_name("meta-llama/Llama-4-Scout-17B-16E-Instruct").sizes == {"17b", "16e"}


def test_aliases_lead_to_a_checkpoint() -> None:
    assert aliases()
    for name, model in aliases().items():
        assert name == name.lower()
        assert built_in(model) is not None, name


BROKEN = {
    "no JSON": ("{", "Invalid JSON"),
    "a list missing": ('{"source": "x", "formats": [], "roles": [], "makers": [], "aliases": {}}', "sizes"),
    "a misspelt key": (
        '{"source": "x", "formats": [], "roles": [], "makers": [], "sizes": [], "aliases": {}, "rolls": []}',
        "spelling.json:rolls",
    ),
}


@pytest.mark.parametrize(("text", "want"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_its_place(text: str, want: str) -> None:
    with pytest.raises(Refused, match=want):
        read_spelling(text)
