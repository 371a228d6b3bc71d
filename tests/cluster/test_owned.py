"""The digest of what we own: blind to foreign fields, sharp for ours.

`applied.json` holds manifests and what a kube-apiserver 1.36 made of them: defaults, managed fields, another's label.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cluster.owned import manifest_digest, owned_digest

MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat", "namespace": "ns", "labels": {"app": "chat"}},
    "spec": {
        "selector": {"app": "chat"},
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP", "targetPort": "http"}],
    },
}


def applied() -> dict[str, Any]:
    """The manifest as an API server holds it, with defaults and somebody else's label."""
    live = deepcopy(MANIFEST)
    live["metadata"] |= {"uid": "1", "resourceVersion": "7", "labels": {"app": "chat", "team": "search"}}
    live["spec"] |= {"type": "ClusterIP", "clusterIP": "10.0.0.1"}
    port = 'k:{"port":8000,"protocol":"TCP"}'
    live["metadata"]["managedFields"] = [
        {
            "manager": "penstock",
            "operation": "Apply",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:selector": {},
                    "f:ports": {port: {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
                },
            },
        },
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}},
    ]
    return live


def test_what_was_applied_is_found_again() -> None:
    """Defaults and foreign fields do not count."""
    assert owned_digest(applied()) == manifest_digest(MANIFEST)


def test_an_object_that_we_never_applied_is_nobodys() -> None:
    """It has no digest that a manifest could have."""
    live = applied()
    live["metadata"]["managedFields"] = []
    assert owned_digest(live) == ""


CHANGES: dict[str, tuple[str, ...]] = {
    "a value in a list": ("spec", "ports"),
    "a selector": ("spec", "selector"),
    "a label of ours": ("metadata", "labels"),
}


@pytest.mark.parametrize("place", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_ours_is_seen(place: tuple[str, ...]) -> None:
    """Whatever somebody else does to a value of ours."""
    live = applied()
    value = live[place[0]][place[1]]
    if isinstance(value, list):
        value[0]["targetPort"] = 1
    else:
        value["app"] = "other"
    assert owned_digest(live) != manifest_digest(MANIFEST)


def test_a_field_that_we_own_and_no_longer_ask_for_is_seen() -> None:
    """It has to be given up by another apply."""
    live = applied()
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"]["f:team"] = {}
    assert owned_digest(live) != manifest_digest(MANIFEST)


def test_a_field_that_was_removed_is_seen() -> None:
    """Somebody deleted a label of ours."""
    live = applied()
    del live["metadata"]["labels"]["app"]
    assert owned_digest(live) != manifest_digest(MANIFEST)


APPLIED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "applied.json").read_text())
NAMES = [f"{case['manifest']['kind']} {case['manifest']['metadata']['name']}" for case in APPLIED]
Place = tuple[str | int, ...]


@pytest.mark.parametrize("case", APPLIED, ids=NAMES)
def test_a_real_api_server_holds_what_was_applied(case: dict[str, Any]) -> None:
    """Nine kinds of children, with all their lists."""
    assert owned_digest(case["live"]) == manifest_digest(case["manifest"])


def test_the_digest_stays_the_same_for_ever() -> None:
    """Names of revisions are made from it: it must not depend on the process or the order of keys."""
    backwards = dict(reversed(MANIFEST.items()))
    assert manifest_digest(backwards) == manifest_digest(MANIFEST) == "4f3c73892ea5a84ab4"


def test_another_manager_owns_another_part() -> None:
    """Only the entry of the given one counts, and only of an apply."""
    live = applied()
    assert owned_digest(live, manager="kubectl") == ""
    live["metadata"]["managedFields"][0]["subresource"] = "status"
    assert owned_digest(live) == ""


def test_a_key_that_was_left_out_has_its_default() -> None:
    """The path of a port names the protocol; neither the manifest nor the object need to."""
    manifest, live = deepcopy(MANIFEST), applied()
    del manifest["spec"]["ports"][0]["protocol"]
    del live["spec"]["ports"][0]["protocol"]
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ports"]['k:{"port":8000,"protocol":"TCP"}'][
        "f:protocol"
    ]
    assert owned_digest(live) == manifest_digest(manifest)


def test_finalizers_have_no_order() -> None:
    """They are a set; another's does not count."""
    manifest, live = deepcopy(MANIFEST), applied()
    manifest["metadata"]["finalizers"] = ["penstock.dev/b", "penstock.dev/a"]
    live["metadata"]["finalizers"] = ["penstock.dev/a", "other", "penstock.dev/b"]
    fields = live["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]
    fields["f:finalizers"] = {".": {}, 'v:"penstock.dev/a"': {}, 'v:"penstock.dev/b"': {}}
    assert owned_digest(live) == manifest_digest(manifest)
    live["metadata"]["finalizers"].remove("penstock.dev/b")
    assert owned_digest(live) != manifest_digest(manifest)


def owned_leaves(value: Any, fields: dict[str, Any], place: Place = ()) -> Iterator[Place]:
    """Where the scalars are that FieldsV1 names; a second reading of the format, to check the first."""
    if not fields:
        yield from _scalars(value, place)
    for path, deeper in fields.items():
        kind, _, rest = path.partition(":")
        if kind == "f" and rest in value:
            yield from owned_leaves(value[rest], deeper, (*place, rest))
        elif kind == "k":
            key = json.loads(rest)
            number = next(n for n, item in enumerate(value) if key.items() <= item.items())
            yield from owned_leaves(value[number], deeper, (*place, number))


def _scalars(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _scalars(item, (*place, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(item, (*place, number))
    else:
        yield place


def inner_maps(value: Any, fields: dict[str, Any], place: Place = ()) -> Iterator[Place]:
    """Where the maps are of which we own some fields."""
    inner = {path: deeper for path, deeper in fields.items() if path != "."}
    if isinstance(value, dict) and inner:
        yield place
    for path, deeper in inner.items():
        kind, _, rest = path.partition(":")
        if kind == "f" and isinstance(value, dict) and rest in value:
            yield from inner_maps(value[rest], deeper, (*place, rest))


def ours(live: dict[str, Any]) -> dict[str, Any]:
    """The fields of our apply."""
    found = next(entry for entry in live["metadata"]["managedFields"] if entry["manager"] == "penstock")
    fields: dict[str, Any] = found["fieldsV1"]
    return fields


def at(live: Any, place: Place) -> Any:
    """The value at that place."""
    for step in place:
        live = live[step]
    return live


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


@pytest.mark.property
@given(st.sampled_from(APPLIED), st.data())
def test_any_change_of_ours_is_seen(case: dict[str, Any], data: st.DataObject) -> None:
    """Whichever scalar somebody changes."""
    live = deepcopy(case["live"])
    place = data.draw(st.sampled_from(sorted(owned_leaves(live, ours(live)), key=str)))
    at(live, place[:-1])[place[-1]] = changed(at(live, place))
    assert owned_digest(live) != manifest_digest(case["manifest"]), place


@pytest.mark.property
@given(st.sampled_from(APPLIED), st.data(), st.sampled_from(["x", 1, True, {"y": "z"}, ["w"]]))
def test_no_field_of_another_is_seen(case: dict[str, Any], data: st.DataObject, value: Any) -> None:
    """Wherever somebody adds one."""
    live = deepcopy(case["live"])
    place = data.draw(st.sampled_from(sorted(inner_maps(live, ours(live)), key=str)))
    at(live, place)["foreign"] = value
    assert owned_digest(live) == manifest_digest(case["manifest"]), place


@pytest.mark.property
@given(st.sampled_from(APPLIED), st.data())
def test_any_change_of_the_manifest_is_seen(case: dict[str, Any], data: st.DataObject) -> None:
    """Whichever scalar we ask for anew."""
    manifest = deepcopy(case["manifest"])
    content = {key: value for key, value in manifest.items() if key not in {"apiVersion", "kind", "metadata"}}
    place = data.draw(st.sampled_from(list(_scalars(content, ()))))
    at(manifest, place[:-1])[place[-1]] = changed(at(manifest, place))
    assert owned_digest(case["live"]) != manifest_digest(manifest), place
