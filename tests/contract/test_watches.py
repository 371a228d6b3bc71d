"""Watches: where they begin, what they tell, how they end."""

import asyncio

import pytest

from contract.target import WIDGETS, Space, config_map, widget
from penstock.cluster.errors import Gone
from penstock.cluster.resources import CONFIG_MAPS

pytestmark = pytest.mark.timeout(60)


async def _version(space: Space) -> str:
    return str((await space.listing(CONFIG_MAPS)).expect(200)["metadata"]["resourceVersion"])


async def test_a_watch_resumes_after_a_version(space: Space) -> None:
    """Everything since then, once, in order; each event carries the version of its write."""
    before = (await space.create(config_map("old"))).expect(201)["metadata"]["resourceVersion"]
    made = (await space.create(config_map("a"))).expect(201)
    changed = (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)
    (await space.delete(CONFIG_MAPS, "a")).expect(200)
    events = await space.watch(CONFIG_MAPS, before, 3)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[0].object == made
    assert events[1].object == changed
    assert events[2].object["data"] == {"k": "v"}
    assert int(events[2].object["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])


async def test_a_watch_hears_what_comes(space: Space) -> None:
    version = await _version(space)
    async with asyncio.TaskGroup() as group:
        heard = group.create_task(space.watch(CONFIG_MAPS, version, 2))
        group.create_task(space.create(config_map("a")))
        group.create_task(space.create(config_map("b")))
    assert {event.object["metadata"]["name"] for event in heard.result()} == {"a", "b"}


async def test_without_a_version_it_begins_with_all_there_is(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    for version in ({}, {"resourceVersion": "0"}):
        events = await space.watched(CONFIG_MAPS, **version)
        assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("ADDED", "a")]


async def test_another_namespace_is_not_heard(space: Space) -> None:
    version = await _version(space)
    elsewhere = Space(space.cluster, "default")
    manifest = config_map(f"from-{space.name}")
    (await elsewhere.create(manifest)).expect(201)
    (await space.create(config_map("a"))).expect(201)
    events = await space.watch(CONFIG_MAPS, version, 1)
    assert events[0].object["metadata"]["name"] == "a"
    (await elsewhere.delete(CONFIG_MAPS, manifest["metadata"]["name"])).expect(200)


async def test_a_selector_makes_additions_and_deletions(space: Space) -> None:
    """An object that comes to match is added; one that no longer does is deleted."""
    version = await _version(space)
    (await space.create(config_map("a"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"app": "x"}}})).expect(200)
    (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"app": "y"}}})).expect(200)
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"app": "x"}}})).expect(200)
    (await space.delete(CONFIG_MAPS, "a")).expect(200)
    events = await space.watch(CONFIG_MAPS, version, 5, labels="app=x")
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


async def test_a_field_selector_on_one_object(space: Space) -> None:
    version = await _version(space)
    (await space.create(config_map("a"))).expect(201)
    (await space.create(config_map("b"))).expect(201)
    events = await space.watched(CONFIG_MAPS, resourceVersion=version, fieldSelector="metadata.name=b")
    assert [event["object"]["metadata"]["name"] for event in events] == ["b"]


async def test_events_of_custom_resources(space: Space) -> None:
    version = await _version(space)
    made = (await space.create(widget("a"))).expect(201)
    status = (await space.patch(WIDGETS, "a", {"status": {"replicas": 2}}, "status")).expect(200)
    events = await space.watch(WIDGETS, version, 2)
    assert [event.object for event in events] == [made, status]


async def test_a_write_that_changes_nothing_is_not_heard(space: Space) -> None:
    version = await _version(space)
    (await space.create(config_map("a", k="v"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}})).expect(200)
    (await space.delete(CONFIG_MAPS, "a")).expect(200)
    assert [event.type for event in await space.watch(CONFIG_MAPS, version, 2)] == ["ADDED", "DELETED"]


async def test_the_server_ends_a_watch_in_time(space: Space) -> None:
    version = await _version(space)
    async with asyncio.timeout(10):
        assert await space.watched(CONFIG_MAPS, 1, resourceVersion=version) == []


async def test_bookmarks_say_how_far_it_got(space: Space) -> None:
    """They carry the kind and a version, not older than the last event; the real server marks newer ones only."""
    version = await _version(space)
    made = (await space.create(config_map("a"))).expect(201)
    watching = asyncio.create_task(space.watched(CONFIG_MAPS, 4, resourceVersion=version, allowWatchBookmarks="true"))
    elsewhere, number = Space(space.cluster, "default"), 0
    while not watching.done():
        number += 1
        (await elsewhere.create(config_map(f"{space.name}-{number}"))).expect(201)
        await asyncio.wait({watching}, timeout=0.4)
    events = await watching
    assert events[0]["type"] == "ADDED"
    marks = [event["object"] for event in events if event["type"] == "BOOKMARK"]
    assert marks
    assert (marks[-1]["kind"], marks[-1]["apiVersion"]) == ("ConfigMap", "v1")
    assert int(marks[-1]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
    resumed = await space.watched(CONFIG_MAPS, resourceVersion=marks[-1]["metadata"]["resourceVersion"])
    assert resumed == []


async def test_no_bookmarks_unless_asked_for(space: Space) -> None:
    version = await _version(space)
    events = await space.watched(CONFIG_MAPS, 4, resourceVersion=version)
    assert events == []


async def test_a_version_that_is_too_old_is_gone(space: Space) -> None:
    (await space.create(widget("a"))).expect(201)
    if space.cluster.server is not None:
        space.cluster.server.compact()
    events = await space.watched(WIDGETS, resourceVersion="1")
    assert [event["type"] for event in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")
    with pytest.raises(Gone):
        await space.watch(WIDGETS, "1", 1)


async def test_a_version_that_is_none(space: Space) -> None:
    reply = await space.listing(CONFIG_MAPS, watch="true", resourceVersion="soon", timeoutSeconds="1")
    assert reply.status in {400, 422, 500}


async def test_a_watch_of_metadata_alone(space: Space) -> None:
    version = await _version(space)
    (await space.create(widget("a"))).expect(201)
    accept = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    query = {"watch": "true", "timeoutSeconds": "1", "resourceVersion": version}
    reply = await space.cluster.ask("GET", space.path(WIDGETS), None, accept, **query)
    assert reply.body["object"]["kind"] == "PartialObjectMetadata"
    assert "spec" not in reply.body["object"]
