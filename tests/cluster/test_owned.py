"""The digest of what we own: blind to foreign fields, sharp for ours."""

from copy import deepcopy
from typing import Any

import pytest

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
