"""Who must look again at what: one event, the keys that it brings."""

from dataclasses import dataclass, field
from typing import Any

from builders.live import gpu_node, gpu_pod, live
from builders.plans import plan
from penstock.api.inferencepool import InferencePool
from penstock.api.modeldeployment import ModelDeployment
from penstock.planner.plan import Assignment
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import PLACEMENT, Key, Subject
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.stored import Child, slim_child, slim_node, slim_pod
from penstock.reconcilers.world import World

CHAT = Key(Subject.MODEL_DEPLOYMENT, "team", "chat")
POOL = Key(Subject.INFERENCE_POOL, "", "h100")
LABELS = {"penstock.dev/deployment": "chat", "penstock.dev/revision": "abc"}


@dataclass(slots=True)
class Calls:
    """What was enqueued, at once or later."""

    keys: list[Key] = field(default_factory=list)

    def add(self, key: Key) -> None:
        """As the queue does."""
        self.keys.append(key)

    def take(self) -> set[Key]:
        """What came since the last time."""
        taken, self.keys = set(self.keys), []
        return taken


def world() -> tuple[World, Calls]:
    """One deployment and one pool."""
    calls = Calls()
    made = World(enqueue=calls.add, enqueue_after=lambda key, _seconds: calls.add(key))
    made.deployments.put(custom())
    pool = live("InferencePool", "h100", api_version="penstock.dev/v1alpha1", spec={"nodeSelector": {"pool": "h100"}})
    made.pools.put(Custom.of(pool, InferencePool))
    return made, calls


def custom(*, generation: int = 1, uid: str = "uid-chat") -> Custom[ModelDeployment]:
    """A ModelDeployment as it is kept."""
    found = live(
        "ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec={"model": "org/small"}
    )
    found["metadata"] |= {"uid": uid, "generation": generation}
    return Custom.of(found, ModelDeployment)


def priced(price: str, *, generation: int, name: str = "h100") -> Custom[InferencePool]:
    """A pool at that price."""
    spec = {"nodeSelector": {"pool": name}, "price": {"perGPUHour": price}}
    found = live("InferencePool", name, api_version="penstock.dev/v1alpha1", spec=spec)
    found["metadata"] |= {"uid": f"uid-{name}", "generation": generation}
    return Custom.of(found, InferencePool)


def child(owner: str = "uid-chat") -> Child:
    """A Service of the deployment."""
    return slim_child(live("Service", "chat", namespace="team", owner=owner))


def test_a_new_spec_is_looked_at_and_placed() -> None:
    """Both at once: the worker waits for the decision."""
    made, calls = world()
    made.on_deployment(custom(), custom(generation=2))
    assert calls.take() == {CHAT, PLACEMENT}


def test_a_status_alone_places_nothing() -> None:
    """The fleet is the same."""
    made, calls = world()
    made.on_deployment(custom(), custom())
    assert calls.take() == {CHAT}


def test_a_second_life_is_placed() -> None:
    """Its generation is the same, its uid is not."""
    made, calls = world()
    made.on_deployment(custom(), custom(uid="another"))
    assert PLACEMENT in calls.take()


def test_a_child_brings_its_owner() -> None:
    """And one whose owner is gone brings nobody."""
    made, calls = world()
    made.on_owned(None, child())
    assert calls.take() == {CHAT}
    made.on_owned(child("gone"), None)
    assert calls.take() == set()


def test_a_nodes_heartbeat_brings_nothing() -> None:
    """Only what placement reads counts."""
    made, calls = world()
    node = gpu_node("a")
    later = {**node, "metadata": {**node["metadata"], "resourceVersion": "99"}}
    made.on_node(slim_node(node), slim_node(later))
    assert calls.take() == set()


def test_a_node_that_dies_brings_the_pools_and_placement() -> None:
    """Their counts change, and whoever ran there must move."""
    made, calls = world()
    node = gpu_node("a")
    made.on_node(slim_node(node), slim_node({**node, "status": {**node["status"], "conditions": []}}))
    assert calls.take() == {POOL, PLACEMENT}


PHASES: dict[str, tuple[dict[str, Any], set[Key]]] = {
    "bound": ({"node": "a"}, {CHAT, POOL, PLACEMENT}),
    "still waiting": ({"phase": "Pending"}, {CHAT}),
}


def test_a_pod_that_is_bound_changes_the_fleet() -> None:
    """One that merely changes its status does not."""
    made, calls = world()
    pending = gpu_pod("p", namespace="team", labels=LABELS, phase="Pending")
    for fields, want in PHASES.values():
        made.on_pod(slim_pod(pending), slim_pod(gpu_pod("p", namespace="team", labels=LABELS, **fields)))
        assert calls.take() == want


def test_another_price_brings_whoever_has_a_revision_in_the_pool() -> None:
    """Their statuses say what they cost."""
    made, calls = world()
    made.revisions.put(
        RevisionRecord("team", "chat-abc", "r", "1", "uid-chat", "abc", 1, "", Assignment(plan(pool="h100"), ()), {})
    )
    made.on_pool(priced("2.00", generation=1), priced("3.00", generation=2))
    assert calls.take() == {CHAT, POOL, PLACEMENT}
    made.on_pool(priced("3.00", generation=2), priced("3.00", generation=3))
    assert calls.take() == {POOL, PLACEMENT}
    made.on_pool(priced("2.00", generation=1, name="other"), priced("3.00", generation=2, name="other"))
    assert calls.take() == {POOL, PLACEMENT}


def test_a_strangers_pod_brings_no_deployment() -> None:
    """Its GPUs count all the same."""
    made, calls = world()
    made.on_pod(None, slim_pod(gpu_pod("train", node="a")))
    assert calls.take() == {POOL, PLACEMENT}
