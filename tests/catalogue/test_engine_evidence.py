"""Which engine was measured to be faster: the file names families and GPUs that exist, and nothing is guessed."""

import json
from importlib import resources

import pytest

from penstock.api.formats import EngineName
from penstock.catalogue.engine_evidence import DEFAULT_ENGINE, evidence_for
from penstock.catalogue.hardware import known_accelerators
from penstock.catalogue.models import built_in, built_in_names

TABLE = json.loads(resources.files("penstock.catalogue").joinpath("engine_evidence.json").read_text(encoding="utf-8"))


def test_families_and_architectures_exist_and_are_named_once() -> None:
    known = {facts.architecture for name in built_in_names() if (facts := built_in(name))}
    chips = {each.accelerator.architecture for each in known_accelerators()}
    pairs = [(family, chip) for row in TABLE["rows"] for family in row["families"] for chip in row["architectures"]]
    assert {family for family, _ in pairs} <= known
    assert {chip for _, chip in pairs} <= chips
    assert len(pairs) == len(set(pairs))
    assert TABLE["source"]


PAIRS: dict[str, tuple[str, str, EngineName, bool]] = {
    "measured": ("GptOssForCausalLM", "ampere", EngineName.VLLM, True),
    "measured the other way": ("DeepseekV3ForCausalLM", "hopper", EngineName.SGLANG, True),
    "another GPU": ("DeepseekV3ForCausalLM", "cdna3", DEFAULT_ENGINE, False),
    "another family": ("LlamaForCausalLM", "hopper", DEFAULT_ENGINE, False),
}


@pytest.mark.parametrize(("family", "chip", "engine", "seen"), PAIRS.values(), ids=PAIRS)
def test_evidence_or_the_default(family: str, chip: str, engine: EngineName, *, seen: bool) -> None:
    found = evidence_for(family, chip)
    assert found.engine is engine
    assert bool(found.seen) is seen
