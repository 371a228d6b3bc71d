"""Creating, reading and refusing single objects."""

import pytest

from contract.target import Object, Space, Target, config_map, note, pod, service, widget
from penstock.cluster.errors import AlreadyExists, NotFound
from penstock.cluster.resources import CONFIG_MAPS, LEASES, PODS, SERVICES

pytestmark = pytest.mark.timeout(60)

_LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


async def test_create_answers_with_what_the_server_adds(space: Space) -> None:
    made = (await space.create(config_map("a", key="value"))).expect(201)
    metadata = made["metadata"]
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["namespace"] == space.name
    assert made["data"] == {"key": "value"}
    assert (await space.get(CONFIG_MAPS, "a")).expect(200) == made


async def test_a_client_cannot_choose_what_the_server_adds(space: Space) -> None:
    manifest = config_map("a")
    manifest["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}
    metadata = (await space.create(manifest)).expect(201)["metadata"]
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2001")


async def test_create_with_a_version_is_refused(space: Space) -> None:
    manifest = config_map("a")
    manifest["metadata"]["resourceVersion"] = "5"
    reply = await space.create(manifest)
    assert "resourceVersion should not be set" in reply.body["message"]


async def test_a_taken_name(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    body = (await space.create(config_map("a"))).refused(409, "AlreadyExists")
    assert body["details"] == {"name": "a", "kind": "configmaps"}
    assert body["message"] == 'configmaps "a" already exists'
    manifest = config_map("a")
    manifest["metadata"]["namespace"] = space.name
    with pytest.raises(AlreadyExists):
        await space.cluster.client.create(manifest)


async def test_an_absent_object(space: Space) -> None:
    body = (await space.get(CONFIG_MAPS, "a")).refused(404, "NotFound")
    assert body["details"] == {"name": "a", "kind": "configmaps"}
    assert body["message"] == 'configmaps "a" not found'
    (await space.delete(CONFIG_MAPS, "a")).refused(404, "NotFound")
    (await space.patch(CONFIG_MAPS, "a", {"data": {}})).refused(404, "NotFound")
    with pytest.raises(NotFound):
        await space.cluster.client.get(CONFIG_MAPS, "a", space.name)


async def test_an_absent_object_of_a_group_names_the_group(space: Space) -> None:
    body = (await space.get(LEASES, "a")).refused(404, "NotFound")
    assert body["details"] == {"name": "a", "kind": "leases", "group": "coordination.k8s.io"}
    assert body["message"] == 'leases.coordination.k8s.io "a" not found'


async def test_replacing_what_is_absent(space: Space) -> None:
    """A custom resource is not created by it; a ConfigMap neither."""
    (await space.replace(widget("a"))).refused(404, "NotFound")
    (await space.replace(config_map("a"))).refused(404, "NotFound")


async def test_a_namespace_must_exist(cluster: Target) -> None:
    body = (await Space(cluster, "nowhere").create(config_map("a"))).refused(404, "NotFound")
    assert body["message"] == 'namespaces "nowhere" not found'
    (await Space(cluster, "nowhere").apply(config_map("a"))).refused(404, "NotFound")


@pytest.mark.parametrize("path", ["/api/v1/nothings", "/apis/none.test/v1/things", "/apis/apps/v9/deployments"])
async def test_an_unknown_kind(cluster: Target, path: str) -> None:
    status, _ = await cluster.client.raw("GET", path)
    assert status == 404


async def test_generated_names(space: Space) -> None:
    manifest = config_map("")
    manifest["metadata"] = {"generateName": "made-"}
    names = {(await space.create(manifest)).expect(201)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("made-") and len(name) == len("made-") + 5 for name in names)


async def test_a_name_is_needed(space: Space) -> None:
    manifest = config_map("")
    manifest["metadata"] = {}
    reply = await space.create(manifest)
    reply.refused(422, "Invalid")
    assert "metadata.name" in reply.blamed()


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "x" * 254])
async def test_a_name_has_a_form(space: Space, name: str) -> None:
    for manifest in (config_map(name), widget(name)):
        reply = await space.create(manifest)
        reply.refused(422, "Invalid")
        assert reply.blamed() == {"metadata.name"}


async def test_a_service_has_a_shorter_name(space: Space) -> None:
    (await space.create(service("x" * 64))).refused(422, "Invalid")
    (await space.create(service("x" * 63))).expect(201)


async def test_body_and_path_must_agree(space: Space) -> None:
    elsewhere = config_map("a")
    elsewhere["metadata"]["namespace"] = "default"
    (await space.create(elsewhere)).refused(400, "BadRequest")
    (await space.create(config_map("a"))).expect(201)
    path = space.path(CONFIG_MAPS, "a")
    (await space.cluster.ask("PUT", path, config_map("b"))).refused(400, "BadRequest")
    other: Object = note("a")
    (await space.cluster.ask("POST", space.path(CONFIG_MAPS), other)).refused(400, "BadRequest")


async def test_a_body_that_cannot_be_read(space: Space) -> None:
    path = space.path(CONFIG_MAPS)
    (await space.cluster.ask("POST", path, [1])).refused(400, "BadRequest")


async def test_unknown_content_types(space: Space) -> None:
    path = space.path(CONFIG_MAPS, "a")
    (await space.create(config_map("a"))).expect(201)
    reply = await space.cluster.ask("PATCH", path, "{}", {"Content-Type": "application/unheard-of"})
    reply.refused(415, "UnsupportedMediaType")


async def test_a_dry_run_changes_nothing(space: Space) -> None:
    made = (await space.create(config_map("a"), dryRun="All")).expect(201)
    assert made["metadata"]["uid"]
    (await space.get(CONFIG_MAPS, "a")).expect(404)
    live = (await space.create(config_map("a"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}}, dryRun="All")).expect(200)
    (await space.apply(config_map("a", k="v"), dryRun="All")).expect(200)
    (await space.delete(CONFIG_MAPS, "a", dryRun="All")).expect(200)
    assert (await space.get(CONFIG_MAPS, "a")).expect(200) == live


async def test_deleting_answers_with_a_status(space: Space) -> None:
    made = (await space.create(config_map("a"))).expect(201)
    gone = (await space.delete(CONFIG_MAPS, "a")).expect(200)
    assert (gone["kind"], gone["status"]) == ("Status", "Success")
    assert gone["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    (await space.get(CONFIG_MAPS, "a")).expect(404)


async def test_a_new_life_has_a_new_uid(space: Space) -> None:
    first = (await space.create(config_map("a"))).expect(201)
    (await space.delete(CONFIG_MAPS, "a")).expect(200)
    second = (await space.create(config_map("a"))).expect(201)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"]) + 1


async def test_defaults_of_built_in_kinds(space: Space) -> None:
    made = (await space.create(service("a"))).expect(201)
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["clusterIP"] == made["spec"]["clusterIPs"][0]
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    born = (await space.create(pod("a"))).expect(201)
    assert born["status"]["phase"] == "Pending"
    assert born["spec"]["restartPolicy"] == "Always"
    assert born["spec"]["terminationGracePeriodSeconds"] == 30
    (await space.get(SERVICES, "a")).expect(200)
    (await space.get(PODS, "a")).expect(200)


async def test_a_headless_service_keeps_none(space: Space) -> None:
    manifest = service("a")
    manifest["spec"]["clusterIP"] = "None"
    made = (await space.create(manifest)).expect(201)
    assert made["spec"]["clusterIP"] == "None"
    assert made["spec"]["clusterIPs"] == ["None"]


@_LARGE
async def test_large_objects(space: Space) -> None:
    """A megabyte is kept; what etcd would not take is refused."""
    manifest = widget("a", free={"blob": "x" * 1_000_000})
    (await space.create(manifest)).expect(201)
    reply = await space.create(widget("b", free={"blob": "x" * 2_000_000}))
    assert reply.status in {413, 500}
    assert "request is too large" in reply.body["message"]
    reply = await space.create(widget("c", free={"blob": "x" * 4_000_000}))
    reply.refused(413, "RequestEntityTooLarge")


@_LARGE
async def test_a_config_map_has_a_limit_of_its_own(space: Space) -> None:
    (await space.create(config_map("a", blob="x" * 1_000_000))).expect(201)
    reply = await space.create(config_map("b", blob="x" * 1_100_000))
    reply.refused(422, "Invalid")


async def test_unknown_fields_of_a_built_in_kind(space: Space) -> None:
    manifest = config_map("a") | {"dataa": {"k": "v"}}
    body = (await space.create(manifest, fieldValidation="Strict")).refused(400, "BadRequest")
    assert 'unknown field "dataa"' in body["message"]
    made = (await space.create(manifest, fieldValidation="Ignore")).expect(201)
    assert "dataa" not in made
