"""Keys that a controller still has to look at; a key that is added twice is handed out once."""

import asyncio
from typing import Generic, TypeVar

__all__ = ["Inbox"]

K = TypeVar("K")


class Inbox(Generic[K]):
    """First in, first out; bounded by the number of keys."""

    def __init__(self) -> None:
        self._keys: dict[K, None] = {}
        self._filled = asyncio.Event()

    def add(self, key: K) -> None:
        """Look at it soon."""
        self._keys[key] = None
        self._filled.set()

    async def take(self) -> K:
        """Wait for a key."""
        while not self._keys:
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._keys))
        del self._keys[key]
        return key
