"""Watches: what changed since a version and from now on, bookmarks, and the faults of a stream."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from penstock.cluster.fake.answers import gone
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.selectors import Matcher
from penstock.cluster.fake.storage import Change, Object, Storage, encoded
from penstock.cluster.fake.views import partial

__all__ = ["Stream", "Terms", "Watches"]

_LONGEST_BACKLOG = 50_000
_HALF_A_LINE = b'{"type":"MODIFIED","object":{"meta'


@dataclass(frozen=True, slots=True)
class Terms:
    """What a watch is about: a kind, a namespace or all of them, a selector, metadata alone or everything."""

    info: KindInfo
    namespace: str
    matches: Matcher
    metadata_only: bool = False


class Stream:
    """One open watch: its lines wait in a bounded buffer of its own; a client that is too slow is cut off."""

    def __init__(self, terms: Terms, storage: Storage, faults: Faults) -> None:
        self._terms = terms
        self._storage = storage
        self._faults = faults
        self._lines: list[bytes] = []
        self._some = asyncio.Event()
        self._cut = False
        self._held: bytes | None = None

    def offer(self, change: Change) -> None:
        """A commit; one of another kind or place is passed over."""
        line = None if self._cut else self._line(change)
        if line is None or (change.type == "DELETED" and self._faults.take("dropped_deletes")):
            return
        if self._held is None and self._faults.take("reordered_events"):
            self._held = line
            return
        self._put(line)
        if self._held is not None:
            self._put(self._held)
            self._held = None
        if self._faults.take("duplicate_events"):
            self._put(line)

    def cut(self, *, middle: bool = False) -> None:
        """End the stream, within a line if wanted."""
        if middle:
            self._put(_HALF_A_LINE)
        self._cut = True
        self._some.set()

    async def lines(self, *, seconds: float, bookmark_seconds: float) -> AsyncIterator[bytes]:
        """Whatever has come, as often as something comes, until the time is over or the stream is cut."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._cut and (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, bookmark_seconds)):
                    await self._some.wait()
            except TimeoutError:
                self._release()
                # One that was cut in this very moment says no more of how far it came.
                if not self._lines and not self._cut and loop.time() < end:
                    self._lines.append(self._bookmark())
            if ready := self._taken():
                yield ready
        if ready := self._taken():
            yield ready

    def _release(self) -> None:
        """An event that was held back for the next one to overtake it does not wait for ever."""
        if self._held is not None:
            self._lines.append(self._held)
            self._held = None

    def _taken(self) -> bytes:
        ready, self._lines = b"".join(self._lines), []
        self._some.clear()
        return ready

    def _put(self, line: bytes) -> None:
        if len(self._lines) >= _LONGEST_BACKLOG:
            self._cut = True
        else:
            self._lines.append(line)
        self._some.set()

    def _bookmark(self) -> bytes:
        """The version that the watch has come to."""
        info = self._terms.info
        metadata = {"resourceVersion": str(self._storage.version), "creationTimestamp": None}
        mark = {"kind": info.kind, "apiVersion": info.api_version, "metadata": metadata}
        shown = partial(mark) if self._terms.metadata_only else mark
        return encoded({"type": "BOOKMARK", "object": shown}) + b"\n"

    def _line(self, change: Change) -> bytes | None:
        terms, live = self._terms, change.object
        if change.kind != terms.info.key:
            return None
        if terms.namespace and live["metadata"].get("namespace", "") != terms.namespace:
            return None
        kind = _seen_as(change, terms.matches)
        if kind is None:
            return None
        shown = encoded(partial(live)) if terms.metadata_only else change.encoded
        return b'{"type":"' + kind.encode() + b'","object":' + shown + b"}\n"


def _seen_as(change: Change, matches: Matcher) -> str | None:
    """An object that begins to match is ADDED, one that no longer does DELETED."""
    now = matches(change.object)
    before = change.before is not None and matches(change.before)
    if change.type == "DELETED":
        return "DELETED" if before or now else None
    if now:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


class Watches:
    """All open streams."""

    def __init__(self, storage: Storage, faults: Faults) -> None:
        self._storage = storage
        self._faults = faults
        self._streams: dict[Stream, None] = {}
        storage.listen(self._offer)

    def open(self, terms: Terms, version: int) -> Stream:
        """A stream that begins with what changed since `version`, or with everything for 0; 410 for a forgotten one."""
        stream = Stream(terms, self._storage, self._faults)
        changes = self._storage.since(version) if version else self._everything(terms)
        if changes is None:
            message = f"too old resource version: {version} ({self._storage.version})"
            raise gone(message)
        for change in changes:
            stream.offer(change)
        self._streams[stream] = None
        return stream

    def close(self, stream: Stream) -> None:
        """The client went, or its time is over."""
        self._streams.pop(stream, None)

    def cut_all(self, *, middle: bool = False) -> None:
        """Every stream ends now."""
        for stream in tuple(self._streams):
            stream.cut(middle=middle)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._streams)

    def _everything(self, terms: Terms) -> list[Change]:
        table: dict[tuple[str, str], Object] = self._storage.table(terms.info.key)
        key, version = terms.info.key, self._storage.version
        return [Change(version, key, "ADDED", live, None, encoded(live)) for live in table.values()]

    def _offer(self, change: Change) -> None:
        for stream in tuple(self._streams):
            stream.offer(change)
