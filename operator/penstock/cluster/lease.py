"""Leader election by a Lease: any number of replicas, one leads; `generation` is its fencing token.

How long a Lease was not renewed is measured by our own clock from when we saw it change, so that
skewed clocks do no harm. A leader that cannot renew stops before anybody else may start.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from penstock.cluster.client import Client
from penstock.cluster.errors import AlreadyExists, Conflict, NotFound
from penstock.cluster.resources import LEASES
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock

__all__ = ["LeaseElection"]

_log = logging.getLogger(__name__)

_RELEASE_SECONDS = 5.0
Object = dict[str, Any]


@dataclass(slots=True)
class LeaseElection:
    """Tries to get and keep the Lease; `run` returns when it was held and is lost. Times are in seconds.

    `identity` is this process's alone. `generation` is the Lease's `leaseTransitions`: it grows with every leader.
    """

    client: Client
    name: str
    namespace: str
    identity: str
    clock: Clock
    duration: float = 15.0
    renew_deadline: float = 10.0
    period: float = 2.0
    leading: asyncio.Event = field(default_factory=asyncio.Event)
    generation: int = 0
    _seen: tuple[str, str, int] = ("", "", 0)
    _seen_at: float = 0.0
    _renewed_at: float = 0.0

    async def run(self) -> None:
        """Wait for the Lease, hold it, return when it is another's or could not be renewed in time."""
        while True:
            began = self.clock.monotonic()
            if await self._attempt():
                # Others count from the write, which was not before we began.
                self._renewed_at = began
                self.leading.set()
            elif self.leading.is_set() and self._lost():
                self.leading.clear()
                _log.error("the Lease %s/%s is lost to %r", self.namespace, self.name, self._seen[0])
                return
            await self.clock.sleep(self._pause())

    async def release(self) -> None:
        """Give it up, so that a standby need not wait for it to run out; an error only costs that wait."""
        if not self.leading.is_set():
            return
        self.leading.clear()
        await self._within(_RELEASE_SECONDS, self._give_up())

    async def outrank(self, term: int) -> bool:
        """Raise our token above `term`, where the Lease is ours: it was made anew since, and counts from the beginning.

        False where another one leads, or nobody knows.
        """
        return self.leading.is_set() and await self._within(_RELEASE_SECONDS, self._raise_above(term))

    async def _raise_above(self, term: int) -> bool:
        live = await self.client.get(LEASES, self.name, self.namespace)
        spec = live.get("spec") or {}
        if spec.get("holderIdentity") != self.identity:
            return False
        await self.client.replace({**_typed(live), "spec": {**spec, "leaseTransitions": term + 1}})
        self._hold(term + 1)
        return True

    def _pause(self) -> float:
        """A leader looks again at the latest when its time is up."""
        if not self.leading.is_set():
            return self.period
        return min(self.period, max(self._time_left(), 0.0))

    def _time_left(self) -> float:
        return self._renewed_at + self.renew_deadline - self.clock.monotonic()

    def _lost(self) -> bool:
        return self._seen[0] not in {self.identity, ""} or self._time_left() <= 0

    async def _attempt(self) -> bool:
        # An attempt that outlasts the deadline would let another lead beside us.
        seconds = self._time_left() if self.leading.is_set() else self.renew_deadline
        return await self._within(seconds, self._take_or_renew())

    async def _within(self, seconds: float, attempt: Awaitable[bool]) -> bool:
        """What came of it; False where the API server refused or took too long. The clock is ours, not the loop's."""
        trying, late = asyncio.ensure_future(attempt), asyncio.ensure_future(self.clock.sleep(max(seconds, 0.0)))
        try:
            await asyncio.wait({trying, late}, return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                return trying.result()
            _log.warning("the Lease %s/%s: no answer in %.1f s", self.namespace, self.name, seconds)
        except ClusterError as error:
            _log.warning("the Lease %s/%s: %s", self.namespace, self.name, error)
        finally:
            trying.cancel()
            late.cancel()
            await asyncio.gather(trying, late, return_exceptions=True)
        return False

    async def _take_or_renew(self) -> bool:
        try:
            live = await self.client.get(LEASES, self.name, self.namespace)
        except NotFound:
            return await self._create()
        spec = live.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self._look(holder, spec)
        if holder not in {"", self.identity} and not self._run_out(spec):
            return False
        # A former process of the same name is another leader: its term is over.
        return await self._write(live, took=holder != self.identity or not self.leading.is_set())

    def _look(self, holder: str, spec: Object) -> None:
        seen = (holder, str(spec.get("renewTime", "")), int(spec.get("leaseTransitions") or 0))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self.clock.monotonic()

    def _run_out(self, spec: Object) -> bool:
        lasts = float(spec.get("leaseDurationSeconds") or self.duration)
        return self.clock.monotonic() - self._seen_at > lasts

    async def _create(self) -> bool:
        # One that was deleted under us must not set the token back.
        generation = self.generation + 1
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec(generation, self._now()),
        }
        try:
            await self.client.create(manifest)
        except AlreadyExists:
            return False
        self._hold(generation)
        return True

    async def _write(self, live: Object, *, took: bool) -> bool:
        spec = live.get("spec") or {}
        transitions = int(spec.get("leaseTransitions") or 0) + int(took)
        acquired = self._now() if took else spec.get("acquireTime", self._now())
        try:
            await self.client.replace({**_typed(live), "spec": {**spec, **self._spec(transitions, acquired)}})
        except Conflict:
            return False
        self._hold(transitions)
        return True

    def _hold(self, generation: int) -> None:
        self.generation = generation
        self._seen = (self.identity, *self._seen[1:])

    async def _give_up(self) -> bool:
        live = await self.client.get(LEASES, self.name, self.namespace)
        spec = dict(live.get("spec") or {})
        if spec.pop("holderIdentity", "") != self.identity:
            return False
        await self.client.replace({**_typed(live), "spec": spec})
        return True

    def _spec(self, transitions: int, acquired: str) -> Object:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.duration),
            "acquireTime": acquired,
            "renewTime": self._now(),
            "leaseTransitions": transitions,
        }

    def _now(self) -> str:
        return self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _typed(live: Object) -> Object:
    return {**live, "apiVersion": LEASES.api_version, "kind": LEASES.kind}
