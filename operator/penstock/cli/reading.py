"""Reads kinds of a cluster into a view; what may not be read becomes a gap in it, and the rest goes on."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from penstock.cluster.client import Client
from penstock.cluster.errors import Forbidden, Gone, NotFound
from penstock.cluster.resources import ResourceType
from penstock.errors import ClusterError
from penstock.operations.view import ClusterView, Gap, Listing, Object

__all__ = ["MOST_OBJECTS", "listing", "read_view"]

MOST_OBJECTS = 20_000
"""Of one kind; a fleet that has more is read in part, and the listing says so."""

_AT_ONCE = 8


async def read_view(client: Client, kinds: Iterable[ResourceType], namespace: str | None = None) -> ClusterView:
    """The kinds, a few at a time; `namespace` narrows namespaced ones."""
    gate, wanted = asyncio.Semaphore(_AT_ONCE), tuple(dict.fromkeys(kinds))

    async def read(kind: ResourceType) -> Listing:
        async with gate:
            return await listing(client, kind, namespace if kind.namespaced else None)

    found = await asyncio.gather(*(read(kind) for kind in wanted))
    return ClusterView(dict(zip(wanted, found, strict=True)))


async def listing(client: Client, kind: ResourceType, namespace: str | None = None, *, labels: str = "") -> Listing:
    """All objects of a kind, or why there are none to be had."""
    try:
        return await _read(client, kind, namespace, labels)
    except NotFound:
        return Listing(gap=Gap.NOT_SERVED, message=f"the API server has no {kind}")
    except Forbidden:
        where = f"in namespace {namespace}" if namespace else "in the whole cluster"
        return Listing(gap=Gap.FORBIDDEN, message=f"you may not list {kind} {where}")
    except ClusterError as error:
        return Listing(gap=Gap.FAILED, message=str(error))


async def _read(client: Client, kind: ResourceType, namespace: str | None, labels: str) -> Listing:
    items: list[Object] = []
    try:
        async for page in client.pages(kind, namespace, labels=labels):
            items.extend(islice(page.items, MOST_OBJECTS - len(items)))
            if len(items) >= MOST_OBJECTS:
                return Listing(tuple(items), message=f"only the first {MOST_OBJECTS} were read")
    except Gone:
        # The list took too long to be one state: once more, from the beginning, in one piece.
        page = await client.list(kind, namespace, labels=labels, limit=0)
        items = list(islice(page.items, MOST_OBJECTS))
    return Listing(tuple(items))
