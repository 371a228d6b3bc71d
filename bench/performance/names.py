"""Words of published rows for models, precisions, accelerators and engines, as the catalogue knows them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from penstock.api.formats import Precision
from penstock.catalogue.accelerators import ACCELERATORS, Accelerator, FormatSupport, Vendor, by_catalogue_id
from penstock.catalogue.models import AttentionKind, ModelFacts, built_in, built_in_names

__all__ = ["accelerator_named", "engine_of", "model_named"]

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+(?:\.?(?:post|rc|dev)[0-9]+)*")
_ENGINES = (("sglang", "SGLang"), ("vllm", "vLLM"), ("trt", "TRT-LLM"), ("tensorrt", "TRT-LLM"))
_BITS = {
    Precision.BF16: 16.0,
    Precision.FP16: 16.0,
    Precision.FP8: 8.0,
    Precision.INT8: 8.0,
    Precision.INT4: 4.16,
    Precision.MXFP4: 4.25,
    Precision.NVFP4: 4.5,
}
_WORDS = (
    (Precision.NVFP4, ("nvfp4",)),
    (Precision.MXFP4, ("mxfp4",)),
    (Precision.FP8, ("fp8", "mxfp8", "w8a8-fp8", "float8")),
    (Precision.INT4, ("int4", "awq", "gptq", "w4a16", "w4a8", "4bit", "q4")),
    (Precision.INT8, ("int8", "w8a8", "8bit")),
    (Precision.FP16, ("fp16", "float16", "half")),
    (Precision.BF16, ("bf16", "bfloat16")),
)
_TAILS = re.compile(
    r"[-_.](instruct|it|chat|hf|base|preview|2507|2512|0528|0905|fp8|fp4|nvfp4|mxfp4|mxfp8|bf16|fp16|awq|int4|int8|gptq"
    r"|quantized|w8a8|w4a16|w4a8|dynamic|static|per-?tensor|block|v2|4bit)(?=$|[-_.])"
)
_FORMS = ("pcie", "nvl")
_GIB = 2**30


def engine_of(words: str) -> tuple[str, str]:
    """Engine and version of a cell such as `vllm 0.19.0`; the version is empty where none is given."""
    lowered = words.lower()
    name = next((name for mark, name in _ENGINES if mark in lowered), words.strip())
    version = _VERSION.search(lowered)
    return name, version[0] if version else ""


def accelerator_named(word: str, table: Mapping[str, Mapping[str, str]]) -> Accelerator | None:
    """The catalogue's entry, or one made of a row of gpus.csv; None where neither knows the word."""
    key = re.sub(r"nvidia|amd|instinct|geforce|[^a-z0-9]", "", word.lower())
    found = _accelerators().get(key) or _accelerators().get(
        re.sub(r"(sxm[0-9]?|oam|hbm[0-9a-z]*|[0-9]+gi?b)+$", "", key)
    )
    if found is not None:
        return found
    cells = next((cells for name, cells in table.items() if re.sub(r"[^a-z0-9]", "", name.lower()) == key), None)
    return None if cells is None else _accelerator(word, cells)


@cache
def _accelerators() -> Mapping[str, Accelerator]:
    """By every spelling, the SXM form under the chip's bare name."""
    names: dict[str, Accelerator] = {}
    for accelerator in ACCELERATORS.values():
        lowered = accelerator.name.lower()
        names[re.sub(r"[^a-z0-9]", "", lowered)] = accelerator
        if not any(form in lowered for form in _FORMS):
            names[lowered.split("-")[0]] = accelerator
    for identifier in ("h100-sxm", "h100-pcie", "h100-nvl", "a100-80", "a100-40", "a100-80-pcie", "a10g", "rtxpro6000"):
        names[identifier.replace("-", "")] = by_catalogue_id(identifier)
    names["a100"], names["h100"] = by_catalogue_id("a100-80"), by_catalogue_id("h100-sxm")
    names["a10080gb"], names["a10040gb"] = by_catalogue_id("a100-80"), by_catalogue_id("a100-40")
    return MappingProxyType(names)


def _accelerator(word: str, cells: Mapping[str, str]) -> Accelerator | None:
    memory, bandwidth, plain = _tera(cells, "mem_usable_gib"), _tera(cells, "bw_tbs"), _tera(cells, "bf16_tflops")
    if memory is None or bandwidth is None or plain is None:
        return None
    fp8, fp4 = _tera(cells, "fp8_tflops"), _tera(cells, "fp4_tflops")
    native = {Precision.BF16, Precision.FP16} | ({Precision.FP8} if fp8 else set())
    native |= {Precision.NVFP4, Precision.MXFP4} if fp4 else set()
    is_amd = cells.get("vendor", "").lower() == "amd"
    return Accelerator(
        name=word,
        vendor=Vendor.AMD if is_amd else Vendor.NVIDIA,
        architecture=cells.get("arch", ""),
        resource="amd.com/gpu" if is_amd else "nvidia.com/gpu",
        memory_bytes=round(memory * _GIB),
        bandwidth=bandwidth * 1e12,
        bf16_flops=plain * 1e12,
        fp8_flops=None if fp8 is None else fp8 * 1e12,
        fp4_flops=None if fp4 is None else fp4 * 1e12,
        scale_up_domain=round(_tera(cells, "scaleup_domain_gpus") or 1),
        formats=dict.fromkeys(native, FormatSupport.NATIVE),
    )


def _tera(cells: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(cells.get(name, ""))
    except ValueError:
        return None
    return value if value > 0 else None


def model_named(
    word: str, precision: str, accelerator: Accelerator, table: Mapping[str, Mapping[str, str]]
) -> ModelFacts | None:
    """The checkpoint in this precision: of the catalogue, else its nearest sibling re-weighed, else of models.csv."""
    exact, siblings = built_in(word), _siblings().get(_base(word), ())
    wanted = _precision(precision, word, exact, siblings, accelerator)
    for known in ([exact] if exact else []) + [built_in(name) for name in siblings]:
        if known is not None and (wanted is None or known.precision is wanted):
            return known
    source = exact or (built_in(siblings[0]) if siblings else None) or _from_table(word, table)
    return source if source is None or wanted is None else _reweighed(source, wanted)


def _base(word: str) -> str:
    name = re.sub(r"^(meta|nvidia)-", "", word.lower().rsplit("/", 1)[-1])
    for _ in range(6):
        name = _TAILS.sub("", name)
    return re.sub(r"[^a-z0-9]", "", name)


@cache
def _siblings() -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for name in built_in_names():
        groups.setdefault(_base(name), []).append(name)
    return {base: tuple(names) for base, names in groups.items()}


def _precision(
    word: str, model: str, exact: ModelFacts | None, siblings: tuple[str, ...], accelerator: Accelerator
) -> Precision | None:
    """Four bits of floats are MXFP4 where the model is published so, or on AMD, and NVFP4 else."""
    lowered = word.lower()
    native = exact or (built_in(siblings[0]) if siblings else None)
    if native is not None and native.precision is Precision.MXFP4:
        return Precision.MXFP4
    if lowered == "fp4":
        return Precision.MXFP4 if accelerator.vendor is Vendor.AMD else Precision.NVFP4
    for text in (lowered, model.lower()):
        found = next((precision for precision, marks in _WORDS if any(mark in text for mark in marks)), None)
        if found is not None:
            return found
    return None


def _reweighed(facts: ModelFacts, precision: Precision) -> ModelFacts:
    """The same model at other bits per weight; embedding and head stay 16-bit."""
    if facts.precision is precision:
        return facts
    ends = facts.vocabulary * facts.hidden * (1 if facts.tied_embeddings else 2)
    weighed = round(max(0, facts.parameters - ends) * _BITS[precision] / 8 + ends * 2)
    return replace(facts, precision=precision, weights_bytes=weighed, loaded_bytes=0, unpacked_percent=100)


def _from_table(word: str, table: Mapping[str, Mapping[str, str]]) -> ModelFacts | None:
    """From the numbers of models.csv; None where they are not there."""
    cells = table.get(word) or next((row for name, row in table.items() if _base(name) == _base(word)), None)
    total = _tera(cells, "params_total_b_published") or _tera(cells, "params_total_b_calc") if cells else None
    if cells is None or total is None or _tera(cells, "layers") is None or _tera(cells, "hidden") is None:
        return None

    def whole(name: str) -> int:
        return round(_tera(cells, name) or 0)

    is_latent = whole("kv_lora_rank") > 0
    facts = ModelFacts(
        model=word,
        architecture="",
        precision=Precision.BF16,
        weights_bytes=round(total * 2e9),
        parameters=round(total * 1e9),
        active_parameters=round((_tera(cells, "params_active_b_published") or total) * 1e9),
        layers=whole("layers"),
        hidden=whole("hidden"),
        query_heads=max(1, whole("q_heads")),
        kv_heads=max(1, whole("kv_heads")),
        head_dim=whole("head_dim") or 128,
        vocabulary=whole("vocab"),
        intermediate=4 * whole("hidden"),
        max_context_tokens=whole("max_ctx") or 131072,
        attention=AttentionKind.MLA if is_latent else AttentionKind.GQA,
        full_attention_layers=whole("n_full_layers") or whole("layers"),
        sliding_layers=whole("n_swa_layers"),
        sliding_window=whole("swa_window"),
        linear_layers=whole("n_linear_layers"),
        kv_lora_rank=whole("kv_lora_rank"),
        rope_head_dim=whole("qk_rope_dim"),
        experts=whole("experts"),
        experts_per_token=whole("topk"),
        expert_intermediate=whole("moe_inter"),
        moe_layers=whole("n_moe_layers"),
        source="models.csv",
    )
    return _reweighed(facts, _precision(cells.get("native_weights", ""), word, None, (), _any()) or Precision.BF16)


def _any() -> Accelerator:
    return by_catalogue_id("b200")
