"""Engines: which flags a release has, which image runs it, what it was seen running."""

import pytest

from penstock.api.formats import EngineName, Precision
from penstock.api.refusals import Refused
from penstock.catalogue.accelerators import Vendor, by_name
from penstock.catalogue.engines import (
    DEFAULT_VERSIONS,
    default_image,
    engine_supports,
    flags_of,
    known_versions,
)

V, S = EngineName.VLLM, EngineName.SGLANG

EXISTS = {
    "vLLM switch": (V, "enforce-eager", False),
    "vLLM value": (V, "max-model-len", True),
    "vLLM front end": (V, "served-model-name", True),
    "vLLM list": (V, "cudagraph-capture-sizes", True),
    "SGLang switch": (S, "enable-metrics", False),
    "SGLang value": (S, "mem-fraction-static", True),
    "SGLang alias": (S, "tensor-parallel-size", True),
}


@pytest.mark.parametrize(("engine", "name", "takes_value"), EXISTS.values(), ids=EXISTS.keys())
def test_flags_that_every_shipped_release_has(engine: EngineName, name: str, takes_value: bool) -> None:  # noqa: FBT001
    for version in known_versions(engine):
        known = flags_of(engine, version)
        assert known.knows(name)
        assert known.takes_value(name) == takes_value


def test_releases_differ() -> None:
    """The data follows the release: this one came with 0.33."""
    assert flags_of(V, "0.33.0").knows("monokernel")
    assert not flags_of(V, "0.32.0").knows("monokernel")


@pytest.mark.parametrize("engine", EngineName)
def test_other_spellings_lead_to_a_flag(engine: EngineName) -> None:
    for version in known_versions(engine):
        known = flags_of(engine, version)
        assert known.aliases
        for alias, first in known.aliases.items():
            assert first in known.values
            assert first not in known.aliases
            assert known.takes_value(alias) == known.takes_value(first)
        assert all(known.takes_value(name) for name in known.lists | known.optional)


@pytest.mark.parametrize("engine", EngineName)
def test_the_default_is_a_known_release(engine: EngineName) -> None:
    assert DEFAULT_VERSIONS[engine] == known_versions(engine)[0]


VERSIONS = {
    "exact": ("0.32.0", "0.32.0"),
    "patch of a known one": ("0.32.7", "0.32.0"),
    "newer than all": ("1.2.3", "0.33.0"),
    "two digits are more than one": ("0.100.0", "0.33.0"),
    "build for other hardware": ("0.33.0-rocm700", "0.33.0"),
    "local version": ("0.33.0+cpu", "0.33.0"),
}


@pytest.mark.parametrize(("version", "like"), VERSIONS.values(), ids=VERSIONS.keys())
def test_a_version_has_the_flags_of_the_newest_that_is_not_newer(version: str, like: str) -> None:
    found = flags_of(V, version)
    assert found.values == flags_of(V, like).values
    assert found.version == version


def test_a_version_before_all_is_refused() -> None:
    with pytest.raises(Refused, match="Use a newer one"):
        flags_of(V, "0.1.0")


NEGATIONS = {
    "vLLM's optional boolean": (V, "0.33.0", "no-enable-prefix-caching", True),
    "its opposite": (V, "0.33.0", "disable-prefix-caching", True),
    "its opposite before there were any": (V, "0.32.0", "disable-prefix-caching", False),
    "a plain switch": (V, "0.33.0", "no-headless", False),
    "the opposite of a plain switch": (V, "0.33.0", "enable-log-stats", False),
    "a flag with a value": (V, "0.33.0", "no-max-model-len", False),
    "SGLang's plain switch": (S, "0.5.23", "no-enable-metrics", False),
    "SGLang's optional boolean": (S, "0.5.23", "no-enable-tf32-matmul", True),
}


@pytest.mark.parametrize(("engine", "version", "name", "want"), NEGATIONS.values(), ids=NEGATIONS.keys())
def test_negations_are_the_releases_own(engine: EngineName, version: str, name: str, want: bool) -> None:  # noqa: FBT001
    assert flags_of(engine, version).knows(name) is want


@pytest.mark.parametrize("engine", EngineName)
def test_only_switches_are_negated(engine: EngineName) -> None:
    for version in known_versions(engine):
        known = flags_of(engine, version)
        assert known.negations
        for off, name in known.negations.items():
            assert known.values[name] is False
            assert off not in known.values


@pytest.mark.parametrize("engine", EngineName)
@pytest.mark.parametrize("vendor", Vendor)
def test_images_name_their_version(engine: EngineName, vendor: Vendor) -> None:
    assert f":v{DEFAULT_VERSIONS[engine]}" in default_image(engine, DEFAULT_VERSIONS[engine], vendor)


CHIPS = {"MI300X": "mi30x", "MI325X": "mi30x", "MI355X": "mi35x"}


@pytest.mark.parametrize(("name", "chips"), CHIPS.items())
def test_sglang_has_an_image_for_each_of_amds_architectures(name: str, chips: str) -> None:
    """Kernels built for one do not run on the other."""
    chip = by_name(name)
    assert default_image(S, "0.5.23", chip.vendor, chip.architecture).endswith(f"-{chips}")
    assert "mi3" not in default_image(V, "0.33.0", chip.vendor, chip.architecture)


SUPPORT = {
    "FP8 on Hopper": (V, "H100-SXM-80GB", Precision.FP8, True),
    "NVFP4 on Blackwell": (V, "B200-SXM-180GB", Precision.NVFP4, True),
    "MXFP4 on CDNA 3 by vLLM": (V, "MI300X", Precision.MXFP4, True),
    "MXFP4 on CDNA 3 by SGLang": (S, "MI300X", Precision.MXFP4, False),
}


@pytest.mark.parametrize(("engine", "name", "precision", "want"), SUPPORT.values(), ids=SUPPORT.keys())
def test_support(engine: EngineName, name: str, precision: Precision, want: bool) -> None:  # noqa: FBT001
    assert engine_supports(engine, by_name(name), precision) is want
