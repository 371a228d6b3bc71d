"""Number formats of checkpoints, as their quantization_config states them."""

from typing import Any

import pytest

from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.config_reader import ConfigReader
from penstock.catalogue.parameters import Group
from penstock.catalogue.quantization import Quantization, read_quantization

LAYERS = {Group.ATTENTION: 4, Group.RECURRENT: 0, Group.DENSE: 1, Group.EXPERTS: 3, Group.SHARED: 3}


def read(section: dict[str, Any] | None, **config: Any) -> Quantization:
    whole = config if section is None else config | {"quantization_config": section}
    return read_quantization(ConfigReader.of("acme/model", whole), layers=LAYERS)


def weights(**values: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": values}}}


FORMATS: dict[str, tuple[dict[str, Any], Precision, float]] = {
    "FP8 by block": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, Precision.FP8, 8.002),
    "FP8 by channel": (weights(num_bits=8, type="float", strategy="channel"), Precision.FP8, 8),
    "FP8 by NVIDIA": ({"quant_method": "modelopt", "quant_algo": "FP8"}, Precision.FP8, 8),
    "FP8 by AMD": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
        Precision.FP8,
        8,
    ),
    "MXFP8": ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, Precision.FP8, 8.25),
    "AWQ": ({"quant_method": "awq", "bits": 4, "group_size": 128}, Precision.INT4, 4.156),
    "GPTQ of 8 bits": ({"quant_method": "gptq", "bits": 8, "group_size": 128}, Precision.INT8, 8.1875),
    "one group per row": ({"quant_method": "gptq", "bits": 4, "group_size": -1}, Precision.INT4, 4),
    "INT4 in small groups": (weights(num_bits=4, type="int", group_size=32, symmetric=True), Precision.INT4, 4.5),
    "INT8 weights and activations": (weights(num_bits=8, type="int"), Precision.INT8, 8),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, Precision.INT4, 4.25),
    "MXFP4": ({"quant_method": "mxfp4"}, Precision.MXFP4, 4.25),
    "MXFP4 by AMD": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}}},
        Precision.MXFP4,
        4.25,
    ),
    "NVFP4": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, Precision.NVFP4, 4.5),
    "NVFP4 in groups of 16": (weights(num_bits=4, type="float", group_size=16), Precision.NVFP4, 4.5),
}


@pytest.mark.parametrize(("section", "precision", "bits"), FORMATS.values(), ids=FORMATS.keys())
def test_formats(section: dict[str, Any], precision: Precision, bits: float) -> None:
    quantization = read(section)
    assert quantization.precision is precision
    assert quantization.bits == pytest.approx(bits, abs=0.001)


def test_no_section_means_plain_weights() -> None:
    assert read(None, torch_dtype="bfloat16") == Quantization(Precision.BF16)
    assert read(None, torch_dtype="float16") == Quantization(Precision.FP16)
    assert read(None) == Quantization(Precision.BF16)


def test_blocks_and_groups_are_kept_for_sharding() -> None:
    assert read({"quant_method": "fp8", "weight_block_size": [128, 128]}).block_size == 128
    assert read({"quant_method": "fp8"}).block_size == 0
    assert read({"quant_method": "awq", "bits": 4, "group_size": 64}).group_size == 64


@pytest.mark.parametrize(
    "section", [{"quant_method": "abacus"}, {}, {"quant_method": "gptq", "bits": 3}, {"quant_method": 7}], ids=repr
)
def test_an_unknown_method_is_refused_never_guessed(section: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="not known"):
        read(section)


KEPT = {
    "every layer, by pattern": (["re:.*self_attn.*", "lm_head"], {Group.ATTENTION: 1.0}),
    "layer by layer": ([f"model.layers.{n}.self_attn.q_proj" for n in range(2)], {Group.ATTENTION: 0.5}),
    "shared experts are not experts": (["*.shared_experts.*"], {Group.SHARED: 1.0}),
    "routers and norms weigh nothing": (["model.layers.0.mlp.gate", "model.layers.1.input_layernorm"], {}),
    "a whole layer": (["model.layers.0.*"], {Group.ATTENTION: 0.25, Group.DENSE: 1.0}),
}


@pytest.mark.parametrize(("ignored", "want"), KEPT.values(), ids=KEPT.keys())
def test_groups_that_stay_sixteen_bit(ignored: list[str], want: dict[Group, float]) -> None:
    quantization = read({"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ignored})
    assert quantization.kept == want
    assert quantization.bits_of(Group.EXPERTS) == 4.5
    assert quantization.bits_of(Group.OTHER) == 16


def test_mixed_precision_takes_each_group_at_its_own() -> None:
    section = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": {
            "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"},
            "model.layers.0.mlp.experts.0.up_proj": {"quant_algo": "NVFP4"},
        },
    }
    quantization = read(section)
    assert quantization.precision is Precision.NVFP4
    bits = {group: quantization.bits_of(group) for group in (Group.ATTENTION, Group.EXPERTS, Group.SHARED)}
    assert bits == {Group.ATTENTION: 8, Group.EXPERTS: 4.5, Group.SHARED: 16}
