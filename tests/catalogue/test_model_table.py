"""The files of known models: what they hold, and that a broken one is refused with the place."""

import json
from typing import Any

import pytest

from penstock.api.formats import Precision
from penstock.api.refusals import Refused
from penstock.catalogue.config_reader import ConfigReader
from penstock.catalogue.geometry import read_geometry
from penstock.catalogue.hardware import read_accelerator_file
from penstock.catalogue.model_table import model_table, read_model_files
from penstock.catalogue.models import ConfigFacts, built_in, built_in_names, catalogue_config, facts_from_config

CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64}
GOOD: dict[str, Any] = {
    "about": "A test.",
    "sources": {"card": "A card."},
    "formats": {"fp8": {"quant_method": "fp8"}},
    "architectures": {"small": {"source": "card", "confidence": "high", "config": CONFIG}},
    "models": [{"model": "acme/Small", "architecture": "small", "quantization": "fp8", "weightsBytes": 10}],
    "totals": [{"model": "acme/Big", "precision": "FP8", "parameters": 7, "source": "card", "confidence": "low"}],
}


def test_a_good_file_is_read() -> None:
    table = read_model_files({"good.json": json.dumps(GOOD)})
    assert table.checkpoints["acme/small"].weights_bytes == 10
    assert table.totals["acme/big"].precision is Precision.FP8


def entry(**changes: Any) -> dict[str, Any]:
    return GOOD | {"models": [GOOD["models"][0] | changes]}


BROKEN = {
    "no JSON": ("{", "bad.json", "not JSON"),
    "unknown key": (GOOD | {"model": []}, "bad.json:model", "Extra inputs"),
    "misspelt key of an entry": (entry(weightBytes=1), r"bad.json:models\.0\.weightBytes", "Extra inputs"),
    "negative size": (entry(weightsBytes=-1), r"bad.json:models\.0\.weightsBytes", "greater than 0"),
    "size as text": (entry(weightsBytes="ten"), r"models\.0\.weightsBytes", "valid integer"),
    "no such architecture": (entry(architecture="other"), "acme/Small", "no file has this architecture"),
    "no such format": (entry(quantization="fp9"), "acme/Small", "no file has this format"),
    "no such source": (entry(source="hearsay"), "acme/Small", "no file has this source"),
    "named twice": (GOOD | {"models": GOOD["models"] * 2}, "bad.json:models", "twice"),
    "confidence of its own": (
        GOOD | {"architectures": {"small": {"source": "card", "confidence": "sure", "config": CONFIG}}},
        r"architectures\.small\.confidence",
        "'high', 'medium' or 'low'",
    ),
}


@pytest.mark.parametrize(("content", "place", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_its_place(content: Any, place: str, reason: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(Refused, match=place) as refused:
        read_model_files({"bad.json": text})
    assert reason in refused.value.refusals[0].reason


def test_two_files_cannot_name_the_same_thing() -> None:
    with pytest.raises(Refused, match="another file has it already"):
        read_model_files({"a.json": json.dumps(GOOD), "b.json": json.dumps(GOOD)})


ROW = {
    "name": "X1", "catalogueId": "x1", "vendor": "NVIDIA", "architecture": "hopper", "resource": "nvidia.com/gpu",
    "chip": "X1", "form": "SXM", "memoryGiB": 80.0, "labelMiB": 81559, "bandwidthTBs": 3.0, "bf16TFLOPS": 900.0,
    "scaleUpDomain": 8, "formats": {"BF16": "Native"}, "source": "card", "confidence": "high",
}  # fmt: skip
ROWS = {
    "unknown vendor": ([ROW | {"vendor": "ACME"}], r"accelerators\.0\.vendor"),
    "no memory": ([ROW | {"memoryGiB": 0}], r"accelerators\.0\.memoryGiB"),
    "a format that is none": ([ROW | {"formats": {"FP3": "Native"}}], r"accelerators\.0\.formats"),
    "a misspelt key": ([ROW | {"memory": 1}], r"accelerators\.0\.memory"),
    "an unlisted source": ([ROW | {"source": "hearsay"}], r"X1\.source"),
    "one name twice": ([ROW, ROW], "X1"),
}


@pytest.mark.parametrize(("rows", "place"), ROWS.values(), ids=ROWS.keys())
def test_a_broken_accelerator_is_refused_with_its_place(rows: list[Any], place: str) -> None:
    file = {"about": "A test.", "sources": {"card": "A card."}, "accelerators": rows}
    assert read_accelerator_file(json.dumps(file | {"accelerators": [ROW]})).known[0].confidence == "high"
    with pytest.raises(Refused, match=place):
        read_accelerator_file(json.dumps(file))


def test_every_checkpoint_can_be_read() -> None:
    for name in built_in_names():
        facts = built_in(name)
        assert facts is not None
        assert facts.query_heads % max(1, facts.kv_heads) == 0 or facts.kv_lora_rank, name
        assert facts.loaded_bytes <= facts.weights_bytes, name
        read_geometry(ConfigReader.of(name, catalogue_config(name)))


def test_the_formula_agrees_with_every_published_size() -> None:
    """The published sizes are not read for this; exports of other people (NVFP4, W8A8) keep parts that nobody lists."""
    errors = {}
    for name, checkpoint in model_table().checkpoints.items():
        if checkpoint.weights_bytes:
            computed = facts_from_config(ConfigFacts(model=name, config=catalogue_config(name)))
            errors[name] = computed.weights_bytes / checkpoint.weights_bytes - 1
    assert len(errors) > 70
    far = {name: error for name, error in errors.items() if abs(error) > 0.02}
    assert set(far) <= {"inferact/qwen3.8-27b-nvfp4", "qwen/qwen3.8-27b-w8a8"}
