"""Models: what Penstock knows of each checkpoint by its name, and how to read one from its config.json.

The catalogue (model_data/*.json) holds the deciding part of each config.json and published sizes; both ways lead
through `model_facts.py`. Nothing here asks the network.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from penstock.catalogue.model_facts import (
    AttentionKind,
    ConfigFacts,
    ModelFacts,
    computed_weights_bytes,
    facts_from_config,
)
from penstock.catalogue.model_table import Checkpoint, model_table

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
    return _facts_by_key(key) if key in model_table().checkpoints else None


def built_in_names() -> tuple[str, ...]:
    """Every checkpoint of the catalogue, in the order of the data files."""
    return tuple(entry.model for entry in model_table().checkpoints.values())


def entry_of(model: str) -> Checkpoint:
    """The entry of a checkpoint as the data file has it; KeyError where there is none."""
    return model_table().checkpoints[model.lower()]


def catalogue_config(model: str) -> Mapping[str, Any]:
    """The deciding part of a checkpoint's config.json as the data file has it; KeyError where there is none."""
    entry, table = entry_of(model), model_table()
    config = dict(table.architectures[entry.architecture].config)
    section = table.formats[entry.quantization] if isinstance(entry.quantization, str) else entry.quantization
    return config if section is None else config | {"quantization_config": section}


@cache
def same_architecture(model: str) -> tuple[str, ...]:
    """Every checkpoint of one's architecture, itself included, in the order of the data files."""
    architecture = entry_of(model).architecture
    return tuple(each.model for each in model_table().checkpoints.values() if each.architecture == architecture)


@cache
def _facts_by_key(key: str) -> ModelFacts:
    """Only called for keys of the table, so the cache is bounded by it."""
    entry = entry_of(key)
    return facts_from_config(
        ConfigFacts(
            model=entry.model,
            config=catalogue_config(key),
            weights_bytes=entry.weights_bytes,
            parameters=entry.parameters,
            active_parameters=entry.active_parameters,
            source="catalogue",
        )
    )
