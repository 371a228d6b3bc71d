"""When a plan whose engine never started is given up, and what is remembered of it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.live import gpu_pod, live
from builders.plans import checkpoint, plan
from penstock.api.formats import Precision
from penstock.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from penstock.api.plan_status import FailedStart
from penstock.planner.plan import Assignment
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.failing import Failures, failed_plans, failures
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.stored import PodRecord, slim_pod
from penstock.reconcilers.view import View

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LABELS = {"penstock.dev/revision": "abc"}
KUBELET = {"reason": "OOMKilled", "exitCode": 137}
VLLM = {"reason": "Error", "exitCode": 1, "message": "ValueError: No available memory for the cache blocks. Try ..."}
SGLANG = {"reason": "Error", "exitCode": 1, "message": "RuntimeError: Not enough memory. Please try to increase"}
HIP = {"reason": "Error", "exitCode": 1, "message": "torch.cuda.OutOfMemoryError: HIP out of memory."}
OTHER = {"reason": "Error", "exitCode": 139}


@dataclass(frozen=True)
class Scene:
    """A deployment whose one revision's pods crash; `age` is that of the pods in seconds."""

    restarts: int = 3
    last: dict[str, Any] | None = None
    age: float = 400
    ready: bool = False
    others: tuple[PodRecord, ...] = ()
    status: ModelDeploymentStatus = ModelDeploymentStatus()  # noqa: RUF009 - it is frozen
    spec_digest: str = ""
    patience: int = 300

    def look(self) -> Failures:
        return failures(self.view(), self.status, NOW)

    def view(self) -> View:
        spec = {"model": "Qwen/Qwen3-8B", "placement": {"fallbackAfterSeconds": self.patience}}
        found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1", spec=spec)
        custom = Custom.of(found, ModelDeployment)
        digest = self.spec_digest or custom.digest
        record = RevisionRecord("team", "chat-abc", "u", "1", "", "abc", 1, digest, Assignment(plan(), ("a",)), {})
        return View(custom, None, {"abc": record}, {}, {}, (self.pod(), *self.others))

    def pod(self) -> PodRecord:
        container = {"restartCount": self.restarts, "lastState": {"terminated": self.last or OTHER}}
        condition = {"type": "Ready", "status": str(self.ready)}
        begun = (NOW - timedelta(seconds=self.age)).isoformat()
        status = {"conditions": [condition], "containerStatuses": [container], "startTime": begun}
        return slim_pod(gpu_pod("chat-1", node="a", labels=LABELS, status=status))


def known(scene: Scene, **changes: Any) -> ModelDeploymentStatus:
    """A status that remembers the scene's plan."""
    (entry,) = scene.look().all
    return ModelDeploymentStatus(failed=(entry.model_copy(update=changes),))


SERVED = ModelDeploymentStatus.model_validate({"plan": {"revision": "abc", "firstReadyTime": "2026-11-20T00:00:00Z"}})
CASES: dict[str, tuple[Scene, str]] = {
    "it crashed three times": (Scene(), "CrashLoop"),
    "it crashed twice": (Scene(restarts=2), ""),
    "the kubelet killed it twice": (Scene(restarts=2, last=KUBELET), "OutOfMemory"),
    "vLLM had no room twice": (Scene(restarts=2, last=VLLM), "OutOfMemory"),
    "SGLang had no room twice": (Scene(restarts=2, last=SGLANG), "OutOfMemory"),
    "HIP had no room twice": (Scene(restarts=2, last=HIP), "OutOfMemory"),
    "it had no room once": (Scene(restarts=1, last=VLLM), ""),
    "its time is not over": (Scene(age=299), ""),
    "nobody waits": (Scene(age=0, patience=0), "CrashLoop"),
    "it is ready now": (Scene(ready=True), ""),
    "another replica is ready": (Scene(others=(replace(Scene(ready=True).pod(), name="chat-2"),)), ""),
    "it has served": (Scene(status=SERVED), ""),
    "it is an older spec's": (Scene(spec_digest="older"), ""),
}


@pytest.mark.parametrize(("scene", "want"), CASES.values(), ids=CASES)
def test_when_it_is_given_up(scene: Scene, want: str) -> None:
    new = scene.look().new
    assert (new.reason if new else "") == want


def test_it_is_looked_at_again_when_the_time_is_over() -> None:
    assert Scene(age=299).look().look_again_seconds == pytest.approx(1)
    assert Scene(restarts=0, age=1).look().look_again_seconds is None


def test_what_is_known_is_not_told_again() -> None:
    scene = Scene()
    again = replace(scene, status=known(scene)).look()
    assert (again.new, again.all) == (None, scene.look().all)


def test_another_spec_forgets() -> None:
    scene = Scene(restarts=0)
    assert replace(scene, status=known(Scene(), spec_digest="older")).look().all == ()


def test_what_starts_after_all_is_forgotten() -> None:
    assert replace(Scene(ready=True), status=known(Scene())).look().all == ()


def test_it_is_bounded_the_oldest_go() -> None:
    (entry,) = Scene().look().all
    many = tuple(entry.model_copy(update={"pool": f"p{number}"}) for number in range(8))
    found = replace(Scene(), status=ModelDeploymentStatus(failed=many)).look()
    assert [each.pool for each in found.all] == ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "h100"]


def test_the_planner_knows_it_by_engine_version_too() -> None:
    """A newer image of the pool is worth another try; the same one is not."""
    (failed,) = failed_plans(Scene().look().all, Scene().view().custom.digest)
    assert failed.is_of(plan())
    for other in (plan(engine_version="9.9.9", image="x"), plan(pool="b"), plan(checkpoint=checkpoint(Precision.BF16))):
        assert not failed.is_of(other)
    assert failed_plans((FailedStart(pool="h100", spec_digest="older"),), "newer") == ()


def test_more_gpus_help_against_a_lack_of_memory_alone() -> None:
    """An engine that cannot start on a card cannot start on two of them."""
    digest = Scene().view().custom.digest
    (crashed,), (short,) = (failed_plans(Scene(last=last).look().all, digest) for last in (OTHER, VLLM))
    sizes = [plan(tensor_parallel=size) for size in (1, 2, 4)]
    assert [crashed.is_of(each) for each in sizes] == [True, True, True]
    assert [short.is_of(each) for each in sizes] == [True, True, False]
