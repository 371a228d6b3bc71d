"""`/v1/gateways/{namespace}/{name}`: a gateway's tokens, and forgetting it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field

from penstock.server.access import GatewayName, Subresource, Verb
from penstock.server.guards import operator_or_person
from penstock.server.parts import parts_of
from penstock.server.problems import ErrorAnswer

__all__ = ["router"]

router = APIRouter(tags=["gateways"])

_PATH = "/v1/gateways/{namespace}/{name}"
_Operator = Annotated[GatewayName, Depends(operator_or_person(Verb.UPDATE, Subresource.TABLE))]


class NewToken(BaseModel):
    """A gateway's token."""

    token: str = Field(description="Shown this once; the server keeps its SHA-256 only.")


@router.post(
    _PATH + "/tokens",
    status_code=201,
    responses={code: {"model": ErrorAnswer} for code in (401, 403, 503, 507)},
    summary="Make a gateway's token",
)
async def make_token(request: Request, response: Response, gateway: _Operator) -> NewToken:
    """Make a token beside the one in use; the older one ends when this one is in use, or after an hour."""
    response.headers["Cache-Control"] = "no-store"
    return NewToken(token=await parts_of(request).tokens.make(gateway))


@router.delete(
    _PATH,
    status_code=204,
    responses={code: {"model": ErrorAnswer} for code in (401, 403, 404, 409, 503, 507)},
    summary="Forget a gateway",
)
async def forget(
    request: Request,
    gateway: _Operator,
    term: Annotated[int | None, Header(alias="Penstock-Term", ge=0, le=2**31 - 1)] = None,
) -> None:
    """Delete its table, replicas and tokens; with a term, only a leader that was not deposed may."""
    parts = parts_of(request)
    await parts.tables.forget(gateway, term)
    parts.table_changed(gateway)
    parts.replicas_changed(gateway)
