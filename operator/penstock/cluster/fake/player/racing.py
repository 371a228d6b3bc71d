"""Waiting for the first of several things."""

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["first_of"]


async def first_of(*waits: Coroutine[Any, Any, object]) -> int:
    """Until one of them is over, which one (the first of those that are); the others are cancelled, errors raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        over = next(index for index, task in enumerate(tasks) if task.done())
        tasks[over].result()
        return over
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
