"""Children go with their owners, as the garbage collector of a real cluster sees to it."""

from typing import Any

import pytest

from penstock.cluster.fake import FakeAPIServer

Object = dict[str, Any]


def _owned(name: str, *owners: Object, finalizers: tuple[str, ...] = ()) -> Object:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]
    metadata = {
        "name": name,
        "namespace": "default",
        **({"ownerReferences": references} if references else {}),
        **({"finalizers": list(finalizers)} if finalizers else {}),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _names(server: FakeAPIServer) -> list[str]:
    return [live["metadata"]["name"] for live in server.objects("configmaps", "default")]


@pytest.fixture
def owner(server: FakeAPIServer) -> Object:
    """An object to own others."""
    return server.put(_owned("owner"))


async def test_children_go_with_their_owner(server: FakeAPIServer, owner: Object) -> None:
    """And theirs with them."""
    child = server.put(_owned("child", owner))
    server.put(_owned("grandchild", child))
    server.put(_owned("stranger"))
    server.delete("configmaps", "default", "owner")
    assert _names(server) == ["stranger"]


async def test_a_child_stays_with_its_last_owner(server: FakeAPIServer, owner: Object) -> None:
    """Without the reference to the one that is gone."""
    other = server.put(_owned("other"))
    server.put(_owned("shared", owner, other))
    server.delete("configmaps", "default", "owner")
    shared = server.get("configmaps", "default", "shared")
    assert shared is not None
    assert [each["name"] for each in shared["metadata"]["ownerReferences"]] == ["other"]
    server.delete("configmaps", "default", "other")
    assert _names(server) == []


async def test_the_uid_counts_and_not_the_name(server: FakeAPIServer, owner: Object) -> None:
    """A successor under the same name does not own what its predecessor left."""
    server.put(_owned("child", owner))
    server.reuse_name("configmaps", "default", "owner")
    assert _names(server) == ["owner"]


async def test_a_child_with_a_finalizer_waits(server: FakeAPIServer, owner: Object) -> None:
    """It is marked, and goes when the finalizer does."""
    server.put(_owned("child", owner, finalizers=("penstock.dev/hold",)))
    server.delete("configmaps", "default", "owner")
    child = server.get("configmaps", "default", "child")
    assert child is not None
    assert child["metadata"]["deletionTimestamp"]
    server.update(
        "configmaps",
        "default",
        "child",
        lambda live: {**live, "metadata": {**live["metadata"], "finalizers": []}},
    )
    assert _names(server) == []


async def test_a_namespace_takes_everything_along(server: FakeAPIServer) -> None:
    """Of every kind; other namespaces stay as they are."""
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    for namespace in ("team", "default"):
        for kind in ("ConfigMap", "Secret"):
            metadata = {"name": "one", "namespace": namespace}
            server.put({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    server.delete("namespaces", "", "team")
    for plural in ("configmaps", "secrets"):
        assert [live["metadata"]["namespace"] for live in server.objects(plural)] == ["default"]
    assert server.get("namespaces", "", "team") is None
