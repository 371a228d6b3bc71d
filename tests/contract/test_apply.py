"""Server-side apply: who owns what, what a manager no longer asks for, conflicts."""

from typing import Any

import pytest

from contract.target import WIDGETS, Object, Space, config_map, container, deployment, service, widget
from penstock.cluster.errors import Conflict
from penstock.cluster.resources import CONFIG_MAPS, DEPLOYMENTS

pytestmark = pytest.mark.timeout(60)


def _owned(live: Object, manager: str, operation: str = "Apply", subresource: str = "") -> Any:
    """The fields of that manager; None where it has none."""
    found = [
        entry["fieldsV1"]
        for entry in live["metadata"].get("managedFields", [])
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, subresource)
    ]
    assert len(found) <= 1
    return found[0] if found else None


async def test_apply_creates(space: Space) -> None:
    made = (await space.apply(config_map("a", {"app": "x"}, k="v"))).expect(201)
    assert made["data"] == {"k": "v"}
    entry = made["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("writer", "Apply", "v1")
    assert (entry["fieldsType"], "subresource" in entry) == ("FieldsV1", False)
    assert entry["fieldsV1"] == {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:app": {}}}}


async def test_apply_again_changes_nothing(space: Space) -> None:
    """No new version, no event, the same answer."""
    made = (await space.apply(config_map("a", k="v"))).expect(201)
    assert (await space.apply(config_map("a", k="v"))).expect(200) == made
    (await space.delete(CONFIG_MAPS, "a")).expect(200)
    events = await space.watch(CONFIG_MAPS, made["metadata"]["resourceVersion"], 1)
    assert events[0].type == "DELETED"


@pytest.mark.parametrize(
    "manifest",
    [
        widget("a", parts=[{"name": "p"}], tags=["x", "y"], nested={"note": "n"}, words=["w"], pairs={"k": "v"}),
        deployment("a", container("main", env=[{"name": "A", "value": "1"}], ports=[{"containerPort": 80}])),
        service("a", {"name": "http", "port": 80}, {"name": "more", "port": 81}),
    ],
    ids=["Widget", "Deployment", "Service"],
)
async def test_applying_again_keeps_the_version_of_any_kind(space: Space, manifest: Object) -> None:
    """Though the server filled in defaults."""
    made = (await space.apply(manifest)).expect(201)
    assert (await space.apply(manifest)).expect(200)["metadata"] == made["metadata"]


async def test_apply_changes_and_adds(space: Space) -> None:
    first = (await space.apply(config_map("a", k="v"))).expect(201)
    second = (await space.apply(config_map("a", k="w", l="x"))).expect(200)
    assert second["data"] == {"k": "w", "l": "x"}
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert _owned(second, "writer") == {"f:data": {"f:k": {}, "f:l": {}}}


async def test_what_is_no_longer_asked_for_goes(space: Space) -> None:
    (await space.apply(config_map("a", {"app": "x", "tier": "1"}, k="v", l="w"))).expect(201)
    after = (await space.apply(config_map("a", {"app": "x"}, k="v"))).expect(200)
    assert after["data"] == {"k": "v"}
    assert after["metadata"]["labels"] == {"app": "x"}


async def test_what_others_wrote_stays(space: Space) -> None:
    (await space.apply(config_map("a", k="v"))).expect(201)
    (await space.by("other").patch(CONFIG_MAPS, "a", {"data": {"mine": "1"}})).expect(200)
    after = (await space.apply(config_map("a", k="w"))).expect(200)
    assert after["data"] == {"k": "w", "mine": "1"}
    assert _owned(after, "other", "Update") == {"f:data": {"f:mine": {}}}


async def test_another_value_of_anothers_field_is_a_conflict(space: Space) -> None:
    (await space.by("first").apply(config_map("a", k="v", l="v"))).expect(201)
    reply = await space.by("second").apply(config_map("a", k="w", l="w"))
    body = reply.refused(409, "Conflict")
    assert reply.blamed() == {".data.k", ".data.l"}
    assert {cause["reason"] for cause in body["details"]["causes"]} == {"FieldManagerConflict"}
    assert all('conflict with "first"' in cause["message"] for cause in body["details"]["causes"])
    assert body["message"].startswith("Apply failed with 2 conflicts:")


async def test_an_update_owns_too(space: Space) -> None:
    (await space.by("first").create(config_map("a", k="v"))).expect(201)
    reply = await space.by("second").apply(config_map("a", k="w"))
    reply.refused(409, "Conflict")
    assert reply.blamed() == {".data.k"}


async def test_force_takes_the_field(space: Space) -> None:
    (await space.by("first").apply(config_map("a", k="v", l="v"))).expect(201)
    after = (await space.by("second").apply(config_map("a", k="w"), force=True)).expect(200)
    assert after["data"] == {"k": "w", "l": "v"}
    assert _owned(after, "first") == {"f:data": {"f:l": {}}}
    assert _owned(after, "second") == {"f:data": {"f:k": {}}}


async def test_the_same_value_is_shared(space: Space) -> None:
    """It stays until the last owner lets go."""
    (await space.by("first").apply(config_map("a", k="v"))).expect(201)
    after = (await space.by("second").apply(config_map("a", k="v"))).expect(200)
    assert _owned(after, "first") == _owned(after, "second") == {"f:data": {"f:k": {}}}
    after = (await space.by("first").apply(config_map("a"))).expect(200)
    assert after["data"] == {"k": "v"}
    after = (await space.by("second").apply(config_map("a"))).expect(200)
    assert not after.get("data")


async def test_an_update_takes_ownership(space: Space) -> None:
    (await space.by("first").apply(config_map("a", k="v", l="v"))).expect(201)
    after = (await space.by("second").patch(CONFIG_MAPS, "a", {"data": {"k": "w"}})).expect(200)
    assert _owned(after, "first") == {"f:data": {"f:l": {}}}
    assert _owned(after, "second", "Update") == {"f:data": {"f:k": {}}}
    (await space.by("first").apply(config_map("a", k="v", l="v"))).refused(409, "Conflict")


async def test_an_update_of_ones_own_field_parts_from_the_apply(space: Space) -> None:
    """Apply and Update of one manager are two owners."""
    (await space.apply(config_map("a", k="v"))).expect(201)
    after = (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "w"}})).expect(200)
    assert _owned(after, "writer", "Update") == {"f:data": {"f:k": {}}}
    (await space.apply(config_map("a", k="x"))).refused(409, "Conflict")


async def test_what_another_removed_comes_back(space: Space) -> None:
    """Drift is healed by applying again."""
    (await space.apply(config_map("a", k="v", l="v"))).expect(201)
    after = (await space.by("other").patch(CONFIG_MAPS, "a", {"data": {"k": None}})).expect(200)
    assert _owned(after, "writer") == {"f:data": {".": {}, "f:l": {}}} or _owned(after, "writer") == {
        "f:data": {"f:l": {}}
    }
    after = (await space.apply(config_map("a", k="v", l="v"))).expect(200)
    assert after["data"] == {"k": "v", "l": "v"}


async def test_list_maps_merge_by_key(space: Space) -> None:
    (await space.by("first").apply(widget("a", parts=[{"name": "p", "count": 2}]))).expect(201)
    second = {**widget("a"), "spec": {"parts": [{"name": "q", "note": "n"}, {"name": "p", "note": "m"}]}}
    after = (await space.by("second").apply(second)).expect(200)
    assert after["spec"]["parts"] == [
        {"name": "q", "count": 1, "note": "n"},
        {"name": "p", "count": 2, "note": "m"},
    ]
    assert _owned(after, "second") == {
        "f:spec": {
            "f:parts": {
                'k:{"name":"q"}': {".": {}, "f:name": {}, "f:note": {}},
                'k:{"name":"p"}': {".": {}, "f:name": {}, "f:note": {}},
            }
        }
    }


async def test_an_item_goes_with_its_last_owner(space: Space) -> None:
    (await space.by("first").apply(widget("a", parts=[{"name": "p"}, {"name": "q", "count": 2}]))).expect(201)
    second = {**widget("a"), "spec": {"parts": [{"name": "q", "note": "n"}]}}
    (await space.by("second").apply(second)).expect(200)
    after = (await space.by("first").apply(widget("a"))).expect(200)
    assert after["spec"]["parts"] == [{"name": "q", "count": 1, "note": "n"}]


async def test_sets_merge(space: Space) -> None:
    (await space.by("first").apply(widget("a", tags=["x", "y"]))).expect(201)
    second = {**widget("a"), "spec": {"tags": ["y", "z"]}}
    after = (await space.by("second").apply(second)).expect(200)
    assert set(after["spec"]["tags"]) == {"x", "y", "z"}
    assert _owned(after, "second") == {"f:spec": {"f:tags": {'v:"y"': {}, 'v:"z"': {}}}}
    after = (await space.by("first").apply(widget("a"))).expect(200)
    assert set(after["spec"]["tags"]) == {"y", "z"}


async def test_atomic_values_are_owned_whole(space: Space) -> None:
    made = (await space.by("first").apply(widget("a", words=["x"], block={"a": "1"}))).expect(201)
    assert _owned(made, "first")["f:spec"]["f:words"] == {}
    assert _owned(made, "first")["f:spec"]["f:block"] == {}
    second = {**widget("a"), "spec": {"words": ["y"], "block": {"b": "1"}}}
    reply = await space.by("second").apply(second)
    reply.refused(409, "Conflict")
    assert reply.blamed() == {".spec.words", ".spec.block"}
    after = (await space.by("second").apply(second, force=True)).expect(200)
    assert (after["spec"]["words"], after["spec"]["block"]) == (["y"], {"b": "1"})


async def test_containers_merge_by_name(space: Space) -> None:
    """As a user's sidecar beside what we render."""
    main = container("main", env=[{"name": "A", "value": "1"}], ports=[{"containerPort": 80}])
    (await space.by("first").apply(deployment("a", main))).expect(201)
    second = {**deployment("a", container("side")), "spec": {"template": {"spec": {"containers": [container("side")]}}}}
    after = (await space.by("second").apply(second)).expect(200)
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    main["env"] = [{"name": "B", "value": "2"}]
    after = (await space.by("first").apply(deployment("a", main))).expect(200)
    containers = after["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["main", "side"]
    assert containers[0]["env"] == [{"name": "B", "value": "2"}]


async def test_fields_of_a_container(space: Space) -> None:
    main = container(
        "main", ports=[{"containerPort": 80, "name": "http"}], args=["-x"], resources={"limits": {"cpu": "1"}}
    )
    made = (await space.apply(deployment("a", main))).expect(201)
    owned = _owned(made, "writer")["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert owned == {
        ".": {},
        "f:args": {},
        "f:image": {},
        "f:name": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}}},
        "f:resources": {"f:limits": {"f:cpu": {}}},
    }


async def test_ports_of_a_service_merge_by_port(space: Space) -> None:
    (await space.apply(service("a", {"name": "http", "port": 80}))).expect(201)
    after = (await space.apply(service("a", {"name": "other", "port": 81}))).expect(200)
    assert [port["port"] for port in after["spec"]["ports"]] == [81]
    fields = _owned(after, "writer")["f:spec"]
    assert fields["f:ports"] == {'k:{"port":81,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}}
    assert fields["f:selector"] == {}


async def test_owner_references_and_finalizers_merge(space: Space) -> None:
    owner = (await space.create(config_map("owner"))).expect(201)["metadata"]["uid"]
    manifest = config_map("a")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}
    manifest["metadata"] |= {"ownerReferences": [reference], "finalizers": ["example.com/x"]}
    made = (await space.apply(manifest)).expect(201)
    assert _owned(made, "writer")["f:metadata"] == {
        "f:finalizers": {'v:"example.com/x"': {}},
        "f:ownerReferences": {f'k:{{"uid":"{owner}"}}': {}},
    }
    (await space.by("other").patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}}))
    after = (await space.apply(config_map("a"))).expect(200)
    assert after["metadata"]["finalizers"] == ["example.com/y"]
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})).expect(200)


async def test_status_is_applied_apart(space: Space) -> None:
    (await space.apply(widget("a"))).expect(201)
    status: Object = {"conditions": [{"type": "Ready", "status": "True"}], "replicas": 1}
    manifest = {**widget("a"), "status": status}
    manifest.pop("spec")
    made = (await space.apply(manifest, "status")).expect(200)
    assert made["status"] == status
    assert _owned(made, "writer", "Apply", "status") == {
        "f:status": {
            "f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}},
            "f:replicas": {},
        }
    }
    assert made["metadata"]["generation"] == 1
    again = (await space.apply(manifest, "status")).expect(200)
    assert again == made
    manifest["status"] = {"replicas": 1}
    assert (await space.apply(manifest, "status")).expect(200)["status"] == {"replicas": 1}


async def test_an_ordinary_apply_does_not_touch_the_status(space: Space) -> None:
    (await space.apply(widget("a"))).expect(201)
    (await space.patch(WIDGETS, "a", {"status": {"replicas": 2}}, "status")).expect(200)
    after = (await space.apply({**widget("a", size=5), "status": {"replicas": 9}})).expect(200)
    assert after["status"] == {"replicas": 2}
    assert "f:status" not in _owned(after, "writer")


async def test_apply_of_an_absent_status(space: Space) -> None:
    (await space.apply({**widget("a"), "status": {"replicas": 1}}, "status")).refused(404, "NotFound")


async def test_apply_bumps_the_generation(space: Space) -> None:
    made = (await space.apply(deployment("a"))).expect(201)
    assert made["metadata"]["generation"] == 1
    assert (await space.apply(deployment("a", replicas=3))).expect(200)["metadata"]["generation"] == 2
    assert (await space.apply(deployment("a", replicas=3))).expect(200)["metadata"]["generation"] == 2


async def test_apply_defaults_and_validates(space: Space) -> None:
    made = (await space.apply(widget("a", nested={"note": "x"}))).expect(201)
    assert made["spec"]["nested"] == {"depth": 7, "note": "x"}
    assert _owned(made, "writer") == {"f:spec": {"f:color": {}, "f:nested": {"f:note": {}}}}
    reply = await space.apply(widget("a", size=11))
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"spec.size"}


async def test_a_dropped_field_falls_back_to_its_default(space: Space) -> None:
    (await space.apply(widget("a", size=5))).expect(201)
    after = (await space.apply(widget("a"))).expect(200)
    assert after["spec"]["size"] == 3


async def test_what_is_left_empty(space: Space) -> None:
    """When the last key or item is no longer asked for."""
    full = widget("a", tags=["x"], pairs={"k": "v"}, parts=[{"name": "p"}], block={"a": "1"}, nested={"note": "n"})
    (await space.apply(full)).expect(201)
    spec = (await space.apply(widget("a"))).expect(200)["spec"]
    assert {key: spec[key] for key in spec if key not in {"color", "size", "replicas"}} == {"nested": {"depth": 7}}


async def test_apply_needs_a_manager(space: Space) -> None:
    path = space.path(CONFIG_MAPS, "a")
    headers = {"Content-Type": "application/apply-patch+yaml"}
    reply = await space.cluster.ask("PATCH", path, config_map("a"), headers)
    assert reply.status in {400, 422}
    assert "fieldManager" in reply.body["message"]


async def test_apply_with_managed_fields_is_refused(space: Space) -> None:
    made = (await space.apply(config_map("a"))).expect(201)
    if "managedFields" not in made["metadata"]:
        made = (await space.apply(config_map("a", k="v"))).expect(200)
    (await space.apply(made)).refused(400, "BadRequest")


async def test_apply_guarded_by_version_and_uid(space: Space) -> None:
    """How a creation is kept from a name that somebody else took."""
    made = (await space.apply(config_map("a", k="v"))).expect(201)
    manifest = config_map("a", k="w")
    manifest["metadata"]["resourceVersion"] = "1"
    (await space.apply(manifest)).refused(409, "Conflict")
    manifest["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    (await space.apply(manifest)).expect(200)
    manifest = config_map("b", k="w")
    manifest["metadata"]["uid"] = made["metadata"]["uid"]
    (await space.apply(manifest)).refused(409, "Conflict")


async def test_a_name_that_differs_from_the_path(space: Space) -> None:
    headers = {"Content-Type": "application/apply-patch+yaml"}
    path = space.path(CONFIG_MAPS, "a")
    reply = await space.cluster.ask("PATCH", path, config_map("b"), headers, fieldManager="x")
    reply.refused(400, "BadRequest")


async def test_null_is_no_value(space: Space) -> None:
    """An apply says what is wanted; a null of a field that may not be null is refused."""
    (await space.apply(widget("a", word=None))).refused(422, "Invalid")
    made = (await space.apply(widget("a", maybe=None))).expect(201)
    assert made["spec"]["maybe"] is None


async def test_a_duplicate_key_is_refused(space: Space) -> None:
    reply = await space.apply(widget("a", parts=[{"name": "p"}, {"name": "p"}]))
    assert reply.status in {422, 500}
    assert (await space.get(WIDGETS, "a")).status == 404


async def test_unknown_fields_of_an_applied_custom_resource(space: Space) -> None:
    reply = await space.apply(widget("a", unheard=1), fieldValidation="Strict")
    assert reply.status in {400, 500}
    assert "unheard" in reply.body["message"]


async def test_managed_fields_can_be_cleared(space: Space) -> None:
    (await space.apply(config_map("a", k="v"))).expect(201)
    after = (await space.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [{}]}})).expect(200)
    assert "managedFields" not in after["metadata"]


async def test_a_plain_update_keeps_owners(space: Space) -> None:
    """A replace without managedFields does not forget who owns what."""
    (await space.by("first").apply(config_map("a", k="v"))).expect(201)
    after = (await space.by("second").replace(config_map("a", k="v", l="w"))).expect(200)
    assert _owned(after, "first") == {"f:data": {"f:k": {}}}


async def test_create_records_an_update(space: Space) -> None:
    made = (await space.create(widget("a", size=4))).expect(201)
    entry = made["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("writer", "Update")
    assert entry["fieldsV1"]["f:spec"]["f:size"] == {}
    deployed = (await space.create(deployment("d"))).expect(201)
    assert "f:replicas" in _owned(deployed, "writer", "Update")["f:spec"]


async def test_a_user_scales_what_we_applied_without_replicas(space: Space) -> None:
    """An autoscaler's field stays the autoscaler's."""
    (await space.apply(deployment("a"))).expect(201)
    (await space.by("scaler").patch(DEPLOYMENTS, "a", {"spec": {"replicas": 5}}, "scale")).expect(200)
    after = (await space.apply(deployment("a", container("main", args=["-x"])))).expect(200)
    assert after["spec"]["replicas"] == 5


async def test_the_client_raises_a_conflict(space: Space) -> None:
    (await space.by("first").apply(config_map("a", k="v"))).expect(201)
    manifest = config_map("a", k="w")
    manifest["metadata"]["namespace"] = space.name
    with pytest.raises(Conflict):
        await space.cluster.client.apply(manifest, force=False)
    assert (await space.cluster.client.apply(manifest))["data"] == {"k": "w"}
    assert (await space.cluster.client.apply(manifest, dry_run=True))["data"] == {"k": "w"}
