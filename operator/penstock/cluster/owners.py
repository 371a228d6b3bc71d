"""Which of our objects must look again when a watched object changes; pure, one rule for all kinds.

The controller's ownerReference counts first; where there is none, the label that our apply has put there.
"""

from dataclasses import dataclass
from typing import Any

from penstock.api.meta import GROUP

__all__ = ["Parent", "controller_of", "parent_of"]

_DEPLOYMENT_LABEL = f"{GROUP}/deployment"
_DEPLOYMENT_KIND = "ModelDeployment"


@dataclass(frozen=True, slots=True)
class Parent:
    """One of our objects; `uid` is empty where only a label names it, and any life of the name is meant."""

    kind: str
    namespace: str
    name: str
    uid: str = ""


def controller_of(live: dict[str, Any]) -> dict[str, Any] | None:
    """The controller's ownerReference of a live object, of whatever group; None where it has none."""
    for reference in live["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: dict[str, Any] = reference
            return found
    return None


def parent_of(live: dict[str, Any]) -> Parent | None:
    """The object of ours that controls it or that its label names; None where it is not ours."""
    metadata = live["metadata"]
    namespace = metadata.get("namespace", "")
    reference = controller_of(live)
    if reference is not None and reference["apiVersion"].partition("/")[0] == GROUP:
        return Parent(reference["kind"], namespace, reference["name"], reference["uid"])
    # A Pod is controlled by a ReplicaSet and a Job's by the Job: there the label says whose it is in the end.
    name = (metadata.get("labels") or {}).get(_DEPLOYMENT_LABEL, "")
    return Parent(_DEPLOYMENT_KIND, namespace, name) if name else None
