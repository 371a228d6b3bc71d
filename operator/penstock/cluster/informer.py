"""One watched kind kept in a store: list by pages, watch from there, and heal whatever goes wrong between.

A silent watch is cut and resumed; a version that is too old means a new list, and what that list no longer has is
reported as deleted. Nothing is decided here.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from penstock.cluster.barred import Barred
from penstock.cluster.errors import Forbidden, Gone, TooManyRequests, Unavailable
from penstock.cluster.gate import PAGE_SIZE, gated, in_turns, new_gate
from penstock.cluster.resources import ResourceType
from penstock.cluster.scope import Extent
from penstock.cluster.store import Store, Stored, is_surely_newer
from penstock.cluster.wire import Object, Page, WatchEvent
from penstock.errors import ClusterError
from penstock.workqueue.clock import Clock

__all__ = ["Informer", "Source"]

T = TypeVar("T", bound=Stored)

_log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 1.0
_LAST_DELAY_SECONDS = 30.0
_MOST_DOUBLINGS = 10
_SHORTEST_WATCH_SECONDS = 1.0
_FAILURES_BEFORE_RELIST = 3


class Source(Protocol):
    """The part of the client that is needed."""

    def pages(
        self, kind: ResourceType, namespace: str | None, *, labels: str, fields: str, limit: int
    ) -> AsyncGenerator[Page, None]:
        """All objects, by pages."""
        ...

    def watch(
        self,
        kind: ResourceType,
        *,
        resource_version: str,
        namespace: str | None,
        labels: str,
        fields: str,
        inactivity: float,
    ) -> AsyncGenerator[WatchEvent, None]:
        """What changed since that version."""
        ...


@dataclass(slots=True)
class Informer(Generic[T]):
    """Runs for ever; `synced` is set when the first list is in the store.

    `slim` turns an object into the record that is kept, or None where it is of no interest. `changed` is told of every
    difference: (None, new), (old, new) or (old, None). `last_heard` is the clock's `monotonic` at the last sign of
    life. Informers of several namespaces may share a store: each drops only what its own `extent` covers.
    """

    client: Source
    kind: ResourceType
    slim: Callable[[Object], T | None]
    store: Store[T]
    changed: Callable[[T | None, T | None], None]
    clock: Clock
    random: Random
    labels: str = ""
    extent: Extent = Extent()  # noqa: RUF009 - it is frozen
    barred: Barred = field(default_factory=Barred)
    page_size: int = PAGE_SIZE
    gate: asyncio.Semaphore = field(default_factory=new_gate)
    inactivity: float = 70.0
    relist_seconds: float = 1800.0
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    last_heard: float = 0.0
    _version: str = ""
    _failures: int = 0

    def __str__(self) -> str:
        """The kind and the namespace, for problems that name it."""
        return self.extent.of(self.kind)

    async def run(self) -> None:
        """List and watch until cancelled; no error of the API server ends it."""
        while True:
            try:
                await self._list()
                await self._follow()
            except ClusterError as error:
                if self.barred.failed(self.kind, self.extent, error):
                    # Everything else must not wait for a namespace that may never be there.
                    self.synced.set()
                await self._pause(error)

    async def _list(self) -> None:
        """Fill the store, then report what the list no longer has."""
        seen: set[tuple[str, str]] = set()
        version, set_back = "", False
        where = self.extent
        listing = self.client.pages(
            self.kind, where.namespace, labels=self.labels, fields=where.fields, limit=self.page_size
        )
        async with gated(listing, self.gate) as pages:
            async for page in pages:
                # The first page's: a list that takes long may be continued at a later version.
                version = version or page.resource_version
                set_back = is_surely_newer(self._version, version)
                await self._take_page(page, seen, certain=set_back)
        self._prune(seen, version, certain=set_back)
        self._version = version
        self._heard()
        self.barred.answered(self.kind, self.extent)
        self.synced.set()

    def _prune(self, seen: set[tuple[str, str]], version: str, *, certain: bool) -> None:
        """Report what the list, which was at that version, no longer has."""
        for record in self.store:
            # One that is newer than the list is our own write, made while we read it.
            spared = is_surely_newer(record.resource_version, version) and not certain
            if (record.namespace, record.name) not in seen and self.extent.covers(record) and not spared:
                self._remove(record, version)

    async def _take_page(self, page: Page, seen: set[tuple[str, str]], *, certain: bool) -> None:
        async for item in in_turns(page.items):
            self._put(item, certain=certain)
            seen.add(_key(item))
        self._heard()

    async def _follow(self) -> None:
        """Watch until it is time to list again; raises where only a new list helps."""
        relist_at = self.clock.monotonic() + self.relist_seconds * self.random.uniform(0.9, 1.1)
        while self.clock.monotonic() < relist_at:
            try:
                await self._watch(relist_at)
            except Gone:
                raise
            except ClusterError as error:
                if self._failures >= _FAILURES_BEFORE_RELIST:
                    raise
                await self._pause(error)

    async def _watch(self, relist_at: float) -> None:
        """One watch, to its end; Unavailable where it ended as soon as it began."""
        began = self.clock.monotonic()
        heard = False
        watching = self.client.watch(
            self.kind,
            resource_version=self._version,
            namespace=self.extent.namespace,
            labels=self.labels,
            fields=self.extent.fields,
            inactivity=self.inactivity,
        )
        async with aclosing(watching) as events:
            async for event in events:
                heard = True
                self._heard()
                self._failures = 0
                self._take(event)
                self._version = event.object["metadata"]["resourceVersion"]
                if self.clock.monotonic() >= relist_at:
                    return
        lasted = self.clock.monotonic() - began
        if lasted < _SHORTEST_WATCH_SECONDS:
            if not heard:
                message = f"watching {self.kind}: it ended at once"
                raise Unavailable(message)
            await self.clock.sleep(_SHORTEST_WATCH_SECONDS - lasted)

    def _take(self, event: WatchEvent) -> None:
        live = event.object
        if event.type in {"ADDED", "MODIFIED"}:
            self._put(live)
        elif event.type == "DELETED":
            namespace, name = _key(live)
            held = self.store.get(namespace, name)
            uid, version = live["metadata"]["uid"], live["metadata"]["resourceVersion"]
            if self.store.remove(namespace, name, uid, version=version):
                self.changed(held, None)

    def _put(self, live: Object, *, certain: bool = False) -> None:
        metadata = live["metadata"]
        before = self.store.get(*_key(live))
        if (
            before is not None
            and before.uid == metadata["uid"]
            and before.resource_version == metadata["resourceVersion"]
        ):
            return
        try:
            record = self.slim({"apiVersion": self.kind.api_version, "kind": self.kind.kind, **live})
        except (KeyError, TypeError, ValueError, AttributeError):
            # One odd object must not blind us for all others; what we knew of it stays.
            _log.exception("%s %s cannot be read", self.kind.kind, "/".join(_key(live)))
            return
        if record is None:
            self._drop(before, metadata)
        elif self.store.put(record, certain=certain):
            self._tell(before, record)

    def _drop(self, before: T | None, metadata: dict[str, Any]) -> None:
        """It is of no interest any more, unless that is old news."""
        if before is None or is_surely_newer(before.resource_version, metadata["resourceVersion"]):
            return
        self._remove(before, metadata["resourceVersion"])

    def _tell(self, before: T | None, record: T) -> None:
        if before is not None and before.uid != record.uid:
            # Two lives of one name, of which we missed the end of the first.
            self.changed(before, None)
            before = None
        self.changed(before, record)

    def _remove(self, record: T, version: str) -> None:
        if self.store.remove(record.namespace, record.name, record.uid, version=version):
            self.changed(record, None)

    def _heard(self) -> None:
        self.last_heard = self.clock.monotonic()

    async def _pause(self, error: ClusterError) -> None:
        """Longer each time, from one second to thirty, with jitter; as long as the server asks where it asks.

        An answer that is an error is a sign of life: no restart of ours would bring the API server back.
        """
        self._heard()
        delay = min(_FIRST_DELAY_SECONDS * 2.0**self._failures, _LAST_DELAY_SECONDS) * self.random.uniform(0.7, 1.0)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        if isinstance(error, TooManyRequests | Unavailable) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        _log.log(self._level(error), "%s; again in %.1f s", error, delay)
        await self.clock.sleep(delay)

    def _level(self, error: ClusterError) -> int:
        """What `barred` tells of is told once, and not with every try."""
        if isinstance(error, Forbidden) and self.extent.place:
            return logging.DEBUG
        return logging.INFO if isinstance(error, Gone) else logging.WARNING


def _key(live: Object) -> tuple[str, str]:
    metadata = live["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
