"""`/v1/gateways/{namespace}/{name}/table`: the operator publishes, replicas pull."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from penstock.server.access import GatewayName, Subresource, Verb
from penstock.server.bounds import LARGEST_TABLE, body_of
from penstock.server.guards import operator_or_person, own_gateway_or_person
from penstock.server.hanging_up import hung_up
from penstock.server.parts import Parts, parts_of
from penstock.server.problems import ErrorAnswer, Problem
from penstock.server.publication import Head, Publication, read_envelope
from penstock.server.waiting import Look

__all__ = ["router"]

router = APIRouter(tags=["tables"])

_PATH = "/v1/gateways/{namespace}/{name}/table"
_LONGEST_WAIT = 55
_CHUNK_BYTES = 256 * 2**10
_LARGEST_TERM = 2**31 - 1
_SPLIT = "split the gateway: fewer routes and consumers in each"
_BINARY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A table: opaque, but for gateway (namespace/name), hash (hex) and generation. At most 32 MiB.",
        "content": {"application/json": {"schema": {"type": "object", "required": ["gateway", "hash", "generation"]}}},
    }
}


class Published(BaseModel):
    """What is published now."""

    term: int
    generation: int
    hash: str
    changed: bool


@router.put(
    _PATH,
    openapi_extra=_BINARY,
    responses={code: {"model": ErrorAnswer} for code in (401, 403, 409, 413, 422, 503, 507)},
    summary="Publish a table",
)
async def publish(
    request: Request,
    gateway: Annotated[GatewayName, Depends(operator_or_person(Verb.UPDATE, Subresource.TABLE))],
    term: Annotated[int, Header(alias="Penstock-Term", ge=0, le=_LARGEST_TERM)],
    expected: Annotated[str, Header(alias="Penstock-Expected-Hash", pattern=r"^[0-9a-f]{0,128}$")],
) -> Published:
    """Put a table in place of the one that the publisher expects there.

    409 StaleTerm, Conflict or StaleGeneration where it may not be; `error.current` says what is there.
    """
    parts = parts_of(request)
    body = await body_of(request, LARGEST_TABLE, cure=_SPLIT)
    asked = Publication(term, expected, read_envelope(body, str(gateway)), body)
    began = parts.clock.monotonic()
    try:
        head, changed = await parts.tables.publish(gateway, asked)
    except Problem as problem:
        parts.metrics.publications.labels(result=problem.reason).inc()
        raise
    parts.metrics.publication_seconds.observe(parts.clock.monotonic() - began)
    parts.metrics.publications.labels(result="published" if changed else "unchanged").inc()
    if changed:
        parts.table_changed(gateway)
    return Published(term=head.term, generation=head.generation, hash=head.hash, changed=changed)


@router.get(
    _PATH,
    response_class=Response,
    responses={
        200: {"description": "The bytes as they were published.", "content": {"application/json": {}}},
        304: {"description": "Nothing newer within `wait` seconds."},
        **{code: {"model": ErrorAnswer} for code in (401, 403, 404, 422, 503)},
    },
    summary="Pull the table",
)
async def pull(
    request: Request,
    gateway: Annotated[GatewayName, Depends(own_gateway_or_person(Verb.GET, Subresource.TABLE))],
    have: Annotated[str, Query(pattern=r"^[0-9a-f]{0,128}$", description="Hash of the table that you have.")] = "",
    wait: Annotated[float, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for another one.")] = 0,
    generation: Annotated[
        int, Query(ge=0, description="Of the table that you have: an older one is not handed out.")
    ] = 0,
) -> Response:
    """Hand out the table, at once where it is another than `have`, else as soon as there is another."""
    parts = parts_of(request)

    async def look() -> Look[bool]:
        head = await parts.reader.head(gateway)
        return Look(True if head.hash != have and head.generation >= generation else None)

    topic = (gateway, Subresource.TABLE)
    if not await parts.waiters.until(topic, look, seconds=wait, hung_up=lambda: hung_up(request)):
        return Response(status_code=304, headers={"ETag": f'"{have}"'} if have else {})
    return await _table(parts, gateway)


async def _table(parts: Parts, gateway: GatewayName) -> Response:
    head, body = await parts.reader.table(gateway)
    return StreamingResponse(_slices(body), media_type="application/json", headers=_headers(head, body))


def _headers(head: Head, body: bytes) -> dict[str, str]:
    return {
        "ETag": f'"{head.hash}"',
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Penstock-Term": str(head.term),
        "Penstock-Generation": str(head.generation),
    }


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    """Piece by piece: a slow reader must not make the process hold a copy of the whole table for it."""
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
