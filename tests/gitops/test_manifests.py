"""manifests/gitops: the fleet validates, its waves follow what refers to what, Flux' expressions say what is meant."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.kstatus import kstatus
from builders.reported import every_scene, fresh, judged
from penstock.api.kinds import KINDS_BY_NAME
from penstock.api.meta import API_VERSION
from penstock.api.validation import parse
from penstock.reconcilers.secrets import WATCHED_LABEL

_ROOT = Path(__file__).parents[2] / "manifests" / "gitops"
_WAVE = "argocd.argoproj.io/sync-wave"
_WAVES = {
    "Namespace": -1,
    "InferencePool": 0,
    "InferenceGateway": 1,
    "ModelProvider": 2,
    "Consumer": 2,
    "ModelDeployment": 3,
    "Route": 4,
}


def _documents(folder: str) -> list[dict[str, Any]]:
    paths = sorted((_ROOT / folder).glob("*.yaml"))
    found = [each for path in paths for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    return [each for each in found if "metadata" in each]


_FLEET = _documents("fleet")
_SCENES = every_scene()


def _name(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("document", _FLEET, ids=_name)
def test_each_has_its_wave_and_is_good(document: dict[str, Any]) -> None:
    """By kind: pools before gateways, gateways before what attaches to them, deployments before Routes."""
    assert int(document["metadata"]["annotations"][_WAVE]) == _WAVES[document["kind"]]
    if document["apiVersion"] == API_VERSION:
        assert parse(document, strict=True).metadata.name == document["metadata"]["name"]


def test_what_holds_requests_or_data_asks_before_it_is_pruned() -> None:
    """A Route or a Consumer comes back with a commit; a deployment takes its load time, a namespace its Secrets."""
    options = {
        _name(each): each["metadata"]["annotations"].get("argocd.argoproj.io/sync-options", "") for each in _FLEET
    }
    asking = {name for name, option in options.items() if "Prune=confirm" in option or "Prune=false" in option}
    assert {name.split()[0] for name in asking} == {
        "Namespace",
        "InferencePool",
        "InferenceGateway",
        "ModelDeployment",
    }


def test_the_folder_is_listed_whole() -> None:
    """A file that kustomization.yaml forgets is never applied."""
    listed = yaml.safe_load((_ROOT / "fleet" / "kustomization.yaml").read_text())["resources"]
    assert set(listed) == {path.name for path in (_ROOT / "fleet").glob("*.yaml")} - {"kustomization.yaml"}


def test_applications_follow_each_other() -> None:
    """Definitions, operator, fleet; the definitions are never pruned, and nothing deletes them with an Application."""
    found = [each for each in _documents("argocd") if each["kind"] == "Application"]
    waves = {each["metadata"]["name"]: int(each["metadata"]["annotations"][_WAVE]) for each in found}
    assert waves == {"penstock-crds": -5, "penstock": -3, "fleet": 0}
    crds = found[0]
    assert crds["spec"]["syncPolicy"]["automated"]["prune"] is False
    assert "finalizers" not in crds["metadata"]


def test_secrets_from_elsewhere_are_watched_and_are_the_ones_that_are_named() -> None:
    """The provider's Secret, with the label by which a rotated key is seen at once."""
    provider = next(each for each in _FLEET if each["kind"] == "ModelProvider")
    named = provider["spec"]["credentialsRef"]
    external, sealed = sorted(_documents("secrets"), key=lambda each: str(each["kind"]))
    for each, template in ((external, external["spec"]["target"]["template"]), (sealed, sealed["spec"]["template"])):
        assert template["metadata"]["labels"] == {WATCHED_LABEL: "true"}
        assert each["metadata"]["namespace"] == provider["metadata"]["namespace"]
        assert int(each["metadata"]["annotations"][_WAVE]) < _WAVES["ModelProvider"]
    assert (external["spec"]["target"]["name"], external["spec"]["data"][0]["secretKey"]) == tuple(named.values())
    assert (sealed["metadata"]["name"], *sealed["spec"]["encryptedData"]) == tuple(named.values())


_EXPRESSIONS = {
    each["kind"]: each
    for document in _documents("flux")
    if document["metadata"]["name"] == "fleet"
    for each in document["spec"]["healthCheckExprs"]
}


def _flux(document: dict[str, Any]) -> str:
    """In progress, failed, current, in that order: as Flux asks them; a kind without expressions is kstatus' own."""
    celpy = pytest.importorskip("celpy", reason="Flux' expressions are run by cel-python")
    expressions = _EXPRESSIONS.get(document["kind"])
    if expressions is None:
        return kstatus(document)
    environment = celpy.Environment()
    # As the API server has it: absent conditions, not empty ones.
    activation = {key: celpy.json_to_cel(value) for key, value in document.items() if isinstance(value, dict)}
    for verdict in ("inProgress", "failed", "current"):
        program = environment.program(environment.compile(expressions[verdict]))
        if program.evaluate(activation):
            return {"inProgress": "InProgress", "failed": "Failed", "current": "Current"}[verdict]
    return "InProgress"


_EXCEPTIONS = {"ScaledToZero", "NoRoute"}


@pytest.mark.parametrize("name", _SCENES)
def test_flux_is_of_kstatus_mind_but_for_what_stands_still_on_purpose(name: str) -> None:
    """In every scene of the status builders."""
    document = _SCENES[name]
    ready = [each["reason"] for each in document["status"].get("conditions", ()) if each["type"] == "Ready"]
    assert _flux(document) == ("Current" if set(ready) & _EXCEPTIONS else kstatus(document))


def test_flux_passes_an_empty_pool_only_where_it_may_grow() -> None:
    """Its nodes come with the first pod, and so with the deployments of the same folder."""
    empty = ("Ready", "False", "NoNodes")
    assert _flux(judged("InferencePool", empty, spec={"growth": {"maxNodes": 2}})) == "Current"
    assert _flux(judged("InferencePool", empty)) == "InProgress"
    assert _flux(judged("InferencePool", ("Ready", "True", "Ready"))) == "Current"
    assert _flux(judged("InferencePool", ("Accepted", "False", "Invalid"), ("Ready", "False", "Invalid"))) == "Failed"
    assert _flux(fresh("InferencePool")) == "InProgress"


def test_flux_has_expressions_of_known_kinds_only() -> None:
    """A misspelt kind would be passed over."""
    assert set(_EXPRESSIONS) == {"InferencePool", "ModelDeployment", "Consumer"} <= set(KINDS_BY_NAME)
