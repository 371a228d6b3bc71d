"""`/livez`, `/readyz` and `/metrics`, without authentication, on the port of the API.

One port, so that a probe tests the very listener that gateways use. What is shown here is no secret: counts, and the
names of gateways.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from penstock.server.parts import parts_of
from penstock.server.problems import Problem

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """The event loop answers; a database that is away is no reason to start anew."""
    return "ok"


@router.get("/readyz", response_class=PlainTextResponse, responses={503: {"description": "What is missing."}})
async def readyz(request: Request) -> Response:
    """The migrations are done, the database answers, and the process is not about to end."""
    parts = parts_of(request)
    if parts.waiters.closed:
        return PlainTextResponse("the server is stopping", status_code=503)
    try:
        await parts.database.check()
    except Problem as problem:
        return PlainTextResponse(problem.message, status_code=503)
    return PlainTextResponse("ok")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """In Prometheus' text form; without the gauges of gateways while the database does not answer."""
    parts = parts_of(request)
    try:
        parts.metrics.show(await parts.replicas.census(), await parts.tables.sizes())
        parts.metrics.database_up.set(1)
    except Problem:
        parts.metrics.show({}, {})
        parts.metrics.database_up.set(0)
    return Response(generate_latest(parts.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
