"""A kubelet's HTTP probe of a pod of this machine."""

import asyncio

import aiohttp

from penstock.simulation.network import Place

__all__ = ["http_probe"]

_OK_BELOW = 400


async def http_probe(session: aiohttp.ClientSession, place: Place, path: str, within: float) -> bool:
    """One GET, true for a success; `within` is in seconds."""
    host, port = place
    try:
        async with asyncio.timeout(within), session.get(f"http://{host}:{port}{path}") as response:
            return response.status < _OK_BELOW
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False
