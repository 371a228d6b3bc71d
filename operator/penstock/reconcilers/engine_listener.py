"""Asks each ready engine for its metrics, soon after it became ready and then every few minutes; learns from them.

No request goes to the API server for it, and nothing waits for it: an engine that does not answer is asked again later,
ever more rarely, and what its deployment says of it stays as it was.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from random import Random

from penstock.catalogue.models import ModelFacts
from penstock.engine_readings.client import EngineClient
from penstock.errors import EngineReadingError
from penstock.metrics import Metrics
from penstock.planner.plan import Plan
from penstock.reconcilers.endpoints import endpoint_of
from penstock.reconcilers.keys import Key, Subject
from penstock.reconcilers.learnt import LearntStore
from penstock.reconcilers.readings import Asked, PodReading, next_reading
from penstock.reconcilers.revisions import RevisionRecord
from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.world import World
from penstock.workqueue.clock import Clock

__all__ = ["EngineListener"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_AGAIN_SECONDS = 300.0
_LONGEST_SECONDS = 3600.0
_MOST_AT_A_LOOK = 50
_AT_ONCE = 16


@dataclass(slots=True)
class _Due:
    """When a pod is asked next by the monotonic clock, and how often in a row it has not answered."""

    at: float
    failures: int = 0


@dataclass(slots=True)
class EngineListener:
    """`run` never ends by itself; only who leads runs it."""

    world: World
    client: EngineClient
    store: LearntStore
    clock: Clock
    random: Random
    metrics: Metrics
    _due: dict[str, _Due] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def run(self) -> None:
        """Look, ask those that are due, store what was learnt; again a few seconds later."""
        while True:
            await self.store.load(self.world.learnt)
            await self.look()
            await self.store.save(self.world.learnt)
            await self.clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the pods that are due, so many at most that a large fleet does not cost the operator its core."""
        due = sorted(self._due_pods(), key=lambda pod: self._due[pod.uid].at)
        await asyncio.gather(*(self._ask(pod) for pod in due[:_MOST_AT_A_LOOK]))

    def _due_pods(self) -> list[PodRecord]:
        """In one pass over all pods: there are thousands, and others wait for the loop."""
        now, before, found = self.clock.monotonic(), self._due, []
        self._due = {}
        for pod in self.world.pods:
            if _may_be_asked(pod):
                due = self._due[pod.uid] = before.get(pod.uid) or _Due(now)
                if due.at <= now:
                    found.append(pod)
        if before.keys() != self._due.keys():
            self.world.readings.forget_all_but(self._due)
        return found

    async def _ask(self, pod: PodRecord) -> None:
        plan = self._plan_of(pod)
        if plan is None:
            return
        due = self._due[pod.uid]
        try:
            async with self._gate:
                reading = await self.client.read(endpoint_of(pod), plan.engine)
        except EngineReadingError as error:
            self._missed(pod, due, error)
            return
        self.metrics.engine_readings.labels(result="read").inc()
        due.at, due.failures = self._in(_AGAIN_SECONDS), 0
        before = self.world.readings.by_pod.get(pod.uid)
        asked = Asked(pod, plan, self._facts_of(pod), self.clock.monotonic(), self.clock.now())
        self._keep(pod, plan, next_reading(before, asked, reading))

    def _missed(self, pod: PodRecord, due: _Due, error: EngineReadingError) -> None:
        if not due.failures:
            _log.info("the engine of %s/%s says nothing of itself: %s", pod.namespace, pod.name, error)
        self.metrics.engine_readings.labels(result=type(error).__name__).inc()
        due.failures += 1
        due.at = self._in(min(_AGAIN_SECONDS * 2 ** (due.failures - 1), _LONGEST_SECONDS))

    def _in(self, seconds: float) -> float:
        """With a spread, so that what started together is not asked together."""
        return self.clock.monotonic() + seconds * self.random.uniform(0.9, 1.1)

    def _keep(self, pod: PodRecord, plan: Plan, found: PodReading) -> None:
        world = self.world
        world.readings.by_pod[pod.uid] = found
        arguments = self._arguments_of(pod)
        anew = False
        if found.kv_tokens is not None and arguments is not None:
            anew = world.learnt.note_kv_tokens(plan, found.kv_tokens, arguments)
        if found.step_times is not None:
            anew |= world.learnt.note_step_times(plan, found.step_times, self.clock.now())
        if anew:
            self._plan_anew(plan.checkpoint.model)
        world.enqueue(Key(Subject.MODEL_DEPLOYMENT, pod.namespace, pod.deployment))

    def _plan_anew(self, model: str) -> None:
        """Whoever serves that checkpoint, or might."""
        for key, candidate in self.world.tenants.items():
            if any(facts.model == model for facts in candidate.tenant.facts.values()):
                self.world.stale_tenants.add(key)
        self.world.place_soon()

    def _plan_of(self, pod: PodRecord) -> Plan | None:
        record = self._revision_of(pod)
        return record.assignment.plan if record else None

    def _arguments_of(self, pod: PodRecord) -> tuple[str, ...] | None:
        """The user's own; None where the spec has changed since the pod was made."""
        custom, record = self.world.deployments.get(pod.namespace, pod.deployment), self._revision_of(pod)
        if custom is None or custom.parsed is None or record is None or record.spec_digest != custom.digest:
            return None
        return custom.parsed.spec.engine_args

    def _revision_of(self, pod: PodRecord) -> RevisionRecord | None:
        custom = self.world.deployments.get(pod.namespace, pod.deployment)
        records = self.world.revisions.by_owner(custom.uid) if custom else ()
        return next((record for record in records if record.revision == pod.revision), None)

    def _facts_of(self, pod: PodRecord) -> dict[str, ModelFacts]:
        candidate = self.world.tenants.get((pod.namespace, pod.deployment))
        return dict(candidate.tenant.facts) if candidate else {}


def _may_be_asked(pod: PodRecord) -> bool:
    return bool(pod.deployment and pod.ready and pod.address and not pod.terminating)
