"""Whose a watched object is: by its controller first, then by its label."""

from typing import Any

import pytest

from penstock.cluster.owners import Parent, parent_of


def live(*, references: list[dict[str, Any]] | None = None, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """An object with these in its metadata."""
    return {"metadata": {"name": "x", "namespace": "ns", "ownerReferences": references, "labels": labels}}


def reference(group: str, kind: str, *, controller: bool = True) -> dict[str, Any]:
    """An ownerReference to an object called `chat`."""
    return {"apiVersion": f"{group}/v1alpha1", "kind": kind, "name": "chat", "uid": "u1", "controller": controller}


OURS = reference("penstock.dev", "ModelDeployment")
LABELS = {"penstock.dev/deployment": "labelled"}
CASES: dict[str, tuple[dict[str, Any], Parent | None]] = {
    "its controller is ours": (live(references=[OURS]), Parent("ModelDeployment", "ns", "chat", "u1")),
    "the controller counts before the label": (
        live(references=[OURS], labels=LABELS),
        Parent("ModelDeployment", "ns", "chat", "u1"),
    ),
    "an owner that is no controller does not count": (
        live(references=[reference("penstock.dev", "ModelDeployment", controller=False)]),
        None,
    ),
    "a pod of a replica set says it by label": (
        live(references=[reference("apps", "ReplicaSet")], labels=LABELS),
        Parent("ModelDeployment", "ns", "labelled"),
    ),
    "a label alone": (live(labels=LABELS), Parent("ModelDeployment", "ns", "labelled")),
    "another's": (live(references=[reference("apps", "ReplicaSet")]), None),
    "a group that only looks like ours": (live(references=[reference("penstock.dev.evil", "ModelDeployment")]), None),
    "nobody's": (live(), None),
}


@pytest.mark.parametrize(("found", "want"), CASES.values(), ids=CASES.keys())
def test_the_parent_of_an_object(found: dict[str, Any], want: Parent | None) -> None:
    """One rule for all kinds."""
    assert parent_of(found) == want
