"""Kubernetes events within a budget: a bounded queue, a token bucket, one event with a count for what repeats.

Recording never waits and never fails; what is over the budget is counted and dropped.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import EVENTS, ResourceType
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock

__all__ = ["EventRecorder", "Reference"]

_log = logging.getLogger(__name__)

_LONGEST_QUEUE = 1000
_MOST_REMEMBERED = 4096
_BURST = 50.0
_PER_SECOND = 5.0
_MESSAGE_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Reference:
    """What an event is about."""

    kind: ResourceType
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Note:
    about: Reference
    type: str
    reason: str
    message: str


@dataclass(slots=True)
class EventRecorder:
    """`record` from anywhere; `run` sends."""

    client: Client
    clock: Clock
    instance: str
    component: str = "penstock"
    default_namespace: str = "default"
    dropped: int = 0
    _queue: "asyncio.Queue[_Note]" = field(default_factory=lambda: asyncio.Queue(_LONGEST_QUEUE))
    _sent: "OrderedDict[_Note, tuple[str, int]]" = field(default_factory=OrderedDict)
    _tokens: float = _BURST
    _filled_at: float = 0.0

    def record(self, about: Reference, *, type: str, reason: str, message: str) -> None:  # noqa: A002 - the API's own word
        """Say it once more or for the first time; dropped where the queue is full."""
        note = _Note(about, type, reason, message[:_MESSAGE_LENGTH])
        try:
            self._queue.put_nowait(note)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            note = await self._queue.get()
            if not self._take_token():
                self.dropped += 1
                continue
            try:
                await self._send(note)
            except ClusterError as error:
                _log.debug("an event about %s: %s", note.about.name, error)
                self.dropped += 1

    def _take_token(self) -> bool:
        now = self.clock.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._filled_at) * _PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _send(self, note: _Note) -> None:
        known = self._sent.pop(note, None)
        if known is not None and await self._count(note, *known):
            return
        manifest = self._manifest(note)
        await self.client.create(manifest)
        self._remember(note, manifest["metadata"]["name"], 1)

    async def _count(self, note: _Note, name: str, count: int) -> bool:
        """One more of the same; False where the event has been forgotten by the API server."""
        body = {"count": count + 1, "lastTimestamp": self._time()}
        try:
            await self.client.patch(EVENTS, name, self._namespace(note), body, content_type=PatchType.MERGE)
        except NotFound:
            return False
        self._remember(note, name, count + 1)
        return True

    def _remember(self, note: _Note, name: str, count: int) -> None:
        self._sent[note] = (name, count)
        while len(self._sent) > _MOST_REMEMBERED:
            self._sent.popitem(last=False)

    def _manifest(self, note: _Note) -> dict[str, Any]:
        time = self._time()
        digest = hashlib.blake2b(f"{note}{time}{self.instance}".encode(), digest_size=8).hexdigest()
        about = note.about
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name[:200]}.{digest}", "namespace": self._namespace(note)},
            "involvedObject": {
                "apiVersion": about.kind.api_version,
                "kind": about.kind.kind,
                "name": about.name,
                "uid": about.uid,
                **({"namespace": about.namespace} if about.namespace else {}),
            },
            "type": note.type,
            "reason": note.reason,
            "message": note.message,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "reportingInstance": self.instance[:128],
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }

    def _namespace(self, note: _Note) -> str:
        return note.about.namespace or self.default_namespace

    def _time(self) -> str:
        return self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
