"""Revisions as they are kept: what a ControllerRevision pins."""

import logging
from typing import Any

import pytest

from builders.fleet import place_one, pool, tenant
from builders.live import live
from penstock.api.modeldeployment import ModelDeployment
from penstock.reconcilers.revisions import (
    RevisionRecord,
    newest,
    next_number,
    pinned,
    slim_revision,
    unscaled,
    with_digests,
)
from penstock.render.revisions import RevisionRequest, render_controller_revision, render_revision

DEPLOYMENT = ModelDeployment.model_validate(
    {"metadata": {"name": "chat", "namespace": "team", "uid": "uid-chat"}, "spec": {"model": "org/small"}}
)


def controller_revision(number: int = 1) -> dict[str, Any]:
    """A revision that was really rendered, as the API server gives it back."""
    where = pool("h100")
    assignment = place_one([where], tenant()).assignment
    assert assignment is not None
    rendered = render_revision(RevisionRequest(DEPLOYMENT, assignment, where.spec, "penstock-system"))
    manifest = render_controller_revision(DEPLOYMENT, rendered, assignment, number=number, spec_digest="digest")
    assert pinned(manifest).assignment == assignment
    assert pinned(manifest).manifests == rendered.manifests
    return {**manifest, "metadata": {**manifest["metadata"], "uid": "u", "resourceVersion": "1"}}


def record(number: int = 1) -> RevisionRecord:
    """What is kept of it."""
    kept = slim_revision(controller_revision(number))
    assert kept is not None
    return kept


def test_the_assignment_and_the_digests_are_kept() -> None:
    """Enough to see drift, without the manifests."""
    kept = record()
    assert (kept.number, kept.spec_digest, kept.owner_uid) == (1, "digest", "uid-chat")
    assert {kind for kind, _ in kept.digests} == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}


def test_pinned_digests_are_those_of_the_manifests() -> None:
    """They spare the hashing and change nothing else."""
    assert slim_revision(with_digests(controller_revision())) == record()


def test_pinned_digests_are_believed() -> None:
    """What a restart compares children with."""
    manifest = with_digests(controller_revision())
    manifest["data"]["digests"]["children"] = {"Service/chat": "pinned"}
    kept = slim_revision(manifest)
    assert kept is not None
    assert kept.digests == {("Service", "chat"): "pinned"}


def test_digests_of_another_scheme_are_made_anew() -> None:
    """A new version of the operator may hash otherwise; no child differs because of that."""
    manifest = with_digests(controller_revision())
    manifest["data"]["digests"] = {"scheme": "another/0", "children": {"Service/chat": "other"}}
    assert slim_revision(manifest) == record()


def test_what_somebody_else_wrote_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is named in the log and is no revision of ours."""
    foreign = {**live("ControllerRevision", "odd", namespace="team", api_version="apps/v1"), "data": {"x": 1}}
    with caplog.at_level(logging.WARNING):
        assert slim_revision(foreign) is None
    assert "team/odd" in caplog.text


def test_the_newest_has_the_highest_number() -> None:
    """Of none there is none."""
    records = [record(2), record(9), record(3)]
    assert newest(records) is records[1]
    assert newest([]) is None
    assert next_number(records) == 10
    assert next_number([]) == 1


def test_only_a_deployment_is_unscaled() -> None:
    """A disruption budget has no `replicas` to leave out."""
    assert unscaled({"kind": "Deployment", "spec": {"replicas": 3, "paused": True}})["spec"] == {"paused": True}
    other = {"kind": "StatefulSet", "spec": {"replicas": 3}}
    assert unscaled(other) is other
