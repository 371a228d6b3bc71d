"""Status and scale: what each of them may change, and what not."""

from contract.target import Target
from contract.test_writes import deployment
from contract.widgets import WIDGETS, widget

from penstock.cluster.resources import DEPLOYMENTS


async def test_an_ordinary_write_does_not_touch_the_status(cluster: Target) -> None:
    """Neither on create nor later."""
    made = await cluster.create({**widget(), "status": {"phase": "Early"}})
    assert "status" not in made.body
    await cluster.patch(WIDGETS, "one", {"status": {"phase": "Ready"}}, "status")
    patched = await cluster.patch(WIDGETS, "one", {"spec": {"note": "x"}, "status": {"phase": "Odd"}})
    assert (patched.body["spec"]["note"], patched.body["status"]) == ("x", {"phase": "Ready"})
    replaced = await cluster.replace({**patched.body, "status": {"phase": "Odd"}})
    assert replaced.body["status"] == {"phase": "Ready"}
    assert replaced.version == patched.version


async def test_a_status_write_touches_nothing_else(cluster: Target) -> None:
    """Spec and labels stay, and so does the generation."""
    made = await cluster.create(widget(note="x"))
    changed = {
        **made.body,
        "spec": {"note": "y"},
        "status": {"phase": "Ready"},
        "metadata": {**made.body["metadata"], "labels": {"a": "b"}},
    }
    replaced = await cluster.replace(changed, "status")
    assert (replaced.code, replaced.body["spec"]["note"], replaced.generation) == (200, "x", 1)
    assert replaced.body["status"] == {"phase": "Ready"}
    assert "labels" not in replaced.body["metadata"]


async def test_a_status_is_replaced_whole(cluster: Target) -> None:
    """PUT without one takes it away."""
    made = await cluster.create(widget())
    full = await cluster.replace({**made.body, "status": {"phase": "Ready", "replicas": 2}}, "status")
    less = await cluster.replace({**full.body, "status": {"phase": "Ready"}}, "status")
    assert less.body["status"] == {"phase": "Ready"}
    none = {key: value for key, value in less.body.items() if key != "status"}
    assert "status" not in (await cluster.replace(none, "status")).body


async def test_a_status_is_validated(cluster: Target) -> None:
    await cluster.create(widget())
    reply = await cluster.patch(WIDGETS, "one", {"status": {"replicas": "two"}}, "status")
    assert reply.code == 422


async def test_a_stale_status_is_a_conflict(cluster: Target) -> None:
    made = await cluster.create(widget())
    await cluster.patch(WIDGETS, "one", {"spec": {"note": "x"}})
    assert (await cluster.replace({**made.body, "status": {"phase": "Ready"}}, "status")).code == 409


async def test_the_same_status_again_is_no_write(cluster: Target) -> None:
    await cluster.create(widget())
    first = await cluster.patch(WIDGETS, "one", {"status": {"phase": "Ready"}}, "status")
    second = await cluster.patch(WIDGETS, "one", {"status": {"phase": "Ready"}}, "status")
    assert first.version == second.version


async def test_the_status_of_what_is_not_there(cluster: Target) -> None:
    reply = await cluster.patch(WIDGETS, "none", {"status": {}}, "status")
    assert reply.code == 404


async def test_the_scale_of_a_widget(cluster: Target) -> None:
    """Replicas, where they are and the selector, as a Scale."""
    made = await cluster.create(widget(replicas=2))
    await cluster.patch(WIDGETS, "one", {"status": {"replicas": 1, "selector": "app=one"}}, "status")
    scale = (await cluster.get(WIDGETS, "one", "scale")).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["metadata"]["uid"] == made.body["metadata"]["uid"]
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 1, "selector": "app=one"}


async def test_scaling_a_widget(cluster: Target) -> None:
    """By PUT and by patch; the schema's bounds hold."""
    await cluster.create(widget(replicas=2, note="x"))
    scale = (await cluster.get(WIDGETS, "one", "scale")).body
    put = await cluster.ask("PUT", cluster.path(WIDGETS, "one", "scale"), {**scale, "spec": {"replicas": 3}})
    assert (put.code, put.body["spec"]["replicas"]) == (200, 3)
    patched = await cluster.patch(WIDGETS, "one", {"spec": {"replicas": 4}}, "scale")
    assert patched.body["spec"]["replicas"] == 4
    live = await cluster.get(WIDGETS, "one")
    assert (live.body["spec"]["replicas"], live.body["spec"]["note"], live.generation) == (4, "x", 3)
    assert (await cluster.patch(WIDGETS, "one", {"spec": {"replicas": 11}}, "scale")).code == 422
    assert (await cluster.patch(WIDGETS, "one", {"spec": {"replicas": -1}}, "scale")).code == 422


async def test_a_stale_scale_is_a_conflict(cluster: Target) -> None:
    await cluster.create(widget())
    scale = (await cluster.get(WIDGETS, "one", "scale")).body
    await cluster.patch(WIDGETS, "one", {"spec": {"note": "x"}})
    reply = await cluster.ask("PUT", cluster.path(WIDGETS, "one", "scale"), {**scale, "spec": {"replicas": 3}})
    assert reply.code == 409


async def test_scaling_a_deployment(cluster: Target) -> None:
    """Its selector comes as text."""
    await cluster.create(deployment())
    patched = await cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "scale")
    assert patched.body["spec"] == {"replicas": 4}
    assert patched.body["status"] == {"replicas": 0, "selector": "app=web"}
    live = await cluster.get(DEPLOYMENTS, "web")
    assert (live.body["spec"]["replicas"], live.generation) == (4, 2)


async def test_who_scales_owns_the_replicas(cluster: Target) -> None:
    """An apply without replicas leaves them to it."""
    manifest = deployment()
    await cluster.apply(manifest)
    await cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "scale", fieldManager="scaler")
    again = await cluster.apply(manifest)
    assert again.body["spec"]["replicas"] == 4
    manifest["spec"]["replicas"] = 2
    refused = await cluster.apply(manifest)
    assert (refused.code, refused.fields) == (409, {".spec.replicas"})


async def test_config_maps_have_neither(cluster: Target) -> None:
    for subresource in ("status", "scale"):
        reply = await cluster.ask("GET", f"/api/v1/namespaces/{cluster.namespace}/configmaps/one/{subresource}")
        assert reply.code == 404
