"""Which pods tables are made from, and whether replicas can send to one of them."""

from dataclasses import replace
from typing import Any

import pytest

from builders.live import gpu_pod, live
from builders.plans import plan
from penstock.api.modeldeployment import ModelDeployment
from penstock.cluster.store import Store
from penstock.planner.plan import Assignment
from penstock.reconcilers.children import CHILD_KINDS
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.endpoints import DRAIN_FINALIZER, addresses_of, backend_of, endpoint_of, endpoints_of, routed
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.stored import PodRecord, slim_child, slim_pod
from penstock.reconcilers.traffic import GatewayTraffic
from penstock.reconcilers.view import gather, keep_reply
from penstock.reconcilers.world import World
from penstock.rollout.drain import Replica, Routed
from penstock_policy.table import Backend, Table

HOME, KEY = "deployment/team/chat", ("team", "chat")
A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"
LABELS = {"penstock.dev/deployment": "chat", "penstock.dev/revision": "abc"}


def pod(name: str = "a", address: str = "10.0.0.1", **more: Any) -> PodRecord:
    """A pod that is ready."""
    made = slim_pod(gpu_pod(name, namespace="team", node="n", labels=LABELS))
    return replace(made, **{"ready": True, "address": address, **more})


def custom(*finalizers: str, **metadata: Any) -> Custom[ModelDeployment]:
    """The deployment."""
    found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1")
    found["spec"] = {"model": "Qwen/Qwen3-8B"}
    found["metadata"].update({"uid": "c", "finalizers": list(finalizers), **metadata})
    return Custom.of(found, ModelDeployment)


def world(*pods: PodRecord) -> World:
    """With a Service that selects the revision abc."""
    made = World(enqueue=lambda _key: None, enqueue_after=lambda _key, _seconds: None)
    made.children = {kind: Store() for kind in CHILD_KINDS}
    selector = {"selector": {"penstock.dev/revision": "abc"}}
    made.children["Service"].put(slim_child(live("Service", "chat", namespace="team", owner="c", spec=selector)))
    for each in pods:
        made.pods.put(each)
    made.traffic.enabled = True
    return made


PODS: dict[str, tuple[PodRecord, tuple[str, ...], tuple[str, ...]]] = {
    "ready": (pod(), (A,), (A,)),
    "not ready": (pod(ready=False), (), (A,)),
    "chosen to go": (pod(leaving=True), (), (A,)),
    "ending": (pod(terminating=True), (), (A,)),
    "about to be ended": (pod(disrupted="PreemptionByScheduler"), (), (A,)),
    "without an address": (pod(address=""), (), ()),
    "over": (pod(ready=False, finished=True), (), ()),
}


@pytest.mark.parametrize(("record", "gets", "may_have_got"), PODS.values(), ids=PODS)
def test_endpoints(record: PodRecord, gets: tuple[str, ...], may_have_got: tuple[str, ...]) -> None:
    """What gets requests from now on, and what may have got some before."""
    assert endpoints_of([record]) == gets
    assert addresses_of([record]) == may_have_got


def test_an_address_of_version_6_stands_in_brackets() -> None:
    """As URLs want it."""
    assert endpoint_of(pod(address="fd00::1")) == "http://[fd00::1]:8000"


@pytest.mark.parametrize(("finalizers", "want"), [((), ()), ((DRAIN_FINALIZER,), (A,))], ids=["without", "with"])
def test_nothing_is_sent_to_what_could_vanish(finalizers: tuple[str, ...], want: tuple[str, ...]) -> None:
    """Without the finalizer a deletion would take the engines away under their requests."""
    made = world(pod())
    made.revisions.put(_revision())
    found = backend_of(made, custom(*finalizers))
    assert found is not None
    assert [revision.endpoints for revision in found.revisions] == [want]


def _revision() -> RevisionRecord:
    return RevisionRecord("team", "chat-abc", "r", "1", "c", "abc", 1, "", Assignment(plan(), ("n",)), {})


def gateway(*entered: str, replicas: tuple[int, ...] | None = (4, 4)) -> GatewayTraffic:
    """Its first table had none of them, each next one has one more."""
    made = GatewayTraffic(built=True)
    made.adopt(_table(2), "hash-2")
    for number in range(len(entered)):
        made.published(_table(3 + number, *entered[: number + 1]), f"hash-{3 + number}")
    made.said = None if replicas is None else tuple(Replica(f"gw-{n}", each) for n, each in enumerate(replicas))
    made.named = frozenset({HOME})
    return made


def _table(generation: int, *endpoints: str) -> Table:
    home = Backend(HOME, "Deployment", "OpenAI", "chat", endpoints, max_sensitivity=0)
    return Table("entry/main", generation, ("low",), backends=(home,))


ROUTED: dict[str, tuple[tuple[GatewayTraffic, ...], Routed]] = {
    "no gateway": ((), Routed.NOT_ROUTED),
    "everywhere": ((gateway(A, B),), Routed.ROUTABLE),
    "one pod is everywhere": ((gateway(A, B, replicas=(3, 4)),), Routed.ROUTABLE),
    "one replica has none": ((gateway(A, B, replicas=(2, 4)),), Routed.NOT_ACKNOWLEDGED),
    "not in the table": ((gateway(),), Routed.NOT_PUBLISHED),
    "the server is away": ((gateway(A, replicas=None),), Routed.SERVER_AWAY),
    "no replica": ((gateway(A, replicas=()),), Routed.NO_REPLICA),
    "one of two gateways": ((gateway(A), gateway(A, replicas=(2,))), Routed.NOT_ACKNOWLEDGED),
}


@pytest.mark.parametrize(("gateways", "want"), ROUTED.values(), ids=ROUTED)
def test_routed(gateways: tuple[GatewayTraffic, ...], want: Routed) -> None:
    """Every replica of every gateway; whoever waits is asked to look again at the next word."""
    made = world(pod(), pod("b", "10.0.0.2"))
    made.traffic.gateways = {("entry", f"gw-{number}"): each for number, each in enumerate(gateways)}
    verdict = routed(made, gather(made, custom()))
    assert verdict is not None
    assert verdict[0] is want
    assert (KEY in made.traffic.asking) == (want not in {Routed.ROUTABLE, Routed.NOT_ROUTED})


def test_routed_where_nothing_serves() -> None:
    """There is nothing to be acknowledged."""
    made = world(pod(ready=False))
    made.traffic.gateways = {("entry", "main"): gateway(A)}
    assert routed(made, gather(made, custom())) == (Routed.NOT_SERVING, "No replica is ready for requests")


def test_nobody_knows_right_after_the_start() -> None:
    """A gateway whose table was not made yet may name anything."""
    made = world(pod())
    made.traffic.expect(("entry", "main"))
    assert routed(made, gather(made, custom())) is None


REPLIES: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing else": ({}, False),
    "another generation": ({"generation": 2}, True),
    "a deletion": ({"deletionTimestamp": "2026-11-21T00:00:00Z"}, True),
    "an annotation": ({"annotations": {"a": "b"}}, True),
}


@pytest.mark.parametrize(("change", "told"), REPLIES.values(), ids=REPLIES)
def test_a_reply_that_holds_what_somebody_else_changed(change: dict[str, Any], told: bool) -> None:  # noqa: FBT001
    """The watch's event comes too late to be news: the store has it."""
    heard: list[Any] = []
    made = world()
    made.enqueue = heard.append
    before = custom()
    made.deployments.put(before)
    answer = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1")
    answer["spec"] = {"model": "Qwen/Qwen3-8B"}
    answer["metadata"].update({"uid": "c", **change})
    assert keep_reply(made, before, answer).resource_version == answer["metadata"]["resourceVersion"]
    assert bool(heard) is told
