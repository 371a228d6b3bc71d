"""The CRDs in the repository are those of the models."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from penstock.api.crd import crd_documents, custom_resource_definition
from penstock.api.kinds import KINDS, KINDS_BY_NAME, Kind
from penstock.cli import crds

_FOLDER = Path(__file__).parents[2] / "crds"
_ANNOTATION_LIMIT = 262_144


def test_the_folder_is_up_to_date() -> None:
    """`make crds` after every change of a model."""
    assert crds.check(_FOLDER) == ()


def test_generation_is_stable() -> None:
    """Byte for byte the same, whatever was generated before."""
    assert crd_documents() == crd_documents()


@pytest.fixture(scope="module")
def documents() -> Mapping[str, str]:
    return crd_documents()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_written_is_what_was_meant(documents: Mapping[str, str], kind: Kind) -> None:
    """YAML reads it back unchanged: no word becomes a truth value."""
    assert yaml.safe_load(documents[f"{kind.plural}.yaml"]) == custom_resource_definition(kind)


def test_kubectl_apply_can_remember_it(documents: Mapping[str, str]) -> None:
    """Client-side apply keeps the object in an annotation with a limit."""
    assert max(len(text) for text in documents.values()) < _ANNOTATION_LIMIT


def test_defaults_of_the_shortest_object() -> None:
    """Exactly these are filled in by the API server; each is part of the version for ever."""
    spec = custom_resource_definition(KINDS_BY_NAME["ModelDeployment"])["spec"]["versions"][0]["schema"]
    fields = spec["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert {name: field["default"] for name, field in fields.items() if "default" in field} == {
        "disaggregation": {"mode": "Auto"},
        "engine": "Auto",
        "placement": {"fallbackAfterSeconds": 300, "priority": 0, "movePolicy": "Propose"},
        "precisionPolicy": "Auto",
        "remoteCode": "Deny",
        "replicas": 1,
        "rollout": {"surgePolicy": "Wait", "drainSeconds": 120},
        "source": {"type": "Hub"},
        "weights": {"cache": "Ephemeral"},
    }
