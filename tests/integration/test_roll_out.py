"""Changes of a spec: a new revision beside the old, the Service moves when it serves, the old one drains."""

from typing import Any

from integration.stage import Stage, condition, deployment, node, pool

Object = dict[str, Any]


def _not(revision: str) -> Any:
    """Readiness for the pods of every revision but one."""
    return lambda pod: pod["metadata"]["labels"]["penstock.dev/revision"] == revision


async def _serving_old_with_new_beside(cluster: Stage, **spec: Any) -> tuple[str, str]:
    """A roll-out that waits: the old revision serves, the new one's pods are held back."""
    cluster.put(deployment(**spec))
    await cluster.ready()
    old = cluster.serving()
    cluster.kubelet.ready = _not(old)
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 2)
    await cluster.until(lambda: cluster.reason("Ready") == "WaitingForNewRevision")
    await cluster.rest()
    (new,) = set(cluster.revisions()) - {old}
    return old, new


async def test_the_service_moves_only_when_the_new_revision_is_ready(cluster: Stage) -> None:
    """Both run; then the Service points to the new one and the old one is taken away with all its children."""
    old, new = await _serving_old_with_new_beside(cluster)
    assert cluster.serving() == old
    assert cluster.md()["status"]["nextPlan"]["revision"] == new
    assert condition(cluster.md(), "Available")["status"] == "True"
    cluster.kubelet.ready = lambda _pod: True
    cluster.kubelet.poke()
    await cluster.until(lambda: cluster.revisions() == [new])
    await cluster.ready()
    assert cluster.serving() == new
    assert not [name for _, _, name in cluster.picture() if old in name]


async def test_the_old_revision_keeps_its_pods_until_the_service_has_moved(cluster: Stage) -> None:
    """Invariant 1 as far as it goes without a gateway, watched at every commit."""
    cluster.put(deployment(replicas=2))
    await cluster.ready()
    old, broken = cluster.serving(), []

    def look(_type: str, live: Object, _before: Object | None) -> None:
        name = f"chat-{old}"
        workload = cluster.server.get("deployments", "team", name)
        if cluster.serving() == old and (workload is None or workload["spec"]["replicas"] < 2):
            broken.append(live["kind"])

    end = cluster.server.subscribe(look)
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: len(cluster.revisions()) == 1 and cluster.serving() != old)
    end()
    assert broken == []


async def test_a_scale_rolls_nothing(cluster: Stage) -> None:
    """The same Deployment, under the same uid, with other replicas."""
    cluster.put(deployment())
    await cluster.ready()
    picture = cluster.picture()
    cluster.edit(replicas=3)
    await cluster.until(lambda: cluster.md()["status"].get("readyReplicas") == 3)
    await cluster.ready()
    cluster.edit(replicas=0)
    await cluster.until(lambda: cluster.reason("Ready") == "ScaledToZero")
    await cluster.rest()
    assert cluster.picture() == picture
    assert cluster.children("pods") == []


async def test_a_scale_goes_through_a_roll_out_that_waits(cluster: Stage) -> None:
    """Both revisions are what the user wants them to be; what serves is not scaled up on the way out."""
    old, new = await _serving_old_with_new_beside(cluster, replicas=2)
    cluster.edit(replicas=1)

    def replicas(revision: str) -> int:
        workload = cluster.server.get("deployments", "team", f"chat-{revision}")
        return workload["spec"]["replicas"] if workload else -1

    await cluster.until(lambda: (replicas(old), replicas(new)) == (1, 1))
    await cluster.rest()
    assert cluster.serving() == old


async def test_reverting_in_the_middle_makes_the_old_one_the_target_again(cluster: Stage) -> None:
    """Its name is the hash of its content: nothing is loaded anew, and the new one goes."""
    old, new = await _serving_old_with_new_beside(cluster)
    uid = cluster.picture()["deployments", "team", f"chat-{old}"]
    cluster.edit(engineArgs=None)
    await cluster.until(lambda: cluster.revisions() == [old])
    await cluster.ready()
    assert cluster.serving() == old
    assert cluster.picture()["deployments", "team", f"chat-{old}"] == uid
    assert not [name for _, _, name in cluster.picture() if new in name]


async def test_a_third_spec_in_the_middle_leaves_no_revision_behind(cluster: Stage) -> None:
    """The one that never served is taken away, the one that serves goes on until the third is ready."""
    old, second = await _serving_old_with_new_beside(cluster)
    cluster.edit(engineArgs=["--seed=2"])
    await cluster.until(lambda: second not in cluster.revisions() and len(cluster.revisions()) == 2)
    assert cluster.serving() == old
    cluster.kubelet.ready = lambda _pod: True
    cluster.kubelet.poke()
    await cluster.until(lambda: len(cluster.revisions()) == 1)
    await cluster.ready()
    assert cluster.serving() not in {old, second}


async def test_a_new_revision_that_stalls_leaves_the_old_one_serving(cluster: Stage) -> None:
    """`Ready` says that the deadline has passed; `Available` stays true."""
    old, new = await _serving_old_with_new_beside(cluster)
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "it has timed out progressing",
    }
    cluster.server.update(
        "deployments",
        "team",
        f"chat-{new}",
        lambda live: {**live, "status": {**live["status"], "conditions": [late]}},
        subresource="status",
    )
    await cluster.until(lambda: cluster.reason("Ready") == "ProgressDeadlineExceeded")
    assert cluster.serving() == old
    assert condition(cluster.md(), "Available")["status"] == "True"
    assert "timed out" in condition(cluster.md(), "Ready")["message"]


async def test_without_room_for_both_the_old_one_stays_and_the_status_says_what_would_work(
    empty_cluster: Stage,
) -> None:
    """`surgePolicy: Wait`, the default."""
    cluster = empty_cluster
    cluster.put(pool("h100"), node("small", gpus=1), deployment())
    await cluster.start()
    await cluster.ready()
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: "surgePolicy" in condition(cluster.md(), "Placed").get("message", ""))
    await cluster.rest()
    assert cluster.revisions() == [old]
    cluster.put(node("another", gpus=1))
    await cluster.until(lambda: cluster.is_ready() and cluster.revisions() != [old])
    await cluster.until(lambda: len(cluster.revisions()) == 1)


async def test_recreate_gives_the_old_one_up_first(empty_cluster: Stage) -> None:
    """The user's choice where the GPUs do not allow both."""
    cluster = empty_cluster
    cluster.put(pool("h100"), node("small", gpus=1), deployment(rollout={"surgePolicy": "Recreate"}))
    await cluster.start()
    await cluster.ready()
    old = cluster.serving()
    cluster.edit(engineArgs=["--seed=1"])
    await cluster.until(lambda: cluster.revisions() not in ([old], []) and len(cluster.revisions()) == 1)
    await cluster.ready()
    assert cluster.serving() != old
