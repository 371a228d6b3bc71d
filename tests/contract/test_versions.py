"""Versions and generations: when they grow, and how they guard writes."""

import pytest

from contract.target import NOTES, WIDGETS, Space, config_map, deployment, note, widget
from penstock.cluster.errors import Conflict
from penstock.cluster.resources import CONFIG_MAPS, DEPLOYMENTS

pytestmark = pytest.mark.timeout(60)


async def test_versions_grow_over_all_kinds(space: Space) -> None:
    replies = [await space.create(config_map("a")), await space.create(widget("a")), await space.create(note("a"))]
    versions = [int(reply.expect(201)["metadata"]["resourceVersion"]) for reply in replies]
    assert versions == sorted(set(versions))


async def test_generation_counts_changes_of_the_spec(space: Space) -> None:
    made = (await space.create(widget("a"))).expect(201)
    assert made["metadata"]["generation"] == 1
    after = (await space.patch(WIDGETS, "a", {"spec": {"size": 4}})).expect(200)
    assert after["metadata"]["generation"] == 2
    after = (await space.patch(WIDGETS, "a", {"metadata": {"labels": {"x": "y"}}})).expect(200)
    assert after["metadata"]["generation"] == 2
    after = (await space.patch(WIDGETS, "a", {"status": {"replicas": 1}}, "status")).expect(200)
    assert after["metadata"]["generation"] == 2


async def test_generation_of_a_kind_without_status(space: Space) -> None:
    """There `status` is a field like any other."""
    made = (await space.create(note("a", spec={"text": "x"}, status={"text": "y"}))).expect(201)
    assert (made["metadata"]["generation"], made["status"]) == (1, {"text": "y"})
    after = (await space.patch(NOTES, "a", {"status": {"text": "z"}})).expect(200)
    assert after["metadata"]["generation"] == 2
    after = (await space.patch(NOTES, "a", {"metadata": {"annotations": {"x": "y"}}})).expect(200)
    assert after["metadata"]["generation"] == 2


async def test_generation_of_a_deployment(space: Space) -> None:
    made = (await space.create(deployment("a"))).expect(201)
    assert made["metadata"]["generation"] == 1
    after = (await space.patch(DEPLOYMENTS, "a", {"spec": {"replicas": 3}})).expect(200)
    assert after["metadata"]["generation"] == 2
    after = (await space.patch(DEPLOYMENTS, "a", {"metadata": {"labels": {"x": "y"}}})).expect(200)
    assert after["metadata"]["generation"] == 2


async def test_a_config_map_has_no_generation(space: Space) -> None:
    made = (await space.create(config_map("a"))).expect(201)
    assert "generation" not in made["metadata"]


async def test_a_write_that_changes_nothing_keeps_the_version(space: Space) -> None:
    made = (await space.create(config_map("a", k="v"))).expect(201)
    after = (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    after = (await space.replace(made)).expect(200)
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize("subresource", ["", "status"])
async def test_a_stale_replace_is_a_conflict(space: Space, subresource: str) -> None:
    stale = (await space.create(widget("a"))).expect(201)
    (await space.patch(WIDGETS, "a", {"spec": {"size": 4}})).expect(200)
    body = (await space.replace(stale, subresource)).refused(409, "Conflict")
    assert "the object has been modified" in body["message"]
    assert body["details"] == {"name": "a", "group": "contract.test", "kind": "widgets"}


async def test_the_client_names_the_conflict(space: Space) -> None:
    stale = (await space.create(config_map("a"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)
    with pytest.raises(Conflict):
        await space.cluster.client.replace(stale | {"data": {"k": "w"}})


async def test_a_replace_of_a_built_in_kind_may_leave_the_version_out(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    after = (await space.replace(config_map("a", k="v"))).expect(200)
    assert after["data"] == {"k": "v"}


async def test_a_replace_of_a_custom_resource_must_state_the_version(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    reply = await space.replace(widget("a", size=4))
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"metadata.resourceVersion"}


async def test_a_stale_patch_is_a_conflict(space: Space) -> None:
    stale = (await space.create(widget("a"))).expect(201)["metadata"]["resourceVersion"]
    fresh = (await space.patch(WIDGETS, "a", {"spec": {"size": 4}})).expect(200)["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": stale}, "spec": {"size": 5}}
    (await space.patch(WIDGETS, "a", body)).refused(409, "Conflict")
    body["metadata"]["resourceVersion"] = fresh
    (await space.patch(WIDGETS, "a", body)).expect(200)


async def test_another_uid_is_a_conflict(space: Space) -> None:
    made = (await space.create(config_map("a"))).expect(201)
    made["metadata"]["uid"] = "another"
    (await space.replace(made)).refused(409, "Conflict")
    body = {"metadata": {"uid": "another"}, "data": {"k": "v"}}
    reply = await space.patch(CONFIG_MAPS, "a", body)
    assert reply.status in {409, 422}


async def test_a_replace_takes_away_what_it_does_not_say(space: Space) -> None:
    made = (await space.create(config_map("a", {"label": "x"}, k="v", l="w"))).expect(201)
    made["data"].pop("l")
    made["metadata"].pop("labels")
    after = (await space.replace(made)).expect(200)
    assert after["data"] == {"k": "v"}
    assert "labels" not in after["metadata"]


async def test_immutable_metadata_stays(space: Space) -> None:
    made = (await space.create(widget("a"))).expect(201)
    body = {"metadata": {"generation": 40, "creationTimestamp": None}, "spec": {"size": 4}}
    after = (await space.patch(WIDGETS, "a", body)).expect(200)
    assert after["metadata"]["generation"] == 2
    assert after["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
