"""Watches: what changed since a version and from now on, bookmarks, and the faults of a stream."""

import asyncio
import json
from collections.abc import AsyncIterator

from penstock.cluster.fake.answers import gone
from penstock.cluster.fake.faults import Faults
from penstock.cluster.fake.registry import KindInfo
from penstock.cluster.fake.selectors import Matcher
from penstock.cluster.fake.storage import Change, Storage

__all__ = ["Stream", "Watches"]

_LONGEST_BACKLOG = 100_000
_CUT = b""


class Stream:
    """One open watch: lines wait in a queue of its own."""

    def __init__(self, info: KindInfo, namespace: str, matches: Matcher, faults: Faults) -> None:
        self._info = info
        self._namespace = namespace
        self._matches = matches
        self._faults = faults
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(_LONGEST_BACKLOG)
        self._held: bytes | None = None

    def offer(self, change: Change) -> None:
        """A commit; one of another kind or place is passed over."""
        line = self._line(change)
        if line is None:
            return
        if change.type == "DELETED" and self._faults.take("dropped_deletes"):
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
            self._put(b'{"type":"MODIFIED","object":{"meta')
        self._put(_CUT)

    def bookmark(self, version: int) -> bytes:
        """The version that the watch has come to."""
        body = {
            "kind": self._info.kind,
            "apiVersion": self._info.api_version,
            "metadata": {"resourceVersion": str(version)},
        }
        return b'{"type":"BOOKMARK","object":' + json.dumps(body).encode() + b"}\n"

    async def lines(self, storage: Storage, *, seconds: float, bookmark_seconds: float) -> AsyncIterator[bytes]:
        """Lines until the time is over or the stream is cut."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, bookmark_seconds)):
                    line = await self._lines.get()
            except TimeoutError:
                if self._held is not None:
                    line, self._held = self._held, None
                else:
                    line = self.bookmark(storage.version)
            if line == _CUT:
                return
            yield line

    def _put(self, line: bytes) -> None:
        if not self._lines.full():
            self._lines.put_nowait(line)

    def _line(self, change: Change) -> bytes | None:
        if change.kind != self._info.key:
            return None
        if self._namespace and change.object["metadata"].get("namespace", "") != self._namespace:
            return None
        kind = _seen_as(change, self._matches)
        if kind is None:
            return None
        return b'{"type":"' + kind.encode() + b'","object":' + change.encoded + b"}\n"


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
        self._streams: set[Stream] = set()
        storage.listen(self._offer)

    def open(self, info: KindInfo, namespace: str, matches: Matcher, version: str) -> Stream:
        """A stream that begins with what changed since `version`; 410 where that is not known any more."""
        stream = Stream(info, namespace, matches, self._faults)
        if version and version != "0":
            changes = self._storage.since(int(version))
            if changes is None:
                raise gone()
            for change in changes:
                stream.offer(change)
        else:
            self._begin(stream, info)
        self._streams.add(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """The client went."""
        self._streams.discard(stream)

    def cut_all(self, *, middle: bool = False) -> None:
        """Every stream ends now."""
        for stream in tuple(self._streams):
            stream.cut(middle=middle)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._streams)

    def _begin(self, stream: Stream, info: KindInfo) -> None:
        """Without a version the watch begins with all that is there."""
        for live in self._storage.table(info.key).values():
            stream.offer(Change(self._storage.version, info.key, "ADDED", live, None))

    def _offer(self, change: Change) -> None:
        for stream in tuple(self._streams):
            stream.offer(change)
