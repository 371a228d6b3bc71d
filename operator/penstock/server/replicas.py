"""What gateway replicas report, and which of them are live: heard of lately, by the server's time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock.server.access import GatewayName
from penstock.server.database import Database
from penstock.server.problems import Problem
from penstock.server.publication import Head
from penstock.server.schema import gateways
from penstock.server.schema import replicas as rows_
from penstock.server.tables import LockedGateway, announce, lock_gateway
from penstock.workqueue.clock import Clock

__all__ = ["Heard", "LiveReplica", "Replicas", "Report", "State", "digest_of"]

_MOST_REPLICAS = 1000
_MOST_LEAVING = 4096
_FORGET_AFTER_LIVES = 20


class State(StrEnum):
    """How a replica stands to new requests."""

    SERVING = "Serving"
    DRAINING = "Draining"
    GONE = "Gone"


class Report(BaseModel):
    """What a replica has applied and does; fields that a newer gateway adds are passed over."""

    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)

    hash: str = Field("", pattern=r"^[0-9a-f]{0,128}$", description="Of the table that it routes by; empty: none yet.")
    generation: int = Field(0, ge=0, le=2**63 - 1)
    credential_version: str = Field("", alias="credentialVersion", max_length=253)
    state: State
    pod: str = Field("", max_length=253)
    version: str = Field("", max_length=64, description="Of the gateway's software.")
    in_flight: dict[str, int] = Field(default_factory=dict, alias="inFlight", description="Requests per backend id.")
    leaving: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        max_length=_MOST_LEAVING,
        description="Requests in flight by base URL, to pods that its table does not list any more; `*`: all others.",
    )


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A replica, what it said last, since when it has that table, and when it was heard of (seconds since 1970)."""

    pod_uid: str
    report: Report
    applied_at: float
    seen_at: float


@dataclass(frozen=True, slots=True)
class Heard:
    """After a report: what is published, whether the report says anything new, and how many replicas are live."""

    head: Head
    changed: bool
    live: int


@dataclass(frozen=True, slots=True)
class Replicas:
    """All gateways' replicas; one that was not heard of for `seconds` is not live."""

    database: Database
    clock: Clock
    seconds: float = 15.0

    async def report(self, gateway: GatewayName, pod_uid: str, report: Report) -> Heard:
        """Take what a replica says; Problem (409) beyond 1,000 replicas."""
        said = report.model_dump_json(by_alias=True)
        async with self.database.writing() as connection:
            locked = await lock_gateway(connection, gateway)
            former = (await connection.execute(select(rows_).where(*_is(locked, pod_uid)))).first()
            changed = former is None or former.report != said or not self._is_live(former.seen_at)
            if report.state is State.GONE:
                changed = former is not None
                await connection.execute(delete(rows_).where(*_is(locked, pod_uid)))
            elif former is None:
                await self._insert(connection, locked, pod_uid, said)
            else:
                await self._update(connection, locked, former, report, said)
            if changed:
                await _bump(connection, locked)
            live = await connection.scalar(
                select(func.count()).where(rows_.c.gateway_id == locked.id, self._is_fresh())
            )
        return Heard(locked.head, changed, live or 0)

    async def live(self, gateway: GatewayName) -> tuple[LiveReplica, ...]:
        """By pod uid."""
        query = select(rows_).join(gateways, gateways.c.id == rows_.c.gateway_id).order_by(rows_.c.pod_uid)
        named = (gateways.c.namespace == gateway.namespace, gateways.c.name == gateway.name)
        async with self.database.reading() as connection:
            rows = await connection.execute(query.where(*named))
        return tuple(_replica(row) for row in rows if self._is_live(row.seen_at))

    def next_loss(self, live: Sequence[LiveReplica]) -> float:
        """Seconds until the first of them is not live any more if it stays silent; infinite where there is none."""
        now = self.clock.now().timestamp()
        return min((max(each.seen_at + self.seconds - now, 0.0) for each in live), default=float("inf"))

    async def census(self) -> dict[GatewayName, int]:
        """How many are live, by gateway."""
        joined = gateways.join(rows_, gateways.c.id == rows_.c.gateway_id)
        named = (gateways.c.namespace, gateways.c.name)
        query = select(*named, func.count().label("live")).select_from(joined)
        async with self.database.reading() as connection:
            rows = await connection.execute(query.where(self._is_fresh()).group_by(*named))
        return {GatewayName(row.namespace, row.name): row.live for row in rows}

    def _is_fresh(self) -> ColumnElement[bool]:
        now = self.clock.now().timestamp()
        return rows_.c.seen_at.between(now - self.seconds, now + self.seconds)

    def _is_live(self, seen_at: float) -> bool:
        # Also not when it was seen in the future: the clock was set back, and it would live for ever.
        return abs(self.clock.now().timestamp() - seen_at) <= self.seconds

    async def _insert(self, connection: AsyncConnection, locked: LockedGateway, pod_uid: str, said: str) -> None:
        now = self.clock.now().timestamp()
        mine = rows_.c.gateway_id == locked.id
        old = rows_.c.seen_at < now - _FORGET_AFTER_LIVES * self.seconds
        await connection.execute(delete(rows_).where(mine, old))
        count = await connection.scalar(select(func.count()).select_from(rows_).where(mine))
        if (count or 0) >= _MOST_REPLICAS:
            message = f"there are {_MOST_REPLICAS} replicas of this gateway already"
            raise Problem(
                409, "TooManyReplicas", message, cure="report with the pod's own uid; scale in", retry_after=30
            )
        values = {"gateway_id": locked.id, "pod_uid": pod_uid, "report": said, "applied_at": now, "seen_at": now}
        await connection.execute(insert(rows_).values(values))

    async def _update(
        self,
        connection: AsyncConnection,
        locked: LockedGateway,
        former: Row[tuple[object, ...]],
        report: Report,
        said: str,
    ) -> None:
        now = self.clock.now().timestamp()
        before = Report.model_validate_json(former.report)
        same = (before.hash, before.generation) == (report.hash, report.generation)
        values = {"report": said, "seen_at": now, "applied_at": former.applied_at if same else now}
        await connection.execute(update(rows_).where(*_is(locked, former.pod_uid)).values(values))


def digest_of(live: Sequence[LiveReplica]) -> str:
    """The same for the same replicas saying the same; being heard of again is no change."""
    digest = hashlib.sha256()
    for each in live:
        digest.update(f"{each.pod_uid}\0{each.applied_at}\0{each.report.model_dump_json(by_alias=True)}\n".encode())
    return digest.hexdigest()[:32]


async def _bump(connection: AsyncConnection, locked: LockedGateway) -> None:
    version = {"replicas_version": gateways.c.replicas_version + 1}
    await connection.execute(update(gateways).where(gateways.c.id == locked.id).values(version))
    await announce(connection)


def _is(locked: LockedGateway, pod_uid: str) -> tuple[ColumnElement[bool], ...]:
    return (rows_.c.gateway_id == locked.id, rows_.c.pod_uid == pod_uid)


def _replica(row: Row[tuple[object, ...]]) -> LiveReplica:
    return LiveReplica(row.pod_uid, Report.model_validate_json(row.report), row.applied_at, row.seen_at)
