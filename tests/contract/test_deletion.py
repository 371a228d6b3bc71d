"""Deletion: preconditions, finalizers, and names that are used again."""

import pytest
from contract.target import Target, config_map
from contract.widgets import WIDGETS, widget

from penstock.cluster.errors import Conflict, NotFound
from penstock.cluster.resources import CONFIG_MAPS

_FOREIGN = "11111111-1111-1111-1111-111111111111"


def _held() -> dict[str, object]:
    manifest = widget()
    manifest["metadata"]["finalizers"] = ["penstock.dev/a", "penstock.dev/b"]
    return manifest


async def test_delete(cluster: Target) -> None:
    """It is gone, and the second time it was not there; the name is free for another uid."""
    first = await cluster.create(config_map())
    await cluster.client.delete(CONFIG_MAPS, "one", cluster.namespace)
    assert (await cluster.get(CONFIG_MAPS, "one")).code == 404
    with pytest.raises(NotFound):
        await cluster.client.delete(CONFIG_MAPS, "one", cluster.namespace)
    assert (await cluster.create(config_map())).body["metadata"]["uid"] != first.body["metadata"]["uid"]


async def test_preconditions(cluster: Target) -> None:
    """Another uid or version: a Conflict, and it stays."""
    made = (await cluster.create(config_map())).body["metadata"]
    with pytest.raises(Conflict) as caught:
        await cluster.client.delete(CONFIG_MAPS, "one", cluster.namespace, uid=_FOREIGN)
    assert "Precondition failed" in str(caught.value) or "precondition" in str(caught.value)
    with pytest.raises(Conflict):
        await cluster.client.delete(CONFIG_MAPS, "one", cluster.namespace, resource_version="1")
    version, uid = made["resourceVersion"], made["uid"]
    await cluster.client.delete(CONFIG_MAPS, "one", cluster.namespace, uid=uid, resource_version=version)
    assert (await cluster.get(CONFIG_MAPS, "one")).code == 404


async def test_delete_in_dry_run(cluster: Target) -> None:
    await cluster.create(config_map())
    assert (await cluster.delete(CONFIG_MAPS, "one", dryRun=["All"])).code == 200
    assert (await cluster.get(CONFIG_MAPS, "one")).code == 200


async def test_finalizers_hold_it(cluster: Target) -> None:
    """It is marked once, and goes with the last of them."""
    await cluster.create(_held())
    assert (await cluster.delete(WIDGETS, "one")).code == 200
    marked = await cluster.get(WIDGETS, "one")
    assert marked.body["metadata"]["deletionTimestamp"]
    assert marked.body["metadata"]["deletionGracePeriodSeconds"] == 0
    await cluster.delete(WIDGETS, "one")
    assert (await cluster.get(WIDGETS, "one")).version == marked.version
    await cluster.patch(WIDGETS, "one", {"metadata": {"finalizers": ["penstock.dev/b"]}})
    assert (await cluster.get(WIDGETS, "one")).code == 200
    last = await cluster.patch(WIDGETS, "one", {"metadata": {"finalizers": []}})
    assert last.code == 200
    assert (await cluster.get(WIDGETS, "one")).code == 404


async def test_marking_counts_as_a_generation(cluster: Target) -> None:
    """The spec is another from then on: to be gone."""
    made = await cluster.create(_held())
    await cluster.delete(WIDGETS, "one")
    assert (await cluster.get(WIDGETS, "one")).generation == made.generation + 1


async def test_what_is_being_deleted_takes_no_new_finalizer(cluster: Target) -> None:
    """But changes otherwise, and its mark cannot be taken away."""
    await cluster.create(_held())
    await cluster.delete(WIDGETS, "one")
    more = {"metadata": {"finalizers": ["penstock.dev/a", "penstock.dev/b", "penstock.dev/c"]}}
    refused = await cluster.patch(WIDGETS, "one", more)
    assert refused.code == 422
    assert refused.fields == {"metadata.finalizers"}
    changed = await cluster.patch(WIDGETS, "one", {"spec": {"note": "x"}, "metadata": {"deletionTimestamp": None}})
    assert changed.body["spec"]["note"] == "x"
    assert changed.body["metadata"]["deletionTimestamp"]


async def test_an_apply_meets_what_is_being_deleted(cluster: Target) -> None:
    """It changes the object, and does not bring it back."""
    await cluster.create(_held())
    await cluster.delete(WIDGETS, "one")
    applied = await cluster.apply(widget(note="x"))
    assert applied.code == 200
    assert applied.body["metadata"]["deletionTimestamp"]


async def test_dropping_our_finalizer_by_apply_ends_it(cluster: Target) -> None:
    """As the operator lets a ModelDeployment go."""
    manifest = widget()
    manifest["metadata"]["finalizers"] = ["penstock.dev/a"]
    await cluster.apply(manifest)
    await cluster.delete(WIDGETS, "one")
    await cluster.apply(widget())
    assert (await cluster.get(WIDGETS, "one")).code == 404


async def test_a_namespace_is_marked(cluster: Target) -> None:
    """Nothing new enters it: 403, or 404 where it is gone already."""
    await cluster.ask("DELETE", f"/api/v1/namespaces/{cluster.namespace}")
    assert (await cluster.create(config_map())).code in {403, 404}
