"""Lists and watches as a test wrote them down, in place of a client."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from penstock.cluster.resources import ResourceType
from penstock.cluster.wire import Page, WatchEvent
from penstock.errors import ClusterError

__all__ = ["ScriptedSource", "event", "listed"]

Step = WatchEvent | ClusterError
"""An event, or how a watch breaks."""


def listed(version: int, *items: dict[str, Any]) -> Page:
    """A page of a list at that version."""
    return Page(items, str(version))


def event(kind: str, live: dict[str, Any]) -> WatchEvent:
    """An event of a watch."""
    return WatchEvent(kind, live)


@dataclass
class ScriptedSource:
    """Gives its lists in turn, the last one for ever, and its watches in turn; then watches stay open and silent."""

    lists: list[tuple[Page, ...] | ClusterError]
    watches: list[tuple[Step, ...]] = field(default_factory=list)
    listings: int = 0
    watched_from: list[str] = field(default_factory=list)
    asked: list[tuple[str | None, str]] = field(default_factory=list)
    """The namespace and the field selector of each list and watch."""
    watching: int = 0

    async def pages(
        self, kind: ResourceType, namespace: str | None, *, labels: str, fields: str, limit: int
    ) -> AsyncGenerator[Page, None]:
        """The next list."""
        self.asked.append((namespace, fields))
        assert (kind.kind, labels) == ("Pod", "")
        assert limit > 0
        self.listings += 1
        pages = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(pages, ClusterError):
            raise pages
        for page in pages:
            yield page

    async def watch(
        self,
        kind: ResourceType,
        *,
        resource_version: str,
        namespace: str | None,
        labels: str,
        fields: str,
        inactivity: float,
    ) -> AsyncGenerator[WatchEvent, None]:
        """The next watch."""
        self.asked.append((namespace, fields))
        assert (kind.kind, labels, inactivity) == ("Pod", "", 70)
        self.watched_from.append(resource_version)
        self.watching += 1
        try:
            if not self.watches:
                await asyncio.Event().wait()
            for step in self.watches.pop(0):
                if isinstance(step, ClusterError):
                    raise step
                yield step
        finally:
            self.watching -= 1
