"""Nodes, pools and borders, as the pods and the status show them."""

from collections import Counter
from typing import Any

import pytest

from builders.hub import local_hub
from integration.stage import Stage, condition, deployment, node, pool
from penstock.api.quantities import Money
from penstock.cluster.resources import MODEL_DEPLOYMENTS, ResourceType
from penstock.planner.exchange import Rates
from penstock.planner.spending import SpendingLimit

Object = dict[str, Any]


def gpus_by_node(cluster: Stage) -> Counter[str]:
    """GPUs that pods hold."""
    held: Counter[str] = Counter()
    for pod in cluster.server.objects("pods"):
        limits = pod["spec"]["containers"][0]["resources"]["limits"]
        held[pod["spec"].get("nodeName", "")] += int(limits["nvidia.com/gpu"])
    return held


def stranger(name: str, on: str, gpus: int) -> Object:
    """A pod that is not Penstock's."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": on,
            "containers": [{"name": "train", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}],
        },
        "status": {"phase": "Running"},
    }


def placed(cluster: Stage, name: str = "chat") -> str:
    """The message of `Placed`."""
    return str(condition(cluster.server.get("modeldeployments", "team", name), "Placed").get("message", ""))


async def test_when_a_node_dies_its_pods_move_to_another_of_the_pool(cluster: Stage) -> None:
    """The Deployment stays what it is; only the pod moves."""
    cluster.put(deployment())
    await cluster.ready()
    cluster.put(node("h100-b"))
    picture = cluster.picture()
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: cluster.nodes_of() == ["h100-b"])
    await cluster.ready()
    assert cluster.picture() == picture


async def test_when_a_pool_dies_the_deployment_moves_to_the_next_and_says_why(cluster: Stage) -> None:
    """Another pool is another revision; event and status name the reason."""
    cluster.put(pool("a100", price="3.00"), node("a100-a", pool="a100", accelerator="A100"))
    cluster.put(deployment(placement={"fallbackAfterSeconds": 5}))
    await cluster.ready()
    assert cluster.md()["status"]["plan"]["pool"] == "h100"
    cluster.server.delete("nodes", "", "h100-a")
    await cluster.until(lambda: cluster.md()["status"]["plan"]["pool"] == "a100")
    await cluster.ready()
    assert cluster.nodes_of() == ["a100-a"]
    assert any("pool a100" in message and "because" in message for message in cluster.events("RevisionCreated"))
    assert "h100" in str(cluster.md()["status"]["rejected"])


async def test_a_full_pool_means_the_next_preference(cluster: Stage) -> None:
    """The second deployment takes the second pool and says who holds the first."""
    cluster.put(pool("a100"), node("a100-a", pool="a100", accelerator="A100"), stranger("train", "h100-a", 8))
    cluster.put(deployment(placement={"pools": ["h100", "a100"]}))
    await cluster.ready()
    assert cluster.nodes_of() == ["a100-a"]
    lost = [each for each in cluster.md()["status"]["rejected"] if each.get("pool") == "h100"]
    assert any(each["reason"] == "NoFreeGPUs" and "not Penstock's" in each["message"] for each in lost)


async def test_no_gpu_is_given_twice(cluster: Stage) -> None:
    """Ten deployments at once on eight GPUs: eight run, two say what they wait for."""
    names = [f"md-{number}" for number in range(10)]
    cluster.put(*(deployment(name) for name in names))
    await cluster.until(lambda: sum(cluster.is_ready(name) for name in names) == 8)
    await cluster.rest()
    waiting = [name for name in names if not cluster.is_ready(name)]
    assert gpus_by_node(cluster) == {"h100-a": 8}
    assert all(cluster.reason("Placed", name) == "NoFreeGPUs" for name in waiting)
    assert not [name for name in waiting if cluster.revisions(name)]
    cluster.server.delete("modeldeployments", "team", next(name for name in names if name not in waiting))
    await cluster.until(lambda: sum(cluster.is_ready(name) for name in waiting) == 1)
    await cluster.rest()
    assert gpus_by_node(cluster) == {"h100-a": 8}


async def test_overlapping_pools_say_so_on_both_sides(cluster: Stage) -> None:
    """The node belongs to the older one."""
    second = pool("second", nodeSelector={"kubernetes.io/hostname": "h100-a"})
    second["metadata"]["name"] = "younger"
    cluster.put(second)

    def exclusive(name: str) -> Object:
        return condition(cluster.server.get("inferencepools", "", name), "Exclusive")

    await cluster.until(lambda: exclusive("h100").get("status") == "False" == exclusive("younger").get("status"))
    assert "younger" in exclusive("h100")["message"]
    assert "h100" in exclusive("younger")["message"]


async def test_a_pool_without_nodes_says_so_and_is_no_place(empty_cluster: Stage) -> None:
    """Both the pool and the deployment tell."""
    cluster = empty_cluster
    cluster.put(pool("empty"), deployment())
    await cluster.start()
    await cluster.until(lambda: condition(cluster.md(), "Placed").get("status") == "False")
    await cluster.rest()
    assert condition(cluster.server.get("inferencepools", "", "empty"), "Ready")["reason"] == "NoNodes"
    assert cluster.picture() == {}
    cluster.put(node("late", pool="empty"))
    await cluster.ready()
    assert cluster.nodes_of() == ["late"]


async def test_labels_that_lie_place_nothing(empty_cluster: Stage) -> None:
    """The pool states one accelerator, its nodes another."""
    cluster = empty_cluster
    cluster.put(pool("liar", accelerator="A100-SXM-80GB"), node("h", pool="liar"), deployment())
    await cluster.start()
    await cluster.until(lambda: condition(cluster.md(), "Placed").get("status") == "False")
    await cluster.rest()
    ready = condition(cluster.server.get("inferencepools", "", "liar"), "Ready")
    assert ready["reason"] == "AcceleratorUnknown"
    assert "H100-SXM-80GB" in ready["message"]
    assert cluster.picture() == {}


async def test_gpus_of_strangers_are_not_free(cluster: Stage) -> None:
    """Counted in the pool's status, left alone by placement, taken when they are given up."""
    cluster.put(stranger("train", "h100-a", 8), deployment())
    await cluster.until(lambda: cluster.reason("Placed") == "NoFreeGPUs")
    await cluster.rest()
    assert cluster.picture() == {}
    status = (cluster.server.get("inferencepools", "", "h100") or {})["status"]
    assert status["gpus"] == {"total": 8, "allocatable": 8, "allocated": 8, "free": 0}
    cluster.server.delete("pods", "default", "train", grace=0)
    await cluster.ready()


async def test_borders_fail_closed(empty_cluster: Stage) -> None:
    """Invariant 5: no pool inside, one that states no country, one half inside; nothing is made, the reason is said."""
    cluster = empty_cluster
    cluster.put(pool("us", countries=("US",)), node("us-a", pool="us"))
    cluster.put(pool("unknown", location={"region": "eu-west-1"}), node("unknown-a", pool="unknown"))
    cluster.put(pool("half", countries=("DE", "US")), node("half-a", pool="half"))
    cluster.put(deployment(placement={"jurisdictions": ["EU"]}))
    await cluster.start()
    await cluster.until(lambda: cluster.reason("Placed") == "OutsideJurisdiction")
    await cluster.rest()
    assert cluster.picture() == {}
    assert {each["pool"] for each in cluster.md()["status"]["rejected"]} == {"us", "unknown", "half"}
    cluster.put(pool("eu", countries=("FR",)), node("eu-a", pool="eu"))
    await cluster.ready()
    assert cluster.nodes_of() == ["eu-a"]


async def test_a_border_holds_when_the_last_place_inside_dies(empty_cluster: Stage) -> None:
    """Falling back never crosses it."""
    cluster = empty_cluster
    cluster.put(pool("eu", countries=("FR",)), node("eu-a", pool="eu"))
    cluster.put(pool("us", countries=("US",)), node("us-a", pool="us"))
    cluster.put(deployment(placement={"jurisdictions": ["EU"], "fallbackAfterSeconds": 1}))
    await cluster.start()
    await cluster.ready()
    crossed = []

    def look(_type: str, live: Object, _before: Object | None) -> None:
        if live["kind"] == "Pod" and live["spec"].get("nodeName") == "us-a":
            crossed.append(live["metadata"]["name"])

    end = cluster.server.subscribe(look)
    cluster.server.delete("nodes", "", "eu-a")
    await cluster.until(lambda: condition(cluster.md(), "Available").get("status") == "False")
    began = cluster.clock.monotonic()
    await cluster.until(lambda: cluster.clock.monotonic() > began + 5)
    end()
    assert crossed == []
    assert len(cluster.revisions()) == 1


async def test_an_edit_lifts_no_border(empty_cluster: Stage) -> None:
    """The pool moves, then the spec changes, then more replicas are asked for: what serves goes on, nothing comes."""
    cluster = empty_cluster
    cluster.put(pool("h100", countries=("DE",)), node("h100-a"), pool("full", countries=("DE",)))
    cluster.put(node("full-a", pool="full"), stranger("train", "full-a", 8))
    cluster.put(deployment(placement={"jurisdictions": ["EU"]}))
    await cluster.start()
    await cluster.ready()
    (revision,) = cluster.revisions()
    moved = pool("h100", countries=("US",))["spec"]
    cluster.server.update("inferencepools", "", "h100", lambda live: {**live, "spec": moved})
    await cluster.until(lambda: cluster.reason("Placed") == "NoFreeGPUs")
    before = gpus_by_node(cluster)
    for change in ({"engineArgs": ["--seed=1"]}, {"replicas": 3}):
        generation = cluster.edit(**change)["metadata"]["generation"]
        await cluster.until(lambda wanted=generation: cluster.md()["status"]["observedGeneration"] == wanted)
        await cluster.rest()
        assert (cluster.reason("Placed"), cluster.reason("Available")) == ("NoFreeGPUs", "Serving")
        assert gpus_by_node(cluster) == before
        assert cluster.revisions() == [revision]
    await cluster.restart()
    await cluster.rest()
    assert gpus_by_node(cluster) == before
    cluster.server.delete("pods", "default", "train", grace=0)
    await cluster.ready()
    assert set(cluster.nodes_of()) == {"full-a"}


async def test_a_quota_is_respected_and_explained(cluster: Stage) -> None:
    """The namespace's ResourceQuota leaves room for one."""
    hard = {"requests.nvidia.com/gpu": "1"}
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "gpus", "namespace": "team"},
            "spec": {"hard": hard},
            "status": {"hard": hard, "used": {"requests.nvidia.com/gpu": "1"}},
        }
    )
    cluster.put(deployment())
    await cluster.until(lambda: cluster.reason("Placed") == "QuotaExceeded")
    await cluster.rest()
    assert "ResourceQuota" in placed(cluster)
    assert cluster.picture() == {}


async def test_a_model_that_only_the_hub_knows_is_asked_for_once(cluster: Stage) -> None:
    """Its config is read, kept in the cluster, and read from there by the next operator."""
    async with local_hub("acme/private-8b") as hub:
        await cluster.kill()
        await cluster.start(hub_enabled=True, hub_url=hub.url)
        cluster.put(deployment("private", model="acme/private-8b"))
        await cluster.ready("private")
        asked = list(hub.asked)
        assert len(asked) == len(set(asked)) > 0
        await cluster.kill()
        await cluster.start(hub_enabled=True, hub_url=hub.url)
        cluster.put(deployment("another", model="acme/private-8b"))
        await cluster.ready("private", "another")
        assert hub.asked == asked


async def test_rates_compare_prices_and_limits_leave_out_what_costs_more(empty_cluster: Stage) -> None:
    """What the operator was told of money is what it places by; sums in statuses are exact."""
    cluster = empty_cluster
    euros = pool("euros", price="0.333333")
    euros["spec"]["price"]["currency"] = "EUR"
    cluster.put(euros, node("euros-a", pool="euros"))
    cluster.put(pool("dollars", price="0.40"), node("dollars-a", pool="dollars"))
    limit = SpendingLimit("namespace team", Money.parse("1.50", "USD"), frozenset({"team"}))
    await cluster.start(rates=Rates.parse("USD", {"EUR": "1.25"}), limits=(limit,))
    cluster.put(deployment(replicas=3))
    await cluster.ready()
    plan = cluster.md()["status"]["plan"]
    assert (plan["pool"], plan["costPerReplicaHour"]) == ("dollars", "0.40 USD")
    assert plan["costPerHour"] == "1.20 USD"
    assert plan["costPerMillionTokens"].endswith(" USD")
    lost = next(each for each in cluster.md()["status"]["rejected"] if each.get("pool") == "euros")
    assert "0.016666 USD/h more than dollars by the exchange rates" in lost["message"]
    cluster.put(deployment("second"))
    await cluster.until(lambda: "limit 'namespace team' of 1.50 USD/h leaves 0.30 USD/h" in placed(cluster, "second"))


async def test_a_limit_keeps_replicas_from_coming_though_gpus_are_free(cluster: Stage) -> None:
    """Until there is money again; what serves goes on."""
    await cluster.kill()
    limit = SpendingLimit("fleet", Money.parse("7.00", "USD"))
    await cluster.start(limits=(limit,))
    cluster.put(deployment(replicas=5), deployment("small"))
    await cluster.until(lambda: "limit 'fleet' of 7.00 USD/h" in placed(cluster) + placed(cluster, "small"))
    await cluster.rest()
    assert gpus_by_node(cluster) == {"h100-a": 3}
    await cluster.kill()
    await cluster.start(limits=(SpendingLimit("fleet", Money.parse("2.00", "USD")),))
    await cluster.rest()
    assert gpus_by_node(cluster) == {"h100-a": 3}
    await cluster.kill()
    await cluster.start()
    await cluster.until(lambda: gpus_by_node(cluster) == {"h100-a": 6})


async def test_what_is_gone_before_its_first_visit_holds_nothing(
    empty_cluster: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was placed, and taken back while the API server was asked whether it lives."""
    cluster = empty_cluster
    cluster.put(pool("h100"), node("h100-a", gpus=1))
    operator = (await cluster.start()).operator
    await cluster.rest()
    world, ask = operator.world, operator.client.get

    async def late(kind: ResourceType, name: str, namespace: str = "") -> Any:
        if kind is MODEL_DEPLOYMENTS and cluster.server.get("modeldeployments", "team", "brief"):
            world.place_soon()
            await cluster.until(lambda: ("team", "brief") not in world.stale_tenants)
            cluster.server.delete("modeldeployments", "team", "brief")
        return await ask(kind, name, namespace)

    monkeypatch.setattr(operator.client, "get", late)
    cluster.put(deployment("brief"))
    await cluster.until(lambda: cluster.server.get("modeldeployments", "team", "brief") is None)
    await cluster.rest()
    cluster.put(deployment())
    await cluster.ready()


async def test_fewer_replicas_than_had_no_place_are_all_placed(empty_cluster: Stage) -> None:
    """What was said of two is not said of one."""
    cluster = empty_cluster
    cluster.put(pool("h100"), node("h100-a", gpus=1), node("h100-b", gpus=1))
    await cluster.start()
    cluster.put(deployment(replicas=2))
    await cluster.ready()
    cluster.server.delete("nodes", "", "h100-b")
    await cluster.until(lambda: cluster.reason("Placed") == "PartlyPlaced")
    cluster.edit(replicas=1)
    await cluster.ready()
    await cluster.until(lambda: cluster.reason("Placed") == "Placed")
    assert "1 replica in pool h100" in condition(cluster.md(), "Placed")["message"]
