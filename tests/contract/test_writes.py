"""Ordinary writes: create, replace, merge and JSON patches, versions and generations."""

from typing import Any

import pytest
from contract.target import Target, config_map
from contract.widgets import WIDGETS, widget

from penstock.cluster.client import PatchType
from penstock.cluster.errors import AlreadyExists, Conflict, Invalid, NotFound
from penstock.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, LEASES, SERVICES

_SERVER = {"uid", "resourceVersion", "creationTimestamp"}


def lease(holder: str = "a") -> dict[str, Any]:
    """A Lease without a namespace."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": holder, "renewTime": "2026-11-01T12:00:00.000000Z", "leaseDurationSeconds": 15},
    }


async def test_create_adds_what_the_server_knows(cluster: Target) -> None:
    """The first version of a new object, and it is what is read afterwards."""
    reply = await cluster.create(config_map(key="value"))
    assert reply.code == 201
    assert _SERVER <= reply.body["metadata"].keys()
    assert reply.body["metadata"]["namespace"] == cluster.namespace
    assert (await cluster.get(CONFIG_MAPS, "one")).body == reply.body


async def test_a_name_is_taken_once(cluster: Target) -> None:
    await cluster.create(config_map())
    with pytest.raises(AlreadyExists) as caught:
        await cluster.client.create(cluster.placed(config_map()))
    assert 'configmaps "one" already exists' in str(caught.value)


async def test_generate_name(cluster: Target) -> None:
    """The server adds five characters."""
    manifest = {**config_map(), "metadata": {"generateName": "made-"}}
    names = {(await cluster.create(manifest)).body["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert {len(name) for name in names} == {len("made-") + 5}


async def test_the_server_decides_identity(cluster: Target) -> None:
    """A uid and a creation time that a client states are passed over."""
    manifest = config_map()
    manifest["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
    metadata = (await cluster.create(manifest)).body["metadata"]
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2001")


_BAD_CREATES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no name": ({"metadata": {}}, 422, "Invalid"),
    "upper case": ({"metadata": {"name": "Upper"}}, 422, "Invalid"),
    "too long": ({"metadata": {"name": "a" * 254}}, 422, "Invalid"),
    "label value": ({"metadata": {"name": "a", "labels": {"a": "b c"}}}, 422, "Invalid"),
    "label key": ({"metadata": {"name": "a", "labels": {"a b": "c"}}}, 422, "Invalid"),
    "version on create": ({"metadata": {"name": "a", "resourceVersion": "1"}}, 500, ""),
    "another kind": ({"kind": "Secret"}, 400, "BadRequest"),
    "no owner uid": (
        {"metadata": {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}},
        422,
        "Invalid",
    ),
    "another namespace": ({"metadata": {"name": "a", "namespace": "elsewhere"}}, 400, "BadRequest"),
}


@pytest.mark.parametrize(("change", "code", "reason"), _BAD_CREATES.values(), ids=_BAD_CREATES)
async def test_refused_creates(cluster: Target, change: dict[str, Any], code: int, reason: str) -> None:
    manifest = {**config_map(), **change}
    manifest["metadata"] = {"namespace": cluster.namespace, **manifest["metadata"]}
    reply = await cluster.ask("POST", cluster.path(CONFIG_MAPS), manifest)
    assert (reply.code, reply.body["reason"] if reason else "") == (code, reason)


async def test_a_namespace_that_is_not_there(cluster: Target) -> None:
    manifest = config_map()
    manifest["metadata"]["namespace"] = "no-such-namespace"
    with pytest.raises(NotFound) as caught:
        await cluster.client.create(manifest)
    assert 'namespaces "no-such-namespace" not found' in str(caught.value)


async def test_a_body_that_is_no_json(cluster: Target) -> None:
    reply = await cluster.ask("POST", cluster.path(CONFIG_MAPS), "{", kind="application/json")
    assert reply.code == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_an_object_too_large(cluster: Target) -> None:
    """etcd takes a million and a half bytes, a ConfigMap one."""
    assert (await cluster.create(config_map(key="x" * 1_000_000))).code == 201
    for size, code in ((1_100_000, 422), (3_300_000, 413)):
        assert (await cluster.create(config_map("two", key="x" * size))).code == code, size
    assert (await cluster.create(widget(note="x" * 1_700_000))).code == 500


async def test_replace_asks_for_the_newest_version(cluster: Target) -> None:
    """A stale one is a Conflict; without one the last writer wins."""
    first = (await cluster.create(config_map(key="a"))).body
    second = (await cluster.replace({**first, "data": {"key": "b"}})).body
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(Conflict) as caught:
        await cluster.client.replace({**first, "data": {"key": "c"}})
    assert "the object has been modified" in str(caught.value)
    reply = await cluster.replace(cluster.placed(config_map(key="d")))
    assert (reply.code, reply.body["data"]) == (200, {"key": "d"})


async def test_replace_holds_on_to_the_uid(cluster: Target) -> None:
    """The uid of a former object of that name is a Conflict."""
    live = (await cluster.create(config_map())).body
    foreign = {**live, "metadata": {**live["metadata"], "uid": "11111111-1111-1111-1111-111111111111"}}
    foreign["metadata"].pop("resourceVersion")
    assert (await cluster.replace(foreign)).code == 409


async def test_replace_of_what_is_not_there(cluster: Target) -> None:
    for manifest, code in ((widget(), 404), (config_map(), 404)):
        assert (await cluster.replace(cluster.placed(manifest))).code == code


async def test_replacing_with_the_same_is_no_write(cluster: Target) -> None:
    live = await cluster.create(config_map(key="a"))
    assert (await cluster.replace(live.body)).version == live.version


async def test_a_lease_changes_hands_once(cluster: Target) -> None:
    """Created once, then replaced by whoever read it last."""
    made = await cluster.client.create(cluster.placed(lease()))
    with pytest.raises(AlreadyExists):
        await cluster.client.create(cluster.placed(lease("b")))
    spec = {**made["spec"], "holderIdentity": "b"}
    taken = await cluster.client.replace({**made, "spec": spec})
    assert taken["spec"]["holderIdentity"] == "b"
    with pytest.raises(Conflict):
        await cluster.client.replace({**made, "spec": {**spec, "holderIdentity": "c"}})
    assert (await cluster.get(LEASES, "leader")).body["spec"]["renewTime"] == "2026-11-01T12:00:00.000000Z"


async def test_merge_patch(cluster: Target) -> None:
    """Null removes, maps merge, lists are replaced."""
    await cluster.create(widget(mode="Fast", note="x", arguments=["-a"], tags={"a": "1", "b": "2"}))
    patch = {"spec": {"note": None, "arguments": ["-b", "-c"], "tags": {"b": None, "c": "3"}}}
    spec = (await cluster.patch(WIDGETS, "one", patch)).body["spec"]
    assert "note" not in spec
    assert (spec["mode"], spec["arguments"], spec["tags"]) == ("Fast", ["-b", "-c"], {"a": "1", "c": "3"})


async def test_merge_patch_with_a_version(cluster: Target) -> None:
    """A stale version in the patch is a Conflict."""
    made = await cluster.create(config_map(key="a"))
    await cluster.patch(CONFIG_MAPS, "one", {"data": {"key": "b"}})
    stale = {"metadata": {"resourceVersion": made.version}, "data": {"key": "c"}}
    assert (await cluster.patch(CONFIG_MAPS, "one", stale)).code == 409


async def test_json_patch(cluster: Target) -> None:
    """Add, replace, remove, test, in order."""
    await cluster.create(widget(mode="Fast", arguments=["-a", "-b"], tags={"x/y": "1"}))
    patch = [
        {"op": "test", "path": "/spec/mode", "value": "Fast"},
        {"op": "replace", "path": "/spec/mode", "value": "Safe"},
        {"op": "add", "path": "/spec/arguments/0", "value": "-0"},
        {"op": "add", "path": "/spec/arguments/-", "value": "-z"},
        {"op": "remove", "path": "/spec/arguments/1"},
        {"op": "add", "path": "/spec/tags/x~1z", "value": "2"},
    ]
    spec = (await cluster.patch(WIDGETS, "one", patch)).body["spec"]
    assert (spec["mode"], spec["arguments"]) == ("Safe", ["-0", "-b", "-z"])
    assert spec["tags"] == {"x/y": "1", "x/z": "2"}


_BAD_JSON_PATCHES: dict[str, tuple[Any, int]] = {
    "test fails": ([{"op": "test", "path": "/spec/mode", "value": "Safe"}], 422),
    "test of nothing": ([{"op": "test", "path": "/spec/note", "value": "x"}], 422),
    "remove nothing": ([{"op": "remove", "path": "/spec/note"}], 422),
    "replace nothing": ([{"op": "replace", "path": "/spec/note", "value": "x"}], 422),
    "no such parent": ([{"op": "add", "path": "/status/deep/er", "value": "x"}], 422),
    "beyond the end": ([{"op": "add", "path": "/spec/arguments/7", "value": "x"}], 422),
    "unknown operation": ([{"op": "rename", "path": "/spec/mode", "value": "x"}], 422),
    "result is invalid": ([{"op": "replace", "path": "/spec/mode", "value": "Odd"}], 422),
}


@pytest.mark.parametrize(("patch", "code"), _BAD_JSON_PATCHES.values(), ids=_BAD_JSON_PATCHES)
async def test_refused_json_patches_change_nothing(cluster: Target, patch: Any, code: int) -> None:
    made = await cluster.create(widget(mode="Fast", arguments=["-a"]))
    patch = [{"op": "add", "path": "/spec/code", "value": "abc"}, *patch]
    assert (await cluster.patch(WIDGETS, "one", patch)).code == code
    assert (await cluster.get(WIDGETS, "one")).version == made.version


async def test_patches_that_are_none(cluster: Target) -> None:
    """Content types that no patch of a custom object has."""
    await cluster.create(widget())
    path = cluster.path(WIDGETS, "one")
    odd = await cluster.ask("PATCH", path, {"spec": {}}, kind="application/json")
    assert odd.code == 415
    strategic = await cluster.ask("PATCH", path, {"spec": {}}, kind="application/strategic-merge-patch+json")
    assert strategic.code == 415


async def test_patching_what_is_not_there(cluster: Target) -> None:
    with pytest.raises(NotFound):
        await cluster.client.patch(SERVICES, "none", cluster.namespace, {}, content_type=PatchType.MERGE)


async def test_a_patch_does_not_rename(cluster: Target) -> None:
    """Names and uids are for ever."""
    await cluster.create(widget())
    assert (await cluster.patch(WIDGETS, "one", {"metadata": {"name": "two"}})).code in {400, 422}


async def test_generation_counts_changes_of_the_spec(cluster: Target) -> None:
    """Not those of labels, annotations or status."""
    made = await cluster.create(widget(note="a"))
    assert made.generation == 1
    steps = [
        ({"metadata": {"labels": {"a": "b"}}}, "", 1),
        ({"metadata": {"annotations": {"a": "b"}}}, "", 1),
        ({"status": {"phase": "Ready"}}, "status", 1),
        ({"spec": {"note": "a"}}, "", 1),
        ({"spec": {"note": "b"}}, "", 2),
        ({"metadata": {"generation": 9}, "spec": {"note": "c"}}, "", 3),
    ]
    for patch, subresource, generation in steps:
        reply = await cluster.patch(WIDGETS, "one", patch, subresource)
        assert (reply.code, reply.generation) == (200, generation), patch


async def test_generation_of_a_deployment(cluster: Target) -> None:
    """Built-in kinds count like our own."""
    made = await cluster.create(deployment())
    assert made.generation == 1
    labelled = await cluster.patch(DEPLOYMENTS, "web", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.generation == 1
    assert (await cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}})).generation == 2


async def test_config_maps_and_services_have_no_generation(cluster: Target) -> None:
    """Where the real one does not count nobody may rely on it."""
    made = await cluster.create(config_map())
    assert "generation" not in made.body["metadata"]


async def test_dry_run_writes_nothing(cluster: Target) -> None:
    """But answers, and refuses, as if it did."""
    reply = await cluster.create(widget(), dryRun="All")
    assert reply.code == 201
    assert reply.body["spec"]["limits"] == {"memory": 4}
    assert (await cluster.get(WIDGETS, "one")).code == 404
    assert (await cluster.create(widget(mode="Odd"), dryRun="All")).code == 422
    made = await cluster.create(widget())
    reply = await cluster.patch(WIDGETS, "one", {"spec": {"note": "a"}}, dryRun="All")
    assert reply.body["spec"]["note"] == "a"
    assert (await cluster.get(WIDGETS, "one")).version == made.version


async def test_the_client_says_invalid(cluster: Target) -> None:
    """422 with causes."""
    manifest = cluster.placed(config_map())
    manifest["metadata"]["labels"] = {"a": "b c"}
    with pytest.raises(Invalid) as caught:
        await cluster.client.create(manifest)
    assert caught.value.status == 422
    assert caught.value.details["causes"]


def deployment() -> dict[str, Any]:
    """A Deployment without a namespace."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            },
        },
    }
