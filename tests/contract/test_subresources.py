"""`/status` and `/scale`: each changes its own part and nothing else."""

import pytest

from contract.target import NOTES, WIDGETS, Space, deployment, note, widget
from penstock.cluster.resources import CONFIG_MAPS, DEPLOYMENTS

pytestmark = pytest.mark.timeout(60)

_READY = {"conditions": [{"type": "Ready", "status": "True"}]}


async def test_create_drops_the_status(space: Space) -> None:
    made = (await space.create(widget("a") | {"status": {"replicas": 3}})).expect(201)
    assert "status" not in made


async def test_an_ordinary_write_leaves_the_status_alone(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    live = (await space.patch(WIDGETS, "a", {"status": _READY}, "status")).expect(200)
    after = (await space.patch(WIDGETS, "a", {"spec": {"size": 4}, "status": {"replicas": 9}})).expect(200)
    assert (after["spec"]["size"], after["status"]) == (4, _READY)
    after["status"] = {"replicas": 9}
    after["spec"]["size"] = 5
    assert (await space.replace(after)).expect(200)["status"] == _READY
    assert live["status"] == _READY


async def test_a_status_write_leaves_the_rest_alone(space: Space) -> None:
    made = (await space.create(widget("a"))).expect(201)
    made["spec"]["size"] = 9
    made["metadata"]["labels"] = {"x": "y"}
    made["status"] = _READY
    after = (await space.replace(made, "status")).expect(200)
    assert (after["spec"]["size"], after["status"]) == (3, _READY)
    assert "labels" not in after["metadata"]
    after = (await space.patch(WIDGETS, "a", {"spec": {"size": 9}, "status": {"replicas": 2}}, "status")).expect(200)
    assert (after["spec"]["size"], after["status"]) == (3, _READY | {"replicas": 2})


async def test_a_status_can_be_taken_away(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    live = (await space.patch(WIDGETS, "a", {"status": _READY}, "status")).expect(200)
    live.pop("status")
    assert "status" not in (await space.replace(live, "status")).expect(200)


async def test_status_is_validated_and_pruned(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    reply = await space.patch(WIDGETS, "a", {"status": {"replicas": "three"}}, "status")
    reply.refused(422, "Invalid")
    assert "status.replicas" in reply.blamed()
    after = (await space.patch(WIDGETS, "a", {"status": {"unknown": 1, "replicas": 1}}, "status")).expect(200)
    assert after["status"] == {"replicas": 1}


async def test_status_of_a_built_in_kind(space: Space) -> None:
    (await space.create(deployment("a"))).expect(201)
    body = {"status": {"replicas": 1, "observedGeneration": 1}, "spec": {"replicas": 7}}
    after = (await space.patch(DEPLOYMENTS, "a", body, "status")).expect(200)
    assert (after["status"]["replicas"], after["spec"]["replicas"]) == (1, 1)
    assert after["metadata"]["generation"] == 1


async def test_a_status_that_changes_nothing_keeps_the_version(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    first = (await space.patch(WIDGETS, "a", {"status": _READY}, "status")).expect(200)
    second = (await space.patch(WIDGETS, "a", {"status": _READY}, "status")).expect(200)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_reading_the_status(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    live = (await space.get(WIDGETS, "a")).expect(200)
    assert (await space.get(WIDGETS, "a", "status")).expect(200) == live


async def test_a_kind_without_the_subresource(space: Space) -> None:
    (await space.create(note("a"))).expect(201)
    for kind, subresource in ((NOTES, "status"), (NOTES, "scale"), (CONFIG_MAPS, "status")):
        status, _ = await space.cluster.client.raw("GET", space.path(kind, "a", subresource))
        assert status == 404


async def test_scale_reads_replicas(space: Space) -> None:
    made = (await space.create(widget("a", replicas=2))).expect(201)
    (await space.patch(WIDGETS, "a", {"status": {"replicas": 1, "selector": "app=a"}}, "status")).expect(200)
    scale = (await space.get(WIDGETS, "a", "scale")).expect(200)
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    assert scale["metadata"]["uid"] == made["metadata"]["uid"]


async def test_scale_changes_replicas_alone(space: Space) -> None:
    (await space.create(widget("a", replicas=2))).expect(201)
    scale = (await space.get(WIDGETS, "a", "scale")).expect(200)
    scale["spec"]["replicas"] = 5
    after = (await space.cluster.ask("PUT", space.path(WIDGETS, "a", "scale"), scale)).expect(200)
    assert after["spec"] == {"replicas": 5}
    live = (await space.get(WIDGETS, "a")).expect(200)
    assert (live["spec"]["replicas"], live["metadata"]["generation"]) == (5, 2)
    after = (await space.patch(WIDGETS, "a", {"spec": {"replicas": 0}}, "scale")).expect(200)
    assert after["spec"].get("replicas", 0) == 0


async def test_a_stale_scale_is_a_conflict(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    stale = (await space.get(WIDGETS, "a", "scale")).expect(200)
    (await space.patch(WIDGETS, "a", {"spec": {"size": 4}})).expect(200)
    stale["spec"]["replicas"] = 5
    (await space.cluster.ask("PUT", space.path(WIDGETS, "a", "scale"), stale)).refused(409, "Conflict")


async def test_scale_is_validated(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    (await space.patch(WIDGETS, "a", {"spec": {"replicas": -1}}, "scale")).refused(422, "Invalid")


async def test_scale_of_a_deployment(space: Space) -> None:
    (await space.create(deployment("a", replicas=2))).expect(201)
    scale = (await space.get(DEPLOYMENTS, "a", "scale")).expect(200)
    assert scale["spec"]["replicas"] == 2
    assert scale["status"]["selector"] == "app=a"
    (await space.patch(DEPLOYMENTS, "a", {"spec": {"replicas": 4}}, "scale")).expect(200)
    assert (await space.get(DEPLOYMENTS, "a")).expect(200)["spec"]["replicas"] == 4
