"""Deletion: preconditions, finalizers, the grace of pods, namespaces."""

import asyncio

import pytest

from contract.target import WIDGETS, Object, Space, config_map, pod, widget
from penstock.cluster.errors import Conflict
from penstock.cluster.resources import CONFIG_MAPS, PODS

pytestmark = pytest.mark.timeout(60)

_FINALIZER = "example.com/hold"


def _options(**fields: object) -> Object:
    return {"apiVersion": "v1", "kind": "DeleteOptions", **fields}


async def test_a_uid_that_does_not_match(space: Space) -> None:
    made = (await space.create(config_map("a"))).expect(201)
    (await space.delete(CONFIG_MAPS, "a", _options(preconditions={"uid": "other"}))).refused(409, "Conflict")
    with pytest.raises(Conflict):
        await space.cluster.client.delete(CONFIG_MAPS, "a", space.name, uid="other")
    await space.cluster.client.delete(CONFIG_MAPS, "a", space.name, uid=made["metadata"]["uid"])
    (await space.get(CONFIG_MAPS, "a")).expect(404)


async def test_a_version_that_does_not_match(space: Space) -> None:
    old = (await space.create(config_map("a"))).expect(201)["metadata"]["resourceVersion"]
    new = (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)["metadata"]["resourceVersion"]
    (await space.delete(CONFIG_MAPS, "a", _options(preconditions={"resourceVersion": old}))).refused(409, "Conflict")
    (await space.delete(CONFIG_MAPS, "a", _options(preconditions={"resourceVersion": new}))).expect(200)


async def _held(space: Space) -> Object:
    manifest = widget("a")
    manifest["metadata"]["finalizers"] = [_FINALIZER]
    return (await space.create(manifest)).expect(201)


async def test_a_finalizer_holds_the_object(space: Space) -> None:
    made = await _held(space)
    marked = (await space.delete(WIDGETS, "a")).expect(200)
    assert marked["kind"] == "Widget"
    live = (await space.get(WIDGETS, "a")).expect(200)
    assert live["metadata"]["deletionTimestamp"]
    assert live["metadata"]["deletionGracePeriodSeconds"] == 0
    assert live["metadata"]["generation"] == made["metadata"]["generation"] + 1
    (await space.patch(WIDGETS, "a", {"metadata": {"finalizers": None}})).expect(200)
    (await space.get(WIDGETS, "a")).expect(404)


async def test_watchers_of_a_held_object(space: Space) -> None:
    made = await _held(space)
    (await space.delete(WIDGETS, "a")).expect(200)
    (await space.patch(WIDGETS, "a", {"metadata": {"finalizers": None}})).expect(200)
    events = await space.watch(WIDGETS, made["metadata"]["resourceVersion"], 2)
    assert [event.type for event in events] == ["MODIFIED", "DELETED"]
    assert [event.object["metadata"].get("finalizers") for event in events] == [[_FINALIZER], [_FINALIZER]]


async def test_deleting_twice_changes_nothing(space: Space) -> None:
    await _held(space)
    (await space.delete(WIDGETS, "a")).expect(200)
    live = (await space.get(WIDGETS, "a")).expect(200)
    (await space.delete(WIDGETS, "a")).expect(200)
    assert (await space.get(WIDGETS, "a")).expect(200)["metadata"]["resourceVersion"] == live["metadata"][
        "resourceVersion"
    ]
    (await space.patch(WIDGETS, "a", {"metadata": {"finalizers": None}})).expect(200)


async def test_a_dying_object_takes_no_new_finalizer(space: Space) -> None:
    await _held(space)
    (await space.delete(WIDGETS, "a")).expect(200)
    more = {"metadata": {"finalizers": [_FINALIZER, "example.com/more"]}}
    (await space.patch(WIDGETS, "a", more)).refused(422, "Invalid")
    (await space.patch(WIDGETS, "a", {"spec": {"size": 5}})).expect(200)
    (await space.patch(WIDGETS, "a", {"metadata": {"finalizers": None}})).expect(200)


async def test_removing_a_finalizer_of_a_living_object(space: Space) -> None:
    await _held(space)
    (await space.patch(WIDGETS, "a", {"metadata": {"finalizers": None}})).expect(200)
    (await space.get(WIDGETS, "a")).expect(200)


async def test_a_mark_cannot_be_set_by_hand(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    body = {"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}, "spec": {"size": 5}}
    reply = await space.patch(WIDGETS, "a", body)
    if reply.status == 200:
        assert "deletionTimestamp" not in reply.body["metadata"]
    else:
        reply.refused(422, "Invalid")


async def test_deleting_in_the_foreground_waits_for_the_collector(space: Space) -> None:
    """The API server marks the object; what follows is the garbage collector's, which only the one in memory has."""
    (await space.create(widget("a"))).expect(201)
    marked = (await space.delete(WIDGETS, "a", _options(propagationPolicy="Foreground"))).expect(200)
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert marked["metadata"]["deletionTimestamp"]


async def test_a_policy_that_is_none(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    (await space.delete(CONFIG_MAPS, "a", _options(propagationPolicy="Sideways"))).refused(422, "Invalid")


async def test_a_bound_pod_is_given_time(space: Space) -> None:
    (await space.create(pod("a", nodeName="n1", terminationGracePeriodSeconds=7))).expect(201)
    marked = (await space.delete(PODS, "a")).expect(200)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    (await space.get(PODS, "a")).expect(200)
    (await space.delete(PODS, "a", _options(gracePeriodSeconds=0))).expect(200)
    (await space.get(PODS, "a")).expect(404)


async def test_a_pod_without_a_node_goes_at_once(space: Space) -> None:
    (await space.create(pod("a"))).expect(201)
    (await space.delete(PODS, "a")).expect(200)
    (await space.get(PODS, "a")).expect(404)


async def test_a_collection(space: Space) -> None:
    """Deleted by a selector, as `kubectl delete --all` does for many kinds."""
    for name, app in (("a", "x"), ("b", "y")):
        (await space.create(config_map(name, {"app": app}))).expect(201)
    (await space.cluster.ask("DELETE", space.path(CONFIG_MAPS), labelSelector="app=x")).expect(200)
    (await space.get(CONFIG_MAPS, "a")).expect(404)
    (await space.get(CONFIG_MAPS, "b")).expect(200)


async def test_a_dying_namespace_takes_nothing_new(space: Space) -> None:
    """The real one waits for the namespace controller, which is not there; the one in memory empties it itself."""
    manifest = config_map("a")
    manifest["metadata"]["finalizers"] = [_FINALIZER]
    (await space.create(manifest)).expect(201)
    gone = (await space.cluster.ask("DELETE", f"/api/v1/namespaces/{space.name}")).expect(200)
    assert gone["status"]["phase"] == "Terminating"
    async with asyncio.timeout(20):
        while (await space.create(config_map("b"))).status != 403:
            await asyncio.sleep(0.05)
    body = (await space.create(config_map("c"))).refused(403, "Forbidden")
    assert "being terminated" in body["message"]
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})).expect(200)
