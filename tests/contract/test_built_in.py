"""Rules of built-in kinds, and of applies and lists, that a roll-out runs into."""

from typing import Any

import pytest

from contract.target import WIDGETS, Object, Space, config_map, deployment, service, widget
from penstock.cluster.resources import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES

pytestmark = pytest.mark.timeout(60)


async def test_a_selector_stays(space: Space) -> None:
    (await space.create(deployment("a"))).expect(201)
    selector = {"spec": {"selector": {"matchLabels": {"app": "b"}}, "template": {"metadata": {"labels": {"app": "b"}}}}}
    reply = await space.patch(DEPLOYMENTS, "a", selector)
    reply.refused(422, "Invalid")
    assert "spec.selector" in reply.blamed()


async def test_the_data_of_a_controller_revision_stays(space: Space) -> None:
    path = space.path(CONTROLLER_REVISIONS)
    metadata = {"name": "a"}
    manifest = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": {"k": 1}}
    (await space.cluster.ask("POST", path, manifest | {"revision": 1})).expect(201)
    reply = await space.patch(CONTROLLER_REVISIONS, "a", {"data": {"k": 2}})
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"data"}


async def test_the_address_of_a_service_stays(space: Space) -> None:
    address = (await space.create(service("a"))).expect(201)["spec"]["clusterIP"]
    (await space.patch(SERVICES, "a", {"spec": {"clusterIP": "10.96.77.77"}})).refused(422, "Invalid")
    after = (await space.apply({**service("a"), "metadata": {"name": "a", "labels": {"x": "y"}}})).expect(200)
    assert after["spec"]["clusterIP"] == address


_REFERENCES: dict[str, tuple[Object, str]] = {
    "owner without a uid": (
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x"}]},
        "metadata.ownerReferences.uid",
    ),
    "finalizer without a domain": ({"finalizers": ["plain"]}, "metadata.finalizers[0]"),
}


@pytest.mark.parametrize(("metadata", "field"), _REFERENCES.values(), ids=_REFERENCES)
async def test_what_metadata_refers_to(space: Space, metadata: Object, field: str) -> None:
    manifest = config_map("a")
    manifest["metadata"] |= metadata
    reply = await space.create(manifest)
    reply.refused(422, "Invalid")
    assert reply.blamed() == {field}


_UNTYPED: dict[str, tuple[Object, str]] = {
    "unknown field of a custom resource": (widget("a", unheard=1), ".spec.unheard: field not declared in schema"),
    "unknown field of a built-in kind": (config_map("a") | {"dataa": {}}, ".dataa: field not declared in schema"),
    "an item twice": (widget("a", parts=[{"name": "p"}, {"name": "p"}]), ".spec.parts: duplicate entries for key"),
    "a set's item twice": (widget("a", tags=["x", "x"]), ".spec.tags: duplicate entries for key"),
}


@pytest.mark.parametrize("strictness", ["Strict", "Ignore"])
@pytest.mark.parametrize(("manifest", "words"), _UNTYPED.values(), ids=_UNTYPED)
async def test_an_apply_that_has_no_type(space: Space, manifest: Object, words: str, strictness: str) -> None:
    """An odd answer: 500, though sending it again helps nobody; the client knows these words."""
    reply = await space.apply(manifest, fieldValidation=strictness)
    assert reply.status == 500
    assert reply.body["message"].startswith("failed to create typed patch object")
    assert words in reply.body["message"]


async def test_applying_null_where_there_is_a_default(space: Space) -> None:
    assert (await space.apply(widget("a", size=None))).expect(201)["spec"]["size"] == 3


async def test_a_strategic_patch_of_a_custom_resource(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    path = space.path(WIDGETS, "a")
    (await space.cluster.ask("PATCH", path, {"spec": {"size": 4}}, headers)).refused(415, "UnsupportedMediaType")


async def test_a_list_that_is_newer_than_anything(space: Space) -> None:
    """As a client asks for it that saw another cluster's data."""
    body: Any = (await space.listing(CONFIG_MAPS, resourceVersion="99999999999")).refused(504, "Timeout")
    assert body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_new_pod_has_no_status_of_its_own(space: Space) -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "Running"}}
    spec = {"containers": [{"name": "main", "image": "example.com/main:1"}]}
    assert (await space.create(manifest | {"spec": spec})).expect(201)["status"]["phase"] == "Pending"
