"""What Flux and `helm --wait` make of our statuses: they know Ready, Stalled and the generation."""

from typing import Any

import pytest

from builders.kstatus import kstatus
from builders.reported import every_scene, fresh, judged, reported
from penstock.api.kinds import KINDS

_SCENES = every_scene()
_READY = ("Ready", "True", "Ready")


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_what_nobody_has_looked_at_is_not_done(kind: str) -> None:
    """By the default of the definition: without it an empty status counts as done."""
    assert kstatus(fresh(kind)) == "InProgress"
    assert kstatus(reported(kind, {})) == "Current"


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "it serves": (judged("ModelDeployment", _READY), "Current"),
    "a new spec that nobody has read": (judged("ModelDeployment", _READY, generation=2), "InProgress"),
    "the engine loads": (judged("ModelDeployment", ("Ready", "False", "Loading")), "InProgress"),
    "a bad spec": (
        judged("ModelDeployment", ("Accepted", "False", "Invalid"), ("Ready", "False", "Invalid")),
        "Failed",
    ),
    "a stuck roll-out": (judged("ModelDeployment", ("Ready", "False", "ProgressDeadlineExceeded")), "Failed"),
    "a gateway that is not there yet": (
        judged("Route", ("Accepted", "False", "GatewayNotFound"), ("Ready", "False", "GatewayNotFound")),
        "InProgress",
    ),
}


@pytest.mark.parametrize(("document", "want"), CASES.values(), ids=CASES)
def test_verdicts(document: dict[str, Any], want: str) -> None:
    """Each case by name."""
    assert kstatus(document) == want


@pytest.mark.parametrize("name", _SCENES)
def test_a_status_is_current_exactly_when_it_is_ready(name: str) -> None:
    """In every scene of the status builders; and every one of them says Ready."""
    status = _SCENES[name]["status"]
    found = {each["type"]: each["status"] for each in status.get("conditions", ())}
    assert "Ready" in found or status == {"observedGeneration": 0}
    assert (kstatus(_SCENES[name]) == "Current") is (found.get("Ready") == "True")
    assert (kstatus(_SCENES[name]) == "Failed") is ("Stalled" in found)
