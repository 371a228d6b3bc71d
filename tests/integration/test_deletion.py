"""Deletion in every order: nothing is left behind, nothing is made for what is gone."""

from itertools import permutations

import pytest

from integration.stage import Stage, condition, deployment, node, pool

ORDERS = {" then ".join(order): order for order in permutations(("deployment", "pool", "node"))}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
async def test_whatever_goes_first_nothing_is_left(cluster: Stage, order: tuple[str, ...]) -> None:
    """Deployment, pool and node, one after the other."""
    cluster.put(deployment())
    await cluster.ready()
    names = {
        "deployment": ("modeldeployments", "team", "chat"),
        "pool": ("inferencepools", "", "h100"),
        "node": ("nodes", "", "h100-a"),
    }
    for what in order:
        cluster.server.delete(*names[what])
        await cluster.rest()
    assert cluster.picture() == {}
    assert cluster.server.objects("pods", "team") == []
    world = cluster.operators[0].operator.world
    assert not world.decisions
    assert not world.tenants


async def test_a_pool_that_goes_leaves_what_serves_alone(cluster: Stage) -> None:
    """Its deployments serve on; the status says what is wrong."""
    cluster.put(deployment())
    await cluster.ready()
    picture = cluster.picture()
    cluster.server.delete("inferencepools", "", "h100")
    await cluster.rest()
    assert cluster.picture() == picture
    assert condition(cluster.md(), "Available")["status"] == "True"
    cluster.put(pool("h100"))
    await cluster.ready()
    assert cluster.picture() == picture


async def test_a_namespace_that_goes_takes_everything_along(cluster: Stage) -> None:
    """No child is written into it afterwards, and its GPUs are free."""
    cluster.put(deployment("one"), deployment("two", replicas=2))
    await cluster.ready("one", "two")
    cluster.server.delete("namespaces", "", "team")
    await cluster.until(lambda: not cluster.server.objects("modeldeployments"))
    await cluster.rest()
    assert cluster.picture() == {}
    status = (cluster.server.get("inferencepools", "", "h100") or {})["status"]
    assert status["gpus"]["free"] == 8
    assert status["deployments"] == [] if "deployments" in status else True


async def test_a_name_that_is_used_again_gets_children_of_its_own(cluster: Stage) -> None:
    """The second life is placed anew; nothing of the first one is taken over."""
    cluster.put(deployment())
    await cluster.ready()
    before = cluster.picture()
    made = cluster.server.reuse_name("modeldeployments", "team", "chat")
    await cluster.until(cluster.is_ready)
    await cluster.rest()
    after = cluster.picture()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    owners = {child["metadata"]["ownerReferences"][0]["uid"] for child in cluster.children("services")}
    assert owners == {made["metadata"]["uid"]}


async def test_deletion_in_the_middle_of_a_roll_out(cluster: Stage) -> None:
    """Both revisions go."""
    cluster.put(deployment())
    await cluster.ready()
    cluster.kubelet.ready = lambda _pod: False
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 2)
    cluster.server.delete("modeldeployments", "team", "chat")
    await cluster.rest()
    assert cluster.picture() == {}


async def test_a_deployment_with_a_foreign_finalizer_is_left_alone_while_it_ends(cluster: Stage) -> None:
    """What is being deleted is not rolled any more."""
    held = deployment()
    held["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.put(held)
    await cluster.ready()
    picture = cluster.picture()
    cluster.server.delete("modeldeployments", "team", "chat")
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.rest()
    assert cluster.picture() == picture
    cluster.put(node("h100-b"))
    await cluster.rest()
    assert cluster.picture() == picture


async def test_what_goes_before_kopf_looks_is_found_by_the_sweep_after_it(cluster: Stage) -> None:
    """Kopf reports no deletion that came before its own first list: the GPUs must not stay taken for that."""
    cluster.put(deployment())
    await cluster.ready()
    await cluster.kill()
    running = await cluster.start()
    await cluster.until(lambda: all(source.synced.is_set() for source in running.operator._sources))
    assert not running.operator.watching
    cluster.server.delete("modeldeployments", "team", "chat")
    # Ten seconds on an idle machine: the head start that kopf gives, and the time that it has for its list.
    await cluster.until(lambda: not running.operator.world.tenants, seconds=60)
    await cluster.rest()
    assert cluster.picture() == {}
