"""Merge patches and JSON patches."""

from typing import Any

import pytest

from contract.target import WIDGETS, Space, config_map, widget
from penstock.cluster.client import PatchType
from penstock.cluster.resources import CONFIG_MAPS

pytestmark = pytest.mark.timeout(60)

_MERGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "adds": ({"free": {"b": 2}}, {"free": {"a": {"x": 1}, "b": 2}}),
    "replaces": ({"free": {"a": 2}}, {"free": {"a": 2}}),
    "merges deep": ({"free": {"a": {"y": 2}}}, {"free": {"a": {"x": 1, "y": 2}}}),
    "null removes": ({"free": {"a": None, "c": 1}}, {"free": {"c": 1}}),
    "lists are replaced": ({"words": ["z"]}, {"words": ["z"]}),
    "list maps too": ({"parts": [{"name": "q"}]}, {"parts": [{"name": "q", "count": 1}]}),
    "null brings the default back": ({"size": None}, {"size": 3}),
    "null inside a new map is left out": (
        {"free": {"n": {"m": None, "o": 1}}},
        {"free": {"a": {"x": 1}, "n": {"o": 1}}},
    ),
}


@pytest.mark.parametrize(("patch", "want"), _MERGES.values(), ids=_MERGES)
async def test_merge_patches(space: Space, patch: dict[str, Any], want: dict[str, Any]) -> None:
    parts = [{"name": "p", "count": 4}]
    (await space.create(widget("a", size=5, free={"a": {"x": 1}}, words=["x", "y"], parts=parts))).expect(201)
    spec = (await space.patch(WIDGETS, "a", {"spec": patch})).expect(200)["spec"]
    assert {key: spec[key] for key in want} == want


_JSON: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "add": ([{"op": "add", "path": "/data/c", "value": "3"}], {"a": "1", "b": "2", "c": "3"}),
    "add over": ([{"op": "add", "path": "/data/a", "value": "3"}], {"a": "3", "b": "2"}),
    "replace": ([{"op": "replace", "path": "/data/a", "value": "3"}], {"a": "3", "b": "2"}),
    "remove": ([{"op": "remove", "path": "/data/a"}], {"b": "2"}),
    "move": ([{"op": "move", "from": "/data/a", "path": "/data/c"}], {"b": "2", "c": "1"}),
    "copy": ([{"op": "copy", "from": "/data/a", "path": "/data/c"}], {"a": "1", "b": "2", "c": "1"}),
    "test": (
        [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/b"}],
        {"a": "1"},
    ),
    "replace what is absent": ([{"op": "replace", "path": "/data/c", "value": "3"}], {"a": "1", "b": "2", "c": "3"}),
}


@pytest.mark.parametrize(("patch", "want"), _JSON.values(), ids=_JSON)
async def test_json_patches(space: Space, patch: list[dict[str, Any]], want: dict[str, Any]) -> None:
    (await space.create(config_map("a", a="1", b="2"))).expect(201)
    assert (await space.patch(CONFIG_MAPS, "a", patch)).expect(200)["data"] == want


async def test_json_patches_of_lists(space: Space) -> None:
    (await space.create(widget("a", words=["x", "y"]))).expect(201)
    patch = [
        {"op": "add", "path": "/spec/words/0", "value": "w"},
        {"op": "remove", "path": "/spec/words/1"},
        {"op": "add", "path": "/spec/words/-", "value": "z"},
    ]
    assert (await space.patch(WIDGETS, "a", patch)).expect(200)["spec"]["words"] == ["w", "y", "z"]


async def test_escapes_in_paths(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    patch = [
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/example.com~1x", "value": "y"},
    ]
    after = (await space.patch(CONFIG_MAPS, "a", patch)).expect(200)
    assert after["metadata"]["annotations"] == {"example.com/x": "y"}


_FAILING: dict[str, list[dict[str, Any]]] = {
    "test": [{"op": "remove", "path": "/data/b"}, {"op": "test", "path": "/data/a", "value": "2"}],
    "remove what is absent": [{"op": "remove", "path": "/data/c"}],
    "add below what is absent": [{"op": "add", "path": "/metadata/annotations/x", "value": "1"}],
}


@pytest.mark.parametrize("patch", _FAILING.values(), ids=_FAILING)
async def test_a_json_patch_is_done_whole_or_not_at_all(space: Space, patch: list[dict[str, Any]]) -> None:
    made = (await space.create(config_map("a", a="1", b="2"))).expect(201)
    (await space.patch(CONFIG_MAPS, "a", patch)).refused(422, "Invalid")
    assert (await space.get(CONFIG_MAPS, "a")).expect(200) == made


async def test_a_test_of_the_version_guards_a_json_patch(space: Space) -> None:
    """As kopf does it for finalizers."""
    made = (await space.create(config_map("a"))).expect(201)
    guard = {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]}
    patch = [guard, {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]}]
    (await space.patch(CONFIG_MAPS, "a", patch)).expect(200)
    (await space.patch(CONFIG_MAPS, "a", patch)).refused(422, "Invalid")
    (await space.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})).expect(200)


async def test_a_patch_is_validated(space: Space) -> None:
    made = (await space.create(widget("a"))).expect(201)
    reply = await space.patch(WIDGETS, "a", {"spec": {"size": 11}})
    reply.refused(422, "Invalid")
    assert reply.blamed() == {"spec.size"}
    assert (await space.get(WIDGETS, "a")).expect(200) == made


async def test_a_patch_cannot_rename(space: Space) -> None:
    (await space.create(config_map("a"))).expect(201)
    assert (await space.patch(CONFIG_MAPS, "a", {"metadata": {"name": "b"}})).status in {400, 422}


async def test_the_client_sends_both(space: Space) -> None:
    (await space.create(config_map("a", k="v"))).expect(201)
    client = space.cluster.client
    after = await client.patch(CONFIG_MAPS, "a", space.name, {"data": {"k": "w"}}, content_type=PatchType.MERGE)
    assert after["data"] == {"k": "w"}
    patch = [{"op": "replace", "path": "/data/k", "value": "x"}]
    after = await client.patch(CONFIG_MAPS, "a", space.name, patch, content_type=PatchType.JSON)
    assert after["data"] == {"k": "x"}
