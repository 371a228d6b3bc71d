"""Server-side apply: our fields and no others."""

from typing import Any

import pytest
from contract.target import Target, config_map
from contract.widgets import WIDGETS, widget

from penstock.cluster.errors import Conflict, Invalid
from penstock.cluster.resources import CONFIG_MAPS


def _managers(live: dict[str, Any]) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in live["metadata"]["managedFields"]}


async def test_apply_creates_and_updates(cluster: Target) -> None:
    """201 the first time, 200 afterwards; the generation counts."""
    first = await cluster.apply(widget(note="a"))
    assert (first.code, first.generation) == (201, 1)
    assert first.body["spec"]["limits"] == {"memory": 4}
    second = await cluster.apply(widget(note="b"))
    assert (second.code, second.generation, second.body["spec"]["note"]) == (200, 2, "b")
    assert _managers(second.body) == {("ours", "Apply")}


async def test_the_same_again_is_no_write(cluster: Target) -> None:
    """The version stays, and no watch hears of it."""
    first = await cluster.apply(config_map(key="a"))
    second = await cluster.apply(config_map(key="a"))
    assert first.version == second.version
    await cluster.create(config_map("last"))
    heard = await cluster.watched(CONFIG_MAPS, first.version, lambda event: event.object["metadata"]["name"] == "last")
    assert heard == [("ADDED", "last")]


async def test_dropped_fields_go(cluster: Target) -> None:
    """What we do not ask for any more is removed, to the last field; what others added stays."""
    await cluster.apply(config_map(labels={"a": "1", "b": "2"}, x="1", y="2"))
    await cluster.patch(CONFIG_MAPS, "one", {"metadata": {"labels": {"foreign": "3"}}, "data": {"z": "3"}})
    less = (await cluster.apply(config_map(labels={"a": "1"}, x="1"))).body
    assert less["metadata"]["labels"] == {"a": "1", "foreign": "3"}
    assert less["data"] == {"x": "1", "z": "3"}
    bare = {key: value for key, value in config_map().items() if key != "data"}
    none = (await cluster.apply(bare)).body
    assert none["metadata"]["labels"] == {"foreign": "3"}
    assert none["data"] == {"z": "3"}


async def test_the_last_field_of_a_map_takes_it_along(cluster: Target) -> None:
    """Where nobody else has anything in it."""
    await cluster.apply(widget(tags={"a": "1"}, note="x"))
    spec = (await cluster.apply(widget(note="x"))).body["spec"]
    assert spec.get("tags") in (None, {})
    assert spec == (await cluster.apply(widget(note="x"))).body["spec"]


async def test_a_conflict_names_owner_and_field(cluster: Target) -> None:
    """Nothing is changed."""
    await cluster.apply(widget(note="a", mode="Fast", tags={"k": "1"}), "theirs")
    refused = await cluster.apply(widget(note="b", mode="Safe", tags={"k": "2"}))
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.fields == {".spec.note", ".spec.mode", ".spec.tags.k"}
    causes = refused.body["details"]["causes"]
    assert {cause["reason"] for cause in causes} == {"FieldManagerConflict"}
    assert all("theirs" in cause["message"] for cause in causes)
    assert (await cluster.get(WIDGETS, "one")).body["spec"]["note"] == "a"


async def test_the_client_raises_conflicts(cluster: Target) -> None:
    """Unless it forces, which is its habit."""
    await cluster.apply(config_map(key="a"), "theirs")
    with pytest.raises(Conflict) as caught:
        await cluster.client.apply(cluster.placed(config_map(key="b")), force=False)
    assert [cause["field"] for cause in caught.value.details["causes"]] == [".data.key"]
    live = await cluster.client.apply(cluster.placed(config_map(key="b")))
    assert live["data"] == {"key": "b"}
    assert _managers(live) == {("penstock", "Apply")}


async def test_a_conflict_with_an_ordinary_update(cluster: Target) -> None:
    """Who patched a field owns it, and the former owner does not any more."""
    await cluster.apply(widget(note="a"))
    await cluster.patch(WIDGETS, "one", {"spec": {"note": "b"}}, fieldManager="editor")
    refused = await cluster.apply(widget(note="a"))
    assert (refused.code, refused.fields) == (409, {".spec.note"})
    assert 'conflict with "editor"' in refused.body["message"]
    forced = await cluster.apply(widget(note="a"), force="true")
    assert forced.body["spec"]["note"] == "a"
    assert "editor" not in {manager for manager, _ in _managers(forced.body)}


async def test_the_same_value_is_shared(cluster: Target) -> None:
    """It stays until the last owner drops it."""
    await cluster.apply(widget(note="a", mode="Fast"), "theirs")
    assert (await cluster.apply(widget(note="a"))).code == 200
    dropped = await cluster.apply(widget(mode="Fast"), "theirs")
    assert dropped.body["spec"]["note"] == "a"
    gone = await cluster.apply(widget())
    assert "note" not in gone.body["spec"]
    assert gone.body["spec"]["mode"] == "Fast"


async def test_shared_fields_conflict_when_one_changes_them(cluster: Target) -> None:
    await cluster.apply(widget(note="a"), "theirs")
    await cluster.apply(widget(note="a"))
    assert (await cluster.apply(widget(note="b"))).code == 409
    forced = await cluster.apply(widget(note="b"), force="true")
    theirs = [e for e in forced.body["metadata"]["managedFields"] if e["manager"] == "theirs"]
    assert all("f:note" not in entry["fieldsV1"].get("f:spec", {}) for entry in theirs)


async def test_what_was_created_is_its_creators(cluster: Target) -> None:
    """An apply over a created object takes what has the same value and conflicts with the rest."""
    await cluster.create(config_map(a="1", b="2"), fieldManager="creator")
    refused = await cluster.apply(config_map(a="1", b="3"))
    assert (refused.code, refused.fields) == (409, {".data.b"})
    applied = await cluster.apply(config_map(a="1"))
    assert _managers(applied.body) == {("creator", "Update"), ("ours", "Apply")}
    assert (await cluster.apply(config_map())).body["data"] == {"a": "1", "b": "2"}


async def test_a_default_that_we_drop_comes_back(cluster: Target) -> None:
    """As the schema's default."""
    await cluster.apply(widget(replicas=5, limits={"memory": 9, "cpu": 2}))
    spec = (await cluster.apply(widget())).body["spec"]
    assert (spec["replicas"], spec["limits"]) == (1, {"memory": 4})


async def test_apply_of_status(cluster: Target) -> None:
    """Owned apart from the spec; conditions merge by type."""
    await cluster.apply(widget(note="x"))
    ready = {"type": "Ready", "status": "True"}
    first = await cluster.apply({**widget(note="y"), "status": {"phase": "Ready", "conditions": [ready]}}, "ours", "status")
    assert (first.code, first.body["spec"]["note"], first.generation) == (200, "x", 1)
    assert first.body["status"] == {"phase": "Ready", "conditions": [ready]}
    drained = {"type": "Drained", "status": "False"}
    await cluster.apply({**widget(), "status": {"conditions": [drained]}}, "theirs", "status")
    again = await cluster.apply({**widget(), "status": {"phase": "Ready", "conditions": [ready]}}, "ours", "status")
    assert again.body["status"]["conditions"] == [ready, drained]
    less = await cluster.apply({**widget(), "status": {"phase": "Ready"}}, "ours", "status")
    assert less.body["status"] == {"phase": "Ready", "conditions": [drained]}
    assert (await cluster.apply(widget(note="x"))).body["status"] == less.body["status"]


async def test_the_same_status_again_is_no_write(cluster: Target) -> None:
    await cluster.apply(widget())
    status = {**widget(), "status": {"phase": "Ready"}}
    first = await cluster.apply(status, "ours", "status")
    assert (await cluster.apply(status, "ours", "status")).version == first.version


async def test_apply_of_the_status_of_nothing(cluster: Target) -> None:
    assert (await cluster.apply({**widget(), "status": {"phase": "x"}}, "ours", "status")).code == 404


async def test_apply_with_a_version_or_a_uid(cluster: Target) -> None:
    """They hold it to that very object."""
    live = await cluster.apply(widget(note="a"))
    metadata = widget()["metadata"]
    for extra, code in (
        ({"resourceVersion": live.version}, 200),
        ({"resourceVersion": "1"}, 409),
        ({"uid": live.body["metadata"]["uid"]}, 200),
        ({"uid": "11111111-1111-1111-1111-111111111111"}, 409),
    ):
        reply = await cluster.apply({**widget(note="a"), "metadata": {**metadata, **extra}})
        assert reply.code == code, extra
    fresh = {**widget("two"), "metadata": {"name": "two", "uid": live.body["metadata"]["uid"]}}
    assert (await cluster.apply(fresh)).code == 409


_REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], int]] = {
    "no manager": ({}, {"fieldManager": ""}, 400),
    "force is no word": ({}, {"force": "maybe"}, 400),
    "managed fields": ({"metadata": {"name": "one", "managedFields": [{"manager": "x"}]}}, {}, 400),
    "another kind": ({"kind": "Gadget"}, {}, 400),
    "no version": ({"apiVersion": ""}, {}, 400),
    "another version": ({"apiVersion": "contract.penstock.dev/v2"}, {}, 400),
    "part without its key": ({"spec": {"parts": [{"size": 2}]}}, {}, 422),
    "part twice": ({"spec": {"parts": [{"name": "a"}, {"name": "a"}]}}, {}, 500),
    "region twice": ({"spec": {"regions": ["a", "a"]}}, {}, 500),
}


@pytest.mark.parametrize(("change", "query", "code"), _REFUSED.values(), ids=_REFUSED)
async def test_refused_applies(cluster: Target, change: dict[str, Any], query: dict[str, str], code: int) -> None:
    manifest = cluster.placed({**widget(), **change})
    query = {"fieldManager": "ours", **query}
    reply = await cluster.ask(
        "PATCH", cluster.path(WIDGETS, "one"), manifest, kind="application/apply-patch+yaml", **query
    )
    assert reply.code == code, reply.body


async def test_strict_apply_refuses_unknown_fields(cluster: Target) -> None:
    """The client says so by `Invalid`; without strict they are left out."""
    reply = await cluster.apply(widget(odd=1), fieldValidation="Strict")
    assert reply.code >= 400
    assert "odd" in reply.body["message"]
    assert "odd" not in (await cluster.apply(widget(odd=1))).body["spec"]
    manifest = cluster.placed(config_map())
    with pytest.raises(Invalid):
        await cluster.client.apply({**manifest, "odd": 1}, strict=True)


async def test_apply_in_dry_run(cluster: Target) -> None:
    """Says what would be, writes nothing."""
    tried = await cluster.client.apply(cluster.placed(config_map(key="a")), dry_run=True)
    assert tried["data"] == {"key": "a"}
    assert (await cluster.get(CONFIG_MAPS, "one")).code == 404
    live = await cluster.apply(config_map(key="a"))
    tried = await cluster.client.apply(cluster.placed(config_map(key="b")), dry_run=True)
    assert tried["data"] == {"key": "b"}
    assert (await cluster.get(CONFIG_MAPS, "one")).body == live.body
