"""What releases of an engine do with memory, and that the data file says where each of it is known from."""

import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.behaviour import (
    BudgetScope,
    EngineBehaviour,
    behaviour_changes,
    behaviour_of,
    read_behaviour,
    release_of,
)

VLLM, SGLANG = EngineName.VLLM, EngineName.SGLANG
MIB = 2**20

RELEASES = {
    "before the lean sampler": ("0.10.2", (90, 39, 0, False)),
    "vague is older": ("0.11", (90, 39, 0, False)),
    "the lean sampler": ("0.11.0", (90, 17, 0, False)),
    "graphs and windows": ("0.21.0", (90, 17, 512 * MIB, True)),
    "a higher default": ("0.22.1", (92, 17, 512 * MIB, True)),
    "a candidate of a release": ("v0.22.0rc1", (92, 17, 512 * MIB, True)),
    "a build for other hardware": ("0.33.0+rocm700", (92, 17, 512 * MIB, True)),
    "no number: the safe reading of each": ("nightly", (90, 39, 512 * MIB, False)),
    "nothing": ("", (90, 39, 512 * MIB, False)),
}


@pytest.mark.parametrize(("version", "want"), RELEASES.values(), ids=RELEASES.keys())
def test_releases_of_vllm(version: str, want: tuple[int, int, int, bool]) -> None:
    found = behaviour_of(VLLM, version)
    assert (
        found.utilization_percent,
        found.sampler_bytes_per_logit,
        found.graph_bytes,
        found.counts_windows,
    ) == want


def test_the_share_means_something_else_for_sglang() -> None:
    assert behaviour_of(VLLM, "0.33.0").utilization_covers is BudgetScope.EVERYTHING
    assert behaviour_of(SGLANG, "0.5.23").utilization_covers is BudgetScope.WEIGHTS_AND_CACHE


DEFAULTS = {
    "a large GPU": ("H100-SXM-80GB", "0.15.0", (1024, 8192)),
    "an A100 is none": ("A100-SXM-80GB", "0.15.0", (256, 2048)),
    "a card is none": ("L40S-48GB", "0.15.0", (256, 2048)),
    "before there were large GPUs": ("H100-SXM-80GB", "0.7.3", (256, 2048)),
}


@pytest.mark.parametrize(("accelerator", "version", "want"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_defaults_by_release_and_gpu(accelerator: str, version: str, want: tuple[int, int]) -> None:
    assert behaviour_of(VLLM, version).defaults_on(by_name(accelerator)) == want


@given(engine=st.sampled_from(EngineName), version=st.text(max_size=12))
def test_any_version_has_a_behaviour_that_is_no_more_daring_than_the_newest(engine: EngineName, version: str) -> None:
    found, newest = behaviour_of(engine, version), behaviour_of(engine, "99.0.0")
    assert found.utilization_percent <= newest.utilization_percent
    assert found.sampler_bytes_per_logit >= newest.sampler_bytes_per_logit


@pytest.mark.parametrize("engine", EngineName)
def test_what_is_not_known_plans_the_least_cache(engine: EngineName) -> None:
    unknown = behaviour_of(engine, "")
    releases = [behaviour_of(engine, change.since) for change in behaviour_changes(engine)]
    for release in [behaviour_of(engine, "0.0.1"), *releases]:
        assert _taken(unknown) >= _taken(release)


def _taken(behaviour: EngineBehaviour) -> tuple[int, ...]:
    """Each greater where less is left for the cache, compared one by one as they never trade against each other."""
    return (
        -behaviour.utilization_percent,
        behaviour.sampler_bytes_per_logit,
        behaviour.graph_bytes,
        behaviour.compressed_layer_token_bytes,
        *behaviour.large_gpu_defaults,
    )


VERSIONS = {"v0.21.0": (0, 21, 0), "0.21.0rc1": (0, 21), "0.5.6.post2": (0, 5, 6), "nightly": (), "0.²": (0,)}


@pytest.mark.parametrize(("version", "want"), VERSIONS.items(), ids=VERSIONS.keys())
def test_leading_numbers(version: str, want: tuple[int, ...]) -> None:
    assert release_of(version) == want


def test_changes_are_in_order_and_have_sources() -> None:
    for engine in EngineName:
        since = [release_of(change.since) for change in behaviour_changes(engine)]
        assert since == sorted(since)
    assert len(behaviour_changes(VLLM)) >= 5


def _broken(path: tuple[str | int, ...], value: object) -> str:
    table = json.loads(resources.files("penstock.catalogue").joinpath("engine_behaviour.json").read_text())
    place: Any = table
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(table)


BROKEN = {
    "a share above the whole": (("engines", "vLLM", "base", "utilizationPercent"), 192, "utilizationPercent"),
    "a field that nobody knows": (("engines", "vLLM", "changes", 0, "values", "sampler"), 17, "sampler"),
    "no source": (("engines", "vLLM", "changes", 1, "source"), "", "changes.1.source"),
    "no release": (("engines", "vLLM", "changes", 2, "since"), "newest", "changes.2.since"),
    "an engine that nobody knows": (("engines", "TGI"), {}, "TGI"),
    "a safe reading of the wrong kind": (("engines", "SGLang", "unknown", "samplerBytesPerLogit"), "x", "samplerBytes"),
}


@pytest.mark.parametrize(("path", "value", "place"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_entry_is_refused_with_its_place(path: tuple[str | int, ...], value: object, place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_behaviour(_broken(path, value))
    assert place in str(refused.value)
