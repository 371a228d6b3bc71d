"""Notices that a client has gone, so that a request that waits gives its place free."""

from fastapi import Request

__all__ = ["hung_up"]


async def hung_up(request: Request) -> None:
    """Returns when the client has closed the connection; reads what is left of the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
