"""What others do to the children is undone; what is not ours is left alone."""

from collections.abc import Callable
from typing import Any

import pytest

from integration.stage import Stage, deployment

Object = dict[str, Any]


def _image(live: Object) -> Object:
    template = live["spec"]["template"]
    engine = {**template["spec"]["containers"][0], "image": "example.com/other:1"}
    pod = {**template["spec"], "containers": [engine]}
    return {**live, "spec": {**live["spec"], "template": {**template, "spec": pod}}}


def _scale(live: Object) -> Object:
    return {**live, "spec": {**live["spec"], "replicas": 5}}


def _selector(live: Object) -> Object:
    return {**live, "spec": {**live["spec"], "selector": {"app": "other"}}}


def _budget(live: Object) -> Object:
    return {**live, "spec": {**live["spec"], "maxUnavailable": 7}}


def _policy(live: Object) -> Object:
    return {**live, "spec": {**live["spec"], "ingress": [{}]}}


def _label(live: Object) -> Object:
    labels = {**live["metadata"]["labels"], "penstock.dev/deployment": "other"}
    return {**live, "metadata": {**live["metadata"], "labels": labels}}


EDITS: dict[str, tuple[str, str, Callable[[Object], Object]]] = {
    "the engine's image": ("deployments", "chat-{}", _image),
    "the replicas": ("deployments", "chat-{}", _scale),
    "a label of the Deployment": ("deployments", "chat-{}", _label),
    "the Service's selector": ("services", "chat", _selector),
    "the headless Service's selector": ("services", "chat-{}", _selector),
    "the disruption budget": ("poddisruptionbudgets", "chat-{}", _budget),
    "the network policy": ("networkpolicies", "chat-{}", _policy),
    "a label of the network policy": ("networkpolicies", "chat-{}", _label),
}


def _owned(live: Object) -> Object:
    metadata = {key: live["metadata"][key] for key in ("uid", "labels")}
    return {**{key: live[key] for key in ("spec",)}, "metadata": metadata}


@pytest.mark.parametrize(("plural", "name", "change"), EDITS.values(), ids=EDITS.keys())
async def test_a_foreign_edit_is_undone(
    cluster: Stage, plural: str, name: str, change: Callable[[Object], Object]
) -> None:
    """Each child goes back to what is pinned, under the same uid."""
    cluster.put(deployment())
    await cluster.ready()
    name = name.format(cluster.serving())
    before = cluster.server.get(plural, "team", name)
    assert before is not None
    cluster.server.update(plural, "team", name, change)
    await cluster.until(lambda: _owned(cluster.server.get(plural, "team", name) or before) == _owned(before))
    await cluster.rest()
    assert _owned(cluster.server.get(plural, "team", name) or {}) == _owned(before)


async def test_what_others_add_stays(cluster: Stage) -> None:
    """An annotation and a label of somebody else cost nothing."""
    cluster.put(deployment())
    await cluster.ready()
    writes = cluster.writes()

    def noted(live: Object) -> Object:
        metadata = live["metadata"]
        own = {"annotations": {"example.com/seen": "yes"}, "labels": {**metadata["labels"], "example.com/by": "me"}}
        return {**live, "metadata": {**metadata, **own}}

    cluster.server.update("services", "team", "chat", noted)
    await cluster.rest()
    assert cluster.writes() == writes
    service = cluster.server.get("services", "team", "chat")
    assert service is not None
    assert service["metadata"]["labels"]["example.com/by"] == "me"


CHILDREN = {
    "the Deployment": ("deployments", "chat-{}"),
    "the Service": ("services", "chat"),
    "the headless Service": ("services", "chat-{}"),
    "the disruption budget": ("poddisruptionbudgets", "chat-{}"),
    "the network policy": ("networkpolicies", "chat-{}"),
    "the ControllerRevision": ("controllerrevisions", "chat-{}"),
}


@pytest.mark.parametrize(("plural", "name"), CHILDREN.values(), ids=CHILDREN.keys())
async def test_a_deleted_child_is_made_again(cluster: Stage, plural: str, name: str) -> None:
    """Under its old name, and the roll-out settles where it was."""
    cluster.put(deployment())
    await cluster.ready()
    revision, names = cluster.serving(), set(cluster.picture())
    cluster.server.delete(plural, "team", name.format(revision))
    await cluster.until(lambda: set(cluster.picture()) == names)
    await cluster.ready()
    assert set(cluster.picture()) == names
    assert cluster.revisions() == [revision]
