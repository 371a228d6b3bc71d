"""Waiting on a simulated cluster."""

import asyncio
from collections.abc import Callable

from penstock.simulation.cluster import SimulatedCluster

__all__ = ["PATIENCE_SECONDS", "until"]

PATIENCE_SECONDS = 60


async def until(cluster: SimulatedCluster, claim: Callable[[], bool]) -> None:
    """Wait for changes of the cluster until the claim holds."""
    changed = asyncio.Event()
    unsubscribe = cluster.server.subscribe(lambda *_: changed.set())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not claim():
                changed.clear()
                await changed.wait()
    finally:
        unsubscribe()
