"""Leader election by a Lease: any number of replicas, one leads; `generation` is its fencing token.

How long a Lease was not renewed is measured by our own clock from when we saw it change, so that
skewed clocks do no harm.
"""

import asyncio
import logging
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


@dataclass(slots=True)
class LeaseElection:
    """Tries to get and keep the Lease; `run` returns when it was held and is lost."""

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

    async def run(self) -> None:
        """Wait for the Lease, hold it, return when it is another's or could not be renewed in time."""
        renewed = 0.0
        while True:
            if await self._attempt():
                renewed = self.clock.monotonic()
                self.leading.set()
            elif self.leading.is_set() and self._lost(renewed):
                self.leading.clear()
                return
            await self.clock.sleep(self.period)

    async def release(self) -> None:
        """Give it up, so that a standby need not wait for it to run out."""
        if not self.leading.is_set():
            return
        self.leading.clear()
        try:
            live = await self.client.get(LEASES, self.name, self.namespace)
            if live["spec"].get("holderIdentity") == self.identity:
                await self.client.replace({**_typed(live), "spec": {**live["spec"], "holderIdentity": ""}})
        except ClusterError as error:
            _log.warning("releasing the Lease: %s", error)

    def _lost(self, renewed: float) -> bool:
        holder = self._seen[0]
        return holder not in {self.identity, ""} or self.clock.monotonic() - renewed > self.renew_deadline

    async def _attempt(self) -> bool:
        try:
            async with asyncio.timeout(self.renew_deadline):
                return await self._take_or_renew()
        except (ClusterError, TimeoutError) as error:
            _log.warning("the Lease %s/%s: %s", self.namespace, self.name, error)
            return False

    async def _take_or_renew(self) -> bool:
        try:
            live = await self.client.get(LEASES, self.name, self.namespace)
        except NotFound:
            return await self._create()
        spec = live["spec"]
        holder = spec.get("holderIdentity") or ""
        self._look(holder, spec)
        if holder not in {"", self.identity} and not self._run_out(spec):
            return False
        return await self._write(live, took=holder != self.identity)

    def _look(self, holder: str, spec: dict[str, Any]) -> None:
        seen = (holder, str(spec.get("renewTime", "")), int(spec.get("leaseTransitions") or 0))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self.clock.monotonic()

    def _run_out(self, spec: dict[str, Any]) -> bool:
        lasts = float(spec.get("leaseDurationSeconds") or self.duration)
        return self.clock.monotonic() - self._seen_at > lasts

    async def _create(self) -> bool:
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec(1, self._now()),
        }
        try:
            await self.client.create(manifest)
        except AlreadyExists:
            return False
        self.generation = 1
        return True

    async def _write(self, live: dict[str, Any], *, took: bool) -> bool:
        transitions = int(live["spec"].get("leaseTransitions") or 0) + int(took)
        acquired = self._now() if took else live["spec"].get("acquireTime", self._now())
        try:
            await self.client.replace({**_typed(live), "spec": self._spec(transitions, acquired)})
        except Conflict:
            return False
        self.generation = transitions
        return True

    def _spec(self, transitions: int, acquired: str) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.duration),
            "acquireTime": acquired,
            "renewTime": self._now(),
            "leaseTransitions": transitions,
        }

    def _now(self) -> str:
        return self.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _typed(live: dict[str, Any]) -> dict[str, Any]:
    return {**live, "apiVersion": LEASES.api_version, "kind": LEASES.kind}
