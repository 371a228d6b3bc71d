"""The performance model's constants: complete, within their fitted ranges, and looked up from general to special."""

import json
from dataclasses import fields, replace
from importlib import resources
from typing import Any

import pytest

from penstock.api.formats import EngineName, Precision
from penstock.catalogue.accelerators import ACCELERATORS, by_name
from penstock.catalogue.roofline import Tuning, derates, link_bytes_per_second, residual, tuning, under_load

TABLE = json.loads(resources.files("penstock.catalogue").joinpath("roofline.json").read_text(encoding="utf-8"))
H100, B200, MI300X = by_name("H100-SXM-80GB"), by_name("B200-SXM-180GB"), by_name("MI300X")


def ranges() -> list[tuple[str, dict[str, float]]]:
    """Every fitted constant with its range."""
    parts: dict[str, Any] = {"": TABLE["constants"]} | TABLE["engines"] | TABLE["generations"] | TABLE["formats"]
    return [(f"{name} {scope}".strip(), entry) for scope, part in parts.items() for name, entry in part.items()]


@pytest.mark.parametrize(("name", "entry"), ranges())
def test_a_constant_lies_in_the_range_of_its_refits(name: str, entry: dict[str, float]) -> None:
    assert 0 < entry["low"] <= entry["value"] <= entry["high"], name


def test_first_tokens_wait_for_few_enough_steps_that_throughput_never_falls() -> None:
    assert TABLE["constants"]["steps_before"]["value"] < 10
    assert TABLE["constants"]["routing"]["value"] <= 1


@pytest.mark.parametrize("engine", [*EngineName, "TRT-LLM", "an engine that was never fitted"])
def test_every_engine_accelerator_and_format_has_all_constants(engine: str) -> None:
    for accelerator in ACCELERATORS.values():
        for precision in Precision:
            found = tuning(engine, accelerator, precision)
            assert all(getattr(found, field.name) > 0 for field in fields(Tuning))


def test_four_bit_arithmetic_is_told_apart_where_it_is_native() -> None:
    assert tuning("vLLM", B200, Precision.NVFP4).arithmetic < tuning("vLLM", B200, Precision.FP8).arithmetic
    assert tuning("vLLM", H100, Precision.NVFP4) == tuning("vLLM", H100, Precision.FP8)


def test_load_costs_more_and_reading_weights_the_same() -> None:
    plain = tuning("vLLM", H100, Precision.FP8)
    loaded = under_load(plain, 1.5)
    assert loaded.request == pytest.approx(1.5 * plain.request)
    assert loaded.prefill_arithmetic == pytest.approx(plain.prefill_arithmetic / 1.5)
    assert (loaded.weights_efficiency, loaded.layer) == (plain.weights_efficiency, plain.layer)
    assert under_load(plain, 1) == plain


def test_what_rows_showed_of_a_version_is_for_that_version_only() -> None:
    listed = next(entry for entry in TABLE["residuals"] if entry.get("version", "unstated") != "unstated")
    architecture, engine = listed["architecture"], listed["engine"]
    special = residual(architecture, engine, listed["version"], MI300X, Precision.BF16)
    general = residual(architecture, engine, "99.0.0", MI300X, Precision.BF16)
    assert special.step == pytest.approx(general.step * listed["step"])


def test_an_unknown_architecture_goes_by_the_formula() -> None:
    found = residual("NeverSeenForCausalLM", "vLLM", "0.33.0", H100, Precision.FP8)
    assert (found.step, found.first_token) == (1.0, 1.0)


def test_cards_exchange_over_pcie() -> None:
    assert link_bytes_per_second(by_name("L40S-48GB")) < link_bytes_per_second(by_name("A100-SXM-80GB")) / 5
    assert link_bytes_per_second(replace(H100, architecture="of tomorrow")) == link_bytes_per_second(by_name("L4-24GB"))


@pytest.mark.parametrize(
    ("version", "held"), [("0.5.9", True), ("v0.4", True), ("0.6.0", False), ("0.33.0", False), ("nightly", False)]
)
def test_a_derate_for_old_releases_ends_with_the_one_it_names(version: str, *, held: bool) -> None:
    names = [derate.name for derate in derates("vLLM", version, H100)]
    assert names == (["vLLM before 0.6"] if held else [])


def test_every_derate_and_link_names_its_evidence() -> None:
    assert all(len(entry["evidence"]) > 20 for entry in TABLE["derates"])
    assert all(len(entry["source"]) > 10 for entry in TABLE["links"].values())
