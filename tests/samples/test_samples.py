"""manifests/samples: every file is good, and says every case that users have."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api.kinds import KINDS
from penstock.api.meta import API_VERSION
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.supported import unsupported
from penstock.api.validation import parse

_FOLDER = Path(__file__).parents[2] / "manifests" / "samples"
_FILES = sorted(_FOLDER.glob("*.yaml"))


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


_ALL = [document for path in _FILES for document in _documents(path)]
_OURS = [document for document in _ALL if document["apiVersion"] == API_VERSION]


def _label(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("document", _OURS, ids=_label)
def test_every_sample_is_accepted_strictly(document: dict[str, Any]) -> None:
    """Nothing unknown, nothing out of bounds, no rule broken."""
    assert parse(document, strict=True).metadata.name == document["metadata"]["name"]


def test_what_is_not_acted_on_is_known() -> None:
    """Two of the deployments show what is to come; all others are served."""
    resources = [parse(document, strict=True) for document in _OURS]
    deployments = [each for each in resources if isinstance(each, ModelDeployment)]
    refused = {each.metadata.name for each in deployments if unsupported(each.spec)}
    assert refused == {"deepseek-r1", "tenant-adapters"}


def test_every_kind_has_a_sample() -> None:
    """A kind that nobody shows is a kind that nobody uses."""
    assert {document["kind"] for document in _OURS} == {kind.name for kind in KINDS}


def test_no_name_is_there_twice() -> None:
    """`kubectl apply -f` of the folder would let the last one win."""
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in _ALL]
    assert len(names) == len(set(names))


def test_namespaces_are_there() -> None:
    """Each namespace that a sample stands in is made by the first file."""
    made = {document["metadata"]["name"] for document in _ALL if document["kind"] == "Namespace"}
    assert {document["metadata"].get("namespace", "default") for document in _OURS} <= {*made, "default"}


def test_references_between_samples_lead_somewhere() -> None:
    """Pools, gateways, deployments, providers and evaluations that are named exist among the samples."""
    known = {(document["kind"], document["metadata"]["name"]) for document in _OURS}
    assert {pair for document in _OURS for pair in _references(document["spec"])} <= known


def _references(node: Any) -> set[tuple[str, str]]:
    kinds = {
        "deploymentRef": "ModelDeployment",
        "providerRef": "ModelProvider",
        "gatewayRef": "InferenceGateway",
        "routeRefs": "Route",
        "evaluationRefs": "Evaluation",
    }
    found: set[tuple[str, str]] = set()
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        targets = value if isinstance(value, list) else [value]
        if key in kinds:
            found |= {(kinds[key], target["name"]) for target in targets}
        if key == "pools":
            found |= {("InferencePool", name) for name in value}
        found |= _references(value)
    return found


def test_no_secret_is_among_the_samples() -> None:
    """Tokens are the reader's own; the page says how to make them."""
    assert not [document for document in _ALL if document["kind"] == "Secret"]
    assert "kubectl create secret generic hugging-face" in (_FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_page_lists_every_file() -> None:
    """And nothing else."""
    page = (_FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in _FILES if f"[{path.name}]({path.name})" not in page] == []
    assert page.count(".yaml](") == len(_FILES)


def test_the_shortest_is_no_longer_than_promised() -> None:
    """The promise of the first page."""
    first = (_FOLDER / "00-shortest.yaml").read_text(encoding="utf-8").split("---")[0].strip().splitlines()
    assert len([line for line in first if not line.startswith("#")]) <= 7
