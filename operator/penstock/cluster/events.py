"""Kubernetes events within a budget: a bounded queue, token buckets, one event with a count for what repeats.

Core `v1` events and not `events.k8s.io`: a count and a last time are all that repeats need, a merge patch keeps them,
and `kubectl describe` shows both alike. Recording never waits and never fails; what is over the budget is counted
and dropped.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import NotFound
from penstock.cluster.resources import EVENTS, ResourceType
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock
from penstock.workqueue.rate import TokenBucket

__all__ = ["EventRecorder", "Reference"]

_log = logging.getLogger(__name__)

_LONGEST_QUEUE = 1000
_MOST_REMEMBERED = 4096
_BURST = 50.0
_PER_SECOND = 5.0
_BURST_PER_OBJECT = 25.0
_PER_SECOND_PER_OBJECT = 1 / 60
_MESSAGE_LENGTH = 1024
_NAME_LENGTH = 200
_INSTANCE_LENGTH = 128
_WINDOW_SECONDS = 600.0
_MESSAGES_PER_WINDOW = 10
_SIMILAR = "(similar events) "


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
class _Sent:
    """An event that is there: what repeats is counted on it until its window ends."""

    name: str
    count: int
    since: float


@dataclass(slots=True)
class _Variety:
    """How many different messages one reason had about one object since the window began."""

    since: float
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class EventRecorder:
    """`record` from anywhere; `run` sends. `dropped` counts what was over the budget or refused."""

    client: Client
    clock: Clock
    instance: str
    component: str = "penstock"
    default_namespace: str = "default"
    dropped: int = 0
    _queue: "asyncio.Queue[_Note]" = field(default_factory=lambda: asyncio.Queue(_LONGEST_QUEUE))
    _sent: "OrderedDict[_Note, _Sent]" = field(default_factory=OrderedDict)
    _varieties: "OrderedDict[tuple[Reference, str], _Variety]" = field(default_factory=OrderedDict)
    _budgets: "OrderedDict[Reference, TokenBucket]" = field(default_factory=OrderedDict)
    _budget: TokenBucket = field(init=False)
    _sending: bool = False

    def __post_init__(self) -> None:
        """The budget of all objects together is full."""
        self._budget = TokenBucket(self.clock, per_second=_PER_SECOND, burst=_BURST)

    def record(self, about: Reference, *, type: str, reason: str, message: str) -> None:  # noqa: A002 - the API's own word
        """Say it once more or for the first time; dropped where the queue is full."""
        note = _Note(about, type, reason, message[:_MESSAGE_LENGTH])
        try:
            self._queue.put_nowait(note)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Send until cancelled; an event that the API server refuses is not tried again."""
        while True:
            note = self._combined(await self._queue.get())
            if not self._affordable(note.about):
                self.dropped += 1
                continue
            self._sending = True
            try:
                await self._send(note)
            except ClusterError as error:
                _log.debug("an event about %s: %s", note.about.name, error)
                self.dropped += 1
            finally:
                self._sending = False

    @property
    def idle(self) -> bool:
        """True where no event waits or is on its way."""
        return self._queue.empty() and not self._sending

    def _combined(self, note: _Note) -> _Note:
        """The note, or one for all further messages of a reason that has had many about this object lately."""
        now, key = self.clock.monotonic(), (note.about, note.reason)
        variety = self._varieties.pop(key, None)
        if variety is None or now - variety.since > _WINDOW_SECONDS:
            variety = _Variety(now)
        _remember(self._varieties, key, variety)
        if note.message in variety.messages:
            return note
        if len(variety.messages) < _MESSAGES_PER_WINDOW:
            variety.messages.add(note.message)
            return note
        return replace(note, message=_SIMILAR + note.reason)

    def _affordable(self, about: Reference) -> bool:
        """Within the object's own budget first, so that a noisy one does not eat up everybody's."""
        bucket = self._budgets.pop(about, None)
        if bucket is None:
            bucket = TokenBucket(self.clock, per_second=_PER_SECOND_PER_OBJECT, burst=_BURST_PER_OBJECT)
        _remember(self._budgets, about, bucket)
        return bucket.take() and self._budget.take()

    async def _send(self, note: _Note) -> None:
        known = self._sent.pop(note, None)
        if known is not None and await self._counted(note, known):
            return
        manifest = self._manifest(note)
        await self.client.create(manifest)
        _remember(self._sent, note, _Sent(manifest["metadata"]["name"], 1, self.clock.monotonic()))

    async def _counted(self, note: _Note, known: _Sent) -> bool:
        """One more of the same; False where its window is over or the API server has forgotten the event."""
        if self.clock.monotonic() - known.since > _WINDOW_SECONDS:
            return False
        body = {"count": known.count + 1, "lastTimestamp": self._time()}
        try:
            await self.client.patch(EVENTS, known.name, self._namespace(note), body, content_type=PatchType.MERGE)
        except NotFound:
            return False
        _remember(self._sent, note, replace(known, count=known.count + 1))
        return True

    def _manifest(self, note: _Note) -> dict[str, Any]:
        time, about = self._time(), note.about
        involved = {
            "apiVersion": about.kind.api_version,
            "kind": about.kind.kind,
            "name": about.name,
            "uid": about.uid,
            "namespace": about.namespace,
        }
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": self._name(note), "namespace": self._namespace(note)},
            "involvedObject": {key: value for key, value in involved.items() if value},
            "type": note.type,
            "reason": note.reason,
            "message": note.message,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "reportingInstance": self.instance[:_INSTANCE_LENGTH],
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }

    def _name(self, note: _Note) -> str:
        """Its own for each event: another process or a second within the window must not meet it."""
        said = f"{note}{self.clock.now().isoformat()}{self.instance}"
        digest = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
        return f"{note.about.name[:_NAME_LENGTH].rstrip('.-')}.{digest}"

    def _namespace(self, note: _Note) -> str:
        return note.about.namespace or self.default_namespace

    def _time(self) -> str:
        return self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _remember(memory: "OrderedDict[Any, Any]", key: Any, value: Any) -> None:
    """The newest are kept."""
    memory[key] = value
    while len(memory) > _MOST_REMEMBERED:
        memory.popitem(last=False)
