"""Everything that Penstock renders, applied: found again as it was sent, applied again without a write, drift seen."""

from typing import Any

import pytest

from builders import gateway_requests
from builders.revisions import CASES
from contract.target import JSON_PATCH, MERGE, Space, config_map
from penstock.cluster.errors import Invalid
from penstock.cluster.owned import manifest_digest, owned_digest
from penstock.cluster.resources import resource_of
from penstock.cluster.store import Store
from penstock.gateways.litellm import render_credentials, render_gateway, render_token
from penstock.reconcilers.children import CHILD_KINDS, Changes, Children
from penstock.reconcilers.world import World
from penstock.render.revisions import render_controller_revision, render_revision
from penstock.render.services import render_service

Object = dict[str, Any]


async def _manifests(space: Space, case: str) -> list[Object]:
    """The revision's children, the ordinary Service and the ControllerRevision, with an owner that lives."""
    request = CASES[case]
    revision = render_revision(request)
    pinned = render_controller_revision(
        request.deployment, revision, request.assignment, number=1, spec_digest="digest"
    )
    service = render_service(request.deployment, revision.name, request.assignment)
    return await _owned([*revision.manifests, service, pinned], space)


async def _gateway(space: Space) -> list[Object]:
    """The gateway's children and its Secrets."""
    request = gateway_requests.CASES["gateway-two"]
    credentials = render_credentials(request.gateway, {"team.mistral": "key-of-mistral"})
    token = render_token(request.gateway, "token-of-the-server", "key-of-the-master")
    return await _owned([*render_gateway(request), credentials, token], space)


async def _owned(manifests: list[Object], space: Space) -> list[Object]:
    owner = (await space.create(config_map("owner"))).expect(201)
    return [_placed(each, space, owner) for each in manifests]


def _placed(manifest: Object, space: Space, owner: Object) -> Object:
    metadata = manifest["metadata"]
    owners = [{**each, "uid": owner["metadata"]["uid"]} for each in metadata["ownerReferences"]]
    return {**manifest, "metadata": {**metadata, "namespace": space.name, "ownerReferences": owners}}


async def _edit(space: Space, manifest: Object, body: Any) -> Object:
    """What somebody else makes of it."""
    headers = {"Content-Type": JSON_PATCH if isinstance(body, list) else MERGE}
    path = resource_of(manifest).path(space.name, manifest["metadata"]["name"])
    return (await space.cluster.ask("PATCH", path, body, headers, fieldManager="editor")).expect(200)


@pytest.mark.parametrize("case", CASES)
async def test_what_is_rendered_is_recognised(space: Space, case: str) -> None:
    """The digest of the live object is the manifest's; the same again is no write, a claim's after one more."""
    for manifest in await _manifests(space, case):
        what = f"{manifest['kind']} {manifest['metadata']['name']}"
        live = await space.cluster.client.apply(manifest, strict=True)
        assert owned_digest(live) == manifest_digest(manifest), what
        settled = live if manifest["kind"] != "PersistentVolumeClaim" else await space.cluster.client.apply(manifest)
        again = await space.cluster.client.apply(manifest)
        assert again["metadata"] == settled["metadata"], what


async def test_what_runs_a_gateway_is_recognised(space: Space) -> None:
    """Likewise, of all its kinds."""
    for manifest in await _gateway(space):
        live = await space.cluster.client.apply(manifest, strict=True)
        assert owned_digest(live) == manifest_digest(manifest), manifest["kind"]
        again = await space.cluster.client.apply(manifest)
        assert again["metadata"] == live["metadata"], manifest["kind"]


@pytest.mark.parametrize("case", CASES)
async def test_a_foreign_label_is_no_drift(space: Space, case: str) -> None:
    """It is not ours, so it stays, and no digest changes."""
    for manifest in await _manifests(space, case):
        await space.cluster.client.apply(manifest)
        edited = await _edit(space, manifest, {"metadata": {"labels": {"team": "search"}}})
        assert owned_digest(edited) == manifest_digest(manifest), manifest["kind"]
        again = await space.cluster.client.apply(manifest)
        assert again["metadata"]["resourceVersion"] == edited["metadata"]["resourceVersion"]


_CONTAINER = "/spec/template/spec/containers/0"
_DRIFT: dict[str, tuple[str, Any]] = {
    "argument": ("Deployment", [{"op": "add", "path": f"{_CONTAINER}/args/0", "value": "--odd"}]),
    "image": ("Deployment", [{"op": "replace", "path": f"{_CONTAINER}/image", "value": "odd:1"}]),
    "environment": ("Deployment", [{"op": "remove", "path": f"{_CONTAINER}/env/0"}]),
    "probe": ("Deployment", [{"op": "remove", "path": f"{_CONTAINER}/readinessProbe"}]),
    "target port": ("Service", [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 81}]),
    "selector": ("Service", [{"op": "add", "path": "/spec/selector/odd", "value": "1"}]),
    "label": ("Service", [{"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"}]),
    "owner": ("Service", [{"op": "remove", "path": "/metadata/ownerReferences"}]),
    "budget": ("PodDisruptionBudget", {"spec": {"maxUnavailable": 2}}),
    "peers": ("NetworkPolicy", [{"op": "remove", "path": "/spec/ingress/0"}]),
    "annotation": ("ControllerRevision", {"metadata": {"annotations": {"penstock.dev/spec-digest": "odd"}}}),
}


@pytest.mark.parametrize(("kind", "edit"), _DRIFT.values(), ids=_DRIFT)
async def test_drift_is_seen_and_put_right(space: Space, kind: str, edit: Any) -> None:
    """A foreign edit of one of our fields changes the digest; the next apply takes it back."""
    manifests = await _manifests(space, "sglang-volume")
    manifest = next(each for each in manifests if each["kind"] == kind)
    await space.cluster.client.apply(manifest)
    edited = await _edit(space, manifest, edit)
    assert owned_digest(edited) != manifest_digest(manifest)
    repaired = await space.cluster.client.apply(manifest)
    assert owned_digest(repaired) == manifest_digest(manifest)


async def test_another_port_number_is_put_right_by_replacing_the_ports(space: Space) -> None:
    """Apply alone would have the port's name twice: ports are merged by their number."""
    manifest = next(each for each in await _manifests(space, "sglang-volume") if each["kind"] == "Service")
    await space.cluster.client.apply(manifest)
    await _edit(space, manifest, [{"op": "replace", "path": "/spec/ports/0/port", "value": 9999}])
    with pytest.raises(Invalid):
        await space.cluster.client.apply(manifest)
    world = World(lambda _: None, lambda _key, _seconds: None, children={kind: Store() for kind in CHILD_KINDS})
    await Children(world, space.cluster.client).apply(manifest, Changes())
    path = resource_of(manifest).path(space.name, manifest["metadata"]["name"])
    repaired = (await space.cluster.ask("GET", path)).expect(200)
    assert [port["port"] for port in repaired["spec"]["ports"]] == [port["port"] for port in manifest["spec"]["ports"]]
    assert owned_digest(repaired) == manifest_digest(manifest)
