"""Models: what Penstock knows of each checkpoint by its name, and how to read one from its config.json.

The catalogue (models.json) holds the deciding part of each config.json and published sizes; both ways lead through
`model_facts.py`. Nothing here asks the network.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from penstock.catalogue.model_facts import (
    AttentionKind,
    ConfigFacts,
    ModelFacts,
    computed_weights_bytes,
    facts_from_config,
)

__all__ = [
    "AttentionKind",
    "ConfigFacts",
    "ModelFacts",
    "built_in",
    "built_in_names",
    "catalogue_config",
    "computed_weights_bytes",
    "entry_of",
    "facts_from_config",
    "same_architecture",
]


def built_in(model: str) -> ModelFacts | None:
    """What the catalogue knows of a checkpoint by its exact name (letter case aside), None where nothing."""
    key = model.lower()
    return _facts_by_key(key) if key in _entries() else None


def built_in_names() -> tuple[str, ...]:
    """Every checkpoint of the catalogue, in the order of the data file."""
    return tuple(entry["model"] for entry in _entries().values())


def entry_of(model: str) -> Mapping[str, Any]:
    """The entry of a checkpoint as the data file has it; KeyError where there is none."""
    return _entries()[model.lower()]


def catalogue_config(model: str) -> Mapping[str, Any]:
    """The deciding part of a checkpoint's config.json as the data file has it; KeyError where there is none."""
    entry = entry_of(model)
    config = dict(_table()["architectures"][entry["architecture"]])
    if "quantization" in entry:
        config["quantization_config"] = entry["quantization"]
    return config


def same_architecture(model: str) -> tuple[str, ...]:
    """Every checkpoint of one's architecture, itself included, in the order of the data file."""
    architecture = entry_of(model)["architecture"]
    return tuple(entry["model"] for entry in _entries().values() if entry["architecture"] == architecture)


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("penstock.catalogue").joinpath("models.json").read_text(encoding="utf-8")
    table: Mapping[str, Any] = json.loads(text)
    return table


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    return {entry["model"].lower(): entry for entry in _table()["models"]}


@cache
def _facts_by_key(key: str) -> ModelFacts:
    """Only called for keys of the table, so the cache is bounded by it."""
    entry = _entries()[key]
    return facts_from_config(
        ConfigFacts(
            model=entry["model"],
            config=catalogue_config(key),
            weights_bytes=entry.get("weightsBytes"),
            parameters=entry.get("parameters"),
            active_parameters=entry.get("activeParameters"),
            source="catalogue",
        )
    )
