"""A gate that many lists share: few pages at a time are read and handled, whoever asks for them.

Without it a start reads every kind at once: each turn of the event loop then handles a part of all of them, and
nothing else gets its turn in time; nor do so many pages at once fit into a small memory.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from penstock.cluster.wire import Object, Page

__all__ = ["PAGE_SIZE", "gated", "in_turns", "new_gate"]

PAGE_SIZE = 100
"""Objects; the largest of ours come to about a megabyte then, which is read in some milliseconds."""

_PAGES_AT_ONCE = 2
"""One is on its way while another is handled."""

_OBJECTS_PER_TURN = 20


def new_gate() -> asyncio.Semaphore:
    """For all lists of one process."""
    return asyncio.Semaphore(_PAGES_AT_ONCE)


@asynccontextmanager
async def gated(pages: AsyncGenerator[Page, None], gate: asyncio.Semaphore) -> AsyncIterator[AsyncIterator[Page]]:
    """The pages, each asked for and handled while the gate is held; all is closed at the end."""
    async with aclosing(pages), aclosing(_through(pages, gate)) as through:
        yield through


async def _through(pages: AsyncGenerator[Page, None], gate: asyncio.Semaphore) -> AsyncGenerator[Page, None]:
    while True:
        async with gate:
            try:
                page = await anext(pages)
            except StopAsyncIteration:
                return
            yield page


async def in_turns(items: Iterable[Object]) -> AsyncIterator[Object]:
    """The items; everything else that runs gets its turn after every few of them."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % _OBJECTS_PER_TURN == 0:
            await asyncio.sleep(0)
