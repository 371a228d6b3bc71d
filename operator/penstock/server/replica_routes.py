"""`/v1/gateways/{namespace}/{name}/replicas`: replicas acknowledge, the operator and people read."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from penstock.server.access import GatewayName, Subresource, Verb
from penstock.server.bounds import LARGEST_BODY, body_of, parsed
from penstock.server.guards import operator_or_person, own_gateway
from penstock.server.hanging_up import hung_up
from penstock.server.parts import parts_of
from penstock.server.problems import ErrorAnswer
from penstock.server.replicas import LiveReplica, Report, digest_of
from penstock.server.waiting import Look

__all__ = ["router"]

router = APIRouter(tags=["replicas"])

_PATH = "/v1/gateways/{namespace}/{name}/replicas"
_LONGEST_WAIT = 55
_REPORT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Report.model_json_schema()}}}
}


class Acknowledged(BaseModel):
    """What is published, and how often to report."""

    generation: int = Field(description="Of the published table; 0 where there is none.")
    hash: str
    seconds: float = Field(description="A replica that is silent for longer is not live.")
    replicas: int = Field(description="How many are live; each grants its share of the consumers' limits.")


class Replica(Report):
    """A live replica and what it reported last."""

    uid: str
    applied_at: datetime = Field(alias="appliedAt", description="Since when it reports that table.")
    seen_at: datetime = Field(alias="seenAt")


class ReplicaList(BaseModel):
    """The live replicas by pod uid."""

    replicas: list[Replica]
    since: str = Field(description="Send it back to wait for a change.")
    seconds: float = Field(description="A replica that is silent for longer is not live.")


@router.put(
    _PATH + "/{pod_uid}",
    openapi_extra=_REPORT,
    responses={code: {"model": ErrorAnswer} for code in (401, 409, 413, 422, 503, 507)},
    summary="Report what a replica has applied",
)
async def report(
    request: Request,
    gateway: Annotated[GatewayName, Depends(own_gateway())],
    pod_uid: Annotated[str, Path(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,63}$")],
) -> Acknowledged:
    """Say which table and credentials a replica works by; `Gone` takes it off the list."""
    parts = parts_of(request)
    said = parsed(Report, await body_of(request, LARGEST_BODY, cure="report fewer backends"))
    heard = await parts.replicas.report(gateway, pod_uid, said)
    if heard.changed:
        parts.replicas_changed(gateway)
    return Acknowledged(
        generation=heard.head.generation if heard.head.hash else 0,
        hash=heard.head.hash,
        seconds=parts.replicas.seconds,
        replicas=heard.live,
    )


@router.get(
    _PATH,
    response_model=ReplicaList,
    responses={
        304: {"description": "Nothing changed within `wait` seconds."},
        **{code: {"model": ErrorAnswer} for code in (401, 403, 422, 503)},
    },
    summary="Read the live replicas",
)
async def read(
    request: Request,
    gateway: Annotated[GatewayName, Depends(operator_or_person(Verb.GET, Subresource.REPLICAS))],
    since: Annotated[str, Query(max_length=64, description="From a former answer: wait until it is not so.")] = "",
    wait: Annotated[float, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for a change.")] = 0,
) -> Any:
    """List who is live and what each has applied, at once or, with `since`, as soon as that changes."""
    parts = parts_of(request)

    async def look() -> Look[ReplicaList]:
        live = await parts.replicas.live(gateway)
        digest = digest_of(live)
        if digest == since:
            return Look(None, parts.replicas.next_loss(live))
        shown = [_shown(each) for each in live]
        return Look(ReplicaList(replicas=shown, since=digest, seconds=parts.replicas.seconds))

    topic = (gateway, Subresource.REPLICAS)
    found = await parts.waiters.until(topic, look, seconds=wait, hung_up=lambda: hung_up(request))
    return found if found is not None else Response(status_code=304)


def _shown(replica: LiveReplica) -> Replica:
    return Replica(
        **replica.report.model_dump(),
        uid=replica.pod_uid,
        applied_at=datetime.fromtimestamp(replica.applied_at, UTC),
        seen_at=datetime.fromtimestamp(replica.seen_at, UTC),
    )
