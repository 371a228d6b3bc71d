"""manifests/gitops/argocd: what Argo CD makes of our statuses, by the very script that users install."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.reported import every_scene, fresh, judged
from penstock.api.kinds import KINDS
from penstock.api.meta import GROUP

lua51 = pytest.importorskip("lupa.lua51", reason="the scripts are run by lupa")

_ROOT = Path(__file__).parents[2]
_PREFIX = f"resource.customizations.health.{GROUP}_"
_DATA: dict[str, str] = yaml.safe_load((_ROOT / "manifests/gitops/argocd/argocd-cm.yaml").read_text())["data"]
_SCENES = every_scene()
_PAGE = (_ROOT / "docs/conditions.md").read_text(encoding="utf-8")


def _health(document: dict[str, Any]) -> str:
    """As Argo CD runs it: Lua 5.1, the resource as the global `obj`, no library of the operating system."""
    runtime = lua51.LuaRuntime(register_eval=False)
    for library in ("os", "io", "package", "debug", "require"):
        runtime.globals()[library] = None
    runtime.globals().obj = runtime.table_from(document, recursive=True)
    answer = runtime.execute(_DATA[_PREFIX + document["kind"]])
    assert answer.message
    return str(answer.status)


def _conditions(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = document["status"].get("conditions", ())
    return {each["type"]: (each["status"], each["reason"]) for each in found}


def test_every_kind_has_a_check() -> None:
    """Argo CD takes a resource without one for healthy at once."""
    assert {key.removeprefix(_PREFIX) for key in _DATA if key.startswith(_PREFIX)} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("name", _SCENES)
def test_ready_is_healthy_and_stalled_is_degraded(name: str) -> None:
    """In every scene of the status builders."""
    document = _SCENES[name]
    found, health = _conditions(document), _health(document)
    ready = found.get("Ready", ("Unknown", ""))
    if "Stalled" in found:
        assert health == "Degraded"
    elif ready[0] == "True" or ready[1] in {"ScaledToZero", "NoRoute"}:
        assert health == "Healthy"
    else:
        assert health in {"Progressing", "Degraded"}


_READY = ("Ready", "True", "Ready")
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "nobody has looked": (fresh("Route"), "Progressing"),
    "an older generation": (judged("Route", _READY, generation=2), "Progressing"),
    "it serves": (judged("ModelDeployment", _READY), "Healthy"),
    "some rules answer": (judged("Route", ("Ready", "True", "PartlyAnswers")), "Healthy"),
    "a bad spec, while it serves": (
        judged("ModelDeployment", ("Accepted", "False", "Invalid"), ("Ready", "False", "Invalid")),
        "Degraded",
    ),
    "not acted on": (
        judged("Budget", ("Accepted", "False", "NotSupported"), ("Ready", "False", "NotSupported")),
        "Degraded",
    ),
    "the engine loads": (judged("ModelDeployment", ("Ready", "False", "Loading")), "Progressing"),
    "no GPU is free now": (judged("ModelDeployment", ("Ready", "False", "NoFreeGPUs")), "Progressing"),
    "outside its borders": (judged("ModelDeployment", ("Ready", "False", "OutsideJurisdiction")), "Degraded"),
    "its engine crashes": (judged("ModelDeployment", ("Ready", "False", "CrashLoopBackOff")), "Degraded"),
    "a roll-out is stuck": (judged("ModelDeployment", ("Ready", "False", "ProgressDeadlineExceeded")), "Degraded"),
    "scaled to zero": (judged("ModelDeployment", ("Ready", "False", "ScaledToZero")), "Healthy"),
    "its Secret comes later": (judged("ModelProvider", ("Ready", "False", "SecretNotFound")), "Progressing"),
    "its Secret may not be read": (judged("ModelProvider", ("Ready", "False", "SecretForbidden")), "Degraded"),
    "a Consumer before its Routes": (judged("Consumer", ("Ready", "False", "NoRoute")), "Healthy"),
    "a Route that nobody answers": (judged("Route", ("Ready", "False", "NothingAnswers")), "Degraded"),
    "a replica lags": (judged("InferenceGateway", ("Ready", "False", "NotAcknowledged")), "Progressing"),
    "an empty pool that may grow": (
        judged("InferencePool", ("Ready", "False", "NoNodes"), spec={"growth": {"maxNodes": 4}}),
        "Healthy",
    ),
    "an empty pool that may not": (judged("InferencePool", ("Ready", "False", "NoNodes")), "Progressing"),
    "nobody knows its GPUs": (judged("InferencePool", ("Ready", "False", "AcceleratorUnknown")), "Degraded"),
    "nobody knows whether it is broken": (judged("Route", ("Ready", "Unknown", "NothingAnswers")), "Progressing"),
}


@pytest.mark.parametrize(("document", "want"), CASES.values(), ids=CASES)
def test_health(document: dict[str, Any], want: str) -> None:
    """Each case by name."""
    assert _health(document) == want


def test_every_reason_in_the_script_is_on_the_page_of_conditions() -> None:
    """A reason that was renamed would be waited for without an end. What kubelets say of pods is theirs."""
    script = _DATA[_PREFIX + "Route"]
    kubelets = {"ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}
    named = set(re.findall(r"(\w+) = true", script)) | set(re.findall(r'ready.reason == "(\w+)"', script))
    assert len(named) > 30
    assert {each for each in named - kubelets - {"RunContainerError"} if f"`{each}`" not in _PAGE} == set()
