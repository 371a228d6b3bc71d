"""Who is asked, how often, and what becomes of the answers."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from builders.clock import FakeClock
from builders.live import gpu_pod
from builders.observed import add_deployment, empty_world
from builders.plans import plan
from penstock.api.formats import EngineName
from penstock.engine_readings.errors import EngineUnreachable
from penstock.engine_readings.reading import EngineReading
from penstock.metrics import Metrics
from penstock.planner.plan import Assignment
from penstock.reconcilers.engine_listener import EngineListener
from penstock.reconcilers.keys import PLACEMENT, Key, Subject
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.stored import slim_pod
from penstock.reconcilers.world import World

NOTHING = EngineReading()
LABELS = {"penstock.dev/deployment": "chat", "penstock.dev/revision": "abc"}


@dataclass
class Engines:
    """Answers as it is told; remembers who was asked."""

    answer: EngineReading | None = field(default_factory=EngineReading)
    asked: list[str] = field(default_factory=list)

    async def read(self, url: str, engine: EngineName) -> EngineReading:
        assert engine is EngineName.VLLM
        self.asked.append(url)
        if self.answer is None:
            message = "away"
            raise EngineUnreachable(message)
        return self.answer


@dataclass
class Scene:
    """A deployment with so many ready pods, and a listener whose clock stands still."""

    world: World
    engines: Engines
    clock: FakeClock
    listener: EngineListener
    enqueued: list[Key]

    async def asked_after(self, seconds: float) -> int:
        """How many engines are asked when so much time has gone by."""
        await self.clock.advance(seconds)
        self.engines.asked.clear()
        await self.listener.look()
        return len(self.engines.asked)

    def readings(self, result: str) -> float:
        found = self.listener.metrics.registry.get_sample_value("penstock_engine_readings_total", {"result": result})
        return found or 0.0


def scene(pods: int = 1, *, answer: EngineReading | None = NOTHING, **changes: Any) -> Scene:
    world, engines, clock = empty_world(), Engines(answer), FakeClock()
    enqueued: list[Key] = []
    add_deployment(world)
    (custom,) = world.deployments
    for pod in tuple(world.pods):
        world.pods.remove(pod.namespace, pod.name, pod.uid)
    world.revisions.put(
        RevisionRecord(
            "team", "chat-abc", "r", "1", custom.uid, "abc", 1, custom.digest, Assignment(plan(), ("a",)), {}
        )
    )
    for number in range(pods):
        made = slim_pod(gpu_pod(f"chat-{number}", node="a", namespace="team", labels=LABELS))
        known: dict[str, Any] = {"ready": True, "address": f"10.0.0.{number}", **changes}
        world.pods.put(replace(made, **known))
    world.enqueue = enqueued.append
    world.enqueue_after = lambda key, _seconds: enqueued.append(key)
    listener = EngineListener(world, engines, None, clock, Random(1), Metrics())  # type: ignore[arg-type] # as much as is used
    return Scene(world, engines, clock, listener, enqueued)


async def test_a_ready_engine_is_asked_at_once_and_then_every_few_minutes() -> None:
    made = scene()
    assert [await made.asked_after(seconds) for seconds in (0, 5, 200, 200, 5)] == [1, 0, 0, 1, 0]
    assert made.readings("read") == 2
    assert set(made.enqueued) == {Key(Subject.MODEL_DEPLOYMENT, "team", "chat")}


NOT_ASKED: dict[str, dict[str, Any]] = {
    "not ready": {"ready": False},
    "without an address": {"address": ""},
    "on its way out": {"terminating": True},
    "another's": {"deployment": ""},
    "of a revision that nobody knows": {"revision": "older"},
}


@pytest.mark.parametrize("changes", NOT_ASKED.values(), ids=NOT_ASKED)
async def test_who_is_not_asked(changes: dict[str, Any]) -> None:
    assert await scene(**changes).asked_after(0) == 0


async def test_who_does_not_answer_is_asked_ever_more_rarely() -> None:
    """At last once an hour; who answers again is asked as before."""
    made = scene(answer=None)
    asked = [await made.asked_after(300 * 1.1) for _ in range(36)]
    assert asked[:2] == [1, 1]
    assert sum(asked[2:12]) == 2
    assert sum(asked[24:]) == 1
    assert made.enqueued == []
    assert made.readings("EngineUnreachable") == sum(asked)
    made.engines.answer = EngineReading()
    assert await made.asked_after(4000) == 1
    assert await made.asked_after(300 * 1.1) == 1


async def test_a_large_fleet_is_asked_bit_by_bit() -> None:
    """Everybody comes to their turn."""
    made = scene(120)
    assert [await made.asked_after(5) for _ in range(4)] == [50, 50, 20, 0]


async def test_what_is_gone_is_forgotten() -> None:
    made = scene()
    await made.asked_after(0)
    (pod,) = made.world.pods
    assert set(made.world.readings.by_pod) == {pod.uid}
    made.world.pods.put(replace(pod, ready=False, resource_version="99999"))
    await made.asked_after(5)
    assert made.world.readings.by_pod == {}


async def test_much_less_room_than_planned_is_worth_another_plan() -> None:
    planned = plan().memory.kv_tokens
    for tokens, again in ((planned, False), (planned // 2, True)):
        made = scene(answer=EngineReading(kv_tokens=tokens, kv_tokens_stated=True))
        await made.asked_after(0)
        assert (PLACEMENT in made.enqueued) is again
