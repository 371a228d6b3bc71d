"""Words of published rows for accelerators and engines, as the catalogue knows them."""

import re
from collections.abc import Mapping

from penstock.api.formats import Precision
from penstock.catalogue.accelerators import Accelerator, FormatSupport, Vendor, find_spelled

__all__ = ["accelerator_named", "engine_of"]

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+(?:\.?(?:post|rc|dev)[0-9]+)*")
_ENGINES = (("sglang", "SGLang"), ("vllm", "vLLM"), ("trt", "TRT-LLM"), ("tensorrt", "TRT-LLM"))
_GIB = 2**30


def engine_of(words: str) -> tuple[str, str]:
    """Engine and version of a cell such as `vllm 0.19.0`; the version is empty where none is given."""
    lowered = words.lower()
    name = next((name for mark, name in _ENGINES if mark in lowered), words.strip())
    version = _VERSION.search(lowered)
    return name, version[0] if version else ""


def accelerator_named(word: str, table: Mapping[str, Mapping[str, str]]) -> Accelerator | None:
    """The catalogue's entry, or one made of a row of gpus.csv; None where neither knows the word."""
    key = _letters(word)
    cells = next((cells for name, cells in table.items() if _letters(name) == key), None)
    return find_spelled(word) or (None if cells is None else _accelerator(word, cells))


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


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
