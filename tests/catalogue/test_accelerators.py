"""The accelerator table: names, figures, number formats."""

import pytest

from builders.reference import needs_reference_data, rows
from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.accelerators import (
    ACCELERATORS,
    FormatSupport,
    Vendor,
    by_catalogue_id,
    by_name,
    find_spelled,
)


def test_names_are_found_whatever_their_letter_case() -> None:
    assert by_name("h100-sxm-80gb") is ACCELERATORS["H100-SXM-80GB"]
    assert by_name("A100-SXM-80GB").vendor is Vendor.NVIDIA


@pytest.mark.parametrize(
    ("wrong", "suggested"), [("H100", "H100-SXM-80GB"), ("MI300", "MI300X"), ("A100-80GB", "A100-SXM-80GB")]
)
def test_an_unknown_name_is_refused_with_near_ones(wrong: str, suggested: str) -> None:
    with pytest.raises(Refused, match=suggested) as refused:
        by_name(wrong)
    assert refused.value.refusals[0].field == "spec.accelerator"
    assert refused.value.refusals[0].value == wrong


SPELLED = {
    "h100": "H100-SXM-80GB",
    "H100-80GB-SXM": "H100-SXM-80GB",
    "NVIDIA H100 PCIe": "H100-PCIe-80GB",
    "h100 nvl": "H100-NVL-94GB",
    "a100": "A100-SXM-80GB",
    "a100-40": "A100-SXM-40GB",
    "A100-40GB": "A100-SXM-40GB",
    "a100-80": "A100-SXM-80GB",
    "A100-80GB": "A100-SXM-80GB",
    "h200": "H200-SXM-141GB",
    "144GB x8 (H200)": "H200-SXM-141GB",
    "96GB x4 (H20/RTX class)": "H20-SXM-96GB",
    "gb200": "GB200-192GB",
    "B200-180GB": "B200-SXM-180GB",
    "b300": "B300-SXM-288GB",
    "mi300x": "MI300X",
    "MI300X-192GB": "MI300X",
    "MI355X-288GB": "MI355X",
    "L20-48GB": "L20-48GB",
    "rtx_pro_6000": "RTX-PRO-6000-96GB",
    "RTX4090-24GB": "RTX-4090-24GB",
    "RTX 6000 Ada": "RTX-6000-Ada-48GB",
    "l40s": "L40S-48GB",
}


@pytest.mark.parametrize(("spelled", "want"), SPELLED.items())
def test_what_people_write_is_understood(spelled: str, want: str) -> None:
    assert find_spelled(spelled) is ACCELERATORS[want]


@pytest.mark.parametrize(
    "spelled", ["", "any", "h100/h200", "H100-40GB", "b200 pcie", "T4", "h1000", "unstated (80GB class)", "x" * 500]
)
def test_what_names_no_one_accelerator_is_left_alone(spelled: str) -> None:
    assert find_spelled(spelled) is None


FORMATS = {
    "NVFP4 runs natively on Blackwell": ("B200-SXM-180GB", Precision.NVFP4, FormatSupport.NATIVE),
    "NVFP4 does not run on Hopper": ("H100-SXM-80GB", Precision.NVFP4, None),
    "NVFP4 does not run on AMD": ("MI355X", Precision.NVFP4, None),
    "FP8 is native from Ada on": ("L40S-48GB", Precision.FP8, FormatSupport.NATIVE),
    "FP8 only saves memory on Ampere": ("A100-SXM-80GB", Precision.FP8, FormatSupport.WEIGHT_ONLY),
    "FP8 is native on MI300X": ("MI300X", Precision.FP8, FormatSupport.NATIVE),
    "MXFP4 is unpacked on Hopper": ("H200-SXM-141GB", Precision.MXFP4, FormatSupport.WEIGHT_ONLY),
    "MXFP4 is emulated on MI300X": ("MI300X", Precision.MXFP4, FormatSupport.EMULATED),
    "MXFP4 is native on MI355X": ("MI355X", Precision.MXFP4, FormatSupport.NATIVE),
    "INT4 is unpacked everywhere": ("B200-SXM-180GB", Precision.INT4, FormatSupport.WEIGHT_ONLY),
    "BF16 is native everywhere": ("A10G-24GB", Precision.BF16, FormatSupport.NATIVE),
}


@pytest.mark.parametrize(("name", "precision", "want"), FORMATS.values(), ids=FORMATS.keys())
def test_formats(name: str, precision: Precision, want: FormatSupport | None) -> None:
    assert by_name(name).formats.get(precision) is want


def test_every_accelerator_runs_the_plain_formats_and_has_plausible_figures() -> None:
    for accelerator in ACCELERATORS.values():
        assert {Precision.BF16, Precision.FP16} <= set(accelerator.formats)
        assert 16 * 2**30 < accelerator.memory_bytes < 512 * 2**30
        assert 1e11 < accelerator.bandwidth < 2e13
        assert accelerator.resource in {"nvidia.com/gpu", "amd.com/gpu"}
        assert accelerator.scale_up_domain >= 1


@needs_reference_data
def test_the_table_agrees_with_every_reference_row_of_high_confidence() -> None:
    dependable = [row for row in rows("gpus.csv") if row["confidence"] == "high"]
    assert dependable
    for row in dependable:
        ours = by_catalogue_id(row["id"])
        assert ours.memory_bytes == round(float(row["mem_usable_gib"]) * 2**30), row["id"]
        assert ours.bandwidth == pytest.approx(float(row["bw_tbs"]) * 1e12)
        assert ours.bf16_flops == pytest.approx(float(row["bf16_tflops"]) * 1e12)
        assert ours.fp8_flops == (pytest.approx(float(row["fp8_tflops"]) * 1e12) if row["fp8_tflops"] else None)
        assert ours.fp4_flops == (pytest.approx(float(row["fp4_tflops"]) * 1e12) if row["fp4_tflops"] else None)
        assert ours.scale_up_domain == int(row["scaleup_domain_gpus"])
        assert ours.resource == row["k8s_resource"]
